"""The application under attack."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from rat import CallRequest, EventStream, FileResponse, Rat, Request, Response

app = Rat()
PIECE = b"x" * 65536
PIECES = 1024
BULK = b"y" * 65000
FILE = os.environ.get("SURVIVE_FILE", "/dev/null")


@app.get("/plain")
def plain(request: Request) -> str:
    return "hello, world!"


@app.get("/later")
async def later(request: Request) -> str:
    return "hello, world!"


@app.get("/debug")
def debug(request: Request) -> dict[str, Any]:
    return {
        "tasks": len(asyncio.all_tasks()),
        "names": sorted({str(task.get_coro()) for task in asyncio.all_tasks()})[:10],
        "subscribers": len(app.hub.presence("ticks")),
        "queued_bytes": app.hub.statistics().queued_bytes,
    }


@app.get("/bulk")
def bulk(request: Request) -> bytes:
    return BULK


@app.get("/file")
async def file(request: Request) -> Response:
    return FileResponse(FILE)


@app.get("/pieces")
async def pieces(request: Request) -> AsyncIterator[bytes]:
    async def produce() -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            yield PIECE

    return produce()


@app.post("/upload", max_body=None)
async def upload(request: Request) -> dict[str, int]:
    size = 0
    async for piece in request.body:
        size += len(piece)
    return {"size": size}


@app.post("/echo")
async def echo(request: Request) -> bytes:
    return await request.read()


@app.sse("/ticks")
async def ticks(request: Request) -> EventStream:
    return EventStream(app.hub.subscribe("ticks", after=request.last_event_id))


@app.sse("/all")
async def both(request: Request) -> EventStream:
    return EventStream(app.hub.subscribe("ticks", "bulk"))


@app.sse("/chatter")
async def chatter(request: Request) -> EventStream:
    """Events of 4 KiB, one for each sweep of a generator, to whoever reads them."""

    async def produce() -> AsyncIterator[str]:
        while True:
            yield "z" * 4096
            await asyncio.sleep(0.01)

    return EventStream(produce())


@app.call("keep")
async def keep(request: CallRequest) -> None:
    """Never reads what the caller sends, and never answers."""
    await asyncio.get_running_loop().create_future()


@app.call("bulk")
def bulk_call(request: CallRequest) -> bytes:
    return BULK


@app.post("/publish")
async def publish(request: Request) -> str:
    return await app.hub.publish(request.query.get("topic", "ticks"), await request.text())
