"""Cases of frames: calls from the bytes in to the bytes out, and the CRC of a blob."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

_ID = struct.Struct(">I")
AT_ONCE = 64
"""Calls in one read, and so in one repetition."""


def _connected(app: Any) -> tuple[Any, Callable[[bytes | bytearray | memoryview], None], Any]:
    """A loop, what reads bytes of a peer that has said HELLO on it, and the transport, which has no socket."""
    import uvloop

    from bench.cases import _Socketless
    from rat.clock import Clock
    from rat.codec.frame import Kind, pack_frame
    from rat.config import FrameLimits, ServerConfig
    from rat.frames.settings import offer, pack_hello
    from rat.frames_protocol import FramesProtocol
    from rat.service import Service

    loop, config, transport = uvloop.new_event_loop(), ServerConfig(), _Socketless()
    app.prepare(config)
    protocol = FramesProtocol(Service(app, config, loop, Clock()))

    def receive(data: bytes | bytearray | memoryview) -> None:
        while data:
            room = protocol.get_buffer(-1)
            count = min(len(room), len(data))
            room[:count] = data[:count]
            protocol.buffer_updated(count)
            data = data[count:]

    async def connect() -> None:
        protocol.connection_made(transport)
        receive(pack_frame(Kind.HELLO, 0, 0, pack_hello(offer(FrameLimits(), frozenset()))))

    loop.run_until_complete(connect())
    return loop, receive, transport


def calls(asynchronous: bool) -> Any:
    """Calls that echo a record, through everything but the socket."""
    from rat import Rat
    from rat.cli.bench import RECORD
    from rat.codec import encode
    from rat.codec.frame import Kind, pack_frame

    app = Rat()
    if asynchronous:

        @app.call("echo")
        async def echo(request: Any, value: Any) -> Any:
            return value

    else:

        @app.call("echo")
        def echo_at_once(request: Any, value: Any) -> Any:
            return value

    loop, receive, transport = _connected(app)
    call, answer = encode(["echo", [RECORD]]), encode(RECORD)
    wire = bytearray(pack_frame(Kind.CALL, 0, 1, call) * AT_ONCE)
    size = len(wire) // AT_ONCE
    last = -1
    left = due = turns = 0

    def turn() -> None:
        # As the loop reads: from a callback of its own, the next calls after the answers to the last.
        nonlocal last, left, due, turns
        turns += 1
        assert turns < 100, "no answers within 100 turns of the loop"
        if transport.size == due:
            if not left:
                loop.stop()
                return
            left, turns = left - 1, 0
            ids = range(last + 2, last + 2 + 2 * AT_ONCE, 2)
            last = ids[-1]
            due = transport.size + AT_ONCE * (12 + len(answer))
            for position, number in enumerate(ids):
                _ID.pack_into(wire, position * size + 8, number)
            receive(wire)
        assert transport.size <= due
        loop.call_soon(turn)

    def repeat(count: int) -> None:
        nonlocal left, due, turns
        left, due, turns = count, transport.size, 0
        loop.call_soon(turn)
        loop.run_forever()

    repeat(4)
    assert bytes(transport.last).endswith(pack_frame(Kind.RESULT, 0, last, answer))
    return repeat


def blobs() -> Any:
    """Calls whose argument and result is a blob of 1 MiB, as views."""
    from rat import Rat
    from rat.codec import encode
    from rat.codec.frame import Kind, pack_header

    app = Rat()

    @app.call("blob")
    def blob(request: Any, value: Any) -> Any:
        return value

    loop, receive, transport = _connected(app)
    call = encode(["blob", [bytes((1 << 20) - 64)]])
    last = -1

    def turns(count: int) -> None:
        nonlocal last
        for _ in range(count):
            last += 2
            before = transport.size
            receive(memoryview(pack_header(Kind.CALL, 0, last, len(call)) + call))
            assert transport.size > before + (1 << 20) - 64

    def repeat(count: int) -> None:
        loop.call_soon(turns, count)
        loop.call_soon(loop.stop)
        loop.run_forever()

    repeat(4)
    return repeat


def crc() -> Any:
    """CRC-32 of 1 MiB."""
    from rat.codec.framing import crc32

    blob = bytes(range(256)) * 4096
    assert crc32(blob) == zlib.crc32(blob)

    def repeat(count: int) -> None:
        for _ in range(count):
            crc32(blob)

    return repeat
