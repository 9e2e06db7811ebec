"""Requests without a server: heads as the engine makes them, given to endpoints as the shell does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Iterable
from typing import Any

from rat import Rat
from rat.events import FileRegion, RequestReceived
from rat.messages import Address, Request
from rat.responses import Response
from rat.stream.body import BodyReader


class LocalConnection:
    """A connection that has an address and no socket."""

    client = Address("127.0.0.1", 40000)
    server = Address("127.0.0.1", 8000)
    scheme = "http"


def head(
    method: str = "GET",
    target: str | bytes = "/",
    fields: Iterable[tuple[str, str]] = (),
    content: bytes | None = b"",
    trailers: Iterable[tuple[bytes, bytes]] = (),
) -> RequestReceived:
    raw = target.encode("latin-1") if isinstance(target, str) else target
    path, _, query = raw.partition(b"?")
    lines = [("Host", "example.test"), *fields]
    return RequestReceived(
        method=method,
        target=raw,
        path=path,
        query=query,
        route_key=method.encode() + b" " + path,
        http_version="1.1",
        authority=b"example.test",
        field_section=b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in lines),
        content_length=None if content is None else len(content),
        keep_alive=True,
        expects_continue=False,
        content=content,
        trailers=list(trailers),
    )


def body_reader(*pieces: bytes, limit: int | None = None, trailers: Iterable[tuple[bytes, bytes]] = ()) -> BodyReader:
    """A reader that has received *pieces* and the end of the message."""
    reader = BodyReader(limit=limit, high_water=1 << 20, low_water=1 << 18)
    for piece in pieces:
        reader.feed(piece)
    reader.feed_eof(list(trailers))
    return reader


def request(
    app: Rat, received: RequestReceived, params: dict[str, Any] | None = None, body: BodyReader | None = None
) -> Request:
    return Request(app, received, LocalConnection(), None, body, params or {})


async def answer(
    app: Rat,
    method: str = "GET",
    target: str | bytes = "/",
    fields: Iterable[tuple[str, str]] = (),
    content: bytes | None = b"",
    body: BodyReader | None = None,
) -> Response:
    """What *app* answers: match, read where the endpoint says so, respond, prepare."""
    app.prepare()
    received = head(method, target, fields, None if body is not None else content)
    endpoint, params = app.match(received)
    asked = request(app, received, params, body)
    if endpoint.reads_content:
        await asked.read()
    response = endpoint.begin(asked) if endpoint.respond is None else await endpoint.respond(asked)
    if response.prepare is not None:
        response = await response.prepare(asked)
    return response


async def content_of(response: Response) -> bytes:
    """All of the content, read the way the shell sends it."""
    body = response.body
    if isinstance(body, bytes):
        return body
    if isinstance(body, AsyncIterable):
        return b"".join([piece async for piece in body])
    parts = []
    for part in body:
        if isinstance(part, FileRegion):
            part.file.seek(part.offset)
            data = part.file.read(part.count)
            assert len(data) == part.count
            parts.append(data)
        else:
            parts.append(bytes(part))
    return b"".join(parts)


def length_of(response: Response) -> int:
    """The length that the client is told: declared, or that of the bytes, which the engine declares."""
    declared = response.headers.get("content-length")
    if isinstance(response.body, bytes):
        assert declared is None
        return len(response.body)
    assert declared is not None
    return int(declared)


async def json_of(response: Response) -> Any:
    return json.loads(await content_of(response))
