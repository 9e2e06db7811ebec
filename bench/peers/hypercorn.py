"""hypercorn with a plain ASGI application."""

from bench.harness.peer import Peer

PEERS = [
    Peer(
        "hypercorn",
        lambda start: [
            *(start.python, "-m", "hypercorn", "bench.peers.apps.asgi:app", "--bind", f"127.0.0.1:{start.port}"),
            *("--worker-class", "uvloop", "--workers", "0", "--keep-alive", "75", "--backlog", "2048"),
            *("--log-level", "error"),
        ],
        frozenset({"hello", "json", "echo", "upload", "chunked"}),
        needs=("hypercorn", "uvloop"),
    )
]
