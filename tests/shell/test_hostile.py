"""What hostile clients found: each fault as a small test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rat import EventStream, FileResponse, Rat, RatServer, Request, Response, ServerConfig, ServerSentEvent, Timeouts
from rat.link import TRANSITIONS, Link, Step
from tests.support.serving import Client, SteppedClock, connect, serving
from tests.support.sse import parse

resource = pytest.importorskip("resource")

LARGE = 16 << 20
"""More than all buffers on the way."""
HOST = b"Host: localhost\r\n"
CONFIG = ServerConfig(timeouts=Timeouts(head=10.0, body_stall=30.0, body_rate=500.0, write_stall=30.0))


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\n".encode() + HOST + b"\r\n"


def make_app(folder: Path) -> Rat:
    app = Rat()
    app.state.go = asyncio.Event()
    app.state.entered = asyncio.Event()
    with (folder / "large.bin").open("wb") as file:
        file.truncate(LARGE)

    @app.get("/plain")
    def plain(request: Request) -> str:
        return "hello"

    @app.get("/file")
    async def file_of(request: Request) -> Response:
        return FileResponse(folder / "large.bin")

    @app.post("/late")
    async def late(request: Request) -> bytes:
        app.state.entered.set()
        await app.state.go.wait()
        return await request.read()

    @app.sse("/events")
    async def events(request: Request) -> EventStream:
        app.state.entered.set()
        await app.state.go.wait()
        return EventStream(app.hub.subscribe("ticks"))

    @app.sse("/made")
    async def made(request: Request) -> EventStream:
        app.state.entered.set()
        await app.state.go.wait()

        async def endless() -> AsyncIterator[ServerSentEvent]:
            while True:
                await asyncio.Event().wait()
                yield ServerSentEvent("never")

        return EventStream(endless())

    return app


def step(server: RatServer, clock: SteppedClock, seconds: float) -> None:
    clock.time += seconds
    server.sweep()


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(50):
        await asyncio.sleep(0)


async def until_open(server: RatServer, count: int) -> None:
    async with asyncio.timeout(10):
        while server.statistics()["connections_open"] != count:
            await asyncio.sleep(0)


@contextlib.contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """This process may open *count* descriptors more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    taken = []
    # The lowest free number is what counts: fill the holes below the limit.
    while True:
        number = os.open(os.devnull, os.O_RDONLY)
        taken.append(number)
        if number >= highest:
            break
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1] + 1, before[1]))
    for number in held[:count]:
        os.close(number)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for number in (*held[count:], *taken):
            os.close(number)


async def stuck_in_a_file(server: RatServer, client: Client) -> None:
    """Ask for a large file, and do not read it; until the server can send no more."""
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.send(get("/file"))
    await until_open(server, 1)
    (connection,) = server.service.connections
    async with asyncio.timeout(10):
        while not connection.flow.waits_for_peer:  # type: ignore[attr-defined]
            await asyncio.sleep(0)


async def standstill(server: RatServer) -> None:
    """Until the kernel moves nothing more by itself, which is progress as well."""
    (connection,) = server.service.connections
    before = -1
    while (now := connection.flow.progress()) != before:  # type: ignore[attr-defined]
        before = now
        await settle()


async def test_a_file_that_nobody_reads_is_cut(tmp_path: Path) -> None:
    clock = SteppedClock()
    async with (
        serving(make_app(tmp_path), config=CONFIG, clock=clock, send_buffer=4096) as server,
        connect(server, receive_buffer=4096) as client,
    ):
        await stuck_in_a_file(server, client)
        await standstill(server)
        step(server, clock, 1)
        step(server, clock, 29)
        assert server.statistics()["write_stalls"] == 0
        step(server, clock, 2)
        assert server.statistics()["write_stalls"] == 1
        await until_open(server, 0)


async def test_a_slow_reader_is_not_cut_while_it_reads(tmp_path: Path) -> None:
    clock = SteppedClock()
    async with (
        serving(make_app(tmp_path), config=CONFIG, clock=clock, send_buffer=1 << 20) as server,
        connect(server, receive_buffer=4096, limit=4096) as client,
    ):
        await client.send(get("/file"))
        await client.head()
        (connection,) = server.service.connections
        for _ in range(6):
            # Far less than what makes the server's socket writable.
            await client.reader.readexactly(20_000)
            await settle()
            assert connection.flow.waits_for_peer  # type: ignore[attr-defined]
            step(server, clock, 25)
        assert server.statistics()["write_stalls"] == 0
        assert not connection.is_lost  # type: ignore[attr-defined]


async def test_content_of_an_answered_request_has_a_deadline_however_it_dribbles(tmp_path: Path) -> None:
    clock = SteppedClock()
    async with serving(make_app(tmp_path), config=CONFIG, clock=clock) as server, connect(server) as client:
        await client.send(b"POST /plain HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n")
        assert (await client.answer()).status == 405
        for _ in range(31):
            await client.send(b"x")
            await settle()
            step(server, clock, 1)
        assert await client.ended() == b""
        assert server.statistics()["body_timeouts"] == 1


async def test_the_next_request_after_such_content_has_a_deadline_of_its_own(tmp_path: Path) -> None:
    clock = SteppedClock()
    async with serving(make_app(tmp_path), config=CONFIG, clock=clock) as server, connect(server) as client:
        await client.send(b"POST /plain HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\n")
        assert (await client.answer()).status == 405
        step(server, clock, 20)
        await client.send(b"x" * 9 + b"GET /plain HTTP/1.1\r\n")
        await settle()
        step(server, clock, 9)
        await client.send(HOST + b"\r\n")
        assert (await client.answer()).content == b"hello"


async def test_the_time_a_handler_takes_is_not_the_silence_of_its_client(tmp_path: Path) -> None:
    app, clock = make_app(tmp_path), SteppedClock()
    async with serving(app, config=CONFIG, clock=clock) as server, connect(server) as client:
        await client.send(b"POST /late HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        await app.state.entered.wait()
        step(server, clock, 100)
        app.state.go.set()
        assert (await client.head())[0] == 100
        step(server, clock, 20)
        await client.send(b"full")
        assert (await client.answer()).content == b"full"


@pytest.mark.parametrize("path", ["/events", "/made"])
async def test_a_stream_that_begins_while_the_server_stops_says_goodbye(tmp_path: Path, path: str) -> None:
    app = make_app(tmp_path)
    server = RatServer(app, port=0)
    await server.start()
    async with connect(server) as client:
        await client.send(get(path))
        await app.state.entered.wait()
        closing = asyncio.create_task(server.close(grace=10))
        await settle()
        app.state.go.set()
        answer = await client.answer()
        assert [event.event for event in parse(answer.content).events] == ["rat.close"]
        assert await closing == 0


async def test_connections_past_the_bound_stay_in_the_queue(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = ServerConfig(connections=4)
    async with serving(make_app(tmp_path), config=config) as server, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(server)) for _ in range(40)]
        for client in clients:
            await client.send(b"GET /plain HTTP/1.1\r\n")
        await until_open(server, 4)
        await settle()
        assert server.statistics()["connections_open"] == 4
        assert server.statistics()["connections_accepted"] == 4
        # All are served in the end, and the others are told to wait by nothing but the kernel.
        for client in clients:
            await client.send(HOST + b"Connection: close\r\n\r\n")
        for client in clients:
            async with asyncio.timeout(10):
                assert (await client.answer()).content == b"hello"
        assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_a_process_without_descriptors_waits_and_recovers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(make_app(tmp_path)) as server, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(server)) for _ in range(3)]
        await until_open(server, 3)
        sockets = [stack.enter_context(contextlib.closing(make_socket())) for _ in range(10)]
        with descriptors_left(0):
            for sock in sockets:
                with contextlib.suppress(BlockingIOError):
                    sock.connect(("127.0.0.1", server.port))
            await settle()
            # Who is there is served.
            await clients[0].send(get("/plain"))
            assert (await clients[0].answer()).content == b"hello"
        server.sweep()
        async with connect(server) as client:
            await client.send(get("/plain"))
            async with asyncio.timeout(10):
                assert (await client.answer()).content == b"hello"
        assert len(caplog.records) <= 1
        assert all(record.exc_info is None for record in caplog.records)


def make_socket() -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    return sock


async def test_a_file_is_sent_without_a_second_descriptor_when_none_is_left(tmp_path: Path) -> None:
    async with (
        serving(make_app(tmp_path), send_buffer=4096) as server,
        connect(server, receive_buffer=4096, limit=1 << 20) as client,
    ):
        await client.send(get("/plain"))
        await client.answer()
        # One for the file, none to wait with.
        with descriptors_left(1):
            await stuck_in_a_file(server, client)
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            async with asyncio.timeout(20):
                answer = await client.answer()
        assert (answer.status, len(answer.content)) == (200, LARGE)
        assert answer.content.count(0) == LARGE


async def test_a_file_that_no_descriptor_is_left_for_is_answered_with_503(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(make_app(tmp_path)) as server, connect(server) as client:
        await client.send(get("/plain"))
        await client.answer()
        with descriptors_left(0):
            await client.send(get("/file"))
            answer = await client.answer()
        assert (answer.status, answer.field("retry-after")) == (503, "1")
        assert caplog.records == []


def test_every_connection_can_be_cut_and_lost() -> None:
    for link in set(Link) - {Link.LOST}:
        assert TRANSITIONS[link, Step.LOST] is Link.LOST
        assert link is Link.CUT or TRANSITIONS[link, Step.GIVEN_UP] is Link.CUT
    assert not any(link is Link.LOST for link, _ in TRANSITIONS)
