"""The application on Starlette."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bench.peers.apps.common import HELLO, MESSAGE, PIECE, PIECES, Ticker, files

ticker = Ticker()


async def hello(request: Request) -> Response:
    return PlainTextResponse(HELLO)


async def message(request: Request) -> Response:
    return JSONResponse(MESSAGE)


async def echo(request: Request) -> Response:
    return JSONResponse(await request.json())


async def upload(request: Request) -> Response:
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return Response(orjson.dumps({"size": size}), media_type="application/json")


async def chunked(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            yield PIECE

    return StreamingResponse(pieces(), media_type="application/octet-stream")


async def events(request: Request) -> Response:
    async def stream() -> AsyncIterator[bytes]:
        yield b": hello\n\n"
        queue = ticker.subscribe()
        try:
            while True:
                yield await queue.get()
        finally:
            ticker.unsubscribe(queue)

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"cache-control": "no-store"})


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/json", message),
        Route("/echo", echo, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/chunked", chunked),
        Route("/events", events),
        Mount("/files", StaticFiles(directory=files())),
    ]
)
