"""A large frame is waited for in the kernel, and what its peer does instead of sending it is noticed all the same."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rat import Rat
from rat.codec import encode
from rat.codec.frame import Kind, pack_frame
from rat.frames_protocol import FramesProtocol
from rat.procedures import CallRequest
from tests.frames.support import call_frame, kinds
from tests.shell.test_frames import RawPeer, raw
from tests.support.serving import serving

BLOB = bytes(range(256)) * 3000
FRAME = call_frame(1, "size", BLOB)
PART = 300_000
ANSWER = pack_frame(Kind.RESULT, 0, 1, encode(len(BLOB)))

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="SO_RCVLOWAT wakes a poll on Linux alone")


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[FramesProtocol, RawPeer]]:
    app = Rat()

    @app.call("size")
    def size(request: CallRequest, content: bytes) -> int:
        return len(content)

    async with serving(app) as server, raw(server) as peer, asyncio.timeout(10):
        await peer.hello()
        (connection,) = server.service.connections
        assert isinstance(connection, FramesProtocol)
        yield connection, peer


def low_water(connection: FramesProtocol) -> int:
    sock: Any = connection.transport.get_extra_info("socket")
    level: int = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)
    assert level == connection.flow.wakes_at
    return level


async def begun(connection: FramesProtocol, peer: RawPeer) -> None:
    """More of the frame has come than fits into one read, and the rest is waited for."""
    peer.writer.write(FRAME[:PART])
    while connection.flow.wakes_at == 1:
        await asyncio.sleep(0)


async def test_the_rest_of_a_large_frame_is_waited_for_and_then_any_byte() -> None:
    async with connected() as (connection, peer):
        await begun(connection, peer)
        assert len(FRAME) - PART <= low_water(connection) < len(FRAME) - 128 * 1024
        peer.writer.write(FRAME[PART:])
        assert await peer.reader.readexactly(len(ANSWER)) == ANSWER
        assert low_water(connection) == 1
        peer.writer.write(call_frame(3, "size", b"small"))
        assert await peer.reader.readexactly(13) == pack_frame(Kind.RESULT, 0, 3, encode(5))


async def test_a_frame_that_dribbles_is_answered_when_it_is_whole() -> None:
    async with connected() as (connection, peer):
        await begun(connection, peer)
        for start in range(PART, len(FRAME), 5000):
            peer.writer.write(FRAME[start : start + 5000])
            await peer.writer.drain()
            await asyncio.sleep(0)
        assert await peer.reader.readexactly(len(ANSWER)) == ANSWER
        assert low_water(connection) == 1


async def test_a_kernel_with_little_room_wakes_for_what_it_has() -> None:
    async with connected() as (connection, peer):
        sock: Any = connection.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        for stream_id in (1, 3, 5):
            peer.writer.write(call_frame(stream_id, "size", BLOB))
            assert len(await peer.reader.readexactly(len(ANSWER))) == len(ANSWER)
        assert low_water(connection) == 1


async def test_a_peer_that_leaves_inside_a_large_frame_is_noticed() -> None:
    async with connected() as (connection, peer):
        await begun(connection, peer)
        peer.writer.write_eof()
        assert kinds(await peer.rest()) == [Kind.GOAWAY]
    async with connected() as (connection, peer):
        await begun(connection, peer)
        peer.writer.transport.abort()
        while not connection.is_lost:
            await asyncio.sleep(0)
