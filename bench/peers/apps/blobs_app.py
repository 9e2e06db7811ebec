"""Large frames with other means: bare uvloop protocols that send them back, or only receive them.

``echo`` is the floor: one buffer for each large frame, given back to the transport.  ``naive`` is what one would write
first: ``data_received`` appends to a bytearray, frames are cut from its head.  ``pool`` is this project's reader alone.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
from typing import Any, cast

import uvloop

PREFIX = struct.Struct(">IBBHI")
HELLO, CALL, RESULT, PING = 1, 2, 3, 10
SLAB = memoryview(bytearray(256 * 1024))
EXACT_FROM = 128 * 1024


class Echo(asyncio.BufferedProtocol):
    """Cuts frames from one slab; a large one gets a buffer of its own, and goes back from there."""

    def __init__(self) -> None:
        self.rest = b""
        self.exact: memoryview | None = None
        self.filled = 0
        self.head: tuple[int, int, int, int, int]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        if self.exact is not None:
            return self.exact[self.filled :]
        SLAB[: len(self.rest)] = self.rest
        return SLAB[len(self.rest) :]

    def buffer_updated(self, count: int) -> None:
        if self.exact is not None:
            self.filled += count
            if self.filled == len(self.exact):
                self.answer(self.head, self.exact)
                self.exact = None
            return
        position, end = 0, len(self.rest) + count
        self.rest = b""
        while end - position >= 12:
            head = PREFIX.unpack_from(SLAB, position)
            stop = position + 4 + head[0]
            if stop > end:
                if head[0] > EXACT_FROM:
                    self.exact, self.head = memoryview(bytearray(head[0] - 8)), head
                    self.filled = end - position - 12
                    self.exact[: self.filled] = SLAB[position + 12 : end]
                    return
                break
            self.answer(head, bytes(SLAB[position + 12 : stop]))
            position = stop
        self.rest = bytes(SLAB[position:end])

    def answer(self, head: tuple[int, int, int, int, int], payload: Any) -> None:
        length, kind, flags, _, stream = head
        self.transport.writelines((PREFIX.pack(length, RESULT if kind == CALL else kind, flags, 0, stream), payload))


class Counting:
    """Counts frames and bytes; PING is answered with the counts."""

    transport: asyncio.WriteTransport
    frames = size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def frame(self, kind: int, payload: bytes | bytearray | memoryview) -> None:
        if kind == HELLO:
            self.transport.write(PREFIX.pack(8 + len(payload), HELLO, 0, 0, 0) + payload)
        elif kind == PING:
            counts = struct.pack(">II", self.frames & 0xFFFFFFFF, self.size & 0xFFFFFFFF)
            self.transport.write(PREFIX.pack(16, PING, 0, 0, 0) + counts)
        else:
            self.frames += 1
            self.size += len(payload)


class Naive(Counting, asyncio.Protocol):
    """Appends, and deletes the head."""

    def __init__(self) -> None:
        self.buffer = bytearray()

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer
        buffer += data
        while len(buffer) >= 12:
            length, kind, _, _, _ = PREFIX.unpack_from(buffer)
            if len(buffer) < 4 + length:
                break
            payload = bytes(buffer[12 : 4 + length])
            del buffer[: 4 + length]
            self.frame(kind, payload)


class Pool(Counting, asyncio.BufferedProtocol):
    """The reader of the frames engine."""

    def __init__(self) -> None:
        from rat.frames.reader import FrameReader

        self.reader = FrameReader(1 << 20)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.reader.get_buffer(SLAB)

    def buffer_updated(self, count: int) -> None:
        reader = self.reader
        reader.buffer_updated(SLAB, count)
        while (frame := reader.next_frame()) is not None:
            word, _, payload = frame
            self.frame(word >> 24, payload)
        reader.release()


class Floor(Counting, asyncio.BufferedProtocol):
    """Walks from length to length; what lies between is never touched.  The floor of receiving."""

    def __init__(self) -> None:
        self.rest = b""
        self.left = 0

    def get_buffer(self, sizehint: int) -> memoryview:
        SLAB[: len(self.rest)] = self.rest
        return SLAB[len(self.rest) :]

    def buffer_updated(self, count: int) -> None:
        end = len(self.rest) + count
        self.rest = b""
        position = min(self.left, end)
        self.left -= position
        while end - position >= 12:
            length, kind, _, _, _ = PREFIX.unpack_from(SLAB, position)
            if kind in (HELLO, PING):
                self.frame(kind, bytes(SLAB[position + 12 : position + 4 + length]))
            else:
                self.frames += 1
                self.size += length - 8
            position += 4 + length
        if position > end:
            self.left = position - end
        else:
            self.rest = bytes(SLAB[position:end])


class Items(Counting, asyncio.Protocol):
    """Answers a call with as many records as are due, made beforehand."""

    def data_received(self, data: bytes) -> None:
        from bench.harness.blob_client import ITEMS
        from rat.cli.bench import RECORD
        from rat.codec import encode

        _, kind, _, _, stream = PREFIX.unpack_from(data)
        if kind == HELLO:
            self.frame(kind, data[12:])
            return
        record = encode(RECORD)
        frame = PREFIX.pack(8 + len(record), 4, 0, 0, stream) + record
        self.transport.write(frame * ITEMS + PREFIX.pack(8, 5, 0, 0, stream))


async def main(what: str) -> None:
    protocol = {"echo": Echo, "naive": Naive, "pool": Pool, "floor": Floor, "items": Items}[what]
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", int(os.environ["BENCH_PORT"]))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
