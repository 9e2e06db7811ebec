"""The application on sanic, with its own server in one process."""

from __future__ import annotations

import os
from typing import Any

import orjson
from sanic import Sanic, response
from sanic.request import Request

from bench.peers.apps.common import BACKLOG, HELLO, MESSAGE, PIECE, PIECES, TOKENS, Ticker, files, token_bytes

app = Sanic("bench", dumps=lambda value: orjson.dumps(value).decode(), loads=orjson.loads)
app.config.ACCESS_LOG = False
app.config.MOTD = False
app.config.REQUEST_MAX_SIZE = 1 << 30
ticker = Ticker()
app.static("/files", files(), name="files")


@app.get("/")
async def hello(request: Request) -> Any:
    return response.raw(HELLO, content_type="text/plain; charset=utf-8")


@app.get("/json")
async def message(request: Request) -> Any:
    return response.json(MESSAGE)


@app.post("/echo")
async def echo(request: Request) -> Any:
    return response.json(request.json)


@app.post("/upload", stream=True)
async def upload(request: Request) -> Any:
    size = 0
    while (piece := await request.stream.read()) is not None:  # type: ignore[union-attr]
        size += len(piece)
    return response.json({"size": size})


@app.get("/chunked")
async def chunked(request: Request) -> None:
    stream = await request.respond(content_type="application/octet-stream")
    for _ in range(PIECES):
        await stream.send(PIECE)  # type: ignore[union-attr]
    await stream.eof()  # type: ignore[union-attr]


@app.get("/tokens")
async def tokens(request: Request) -> None:
    stream = await request.respond(content_type="text/event-stream", headers={"cache-control": "no-store"})
    for number in range(TOKENS):
        await stream.send(token_bytes(number))  # type: ignore[union-attr]
    await stream.eof()  # type: ignore[union-attr]


@app.get("/events")
async def events(request: Request) -> None:
    stream = await request.respond(content_type="text/event-stream", headers={"cache-control": "no-store"})
    await stream.send(b": hello\n\n")  # type: ignore[union-attr]
    queue = ticker.subscribe()
    try:
        while True:
            await stream.send(await queue.get())  # type: ignore[union-attr]
    finally:
        ticker.unsubscribe(queue)


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ["BENCH_PORT"]), single_process=True, access_log=False, backlog=BACKLOG)
