"""The application on this server, written as its tutorial writes one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from bench.peers.apps.common import HELLO, INTERVAL, MESSAGE, PIECE, PIECES, TOKENS, event_data, files, token
from rat import EventStream, Rat, Request, Response
from rat.cli.bench import RECORD
from rat.stream.blob import Blob

app = Rat()
app.static("/files", files())
_tasks: set[asyncio.Task[None]] = set()


@app.get("/")
async def hello(request: Request) -> Any:
    return Response(HELLO, content_type="text/plain; charset=utf-8")


@app.get("/json")
async def message(request: Request) -> Any:
    return MESSAGE


@app.post("/echo")
async def echo(request: Request) -> Any:
    return await request.json()


@app.post("/upload", max_body=None)
async def upload(request: Request) -> Any:
    size = 0
    async for piece in request.body:
        size += len(piece)
    return {"size": size}


@app.get("/chunked")
async def chunked(request: Request) -> Any:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            yield PIECE

    return Response(pieces(), content_type="application/octet-stream")


@app.call("echo")
async def echo_call(request: Any, value: Any) -> Any:
    return value


@app.call("echo-plain")
def echo_plain_call(request: Any, value: Any) -> Any:
    return value


@app.call("blob")
def blob_call(request: Any, value: Any) -> Any:
    return value


@app.call("blob-stream")
async def blob_stream_call(request: Any) -> Any:
    return Blob(request.stream)


@app.call("records")
async def records_call(request: Any, count: int) -> AsyncIterator[dict[str, Any]]:
    for _ in range(count):
        yield RECORD


@app.sse("/tokens")
async def tokens(request: Request) -> AsyncIterator[dict[str, Any]]:
    for number in range(TOKENS):
        yield token(number)


@app.sse("/events")
async def events(request: Request) -> Any:
    return EventStream(app.hub.subscribe("ticks", after=request.last_event_id))


async def tick() -> None:
    number = 0
    due = time.monotonic()
    while True:
        due += INTERVAL
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        number += 1
        await app.hub.publish("ticks", event_data(number))


@app.on_startup
async def start() -> None:
    _tasks.add(asyncio.get_running_loop().create_task(tick()))


@app.on_shutdown
async def stop() -> None:
    for task in _tasks:
        task.cancel()
