"""The application in plain ASGI, without a framework."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from bench.peers.apps.common import HELLO, MESSAGE, PIECE, PIECES, TOKENS, Ticker, token_bytes

ticker = Ticker()
TEXT = (b"content-type", b"text/plain; charset=utf-8")
JSON = (b"content-type", b"application/json")


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Route by path."""
    if scope["type"] == "http":
        await ROUTES.get(scope["path"], missing)(scope, receive, send)
    elif scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})


async def answer(send: Any, content: bytes, kind: tuple[bytes, bytes], status: int = 200) -> None:
    fields = [kind, (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": content})


async def missing(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await answer(send, b"not found", TEXT, 404)


async def hello(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await answer(send, HELLO, TEXT)


async def message(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await answer(send, orjson.dumps(MESSAGE), JSON)


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    content = b""
    more = True
    while more:
        event = await receive()
        content += event.get("body", b"")
        more = event.get("more_body", False)
    await answer(send, orjson.dumps(orjson.loads(content)), JSON)


async def upload(scope: dict[str, Any], receive: Any, send: Any) -> None:
    size = 0
    more = True
    while more:
        event = await receive()
        size += len(event.get("body", b""))
        more = event.get("more_body", False)
    await answer(send, orjson.dumps({"size": size}), JSON)


async def chunked(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/octet-stream")]}
    )
    for _ in range(PIECES):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def tokens(scope: dict[str, Any], receive: Any, send: Any) -> None:
    fields = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    for number in range(TOKENS):
        await send({"type": "http.response.body", "body": token_bytes(number), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def events(scope: dict[str, Any], receive: Any, send: Any) -> None:
    fields = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b": hello\n\n", "more_body": True})
    # To a client that has left, send() does nothing and raises nothing: only receive() tells.
    stream = asyncio.create_task(deliver(send))
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        stream.cancel()


async def deliver(send: Any) -> None:
    queue = ticker.subscribe()
    try:
        while True:
            await send({"type": "http.response.body", "body": await queue.get(), "more_body": True})
    finally:
        ticker.unsubscribe(queue)


ROUTES = {
    "/": hello,
    "/json": message,
    "/echo": echo,
    "/upload": upload,
    "/chunked": chunked,
    "/events": events,
    "/tokens": tokens,
}
