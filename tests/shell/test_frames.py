"""Frames over real sockets: one application, its handlers called by the client, on both loops."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from rat import Rat
from rat.client import Client, Retry, connect, parse_url
from rat.codec import encode
from rat.codec.frame import Kind, pack_frame
from rat.config import FrameLimits, ServerConfig, Timeouts
from rat.errors import CallError, ConnectionLost, HTTPError
from rat.frames import events
from rat.frames.engine import FramesEngine
from rat.frames_protocol import FramesProtocol
from rat.http1.engine import HttpEngine
from rat.procedures import CallRequest, Connection
from rat.protocol import HttpProtocol
from rat.server import RatServer
from rat.stream.blob import Blob
from tests.frames.support import call_frame, joined, kinds, split_frames
from tests.support.serving import SteppedClock, serving


def make_app(config: ServerConfig | None = None) -> Rat:
    app = Rat(config=config)
    app.state.log = []

    @app.get("/")
    def index(request: Any) -> str:
        return "over HTTP"

    @app.call("add")
    def add(request: CallRequest, a: int, b: int = 10) -> int:
        return a + b

    @app.call("later")
    async def later(request: CallRequest, value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    @app.call("thread", thread=True)
    def in_thread(request: CallRequest, a: int) -> int:
        return a * 2

    @app.call("ticks")
    async def ticks(request: CallRequest, count: int) -> AsyncIterator[dict[str, int]]:
        try:
            for number in range(count):
                yield {"number": number}
        finally:
            app.state.log.append("ticks closed")

    @app.call("plain ticks")
    def plain_ticks(request: CallRequest, count: int) -> Iterator[int]:
        yield from range(count)

    @app.call("sum")
    async def total(request: CallRequest, start: int = 0) -> int:
        async for item in request.stream:
            start += item
        return start

    @app.call("chat")
    async def chat(request: CallRequest) -> str:
        async for item in request.stream:
            await request.send(item.upper())
        return "bye"

    @app.call("size")
    async def size(request: CallRequest) -> int:
        return sum([len(piece) async for piece in request.stream])

    @app.call("blob")
    async def blob(request: CallRequest, count: int) -> Blob:
        return Blob(b"x" * count)

    @app.call("boom")
    def boom(request: CallRequest, kind: str) -> None:
        raise {"value": ValueError("secret"), "http": HTTPError(404, "no such thing"),
               "call": CallError("mine", "said so", {"n": 1}), "type": TypeError("secret")}[kind]  # fmt: skip

    @app.call("half")
    async def half(request: CallRequest) -> AsyncIterator[int]:
        yield 1
        raise ValueError("secret")

    @app.call("object")
    def unsendable(request: CallRequest) -> object:
        return object()

    @app.call("forever")
    async def forever(request: CallRequest) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            app.state.log.append("forever ended")

    @app.frames
    async def values(connection: Connection) -> None:
        async for value in connection:
            await connection.send([value])

    return app


@contextlib.asynccontextmanager
async def both(
    app: Rat | None = None, *, config: ServerConfig | None = None, clock: SteppedClock | None = None, **options: Any
) -> AsyncIterator[tuple[RatServer, Client]]:
    async with serving(app or make_app(), config=config, clock=clock) as server:
        async with connect(f"rat://127.0.0.1:{server.port}", **options) as client:
            yield server, client


async def wait_for(app: Rat, entry: str) -> None:
    async with asyncio.timeout(5):
        while entry not in app.state.log:
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def bytes_received(server: RatServer, clock: SteppedClock) -> AsyncIterator[None]:
    """Waits at its end until what was sent inside has come to the server: a tenth of a second of *clock* tells."""
    before = clock.time
    clock.time += 0.1
    server.sweep()
    yield
    async with asyncio.timeout(5):
        while not any(connection.touched > before for connection in server.service.connections):
            await asyncio.sleep(0)


# -- calls


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "checksum": {"checksum": True},
    "compress": {"compress": True},
    "bincode": {"profile": "bincode"},
    "all": {"checksum": True, "compress": True},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
async def test_calls_of_every_kind(options: dict[str, Any]) -> None:
    async with both(**options) as (_, client):
        assert await client.call("add", 1, 2) == 3
        assert await client.call("add", 1) == 11
        assert await client.call("add", b=5, a=6) == 11
        assert await client.call("later", {"a": ["b", None, 1.5]}) == {"a": ["b", None, 1.5]}
        assert await client.call("thread", 21) == 42
        assert [item async for item in client.stream("ticks", 3)] == [{"number": n} for n in range(3)]
        assert [item async for item in client.stream("plain ticks", 3)] == [0, 1, 2]
        async with client.stream("sum", 100) as stream:
            for number in range(5):
                await stream.send(number)
            assert await stream.result() == 110
        async with client.stream("chat") as stream:
            await stream.send("a")
            assert await anext(stream) == "A"
            await stream.send("b")
            await stream.end()
            assert [item async for item in stream] == ["B"]
            assert await stream.result() == "bye"
        large = {"text": "x" * 3_000_000, "data": b"y" * 3_000_000}
        assert await client.call("later", large) == large
        assert await client.upload("size", b"z" * 1_000_000) == 1_000_000
        assert sum([len(piece) async for piece in client.download("blob", 1_000_000)]) == 1_000_000
        with pytest.raises(CallError, match="not_a_blob: call later answered int, expected bytes"):
            assert [piece async for piece in client.download("later", 1)] == []
        async with client.connection() as connection:
            await connection.send({"v": 1})
            assert await anext(connection) == [{"v": 1}]
        assert 0 <= await client.ping() < 5


async def test_a_thousand_calls_at_once_share_the_streams_that_the_server_takes() -> None:
    config = ServerConfig(frames=FrameLimits(streams=7))
    async with both(config=config) as (server, client):
        results = await asyncio.gather(*(client.call("later", n) for n in range(1000)))
        assert results == list(range(1000))
        assert server.statistics()["connections_accepted"] == 1


async def test_streams_at_once_do_not_mix() -> None:
    async def read(client: Client, count: int) -> list[int]:
        return [item["number"] async for item in client.stream("ticks", count)]

    async with both() as (_, client):
        counts = [3000, 1, 2000, 0, 500]
        results = await asyncio.gather(*(read(client, count) for count in counts))
        assert results == [list(range(count)) for count in counts]


ERRORS: dict[str, tuple[tuple[Any, ...], str, str, Any]] = {
    "no such call": (("nope",), "not_found", "there is no call 'nope'", None),
    "too few": (("add",), "bad_arguments", "call add: missing 1 required positional argument: 'a'", None),
    "too many": (("add", 1, 2, 3), "bad_arguments", "call add: takes from 1 to 2 positional arguments but 3 were given",
                 None),
    "too many of one": (("later", 1, 2), "bad_arguments",
                        "call later: takes 1 positional arguments but 2 were given", None),
    "too many for a thread": (("thread", 1, 2), "bad_arguments", "call thread: too many positional arguments", None),
    "an HTTP error": (("boom", "http"), "not_found", "no such thing", {"status": 404}),
    "a call error": (("boom", "call"), "mine", "said so", {"n": 1}),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS)
async def test_errors_say_what_the_caller_may_know(case: tuple[tuple[Any, ...], str, str, Any]) -> None:
    args, code, message, detail = case
    async with both() as (_, client):
        with pytest.raises(CallError) as caught:
            await client.call(*args)
        assert (caught.value.code, caught.value.message, caught.value.detail) == (code, message, detail)
        assert await client.call("add", 1, 1) == 2


@pytest.mark.parametrize("args", [("boom", "value"), ("boom", "type"), ("object",)])
async def test_nothing_of_the_inside_is_told(args: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    async with both() as (server, client):
        with pytest.raises(CallError) as caught:
            await client.call(*args)
        assert (caught.value.code, caught.value.message) == ("internal", "internal error")
        error_id = caught.value.detail["error_id"]
        assert any(error_id in record.getMessage() for record in caplog.records)
        assert server.statistics()["handler_errors"] == 1


async def test_a_handler_that_raises_inside_its_stream_ends_it_with_an_error() -> None:
    async with both() as (_, client):
        items = aiter(client.stream("half"))
        assert await anext(items) == 1
        with pytest.raises(CallError, match="internal: internal error"):
            await anext(items)


async def test_a_stream_that_fails_is_what_it_sent_and_one_error_and_harms_no_other_call() -> None:
    app = make_app()

    @app.call("choke")
    async def choke(request: CallRequest) -> None:
        async for _ in request.stream:
            raise ValueError("secret")

    async with serving(app) as server, raw(server) as peer:
        await peer.hello()
        peer.writer.write(
            call_frame(1, "half") + call_frame(3, "choke", flags=8) + pack_frame(Kind.ITEM, 0, 3, b"\x81")
        )
        # What was on its way when the call failed is passed over.
        peer.writer.write(pack_frame(Kind.ITEM, 0, 3, b"\x81") * 2 + pack_frame(Kind.END, 0, 3))
        peer.writer.write(call_frame(5, "add", 1, 2))
        peer.writer.write_eof()
        frames = [(one[4], int.from_bytes(one[8:12])) for one in split_frames(await peer.rest())]
    of = {stream: [kind for kind, number in frames if number == stream] for stream in (1, 3, 5)}
    assert of == {1: [Kind.ITEM, Kind.ERROR], 3: [Kind.ERROR], 5: [Kind.RESULT]}


# -- cancellation and deadlines


async def test_a_cancelled_call_is_cancelled_at_the_server() -> None:
    app = make_app()
    async with both(app) as (_, client):
        task = asyncio.create_task(client.call("forever"))
        assert await client.call("later", 1) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await wait_for(app, "forever ended")
        assert await client.call("add", 1, 1) == 2


async def test_a_stream_that_is_left_is_cancelled_at_the_server() -> None:
    app = make_app()
    async with both(app) as (_, client):
        async for _item in client.stream("ticks", 1_000_000):
            break
        await wait_for(app, "ticks closed")
        app.state.log.clear()
        async with client.stream("ticks", 1_000_000) as stream:
            assert await anext(stream) == {"number": 0}
        await wait_for(app, "ticks closed")


async def test_a_deadline_ends_the_call_on_both_sides() -> None:
    app = make_app()
    async with both(app) as (_, client):
        with pytest.raises(CallError, match="deadline: the call was not answered before its deadline"):
            await client.within(0.01).call("forever")
        await wait_for(app, "forever ended")


async def test_the_server_keeps_the_deadline_that_the_caller_gave() -> None:
    app, clock = make_app(), SteppedClock()
    async with both(app, clock=clock) as (server, client):
        peer = await client.connected()
        _, answer = peer.begin("forever", (), {}, {"deadline": 5}, is_open=False)
        await client.ping()
        clock.time += 4
        server.sweep()
        assert not answer.done()
        clock.time += 2
        server.sweep()
        with pytest.raises(CallError, match="deadline: the call was not answered before its deadline"):
            await answer
        assert app.state.log == ["forever ended"]
        assert server.statistics()["request_timeouts"] == 1


async def test_a_client_that_leaves_ends_its_handlers() -> None:
    app = make_app()
    async with both(app) as (server, client):
        call = asyncio.create_task(client.call("forever"))
        await client.ping()
        (await client.connected()).abort()
        with pytest.raises(ConnectionLost):
            await call
        await wait_for(app, "forever ended")
        assert await client.call("add", 1, 1) == 2  # over a new connection
        assert server.statistics()["connections_accepted"] == 2


# -- blobs and pressure


async def test_a_file_goes_up_and_comes_down(tmp_path: Path) -> None:
    app = make_app()
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 5000)

    @app.call("file")
    def file(request: CallRequest) -> Blob:
        return Blob(source)

    async with both(app) as (_, client):
        assert await client.upload("size", source) == 1_280_000
        with source.open("rb") as opened:
            assert await client.upload("size", opened) == 1_280_000
        assert await client.upload("size", (b"abc" for _ in range(1000))) == 3000
        assert b"".join([bytes(piece) async for piece in client.download("file")]) == source.read_bytes()


async def test_a_client_that_does_not_read_stops_the_handler() -> None:
    made = 0
    app = make_app()

    @app.call("flood")
    async def flood(request: CallRequest) -> AsyncIterator[bytes]:
        nonlocal made
        while True:
            made += 1
            yield bytes(1000)

    async with both(app) as (_, client):
        async with client.stream("flood") as stream:
            await anext(stream)
            for _ in range(20):
                await client.ping()
            # One window on its way or unread, and the credit that the first item may have given back.
            assert made <= 70
            for _ in range(200):
                await anext(stream)
            assert made >= 200


async def test_an_upload_that_nobody_reads_waits_and_an_early_answer_ends_it() -> None:
    app = make_app()

    @app.call("refuse")
    async def refuse(request: CallRequest) -> str:
        async for _ in request.stream:
            return "enough"
        return "nothing came"

    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(10_000):
            sent += 1
            yield bytes(10_000)

    async with both(app) as (_, client):
        assert await client.upload("refuse", pieces()) == "enough"
        assert sent < 100


async def test_the_window_grows_for_a_handler_that_reads_and_ends_when_it_does_not() -> None:
    limits = FrameLimits(credit=1000, growth=50_000)
    app = make_app(ServerConfig(frames=limits))
    read = 0

    @app.call("first")
    async def first(request: CallRequest, most: int) -> str:
        nonlocal read
        async for piece in request.stream:
            read += len(piece)
            if read >= most:
                break
        await asyncio.Event().wait()
        return "never"

    async with both(app) as (server, client):
        (connection,) = server.service.connections
        assert isinstance(connection, FramesProtocol)
        for most, window in ((1, 1000), (400_000, 51_000)):
            read = 0
            async with client.stream("first", most) as stream:
                upload = asyncio.create_task(stream.send_blob(bytes(1_000_000)))
                async with asyncio.timeout(5):
                    while read < most or not any(connection.inboxes.values()):
                        await asyncio.sleep(0)
                for _ in range(50):
                    await asyncio.sleep(0)
                assert not upload.done()
                upload.cancel()
                assert 0 < connection.engine.unread <= window
            while connection.inboxes:
                await asyncio.sleep(0)
            assert connection.engine.unread == 0


# -- the connection


async def test_http_and_frames_share_a_port_and_frames_have_their_own(tmp_path: Path) -> None:
    path = str(tmp_path / "frames")
    async with RatServer(make_app(), port=0, frames_port=0, frames_uds=path) as server:
        assert server.frames_addresses == (f"rat://127.0.0.1:{server.frames_port}", f"rat+unix://{path}")
        assert server.frames_port not in (0, server.port)
        for url in (f"rat://127.0.0.1:{server.port}", f"rat://127.0.0.1:{server.frames_port}", f"rat+unix://{path}"):
            async with connect(url) as client:
                assert await client.call("add", 1, 2) == 3
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"over HTTP" in await reader.read(-1)
        writer.close()
    assert not Path(path).exists()


async def test_what_a_handler_knows_of_its_call() -> None:
    app = make_app()

    @app.call("about")
    async def about(request: CallRequest) -> list[object]:
        request.state.kept = 7
        await asyncio.sleep(0)
        addresses = [request.client, request.server]
        return [request.name, request.path, repr(request), addresses, request.state.kept, request.is_disconnected,
                request.app is app]  # fmt: skip

    async with serving(app) as server, connect(f"rat://127.0.0.1:{server.port}") as client:
        peer = await client.connected()
        addresses = [peer.transport.get_extra_info(name) for name in ("sockname", "peername")]
        known = ["about", "/_call/about", "CallRequest('about', stream 1)", addresses, 7, False, True]
        assert await client.call("about") == known


async def test_a_draining_server_finishes_calls_and_takes_no_new_ones() -> None:
    app, release = make_app(), asyncio.Event()

    @app.call("slow")
    async def slow(request: CallRequest) -> str:
        await release.wait()
        return "done"

    async with serving(app) as server:
        client = connect(f"rat://127.0.0.1:{server.port}", retry=Retry(attempts=1))
        async with client:
            client._connect_timeout = 0.0  # for the next time
            call = asyncio.create_task(client.call("slow"))
            await client.ping()
            closing = asyncio.create_task(server.close(grace=5))
            async with asyncio.timeout(5):
                while client._peer is not None and client._peer.takes_calls:
                    await asyncio.sleep(0)
            with pytest.raises(ConnectionLost, match=r"cannot connect to 127\.0\.0\.1 port"):
                await client.call("add", 1, 2)
            release.set()
            assert await call == "done"
            assert await closing == 0


async def test_a_server_that_ends_without_an_answer_fails_what_waits_for_one() -> None:
    app = make_app()

    @app.call("never")
    async def never(request: CallRequest) -> None:
        await asyncio.get_running_loop().create_future()

    async with serving(app) as server, connect(f"rat://127.0.0.1:{server.port}") as client:
        async with client.stream("sum") as stream:
            call = asyncio.create_task(client.call("never"))
            await client.ping()
            async with asyncio.timeout(5):
                await server.close(grace=0)
                with pytest.raises(ConnectionLost, match="the connection was lost"):
                    await call
                with pytest.raises(ConnectionLost, match="the connection was lost"):
                    await stream.result()


async def test_a_client_connects_again_when_the_server_comes_back() -> None:
    app = make_app()
    async with serving(app) as server:
        port = server.port
        client = connect(f"rat://127.0.0.1:{port}", retry=Retry(attempts=8, first=0.01))
        assert await client.call("add", 1, 2) == 3
    task = asyncio.create_task(client.call("add", 2, 2))
    await asyncio.sleep(0)
    async with RatServer(make_app(), port=port):
        assert await task == 4
        await client.close()
    with pytest.raises(ConnectionLost, match="the client is closed"):
        await client.call("add", 1, 2)


async def test_nobody_there_is_said_after_the_last_attempt() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ConnectionLost, match=f"cannot connect to 127\\.0\\.0\\.1 port {port}: "):
            async with connect(f"rat://127.0.0.1:{port}", retry=Retry(attempts=2, first=0.001)):
                raise AssertionError("connected to nobody")


def test_waits_double_up_to_the_longest_and_differ_by_chance() -> None:
    retry = Retry(first=0.1, longest=1.0)
    assert [retry.wait(n, lambda: 1.0) for n in range(1, 7)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert [retry.wait(n, lambda: 0.0) for n in range(1, 7)] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.5, 0.5])


@pytest.mark.parametrize("url", ["http://a:1", "rat://a", "rat://:1", "rat://a:1/path", "rat+unix://host/path", "a:1"])
def test_urls_that_name_no_frames_server_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected rat://host:port or rat"):
        parse_url(url)


# -- bad peers


class RawPeer:
    """A peer that says what the test dictates."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.engine = FramesEngine(FrameLimits(), is_client=True, features=frozenset())

    async def hello(self) -> None:
        self.writer.write(joined(self.engine))
        while self.engine.next_event().__class__ is not events.Hello:
            self.engine.receive_data(await self.reader.read(65536))

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        async with asyncio.timeout(5):
            return await self.reader.read(-1)


@contextlib.asynccontextmanager
async def raw(server: RatServer, *, receive_buffer: int | None = None) -> AsyncIterator[RawPeer]:
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        yield RawPeer(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_broken_rule_costs_that_connection_and_no_other() -> None:
    async with both() as (server, client):
        async with raw(server) as peer:
            await peer.hello()
            peer.writer.write(call_frame(1, "add", 1, 2) + bytes(4))
            data = await peer.rest()
        assert kinds(data) == [Kind.RESULT, Kind.GOAWAY]
        assert await client.call("add", 1, 2) == 3
        statistics = server.statistics()
        assert (statistics["protocol_errors"], statistics["connections_open"]) == (1, 1)


async def test_ten_thousand_open_calls_end_at_the_limit_and_leave_no_task() -> None:
    app = make_app()
    async with serving(app) as server:
        async with raw(server) as peer:
            await peer.hello()
            before = len(asyncio.all_tasks())
            peer.writer.write(b"".join(call_frame(1 + 2 * n, "forever") for n in range(10_000)))
            data = await peer.rest()
            assert kinds(data)[-1] is Kind.GOAWAY
            async with asyncio.timeout(5):
                while len(asyncio.all_tasks()) > before:
                    await asyncio.sleep(0)
        assert len(app.state.log) <= 256


async def test_a_peer_that_sends_many_small_frames_at_once_leaves_others_their_turns() -> None:
    pings = 20_000
    async with both() as (server, client):
        async with raw(server) as peer:
            await peer.hello()
            peer.writer.write(pack_frame(Kind.PING, 0, 0, b"12345678") * pings)
            reading = asyncio.create_task(peer.reader.readexactly(20 * pings))
            calls = 0
            while not reading.done():
                assert await client.call("add", 1, 2) == 3
                calls += 1
            assert len(await reading) == 20 * pings
    assert calls > 5


DRIBBLES: dict[str, tuple[bool, bytes, float, str]] = {
    "nothing at all": (False, b"", 10.0, ""),
    "half a HELLO": (False, b"\x00\x00\x00\x20\x01", 10.0, "no HELLO after 10 seconds"),
    "half a frame": (True, call_frame(1)[:9], 10.0, "a frame was not complete after 10 seconds"),
    "half a large frame": (True, call_frame(1, "f", bytes(300_000))[:200_000], 10.0, "a frame was not complete"),
}


@pytest.mark.parametrize("case", DRIBBLES.values(), ids=DRIBBLES)
async def test_a_peer_that_dribbles_is_left_after_its_time(case: tuple[bool, bytes, float, str]) -> None:
    says_hello, data, seconds, message = case
    clock = SteppedClock()
    async with serving(make_app(), clock=clock) as server:
        async with raw(server) as peer:
            if says_hello:
                await peer.hello()
            async with asyncio.timeout(5):
                while not server.service.connections:
                    await asyncio.sleep(0)
            if data:
                async with bytes_received(server, clock):
                    peer.writer.write(data)
            clock.time += seconds - 0.6
            server.sweep()
            assert server.statistics()["connections_open"] == 1
            clock.time += 1
            server.sweep()
            answer = await peer.rest()
            assert message.encode() in answer


async def test_a_peer_that_dribbles_a_frame_that_is_read_ahead_is_left_after_its_time() -> None:
    clock = SteppedClock()
    async with serving(make_app(), clock=clock) as server:
        async with raw(server) as peer:
            await peer.hello()
            for number in (1, 3):
                peer.writer.write(call_frame(number, "f", bytes(300_000)))
                size = int.from_bytes(await peer.reader.readexactly(4))
                await peer.reader.readexactly(size)
            clock.time += 20
            server.sweep()
            peer.writer.write(call_frame(5, "f", bytes(300_000))[:200_000])
            (connection,) = server.service.connections
            assert isinstance(connection, FramesProtocol)
            async with asyncio.timeout(5):
                while not connection.engine.is_inside_frame:
                    await asyncio.sleep(0)
            clock.time += 9
            server.sweep()
            assert server.statistics()["connections_open"] == 1
            clock.time += 2
            server.sweep()
            assert b"a frame was not complete after 10 seconds" in await peer.rest()


async def test_a_silent_peer_is_asked_and_then_left() -> None:
    clock = SteppedClock()
    config = ServerConfig(timeouts=Timeouts(keep_alive=75.0))
    async with serving(make_app(), clock=clock, config=config) as server:
        async with raw(server) as peer:
            await peer.hello()
            clock.time += 80
            server.sweep()
            frame = await peer.reader.readexactly(20)
            assert frame == pack_frame(Kind.PING, 0, 0, b"rat ping")
            async with bytes_received(server, clock):
                peer.writer.write(pack_frame(Kind.PONG, 0, 0, b"rat ping"))
            clock.time += 70
            server.sweep()
            assert server.statistics()["connections_open"] == 1
            clock.time += 10
            server.sweep()
            clock.time += 11
            server.sweep()
            assert await peer.reader.read(-1) == frame
            assert server.statistics()["idle_timeouts"] == 1


async def test_a_peer_that_sends_and_never_reads_is_not_read_any_more_and_cut_in_the_end() -> None:
    clock = SteppedClock()
    async with serving(make_app(), clock=clock) as server:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", server.port))
        engine = FramesEngine(FrameLimits(), is_client=True, features=frozenset())
        await loop.sock_sendall(sock, joined(engine))
        wire = b"".join(call_frame(1 + 2 * n, "later", "x" * 50_000) for n in range(2000))
        while not server.service.connections:
            await asyncio.sleep(0)
        sent, blocked = 0, False
        while sent < len(wire) and not blocked:
            try:
                sent += sock.send(wire[sent : sent + 65536])
            except BlockingIOError:
                # Full on the way; nobody makes room any more where the server has stopped to read.
                (connection,) = server.service.connections
                blocked = "output" in connection.flow.reasons  # type: ignore[attr-defined]
                await asyncio.sleep(0)
        assert blocked
        assert connection.transport.get_write_buffer_size() < 300 * 50_100  # type: ignore[attr-defined]
        for _ in range(4):
            server.sweep()
            clock.time += 10
        server.sweep()
        sock.close()
        assert server.statistics()["write_stalls"] == 1


@pytest.mark.parametrize("name", ["bulk", "bulk later"])
async def test_calls_that_came_in_one_read_are_answered_as_far_as_the_peer_reads(name: str) -> None:
    app = make_app()
    answered = 0

    @app.call("bulk")
    def bulk(request: CallRequest) -> bytes:
        nonlocal answered
        answered += 1
        return bytes(65_000)

    @app.call("bulk later")
    async def bulk_later(request: CallRequest) -> bytes:
        return bulk(request)

    calls = b"".join(call_frame(1 + 2 * number, name) for number in range(200))
    async with serving(app, send_buffer=65536) as server, raw(server, receive_buffer=65536) as peer:
        await peer.hello()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.writer.write(calls)
        (connection,) = server.service.connections
        assert isinstance(connection, FramesProtocol)
        async with asyncio.timeout(5):
            while "output" not in connection.flow.reasons:
                await asyncio.sleep(0)
        assert connection.flow.unsent() < 256 * 1024
        assert answered < 50
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        peer.writer.write_eof()
        assert kinds(await peer.rest()) == [Kind.RESULT] * 200


async def test_a_connection_cut_at_every_byte_leaves_nothing_behind() -> None:
    app = make_app()
    client = FramesEngine(FrameLimits(), is_client=True, features=frozenset())
    wire = joined(client)
    wire += call_frame(1, "add", 1, 2) + call_frame(3, "later", "x") + call_frame(5, "ticks", 2)
    wire += call_frame(7, "sum", 1, flags=8) + pack_frame(Kind.ITEM, 0, 7, b"\x81") + call_frame(9, "forever")
    wire += pack_frame(Kind.CREDIT, 0, 9, (1000).to_bytes(4)) + pack_frame(Kind.PING, 0, 0, bytes(8))
    wire += pack_frame(Kind.CANCEL, 0, 9) + pack_frame(Kind.DATA, 0, 7, b"data") + pack_frame(Kind.END, 0, 7)
    async with serving(app) as server:
        before = len(asyncio.all_tasks())
        for cut in range(len(wire) + 1):
            async with raw(server) as peer:
                peer.writer.write(wire[:cut])
                if cut % 2:
                    peer.writer.write_eof()
                await peer.writer.drain()
        async with asyncio.timeout(5):
            while server.statistics()["connections_open"] or len(asyncio.all_tasks()) > before:
                await asyncio.sleep(0)
        async with connect(f"rat://127.0.0.1:{server.port}") as good:
            assert await good.call("add", 1, 2) == 3


async def test_a_server_cut_at_every_byte_of_its_answers_leaves_no_caller_waiting() -> None:
    engine = FramesEngine(FrameLimits(), is_client=False)
    wire = joined(engine) + pack_frame(Kind.HELLO, 0, 0, encode({}, profile="bincode"))
    items = b"".join(pack_frame(Kind.ITEM, 0, 1, encode(number)) for number in range(2))
    wire += items + pack_frame(Kind.RESULT, 0, 3, encode("x"))
    cuts = iter(range(len(wire)))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(wire[: next(cuts)])
        writer.close()

    async def ask(client: Client) -> list[Any]:
        return [number async for number in client.stream("ticks")]

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, asyncio.timeout(20):
        before = len(asyncio.all_tasks())
        for _ in wire:
            client = connect(f"rat://127.0.0.1:{server.sockets[0].getsockname()[1]}", retry=Retry(attempts=1))
            with pytest.raises(ConnectionLost):
                await ask(client)
            await client.close()
        assert next(cuts, None) is None
        while len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0)


async def test_a_server_that_asks_for_answers_and_reads_none_is_left() -> None:
    hello = pack_frame(Kind.HELLO, 0, 0, encode({}, profile="bincode"))

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(hello)
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(pack_frame(Kind.PING, 0, 0, b"12345678") * 1000)
                await writer.drain()

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(ask, sock=listener)
    async with server, asyncio.timeout(20):
        async with connect(f"rat://127.0.0.1:{listener.getsockname()[1]}", retry=Retry(attempts=1)) as client:
            with pytest.raises(ConnectionLost, match="more than 1,000 PINGs and reads nothing"):
                await client.call("never")


async def test_a_client_leaves_a_server_that_reads_nothing() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        url = f"rat://127.0.0.1:{listener.getsockname()[1]}"
        client = connect(url, retry=Retry(attempts=1))
        connecting = asyncio.create_task(client.connected())
        sock, _ = await loop.sock_accept(listener)
        with sock:
            await loop.sock_sendall(sock, pack_frame(Kind.HELLO, 0, 0, encode({}, profile="bincode")))
            peer = await connecting
            call = asyncio.create_task(client.call("never", bytes(12 << 20)))
            async with asyncio.timeout(5):
                while not peer.flow.write_paused:
                    await asyncio.sleep(0)
                client._connect_timeout = 0.0
                await client.close()
            with pytest.raises(ConnectionLost, match="the connection was lost"):
                await call


async def test_a_half_closed_peer_gets_its_finite_answers() -> None:
    async with serving(make_app()) as server:
        async with raw(server) as peer:
            await peer.hello()
            peer.writer.write(call_frame(1, "later", "x") + call_frame(3, "add", 1, 2))
            peer.writer.write_eof()
            assert sorted(kinds(await peer.rest())) == [Kind.RESULT, Kind.RESULT]


async def test_nothing_of_http_is_left_when_frames_take_over() -> None:
    def left() -> int:
        return sum(type(one) in (HttpProtocol, HttpEngine) for one in gc.get_objects())

    gc.collect()
    before = left()
    async with serving(make_app()) as server, raw(server) as peer:
        await peer.hello()
        gc.collect()
        assert left() == before


async def test_a_connection_that_is_idle_again_keeps_no_tasks_record() -> None:
    clock = SteppedClock()
    async with both(clock=clock) as (server, client):
        assert await client.call("later", 1) == 1
        [connection] = server.service.connections
        assert isinstance(connection, FramesProtocol)
        begun = connection._work
        assert begun is not None
        connection.check(clock.now)
        assert connection._work is not begun
        assert await client.call("later", 2) == 2
