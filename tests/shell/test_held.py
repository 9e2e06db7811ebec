"""What a peer of frames can make a server, or a client, hold: bounded by one limit for its connection."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rat import Rat
from rat.client import Client, connect
from rat.config import KIB, MIB, FrameLimits, ServerConfig
from rat.errors import CallError, ConnectionLost
from rat.frames_protocol import FramesProtocol
from rat.peer import StreamOver
from rat.procedures import CallRequest
from rat.server import RatServer
from tests.support.serving import serving

LIMITS = FrameLimits(payload=64 * KIB, assembled=256 * KIB, held=1 * MIB)
LARGE = bytes(250 * KIB)
"""Two of them fit into the window of one call, and four into what is held."""


def make_app(limits: FrameLimits = LIMITS) -> Rat:
    app = Rat(config=ServerConfig(frames=limits))
    app.state.cancelled = []

    @app.call("hold")
    async def hold(request: CallRequest, name: str, content: bytes = b"") -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            app.state.cancelled.append(name)
            raise

    @app.call("sizes")
    async def sizes(request: CallRequest) -> int:
        return sum([len(item) async for item in request.stream])

    @app.call("echo")
    async def echo(request: CallRequest, value: Any) -> Any:
        return value

    @app.call("flood")
    async def flood(request: CallRequest, count: int, size: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield bytes(size)

    return app


def only_connection(server: RatServer) -> FramesProtocol:
    (connection,) = server.service.connections
    assert isinstance(connection, FramesProtocol)
    return connection


async def settled(client: Client) -> None:
    """Everything that was said has been heard, and has taken effect."""
    for _ in range(3):
        await client.ping()


async def test_a_handler_that_does_not_read_loses_its_call_and_the_others_go_on() -> None:
    app = make_app()
    async with serving(app) as server, connect(f"rat://127.0.0.1:{server.port}") as client:
        async with client.stream("hold", "most") as most, client.stream("hold", "less") as less:
            async with client.stream("sizes") as reader:
                for _ in range(2):
                    await most.send(LARGE)
                await less.send(LARGE)
                await settled(client)
                connection = only_connection(server)
                assert connection.engine.unread == pytest.approx(750 * KIB, abs=100)
                await less.send(bytes(150 * KIB))
                new = client.stream("hold", "new")
                await new.send(bytes(200 * KIB))
                for _ in range(20):
                    await reader.send(bytes(100 * KIB))
                with pytest.raises(CallError, match=r"^exhausted: .* of them of this call, limit 1048576$") as told:
                    await anext(most)
                assert told.value.code == "exhausted"
                with pytest.raises(CallError, match="exhausted"):
                    await most.send(b"more")
                await settled(client)
                assert app.state.cancelled == ["most"]
                assert len(connection.inboxes) == 3
                assert await reader.result() == 20 * 100 * KIB
                assert await client.call("echo", 1) == 1
                assert connection.engine.unread == pytest.approx(600 * KIB, abs=100)
                await new.aclose()
        await settled(client)
        assert (app.state.cancelled, connection.engine.unread) == (["most", "new", "less"], 0)


async def test_calls_wait_with_arguments_that_the_server_has_no_room_for() -> None:
    app = make_app()
    async with serving(app) as server, connect(f"rat://127.0.0.1:{server.port}") as client:
        calls = [asyncio.create_task(client.call("hold", str(number), LARGE)) for number in range(6)]
        await settled(client)
        engine = only_connection(server).engine
        assert engine.calls_in_flight == 4
        assert engine.unread == pytest.approx(1000 * KIB, abs=200)
        assert await client.call("echo", 1) == 1
        # Not even a smaller one goes before those that wait, and one that is given up makes room for who is behind it.
        small = asyncio.create_task(client.call("echo", bytes(5 * KIB)))
        await settled(client)
        assert not small.done()
        calls[4].cancel()
        calls[5].cancel()
        assert await small == bytes(5 * KIB)
        assert [call.done() for call in calls] == [False] * 4 + [True] * 2
        last = asyncio.create_task(client.call("echo", LARGE))
        await settled(client)
        assert not last.done()
        calls[0].cancel()
        assert await last == LARGE
        for call in calls[1:4]:
            call.cancel()
        await settled(client)
        assert (engine.unread, engine.calls_in_flight) == (0, 0)


async def test_a_hundred_calls_at_once_pass_through_room_for_four() -> None:
    async with serving(make_app()) as server, connect(f"rat://127.0.0.1:{server.port}") as client:
        sizes = [(number % 25 + 1) * 10 * KIB for number in range(100)]
        answers = await asyncio.gather(*(client.call("echo", bytes(size)) for size in sizes))
        assert [len(answer) for answer in answers] == sizes
        assert only_connection(server).engine.unread == 0


async def test_who_waits_for_room_waits_no_longer_than_the_deadline_of_the_call_or_the_connection() -> None:
    app = make_app()
    async with serving(app) as server, connect(f"rat://127.0.0.1:{server.port}") as client:
        calls = [asyncio.create_task(client.call("hold", str(number), LARGE)) for number in range(4)]
        await settled(client)
        with pytest.raises(CallError, match=r"no room for 2560\d\d bytes of arguments within 0.05 s") as late:
            await client.within(0.05).call("echo", LARGE)
        assert late.value.code == "deadline"
        stream = client.within(0.05).stream("echo", LARGE)
        with pytest.raises(CallError, match="no room"):
            await anext(stream)
        waiting = asyncio.create_task(client.call("hold", "never", LARGE))
        await settled(client)
        only_connection(server).abort()
        for call in (*calls, waiting):
            with pytest.raises(ConnectionLost):
                await call


async def test_a_client_that_does_not_read_loses_that_stream_and_no_other() -> None:
    app = make_app()
    async with (
        serving(app) as server,
        connect(f"rat://127.0.0.1:{server.port}", limits=LIMITS) as client,
        client.stream("flood", 20, 250 * KIB) as most,
        client.stream("flood", 20, 150 * KIB) as less,
        client.stream("flood", 20, 100 * KIB) as read,
    ):
        peer = await client.connected()
        await settled(client)
        assert peer.engine.unread == pytest.approx(1000 * KIB, abs=100)
        async with client.stream("flood", 20, 150 * KIB) as new:
            await settled(client)
            assert peer.engine.unread == pytest.approx(800 * KIB, abs=100)
            with pytest.raises(CallError, match="exhausted"):
                await anext(most)
            with pytest.raises(CallError, match="exhausted"):
                await most.result()
            assert [len(item) async for item in read] == [100 * KIB] * 20
            assert [len(item) async for item in new] == [150 * KIB] * 20
            assert await client.call("echo", LARGE) == LARGE
            assert [len(item) async for item in less] == [150 * KIB] * 20
        assert peer.engine.unread == 0
        await settled(client)
        assert only_connection(server).engine.calls_in_flight == 0


@pytest.mark.parametrize("how", ["closed", "gone"])
async def test_what_a_client_leaves_unread_is_let_go_though_its_call_was_over(how: str) -> None:
    async with serving(make_app()) as server, connect(f"rat://127.0.0.1:{server.port}", limits=LIMITS) as client:
        peer = await client.connected()
        stream = client.stream("flood", 2, len(LARGE))
        assert len(await anext(stream)) == len(LARGE)
        await settled(client)
        assert peer.engine.unread > len(LARGE)
        assert peer.inboxes == {}
        if how == "closed":
            await stream.aclose()
            with pytest.raises(StreamOver, match="call 1 is over"):
                await anext(stream)
        del stream
        gc.collect()
        await asyncio.sleep(0)
        assert peer.engine.unread == 0


SERVER = """
import asyncio, sys
from rat import Rat
from rat.server import RatServer

app = Rat()

@app.call("hold")
async def hold(request, *args):
    await asyncio.Event().wait()

async def main():
    async with RatServer(app, port=0) as server:
        print(server.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)

if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
async def test_a_server_holds_no_more_for_many_than_the_limit_says() -> None:
    """Twice 16 MiB of each of 6 calls, and the arguments of 3 more, would be 240 MiB."""
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    pipe = subprocess.PIPE
    server = subprocess.Popen([sys.executable, "-c", SERVER, loop], stdin=pipe, stdout=pipe)
    assert server.stdout is not None
    status = Path(f"/proc/{server.pid}/status")

    def peak() -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * KIB

    limits, largest = FrameLimits(), bytes(16 * MIB - 100)
    try:
        async with asyncio.timeout(30), connect(f"rat://127.0.0.1:{int(server.stdout.readline())}") as client:
            await client.ping()
            before = peak()
            streams, calls = [], []
            for _ in range(3):
                calls.append(asyncio.create_task(client.call("hold", largest)))
                for _ in range(2):
                    streams.append(client.stream("hold"))
                    for _ in range(2):
                        await streams[-1].send(largest)
                    await client.ping()
            assert not all(call.done() for call in calls)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        # One value on its way, the frames that it comes in, and what the allocator keeps.
        assert peak() - before < limits.held + limits.assembled + 16 * MIB
    finally:
        server.kill()
        server.communicate()
