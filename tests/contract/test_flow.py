"""The flow's promises, on a transport in memory, on asyncio's and on uvloop's."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from rat.errors import ClientDisconnected
from rat.events import FileRegion
from rat.flow import Flow
from rat.sendfile import FileShrank, send_region
from tests.support.tls import tls_contexts
from tests.support.transport import FakeTransport

HIGH, LOW = 8 * 1024, 2 * 1024


class FlowProtocol(asyncio.Protocol):
    """The shortest shell around a flow."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.flow.connection_made(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.flow.connection_lost()

    def pause_writing(self) -> None:
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        self.flow.resume_writing()


class Peer:
    """The other end of a connection, with small kernel buffers, so that pressure shows early."""

    def __init__(self, far: socket.socket) -> None:
        self._far = far

    async def read_exactly(self, count: int) -> bytes:
        loop = asyncio.get_running_loop()
        data = bytearray()
        while len(data) < count:
            piece = await loop.sock_recv(self._far, min(65536, count - len(data)))
            assert piece, f"{count - len(data)} bytes short"
            data += piece
        return bytes(data)

    def close(self) -> None:
        self._far.close()


def loop_factories() -> Iterator[Any]:
    yield pytest.param(asyncio.new_event_loop, id="asyncio")
    uvloop = pytest.importorskip("uvloop")
    yield pytest.param(uvloop.new_event_loop, id="uvloop")


FACTORIES = list(loop_factories())


async def connected() -> tuple[Flow, FlowProtocol, Peer, asyncio.Transport]:
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    for end in (near, far):
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    flow = Flow(loop, high_water=HIGH, low_water=LOW)
    protocol = FlowProtocol(flow)
    transport, _ = await loop.create_unix_connection(lambda: protocol, sock=near)
    return flow, protocol, Peer(far), transport


def run(factory: Callable[[], asyncio.AbstractEventLoop], main: Callable[[], Any]) -> None:
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


@pytest.fixture
async def memory() -> AsyncIterator[tuple[Flow, FakeTransport]]:
    loop = asyncio.get_running_loop()
    flow = Flow(loop, high_water=HIGH, low_water=LOW)
    protocol = FlowProtocol(flow)
    transport = FakeTransport(protocol, loop)
    flow.connection_made(transport)
    yield flow, transport
    transport.lose(None)


async def test_writes_of_one_turn_leave_in_one_write(memory: tuple[Flow, FakeTransport]) -> None:
    flow, transport = memory
    flow.write((b"a", b"b"))
    flow.write((b"c",))
    assert transport.writes == []
    await asyncio.sleep(0)
    assert (bytes(transport.sent), transport.writes) == (b"abc", [3])


async def test_a_flush_waits_for_a_task_that_has_not_begun(memory: tuple[Flow, FakeTransport]) -> None:
    flow, transport = memory
    flow.write((b"first",))
    flow.holding = True
    await asyncio.sleep(0)
    assert transport.writes == []
    flow.holding = False
    flow.write((b" second",))
    await asyncio.sleep(0)
    assert transport.writes == [12]


async def test_more_than_high_water_leaves_at_once(memory: tuple[Flow, FakeTransport]) -> None:
    flow, transport = memory
    flow.write((b"x" * HIGH,))
    assert transport.writes == [HIGH]


async def test_more_is_gathered_while_the_peer_takes_all(memory: tuple[Flow, FakeTransport]) -> None:
    flow, transport = memory
    for _ in range(9):
        flow.write((b"x" * HIGH,))
    assert transport.writes == [HIGH, 4 * HIGH, 4 * HIGH]
    transport.take(HIGH)
    for _ in range(5):
        flow.write((b"x" * HIGH,))
    assert transport.writes[3:] == [4 * HIGH, HIGH]
    transport.take(None)
    await flow.drain()


async def test_reading_goes_on_when_no_reason_to_pause_is_left(memory: tuple[Flow, FakeTransport]) -> None:
    flow, transport = memory
    flow.pause("body")
    flow.pause("pipeline")
    flow.pause("body")
    flow.resume("body")
    assert transport.reading_paused
    flow.resume("pipeline")
    assert not transport.reading_paused


async def test_drain_waits_for_low_water(memory: tuple[Flow, FakeTransport]) -> None:
    flow, transport = memory
    transport.take(0)
    flow.write((b"x" * (HIGH + 1),))
    assert flow.write_paused
    waiting = asyncio.ensure_future(flow.drain())
    transport.take(HIGH - LOW)
    await asyncio.sleep(0)
    assert not waiting.done()
    transport.take(1)
    await waiting
    assert flow.unsent() == LOW


async def test_a_cancelled_drain_leaves_room_for_the_next(memory: tuple[Flow, FakeTransport]) -> None:
    flow, transport = memory
    transport.take(0)
    flow.write((b"x" * (HIGH + 1),))
    first = asyncio.ensure_future(flow.drain())
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.ensure_future(flow.drain())
    await asyncio.sleep(0)
    transport.take()
    await second


async def test_waiting_ends_when_the_connection_is_lost(memory: tuple[Flow, FakeTransport]) -> None:
    flow, transport = memory
    transport.take(0)
    flow.write((b"x" * (HIGH + 1),))
    waiting = asyncio.ensure_future(flow.drain())
    await asyncio.sleep(0)
    transport.lose(None)
    with pytest.raises(ClientDisconnected):
        await waiting
    flow.write((b"dropped",))
    assert flow.unsent() == HIGH + 1


async def test_progress_stands_still_while_the_peer_does_not_read(memory: tuple[Flow, FakeTransport]) -> None:
    flow, transport = memory
    transport.take(10)
    flow.write((b"x" * HIGH,))
    assert flow.progress() == 10
    transport.take(5)
    assert flow.progress() == 15


@pytest.mark.parametrize("factory", FACTORIES)
def test_drain_on_a_socket_waits_for_the_peer(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        flow, _, peer, transport = await connected()
        data = bytes(range(256)) * 1024
        flow.write((data,))
        waiting = asyncio.ensure_future(flow.drain())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert await peer.read_exactly(len(data)) == data
        await waiting
        transport.close()
        peer.close()

    run(factory, main)


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_region_follows_what_was_written_before(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        flow, _, peer, transport = await connected()
        content = os.urandom(300_000)
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            head = b"head" * 10_000
            flow.write((head,))
            sending = asyncio.ensure_future(send_region(flow, FileRegion(cast(Any, file), 1_000, 250_000)))
            expected = head + content[1_000:251_000]
            assert await peer.read_exactly(len(expected)) == expected
            await sending
            flow.write((b"tail",))
            flow.flush()
            assert await peer.read_exactly(4) == b"tail"
            assert flow.region_progress == 250_000
        transport.close()
        peer.close()

    run(factory, main)


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_file_that_has_shrunk_is_told(factory: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path) -> None:
    async def main() -> None:
        flow, _, peer, transport = await connected()
        path = tmp_path / "short"
        path.write_bytes(b"x" * 100)
        with path.open("rb") as file:
            with pytest.raises(FileShrank, match="ended at byte 100, 50 bytes before"):
                await send_region(flow, FileRegion(file, 0, 150))
        transport.abort()
        peer.close()

    run(factory, main)


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_region_ends_when_the_peer_leaves(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        flow, _, peer, _ = await connected()
        before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
        with tempfile.TemporaryFile() as file:
            file.truncate(10_000_000)
            sending = asyncio.ensure_future(send_region(flow, FileRegion(cast(Any, file), 0, 10_000_000)))
            await peer.read_exactly(100_000)
            peer.close()
            with pytest.raises(ClientDisconnected):
                await sending
        await asyncio.sleep(0)
        if before:
            assert len(os.listdir("/proc/self/fd")) <= len(before)

    run(factory, main)


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_cancelled_region_leaves_no_descriptor(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        flow, _, peer, transport = await connected()
        with tempfile.TemporaryFile() as file:
            file.truncate(10_000_000)
            count = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
            sending = asyncio.ensure_future(send_region(flow, FileRegion(cast(Any, file), 0, 10_000_000)))
            await peer.read_exactly(100_000)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            if count:
                assert len(os.listdir("/proc/self/fd")) == count
        transport.abort()
        peer.close()

    run(factory, main)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are counted in /proc")
@pytest.mark.parametrize("factory", FACTORIES)
def test_a_region_whose_socket_cannot_be_watched_leaves_no_descriptor(
    factory: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no more than that many can be watched")

    async def main() -> None:
        flow, _, peer, transport = await connected()
        monkeypatch.setattr(asyncio.get_running_loop(), "add_writer", refuse)
        with tempfile.TemporaryFile() as file:
            file.truncate(1_000_000)
            count = len(os.listdir("/proc/self/fd"))
            sending = asyncio.ensure_future(send_region(flow, FileRegion(cast(Any, file), 0, 1_000_000)))
            # The transport waits in its place.
            await peer.read_exactly(1_000_000)
            await sending
            left = len(os.listdir("/proc/self/fd")) - count
        transport.abort()
        peer.close()
        assert left == 0

    run(factory, main)


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_region_goes_encrypted_over_tls(factory: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path) -> None:
    """``sendfile`` on the socket would put the file on the wire as it is; the other end could not read it."""
    content = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(content)
    here, there = tls_contexts(tmp_path)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made: asyncio.Future[Flow] = loop.create_future()

        class Accepted(FlowProtocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                made.set_result(self.flow)

        def accept() -> FlowProtocol:
            return Accepted(Flow(loop, high_water=HIGH, low_water=LOW))

        server = await loop.create_server(accept, "127.0.0.1", 0, ssl=here)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=there)
        flow = await made
        with (tmp_path / "file").open("rb") as file:
            flow.write((b"head",))
            sending = asyncio.ensure_future(send_region(flow, FileRegion(file, 1_000, len(content) - 1_000)))
            assert await reader.readexactly(4) == b"head"
            assert await reader.readexactly(len(content) - 1_000) == content[1_000:]
            await sending
            assert flow.region_progress == 0
        flow.transport.close()
        writer.close()
        await writer.wait_closed()
        server.close()

    run(factory, main)
