"""Tiny servers with one habit each, to turn the load generator on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Habit = Callable[[int, bytes, asyncio.StreamWriter], Awaitable[None]]
"""Called with the number of the request on this server, its head, and where to answer."""


def whole(content: bytes = b"Hello, World!", *, status: bytes = b"200 OK", fields: bytes = b"") -> bytes:
    """One answer on the wire."""
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(content), fields, content)


class _Tracked(asyncio.StreamReaderProtocol):
    """Knows which connections are open, so that none outlives its loop."""

    def __init__(self, transports: set[asyncio.BaseTransport], connected: Connected) -> None:
        super().__init__(asyncio.StreamReader(limit=1 << 20), connected)
        self._transports = transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._made = transport
        self._transports.add(transport)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transports.discard(self._made)
        super().connection_lost(exc)


@asynccontextmanager
async def serving(habit: Habit) -> AsyncIterator[str]:
    """A server with *habit* on a free port; gives its URL."""
    seen = 0
    transports: set[asyncio.BaseTransport] = set()
    handlers: set[asyncio.Task[None] | None] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        handlers.add(asyncio.current_task())
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        head += await reader.readexactly(int(line.split(b":")[1]))
                seen += 1
                await habit(seen, head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        finally:
            handlers.discard(asyncio.current_task())

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Tracked(transports, connected), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        # A connection may have been accepted and not yet made: that takes a few turns of the loop.
        turns = 0
        while transports or handlers or turns < 5:
            for transport in transports:
                assert isinstance(transport, asyncio.WriteTransport)
                transport.abort()
            await asyncio.sleep(0)
            turns += 1


async def right(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
    """Answers 13 bytes."""
    writer.write(whole())


async def wrong_now_and_then(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
    """Every tenth answer has other content of the same length."""
    writer.write(whole(b"Hello, Wurld!" if number % 10 == 0 else b"Hello, World!"))


async def echo(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
    """Answers the content of the request."""
    writer.write(whole(head.partition(b"\r\n\r\n")[2]))


async def closing(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
    """Closes after each answer, and says so."""
    writer.write(whole(fields=b"Connection: close\r\n"))
    writer.close()


async def cutting(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
    """Promises 13 bytes, sends 5, closes."""
    writer.write(whole()[:-8])
    writer.close()


async def chunked(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
    """Answers three mebibytes in chunks."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(48):
        writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def stalling(after: int, seconds: float) -> Habit:
    """Blocks the whole server once, at request number *after*."""

    async def habit(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
        if number == after:
            time.sleep(seconds)
        writer.write(whole())

    return habit


def events(count: int, *, skip: int | None = None, status: bytes = b"200 OK") -> Habit:
    """An event stream of *count* numbered events and a comment, one of them left out; then it stays open."""

    async def habit(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 %b\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" % status)
        await asyncio.sleep(0.1)
        for position in range(count):
            if position != skip:
                text = b'id: %d\ndata: {"n": %d, "t": %f}\n\n' % (position, position, time.monotonic())
                wire = b"%x\r\n%b\r\n" % (len(text), text)
                writer.write(wire[:11])
                await asyncio.sleep(0)
                writer.write(wire[11:])
        writer.write(b"7\r\n: lo\n\r\n\r\n"[:3] + b": lol\n\n\r\n")

    return habit


@asynccontextmanager
async def framing(answer: Callable[[int, int, bytes], bytes]) -> AsyncIterator[int]:
    """A server of frames on a free port, which it gives: *answer* makes whole frames of (kind, stream, payload)."""

    class Connection(asyncio.Protocol):
        rest = b""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            data = self.rest + data
            while len(data) >= 12 and len(data) >= 4 + int.from_bytes(data[:4], "big"):
                stop = 4 + int.from_bytes(data[:4], "big")
                reply = answer(data[4], int.from_bytes(data[8:12], "big"), data[12:stop])
                # In two pieces, cut inside the header: a client must not mind.
                self.transport.write(reply[:7])
                self.transport.write(reply[7:])
                data = data[stop:]
            self.rest = data

    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def frame(kind: int, stream: int, payload: bytes) -> bytes:
    """One frame on the wire."""
    head = (8 + len(payload)).to_bytes(4, "big") + bytes([kind, 0, 0, 0]) + stream.to_bytes(4, "big")
    return head + payload
