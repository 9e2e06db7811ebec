"""Cases of frames: calls from the bytes in to the bytes out, and the CRC of a blob."""

from __future__ import annotations

import struct
import zlib
from typing import Any

_ID = struct.Struct(">I")
AT_ONCE = 64
"""Calls in one read, and so in one repetition."""


def calls(asynchronous: bool) -> Any:
    """Calls that echo a record, through everything but the socket."""
    import uvloop

    from bench.cases import _Socketless
    from rat import Rat
    from rat.cli.bench import RECORD
    from rat.clock import Clock
    from rat.codec import encode
    from rat.codec.frame import Kind, pack_frame
    from rat.config import FrameLimits, ServerConfig
    from rat.frames.settings import offer, pack_hello
    from rat.frames_protocol import FramesProtocol
    from rat.service import Service

    app = Rat()
    if asynchronous:

        @app.call("echo")
        async def echo(request: Any, value: Any) -> Any:
            return value

    else:

        @app.call("echo")
        def echo_at_once(request: Any, value: Any) -> Any:
            return value

    loop, config, transport = uvloop.new_event_loop(), ServerConfig(), _Socketless()
    app.prepare(config)
    protocol = FramesProtocol(Service(app, config, loop, Clock()))
    call, answer = encode(["echo", [RECORD]]), encode(RECORD)
    wire = bytearray(pack_frame(Kind.CALL, 0, 1, call) * AT_ONCE)
    size = len(wire) // AT_ONCE
    last = -1

    def receive(data: bytes | bytearray) -> None:
        protocol.get_buffer(-1)[: len(data)] = data
        protocol.buffer_updated(len(data))

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

    async def connect() -> None:
        protocol.connection_made(transport)
        receive(pack_frame(Kind.HELLO, 0, 0, pack_hello(offer(FrameLimits(), frozenset()))))

    loop.run_until_complete(connect())
    repeat(4)
    assert bytes(transport.last).endswith(pack_frame(Kind.RESULT, 0, last, answer))
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
