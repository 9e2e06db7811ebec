"""aiohttp and sanic: frameworks that bring their own server."""

from bench.harness.peer import Peer

PEERS = [
    Peer("aiohttp", lambda start: [start.python, "-m", "bench.peers.apps.aiohttp_app"], needs=("aiohttp", "uvloop")),
    Peer("sanic", lambda start: [start.python, "-m", "bench.peers.apps.sanic_app"], needs=("sanic", "uvloop")),
]
