"""Benchmarks: what this server costs beside others, on the machine at hand."""
