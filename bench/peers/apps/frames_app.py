"""Frames with other means: a bare uvloop protocol, and msgpack over asyncio's streams; both with the same header.

The header is that of DataValue frames (length, kind, flags, reserved, stream id), so that one client loads all.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
from typing import cast

import uvloop

HEADER = struct.Struct(">IBBHI")
HELLO, CALL, RESULT = 1, 2, 3


class Raw(asyncio.Protocol):
    """Splits the frames of one read and answers them in one write; knows nothing of values."""

    rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        if self.rest:
            data = self.rest + data
        position, end = 0, len(data)
        answers = []
        while end - position >= 12:
            length, kind, _, _, stream = HEADER.unpack_from(data, position)
            stop = position + 4 + length
            if stop > end:
                break
            answers.append(HEADER.pack(length, RESULT if kind == CALL else kind, 0, 0, stream))
            answers.append(data[position + 12 : stop])
            position = stop
        self.rest = data[position:]
        self.transport.write(b"".join(answers))


async def msgpack_streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A call is [name, args] and its answer the first argument, as one would write it in an afternoon."""
    import msgpack  # type: ignore[import-untyped,unused-ignore]

    async def echo(value: object) -> object:
        return value

    procedures = {"echo": echo}
    try:
        while True:
            length, kind, _, _, stream = HEADER.unpack(await reader.readexactly(12))
            payload = await reader.readexactly(length - 8)
            if kind == CALL:
                name, arguments = msgpack.unpackb(payload)
                payload = msgpack.packb(await procedures[name](*arguments))
                kind = RESULT
            writer.write(HEADER.pack(8 + len(payload), kind, 0, 0, stream) + payload)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(what: str) -> None:
    port = int(os.environ["BENCH_PORT"])
    if what == "raw":
        server = await asyncio.get_running_loop().create_server(Raw, "127.0.0.1", port)
    else:
        server = await asyncio.start_server(msgpack_streams, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
