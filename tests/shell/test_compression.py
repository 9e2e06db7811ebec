"""Answers are compressed for those who take it, and for nobody else."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from rat import EventStream, Rat, RatServer, Request, Response, ServerConfig
from tests.support.serving import connect, serving

HOST = b"Host: localhost\r\n"
TEXT = "the same line again and again\n" * 100


def make_app() -> Rat:
    app = Rat()
    app.state.go = asyncio.Event()
    kept = Response(TEXT, headers={"ETag": '"1"'})

    @app.get("/kept")
    def text(request: Request) -> Response:
        return kept

    @app.get("/long")
    async def long(request: Request) -> dict[str, str]:
        return {"text": TEXT * 100}

    @app.get("/short")
    async def short(request: Request) -> str:
        return "short"

    @app.get("/secret")
    async def secret(request: Request) -> Response:
        return Response(TEXT, compress=False)

    @app.get("/image")
    async def image(request: Request) -> Response:
        return Response(TEXT, content_type="image/png")

    @app.get("/pieces")
    async def pieces(request: Request) -> Response:
        async def produce() -> AsyncIterator[str]:
            yield TEXT
            await app.state.go.wait()
            yield "end"

        return Response(produce(), content_type="text/plain")

    @app.get("/events")
    async def events(request: Request) -> EventStream:
        async def produce() -> AsyncIterator[str]:
            yield TEXT

        return EventStream(produce(), compress=request.query.get("compress") == "1" or None)

    @app.get("/endless-events")
    async def endless_events(request: Request) -> EventStream:
        async def produce() -> AsyncIterator[str]:
            yield "first"
            app.state.go.set()
            await asyncio.Event().wait()

        return EventStream(produce(), compress=True)

    return app


async def get(target: bytes, accept: bytes, config: ServerConfig | None = None) -> tuple[dict[str, str], bytes]:
    async with serving(make_app(), config=config) as server, connect(server) as client:
        await client.send(b"GET %s HTTP/1.1\r\n%sAccept-Encoding: %s\r\n\r\n" % (target, HOST, accept))
        answer = await client.answer()
        assert answer.status == 200
        return dict(answer.fields), answer.content


@pytest.mark.parametrize("target", [b"/kept", b"/long"])
async def test_text_is_compressed(target: bytes) -> None:
    fields, content = await get(target, b"gzip")
    assert fields["content-encoding"] == "gzip"
    assert "accept-encoding" in fields["vary"].lower()
    plain = gzip.decompress(content)
    assert plain == (
        TEXT.encode() if target == b"/kept" else b'{"text":"' + (TEXT * 100).replace("\n", "\\n").encode() + b'"}'
    )
    assert len(content) < len(plain) / 10


async def test_an_answer_that_is_kept_stays_as_it_was() -> None:
    app = make_app()
    async with serving(app) as server, connect(server) as client:
        for accept, coding in ((b"gzip", "gzip"), (b"identity", None), (b"gzip", "gzip")):
            await client.send(b"GET /kept HTTP/1.1\r\n%sAccept-Encoding: %s\r\n\r\n" % (HOST, accept))
            answer = await client.answer()
            assert answer.field("content-encoding") == coding
            assert answer.field("etag") == ('W/"1"' if coding else '"1"')
            content = gzip.decompress(answer.content) if coding else answer.content
            assert content == TEXT.encode()


@pytest.mark.parametrize(
    ("target", "accept"),
    [(b"/short", b"gzip"), (b"/secret", b"gzip"), (b"/image", b"gzip"), (b"/kept", b"gzip;q=0"), (b"/events", b"gzip")],
)
async def test_what_is_not_compressed(target: bytes, accept: bytes) -> None:
    fields, _ = await get(target, accept)
    assert "content-encoding" not in fields


async def test_a_server_can_be_told_not_to() -> None:
    fields, content = await get(b"/kept", b"gzip", ServerConfig(compress=False))
    assert "content-encoding" not in fields
    assert content == TEXT.encode()


async def test_a_piece_can_be_read_when_it_comes() -> None:
    app = make_app()
    async with serving(app) as server, connect(server) as client:
        await client.send(b"GET /pieces HTTP/1.1\r\n" + HOST + b"Accept-Encoding: gzip\r\n\r\n")
        _, fields = await client.head()
        assert dict(fields)["content-encoding"] == "gzip"
        decoder = zlib.decompressobj(wbits=31)
        text = b""
        while len(text) < len(TEXT):
            text += decoder.decompress(await client.chunk())
        app.state.go.set()
        while piece := await client.chunk():
            text += decoder.decompress(piece)
        assert text.decode() == TEXT + "end"
        assert decoder.eof


async def test_a_compressed_stream_that_the_server_ends_is_whole() -> None:
    app = make_app()
    server = RatServer(app, port=0)
    await server.start()
    async with connect(server) as client:
        await client.send(b"GET /endless-events HTTP/1.1\r\n" + HOST + b"Accept-Encoding: gzip\r\n\r\n")
        async with asyncio.timeout(10):
            await app.state.go.wait()
        assert await server.close(grace=10) == 0
        answer = await client.answer()
        assert answer.field("content-encoding") == "gzip"
        text = gzip.decompress(answer.content)
        assert text.startswith(b"data: first\n\n")
        assert b"event: rat.close\n" in text


async def test_events_are_compressed_when_asked() -> None:
    fields, content = await get(b"/events?compress=1", b"gzip")
    assert fields["content-encoding"] == "gzip"
    assert zlib.decompress(content, wbits=31).count(b"data: ") == 101
