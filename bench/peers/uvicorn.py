"""uvicorn with a plain ASGI application, on httptools and on h11."""

from collections.abc import Callable

from bench.harness.peer import Peer, Start

COMMON = [
    "--loop",
    "uvloop",
    "--log-level",
    "warning",
    "--no-access-log",
    "--timeout-keep-alive",
    "75",
    "--backlog",
    "2048",
]


def uvicorn(app: str, http: str) -> Callable[[Start], list[str]]:
    return lambda start: [start.python, "-m", "uvicorn", app, "--port", str(start.port), "--http", http, *COMMON]


PLAIN = frozenset({"hello", "json", "echo", "upload", "chunked", "tokens", "events", "idle"})
PEERS = [
    Peer(
        "uvicorn", uvicorn("bench.peers.apps.asgi:app", "httptools"), PLAIN, core=True, needs=("uvicorn", "httptools")
    ),
    Peer(
        "uvicorn-h11",
        uvicorn("bench.peers.apps.asgi:app", "h11"),
        PLAIN & {"hello", "json", "echo"},
        needs=("uvicorn", "h11"),
    ),
]
