"""Nothing waits for a peer without a deadline; the clock moves when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rat import Rat, Request, Response, ServerConfig, Timeouts
from rat.protocol import HttpProtocol
from rat.server import RatServer
from tests.support.serving import SteppedClock, connect, serving

HOST = b"Host: localhost\r\n"
TIMEOUTS = Timeouts(
    head=10.0, keep_alive=75.0, body_stall=30.0, body_rate=500.0, body_rate_grace=20.0, write_stall=30.0, linger=2.0
)
CONFIG = ServerConfig(timeouts=TIMEOUTS)


def make_app() -> Rat:
    app = Rat()
    app.state.entered = asyncio.Event()
    app.state.left = asyncio.Event()

    @app.get("/plain")
    def plain(request: Request) -> str:
        return "hello"

    @app.post("/echo", max_body=None)
    async def echo(request: Request) -> bytes:
        app.state.entered.set()
        return await request.read()

    @app.get("/slow", timeout=5.0)
    async def slow(request: Request) -> str:
        app.state.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            app.state.left.set()
        return "never"

    @app.get("/endless")
    async def endless(request: Request) -> AsyncIterator[bytes]:
        async def produce() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 65536
            finally:
                app.state.left.set()

        return produce()

    return app


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def seen(server: RatServer, **expected: int) -> None:
    """Until the counts of the server are as expected."""
    async with asyncio.timeout(10):
        while not all(server.statistics()[name] == count for name, count in expected.items()):
            await asyncio.sleep(0)


def step(server: RatServer, clock: SteppedClock, seconds: float) -> None:
    clock.time += seconds
    server.sweep()


async def test_a_connection_that_says_nothing_is_closed() -> None:
    clock = SteppedClock()
    async with serving(make_app(), config=CONFIG, clock=clock) as server, connect(server) as client:
        await seen(server, connections_open=1)
        step(server, clock, 9.9)
        await settle()
        assert server.statistics()["head_timeouts"] == 0
        step(server, clock, 0.2)
        assert await client.ended() == b""
        assert server.statistics()["head_timeouts"] == 1


async def test_a_head_that_dribbles_is_answered_with_408() -> None:
    clock = SteppedClock()
    async with serving(make_app(), config=CONFIG, clock=clock) as server, connect(server) as client:
        await client.send(b"GET /plain HTTP/1.1\r\n")
        for _ in range(9):
            await client.send(b"X: y\r\n")
            await settle()
            step(server, clock, 1)
        step(server, clock, 1.1)
        answer = await client.answer()
        assert (answer.status, answer.field("connection")) == (408, "close")
        assert b"10 seconds" in answer.content
        step(server, clock, 2)
        assert await client.ended() == b""


@pytest.mark.parametrize("before", [b"", b"GET /plain HTTP/1.1\r\n" + HOST + b"\r\n"], ids=["new", "kept"])
@pytest.mark.parametrize("pieces", [[b"\r"], [b"\r\n"], [b"\r", b"\n"], [b"\r\n", b"G"]], ids=repr)
async def test_the_deadline_of_a_head_counts_from_its_first_byte(before: bytes, pieces: list[bytes]) -> None:
    """RFC 9112, section 2.2: an empty line before a request is ignored.  It is no request, and no time either."""
    clock = SteppedClock()
    async with serving(make_app(), config=CONFIG, clock=clock) as server, connect(server) as client:
        await seen(server, connections_open=1)
        if before:
            await client.send(before)
            assert (await client.answer()).content == b"hello"
            step(server, clock, 60)
        for piece in pieces:
            connection_of(server).data_received(piece)
            step(server, clock, 4)
        step(server, clock, 9.9 - 4 * len(pieces))
        await settle()
        assert server.statistics()["head_timeouts"] == 0
        step(server, clock, 0.2)
        assert server.statistics()["head_timeouts"] == 1
        answer = await client.answer()
        assert (answer.status, answer.field("connection")) == (408, "close")


async def test_an_idle_connection_is_kept_for_a_while() -> None:
    clock = SteppedClock()
    async with serving(make_app(), config=CONFIG, clock=clock) as server, connect(server) as client:
        for _ in range(2):
            await client.send(b"GET /plain HTTP/1.1\r\n" + HOST + b"\r\n")
            assert (await client.answer()).content == b"hello"
            step(server, clock, 74)
        step(server, clock, 2)
        assert await client.ended() == b""
        assert server.statistics()["idle_timeouts"] == 1


@pytest.mark.parametrize("started", [b"", b"12"])
async def test_content_that_stalls_is_answered_with_408(started: bytes) -> None:
    app, clock = make_app(), SteppedClock()
    async with serving(app, config=CONFIG, clock=clock) as server, connect(server) as client:
        await client.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\n" + started)
        await app.state.entered.wait()
        await settle()
        step(server, clock, 29)
        await settle()
        step(server, clock, 2)
        answer = await client.answer()
        assert (answer.status, answer.field("connection")) == (408, "close")
        assert server.statistics()["body_timeouts"] == 1


async def test_content_that_dribbles_is_answered_with_408() -> None:
    app, clock = make_app(), SteppedClock()
    async with serving(app, config=CONFIG, clock=clock) as server, connect(server) as client:
        await client.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 500000\r\n\r\n")
        await app.state.entered.wait()
        for _ in range(45):
            await client.send(b"x" * 100)
            await settle()
            step(server, clock, 0.5)
        answer = await client.answer()
        assert answer.status == 408
        assert b"at least 500 are due" in answer.content


async def test_a_handler_that_takes_too_long_is_cancelled_and_answered_with_503() -> None:
    app, clock = make_app(), SteppedClock()
    async with serving(app, config=CONFIG, clock=clock) as server, connect(server) as client:
        await client.send(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
        await app.state.entered.wait()
        step(server, clock, 4.9)
        await settle()
        assert not app.state.left.is_set()
        step(server, clock, 0.2)
        assert (await client.answer()).status == 503
        assert app.state.left.is_set()
        await client.send(b"GET /plain HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await client.answer()).content == b"hello"


async def test_a_client_that_does_not_read_is_cut() -> None:
    app, clock = make_app(), SteppedClock()
    async with serving(app, config=CONFIG, clock=clock) as server, connect(server, receive_buffer=4096) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(b"GET /endless HTTP/1.1\r\n" + HOST + b"\r\n")
        (connection,) = server.service.connections
        async with asyncio.timeout(10):
            while not connection.flow.write_paused:  # type: ignore[attr-defined]
                await asyncio.sleep(0)
        await settle()
        step(server, clock, 1)
        step(server, clock, 29)
        await settle()
        assert not app.state.left.is_set()
        step(server, clock, 2)
        async with asyncio.timeout(10):
            await app.state.left.wait()
        await seen(server, connections_open=0, write_stalls=1)


def connection_of(server: RatServer) -> HttpProtocol:
    """The only one that is open."""
    (connection,) = server.service.connections
    assert isinstance(connection, HttpProtocol)
    return connection


async def test_a_deadline_that_passes_before_the_first_step_is_answered() -> None:
    clock = SteppedClock()
    async with serving(make_app(), config=CONFIG, clock=clock) as server, connect(server) as client:
        await seen(server, connections_open=1)
        for _ in range(2):
            # The loop may have been blocked for long between the two.
            connection_of(server).data_received(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
            step(server, clock, 6.0)
            assert (await asyncio.wait_for(client.answer(), 5)).status == 503


async def test_what_an_answer_holds_is_closed_when_the_client_leaves_before_the_first_step() -> None:
    app, closed = make_app(), []

    @app.get("/held")
    def held(request: Request) -> Response:
        response = Response(piece for piece in (b"one", b"two"))
        response.on_close(lambda: closed.append(True))
        return response

    async with serving(app) as server, connect(server):
        await seen(server, connections_open=1)
        connection = connection_of(server)
        # As after a write that failed, while the next request is at hand already.
        connection.transport.abort()
        connection.data_received(b"GET /held HTTP/1.1\r\n" + HOST + b"\r\n")
        while server.service.connections or server.service.departing:
            await asyncio.sleep(0)
        assert closed == [True]
