"""A server in this loop and a client that speaks bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

from rat import Rat
from rat.clock import Clock
from rat.config import ServerConfig
from rat.server import RatServer

__all__ = ["Answer", "Client", "SteppedClock", "connect", "serving", "talk"]


class SteppedClock(Clock):
    """A clock whose time moves when the test says so."""

    __slots__ = ("time",)

    def __init__(self) -> None:
        self.time = 1000.0
        super().__init__(monotonic=lambda: self.time, wall=lambda: 784111777.0 + self.time - 1000.0)


@contextlib.asynccontextmanager
async def serving(
    app: Rat, *, config: ServerConfig | None = None, send_buffer: int | None = None, **options: Any
) -> AsyncIterator[RatServer]:
    """The application on a free port of 127.0.0.1; a small *send_buffer* makes pressure show early."""
    async with RatServer(app, port=0, config=config, **options) as server:
        if send_buffer is not None:
            for listener in server.sockets:
                # Accepted sockets inherit it.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        yield server


class Answer:
    """One parsed answer: status, fields (names in lower case, repeated ones kept) and content."""

    def __init__(
        self, status: int, fields: list[tuple[str, str]], content: bytes, trailers: list[tuple[str, str]]
    ) -> None:
        self.status = status
        self.fields = fields
        self.content = content
        self.trailers = trailers

    def field(self, name: str) -> str | None:
        """The values of a field, joined."""
        values = [value for known, value in self.fields if known == name]
        return ", ".join(values) if values else None

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.fields}, {self.content[:200]!r})"


class Client:
    """Speaks HTTP/1.1 as the test dictates it; reads answers strictly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def half_close(self) -> None:
        self.writer.write_eof()

    async def head(self) -> tuple[int, list[tuple[str, str]]]:
        """Status and fields of the next answer."""
        line = await self.reader.readuntil(b"\r\n")
        version, status, _ = line.decode("ascii").split(" ", 2)
        assert version == "HTTP/1.1", line
        return int(status), await self._fields()

    async def _fields(self) -> list[tuple[str, str]]:
        fields = []
        while (line := await self.reader.readuntil(b"\r\n")) != b"\r\n":
            name, colon, value = line.decode("latin-1").rstrip("\r\n").partition(":")
            assert colon, line
            fields.append((name.lower(), value.strip()))
        return fields

    async def chunk(self) -> bytes:
        """The next chunk; empty for the last one, whose trailer section is left unread."""
        size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if size == 0:
            return b""
        data = await self.reader.readexactly(size)
        assert await self.reader.readexactly(2) == b"\r\n"
        return data

    async def answer(self, method: str = "GET") -> Answer:
        """The next final answer, whole; raises IncompleteReadError when it is cut."""
        status, fields = await self.head()
        names = dict(fields)
        content, trailers = bytearray(), []
        if method == "HEAD" or status in (204, 304) or status < 200:
            pass
        elif names.get("transfer-encoding") == "chunked":
            while piece := await self.chunk():
                content += piece
            trailers = await self._fields()
        elif "content-length" in names:
            content += await self.reader.readexactly(int(names["content-length"]))
        else:
            content += await self.reader.read(-1)
        return Answer(status, fields, bytes(content), trailers)

    async def ended(self) -> bytes:
        """What still comes until the server closes."""
        async with asyncio.timeout(10):
            return await self.reader.read(-1)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """Leave without a word: the server sees a reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def connect(
    server: RatServer, *, receive_buffer: int | None = None, limit: int = 1 << 16
) -> AsyncIterator[Client]:
    """A connection to *server*; a small *receive_buffer* makes pressure show early."""
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=limit)
    client = Client(reader, writer)
    try:
        yield client
    finally:
        await client.close()


async def talk(server: RatServer, data: bytes) -> bytes:
    """Send *data*, close the sending side, and give all that comes back."""
    async with connect(server) as client:
        await client.send(data)
        client.half_close()
        return await client.ended()
