"""Pressure and departures, over real sockets with small kernel buffers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rat import Rat, Request
from tests.support.serving import connect, serving

HOST = b"Host: localhost\r\n"


def make_app() -> Rat:
    app = Rat()
    state = app.state
    state.produced = 0
    state.received = 0
    state.left = asyncio.Event()
    state.entered = asyncio.Event()
    state.go = asyncio.Event()

    @app.get("/endless")
    async def endless(request: Request) -> AsyncIterator[bytes]:
        async def produce() -> AsyncIterator[bytes]:
            try:
                while True:
                    state.produced += 65536
                    yield b"x" * 65536
            finally:
                state.left.set()

        return produce()

    @app.get("/waits")
    async def waits(request: Request) -> str:
        state.entered.set()
        try:
            await state.go.wait()
        finally:
            state.left.set()
        return "went on"

    @app.get("/silent")
    async def silent(request: Request) -> AsyncIterator[bytes]:
        async def produce() -> AsyncIterator[bytes]:
            try:
                yield b"first"
                await asyncio.Event().wait()
            finally:
                state.left.set()

        return produce()

    @app.post("/upload", max_body=None)
    async def upload(request: Request) -> dict[str, int]:
        state.entered.set()
        try:
            async for piece in request.body:
                state.received += len(piece)
                await state.go.wait()
        finally:
            state.left.set()
        return {"size": state.received}

    return app


async def until(condition: object) -> None:
    """Until *condition* () holds."""
    assert callable(condition)
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def test_a_client_that_stops_reading_stops_the_generator() -> None:
    app = make_app()
    async with serving(app, send_buffer=4096) as server, connect(server, receive_buffer=4096) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(b"GET /endless HTTP/1.1\r\n" + HOST + b"\r\n")
        await until(lambda: app.state.produced)
        (connection,) = server.service.connections
        await until(lambda: connection.flow.write_paused)  # type: ignore[attr-defined]
        stopped_at = app.state.produced
        for _ in range(200):
            await asyncio.sleep(0)
        assert app.state.produced == stopped_at
        assert connection.flow.unsent() < 64 * 1024 + 65536 + 1024  # type: ignore[attr-defined]
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await client.head()
        await client.chunk()
        for _ in range(200):
            await client.chunk()
        assert app.state.produced > stopped_at


async def test_a_handler_that_does_not_read_stops_the_client() -> None:
    app = make_app()
    piece = b"x" * 65536
    async with serving(app) as server, connect(server) as client:
        await client.send(b"POST /upload HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % (200 * len(piece)))
        await app.state.entered.wait()
        (connection,) = server.service.connections
        sending = asyncio.ensure_future(client.send(piece * 200))
        await until(lambda: "body" in connection.flow.reasons)  # type: ignore[attr-defined]
        for _ in range(100):
            await asyncio.sleep(0)
        body = connection.exchange.body  # type: ignore[attr-defined]
        assert body.queued <= 256 * 1024 + 256_000
        app.state.go.set()
        await sending
        assert (await client.answer()).content == b'{"size":13107200}'
        assert not connection.flow.reasons  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", [b"/waits", b"/silent", b"/endless"])
async def test_a_handler_whose_client_leaves_is_cancelled(target: bytes) -> None:
    app = make_app()
    async with serving(app) as server, connect(server) as client:
        await client.send(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
        await until(lambda: server.statistics()["requests"] == 1)
        if target != b"/waits":
            await client.head()
        client.reset()
        async with asyncio.timeout(10):
            await app.state.left.wait()
        await until(lambda: server.statistics()["connections_open"] == 0)
        assert server.statistics()["disconnects"] == 1
        assert server.statistics()["handler_errors"] == 0


async def test_an_upload_whose_client_leaves_is_cancelled() -> None:
    app = make_app()
    app.state.go.set()
    async with serving(app) as server, connect(server) as client:
        await client.send(b"POST /upload HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nsome")
        await until(lambda: app.state.received == 4)
        client.reset()
        async with asyncio.timeout(10):
            await app.state.left.wait()
        await until(lambda: server.statistics()["connections_open"] == 0)


async def test_an_upload_that_is_half_closed_early_fails() -> None:
    app = make_app()
    app.state.go.set()
    async with serving(app) as server, connect(server) as client:
        await client.send(b"POST /upload HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nsome")
        await until(lambda: app.state.received == 4)
        client.half_close()
        rest = await client.ended()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 400")
        assert app.state.left.is_set()


async def test_a_half_closed_client_gets_the_answer_it_waits_for() -> None:
    app = make_app()
    async with serving(app) as server, connect(server) as client:
        await client.send(b"GET /waits HTTP/1.1\r\n" + HOST + b"\r\n")
        client.half_close()
        await app.state.entered.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        app.state.go.set()
        assert (await client.answer()).content == b"went on"
        assert await client.ended() == b""


async def test_an_endless_answer_ends_with_a_half_close() -> None:
    app = make_app()
    async with serving(app) as server, connect(server) as client:
        await client.send(b"GET /silent HTTP/1.1\r\n" + HOST + b"\r\n")
        await client.head()
        assert await client.chunk() == b"first"
        client.half_close()
        async with asyncio.timeout(10):
            await app.state.left.wait()
        await until(lambda: server.statistics()["connections_open"] == 0)


async def test_context_variables_do_not_leak_between_requests() -> None:
    from contextvars import ContextVar

    seen: ContextVar[int] = ContextVar("seen", default=0)
    app = Rat()

    @app.get("/sync")
    def sync(request: Request) -> str:
        seen.set(seen.get() + 1)
        return str(seen.get())

    @app.get("/async")
    async def asynchronous(request: Request) -> str:
        seen.set(seen.get() + 1)
        return str(seen.get())

    async with serving(app) as server, connect(server) as client:
        targets = [b"/sync", b"/async"] * 3
        await client.send(b"".join(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n" for target in targets))
        for _ in targets:
            assert (await client.answer()).content == b"1"


@pytest.mark.parametrize("cut", ["handler", "grace"])
async def test_an_answer_that_ends_with_the_connection_does_not_look_whole_when_it_is_cut(cut: str) -> None:
    app = Rat()
    begun = asyncio.Event()

    @app.get("/")
    async def stream(request: Request) -> AsyncIterator[bytes]:
        yield b"the first half"
        begun.set()
        if cut == "handler":
            raise RuntimeError("and no second one")
        await asyncio.Event().wait()

    async with serving(app) as server, connect(server) as client, asyncio.timeout(10):
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        await begun.wait()
        if cut == "grace":
            await server.close(grace=0)
        with pytest.raises(ConnectionResetError):
            await client.reader.read()
