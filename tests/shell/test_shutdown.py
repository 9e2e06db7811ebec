"""A server that stops: what is in flight ends, what has no end is ended, the rest is cut after the grace."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rat import EventStream, Rat, RatServer, Request, ServerConfig
from rat.errors import BindError
from tests.support.serving import connect, serving

HOST = b"Host: localhost\r\n"


def make_app() -> Rat:
    app = Rat()
    state = app.state
    state.entered, state.go, state.left = asyncio.Event(), asyncio.Event(), asyncio.Event()
    state.calls = []

    @app.get("/waits")
    async def waits(request: Request) -> str:
        state.entered.set()
        await state.go.wait()
        return "whole"

    @app.get("/stuck")
    async def stuck(request: Request) -> AsyncIterator[bytes]:
        async def produce() -> AsyncIterator[bytes]:
            yield b"begun"
            state.entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                state.left.set()

        return produce()

    @app.sse("/events")
    async def events(request: Request) -> AsyncIterator[str]:
        try:
            yield "first"
            state.entered.set()
            await asyncio.Event().wait()
        finally:
            state.left.set()

    @app.get("/slow-chunks")
    async def slow_chunks(request: Request) -> AsyncIterator[bytes]:
        yield b"one,"
        state.entered.set()
        await state.go.wait()
        yield b"two"

    for name in ("startup", "drain", "shutdown"):
        getattr(app, f"on_{name}")(lambda name=name: state.calls.append(name))
    return app


async def test_what_is_in_flight_is_finished() -> None:
    app = make_app()
    server = RatServer(app, port=0)
    await server.start()
    async with connect(server) as busy, connect(server) as idle:
        await busy.send(b"GET /waits HTTP/1.1\r\n" + HOST + b"\r\n")
        await app.state.entered.wait()
        closing = asyncio.ensure_future(server.close(grace=10))
        assert await idle.ended() == b""
        app.state.go.set()
        answer = await busy.answer()
        assert (answer.content, answer.field("connection")) == (b"whole", "close")
        assert await closing == 0
    assert app.state.calls == ["startup", "drain", "shutdown"]


async def test_nobody_can_connect_to_a_server_that_stops() -> None:
    app = make_app()
    server = RatServer(app, port=0)
    await server.start()
    port = server.port
    async with connect(server) as busy:
        await busy.send(b"GET /waits HTTP/1.1\r\n" + HOST + b"\r\n")
        await app.state.entered.wait()
        closing = asyncio.ensure_future(server.close(grace=10))
        await asyncio.sleep(0)
        app.state.go.set()
        await closing
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_what_does_not_end_is_cut_after_the_grace(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "rat.server")
    app = make_app()
    server = RatServer(app, port=0)
    await server.start()
    async with connect(server) as client:
        await client.send(b"GET /waits HTTP/1.1\r\n" + HOST + b"\r\n")
        await app.state.entered.wait()
        assert await server.close(grace=0) == 1
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.answer()
    assert "1 connection was cut after a grace of 0 seconds" in caplog.text
    assert app.state.calls == ["startup", "drain", "shutdown"]


async def test_an_event_stream_says_goodbye() -> None:
    app = make_app()
    server = RatServer(app, port=0)
    await server.start()
    async with connect(server) as client:
        await client.send(b"GET /events HTTP/1.1\r\n" + HOST + b"\r\n")
        await app.state.entered.wait()
        assert await server.close(grace=10) == 0
        answer = await client.answer()
        assert answer.status == 200
        assert answer.content.startswith(b"data: first\n\n")
        assert b"event: rat.close\n" in answer.content
        assert b"retry: " in answer.content
        assert app.state.left.is_set()


async def test_an_event_stream_whose_source_goes_on_says_goodbye_all_the_same() -> None:
    app = make_app()

    @app.sse("/stubborn")
    async def stubborn(request: Request) -> AsyncIterator[str]:
        try:
            yield "first"
            app.state.entered.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            while True:
                yield "one more"
        finally:
            app.state.left.set()

    async with serving(app) as server, connect(server) as client, asyncio.timeout(10):
        await client.send(b"GET /stubborn HTTP/1.1\r\n" + HOST + b"\r\n")
        await client.head()
        assert await client.chunk() == b"data: first\n\n"
        await app.state.entered.wait()
        closing = asyncio.create_task(server.close())
        rest = b""
        while chunk := await client.chunk():
            rest += chunk
        assert rest.startswith(b"data: one more\n\nevent: rat.close\n")
        assert app.state.left.is_set()
        await closing


async def test_an_event_stream_is_one_task_from_its_handler_to_its_end() -> None:
    app = make_app()
    seen: list[int] = []

    @app.sse("/same")
    async def same(request: Request) -> AsyncIterator[int]:
        try:
            for number in range(3):
                seen.append(id(asyncio.current_task()))
                async with asyncio.timeout(10):
                    await asyncio.sleep(0)
                    yield number
        finally:
            seen.append(id(asyncio.current_task()))

    async with serving(app) as server, connect(server) as client, asyncio.timeout(10):
        await client.send(b"GET /same HTTP/1.1\r\n" + HOST + b"\r\n")
        await client.head()
        rest = b""
        while chunk := await client.chunk():
            rest += chunk
        assert rest == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert len(seen) == 4
    assert len(set(seen)) == 1


async def test_a_connection_whose_end_fails_is_gone_all_the_same() -> None:
    app = make_app()
    app.state.left = 0

    @app.sse("/subscribed")
    async def subscribed(request: Request) -> EventStream:
        def leave() -> None:
            app.state.left += 1
            raise asyncio.CancelledError

        response = EventStream(app.hub.subscribe("ticks"))
        response.on_close(leave)
        return response

    async with serving(app) as server, asyncio.timeout(10):
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context.get("exception")))
        async with connect(server) as client:
            await client.send(b"GET /subscribed HTTP/1.1\r\n" + HOST + b"\r\n")
            await client.head()
            client.reset()
        while not app.state.left:
            await asyncio.sleep(0)
        assert server.statistics()["connections_open"] == 0
        assert await server.close(grace=0) == 0
    assert [type(error) for error in told] == [asyncio.CancelledError]


async def test_a_chunked_answer_is_finished() -> None:
    app = make_app()
    server = RatServer(app, port=0)
    await server.start()
    async with connect(server) as client:
        await client.send(b"GET /slow-chunks HTTP/1.1\r\n" + HOST + b"\r\n")
        await app.state.entered.wait()
        closing = asyncio.ensure_future(server.close(grace=10))
        await asyncio.sleep(0)
        app.state.go.set()
        assert (await client.answer()).content == b"one,two"
        assert await closing == 0


async def test_serve_forever_returns_when_the_server_has_closed() -> None:
    server = RatServer(make_app(), port=0)
    serving_task = asyncio.ensure_future(server.serve_forever())
    async with asyncio.timeout(10):
        while not server.sockets:
            await asyncio.sleep(0)
        async with connect(server):
            await server.close(grace=1)
        await serving_task


async def test_a_port_in_use_is_told_with_its_reason() -> None:
    async with serving(make_app()) as server:
        with pytest.raises(BindError, match=rf"cannot bind 127\.0\.0\.1 port {server.port}: Address already in use"):
            await RatServer(make_app(), port=server.port).start()


async def test_a_start_up_that_fails_frees_the_port() -> None:
    app = make_app()

    @app.on_startup
    def fail() -> None:
        raise ValueError("no database")

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ValueError, match="no database"):
        await RatServer(app, port=port).start()
    async with RatServer(make_app(), port=port):
        pass


async def test_a_unix_socket_is_served_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "rat.sock"
    app = make_app()
    app.state.go.set()
    for _ in range(2):
        async with RatServer(app, uds=str(path)):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(b"GET /waits HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
            assert (await reader.read(-1)).endswith(b"whole")
            writer.close()
            await writer.wait_closed()
        assert not path.exists()


async def test_an_application_has_the_counts_of_its_server_while_it_is_served() -> None:
    app, mounted = Rat(), Rat()
    app.mount("/admin", mounted)

    @mounted.get("/requests")
    def requests(request: Request) -> dict[str, int]:
        return {"requests": request.app.statistics()["requests"]}

    for _ in range(2):
        with pytest.raises(RuntimeError, match="the application is not served"):
            app.statistics()
        async with serving(app) as server, connect(server) as client:
            await client.send(b"GET /admin/requests HTTP/1.1\r\n" + HOST + b"\r\n")
            assert (await client.answer()).content == b'{"requests":1}'


async def test_connections_past_the_bound_wait_their_turn() -> None:
    app = make_app()
    app.state.go.set()
    request = b"GET /waits HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    async with serving(app, config=ServerConfig(connections=2)) as server:
        async with connect(server) as first, connect(server) as second:
            for client in (first, second):
                await client.send(request[:5])
            async with asyncio.timeout(10):
                while server.statistics()["connections_open"] < 2:
                    await asyncio.sleep(0)
            async with connect(server) as third:
                await third.send(request)
                for _ in range(100):
                    await asyncio.sleep(0)
                assert server.statistics()["connections_open"] == 2
                await first.send(request[5:])
                assert (await first.answer()).content == b"whole"
                assert (await third.answer()).content == b"whole"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks")
async def test_a_loop_whose_tasks_are_eager() -> None:
    app = make_app()
    app.state.go.set()

    @app.get("/numbers")
    async def numbers(request: Request) -> EventStream:
        async def events() -> AsyncIterator[str]:
            yield "1"

        return EventStream(events())

    def eager(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        # uvloop gives options that asyncio's own factory did not take before 3.13.3.
        return asyncio.Task(work, loop=loop, **{**options, "eager_start": True})

    asyncio.get_running_loop().set_task_factory(eager)
    async with serving(app, config=ServerConfig(connections=1)) as server, asyncio.timeout(10):
        for target in (b"/waits", b"/waits", b"/waits", b"/numbers"):
            async with connect(server) as client:
                await client.send(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
                assert (await client.answer()).status == 200
