"""The application on aiohttp, on uvloop."""

from __future__ import annotations

import os

import orjson
import uvloop
from aiohttp import web

from bench.peers.apps.common import BACKLOG, HELLO, MESSAGE, PIECE, PIECES, TOKENS, Ticker, files, token_bytes

ticker = Ticker()


async def hello(request: web.Request) -> web.StreamResponse:
    return web.Response(body=HELLO, content_type="text/plain")


async def message(request: web.Request) -> web.StreamResponse:
    return web.Response(body=orjson.dumps(MESSAGE), content_type="application/json")


async def echo(request: web.Request) -> web.StreamResponse:
    return web.Response(body=orjson.dumps(orjson.loads(await request.read())), content_type="application/json")


async def upload(request: web.Request) -> web.StreamResponse:
    size = 0
    async for piece in request.content.iter_any():
        size += len(piece)
    return web.Response(body=orjson.dumps({"size": size}), content_type="application/json")


async def chunked(request: web.Request) -> web.StreamResponse:
    stream = web.StreamResponse(headers={"content-type": "application/octet-stream"})
    stream.enable_chunked_encoding()
    await stream.prepare(request)
    for _ in range(PIECES):
        await stream.write(PIECE)
    return stream


async def tokens(request: web.Request) -> web.StreamResponse:
    stream = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-store"})
    stream.enable_chunked_encoding()
    await stream.prepare(request)
    for number in range(TOKENS):
        await stream.write(token_bytes(number))
    return stream


async def events(request: web.Request) -> web.StreamResponse:
    stream = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-store"})
    stream.enable_chunked_encoding()
    await stream.prepare(request)
    await stream.write(b": hello\n\n")
    queue = ticker.subscribe()
    try:
        while True:
            await stream.write(await queue.get())
    finally:
        ticker.unsubscribe(queue)


def main() -> None:
    app = web.Application(client_max_size=1 << 30)
    app.add_routes(
        [
            web.get("/", hello),
            web.get("/json", message),
            web.post("/echo", echo),
            web.post("/upload", upload),
            web.get("/chunked", chunked),
            web.get("/events", events),
            web.get("/tokens", tokens),
            web.static("/files", files()),
        ]
    )
    loop = uvloop.new_event_loop()
    port = int(os.environ["BENCH_PORT"])
    web.run_app(app, host="127.0.0.1", port=port, backlog=BACKLOG, access_log=None, print=None, loop=loop)


if __name__ == "__main__":
    main()
