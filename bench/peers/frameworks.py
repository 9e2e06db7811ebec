"""Starlette, FastAPI and sse-starlette, each on uvicorn with httptools."""

from bench.harness.peer import Peer
from bench.peers.uvicorn import uvicorn

APPS = "bench.peers.apps"
PEERS = [
    Peer(
        "starlette",
        uvicorn(f"{APPS}.starlette_app:app", "httptools"),
        frozenset({"hello", "json", "echo", "upload", "chunked", "events", "big", "small"}),
        needs=("starlette", "uvicorn", "httptools"),
    ),
    Peer(
        "fastapi",
        uvicorn(f"{APPS}.fastapi_app:app", "httptools"),
        frozenset({"hello", "json", "echo"}),
        needs=("fastapi", "uvicorn", "httptools"),
    ),
    Peer(
        "sse-starlette",
        uvicorn(f"{APPS}.sse_starlette_app:app", "httptools"),
        frozenset({"events", "tokens"}),
        needs=("sse-starlette", "uvicorn", "httptools"),
    ),
]
