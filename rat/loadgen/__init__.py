"""The load generator behind ``rat bench``: requests out, answers judged, latencies counted.

Knows nothing of the server: it imports no other part of the package, so that it can be turned on any server.
"""
