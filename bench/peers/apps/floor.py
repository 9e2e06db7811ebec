"""The floor: the least that a Python process on uvloop can do for a workload and still answer it.

Parses nothing, knows beforehand what will be asked, and is no server: it marks what the machine allows.  Started with
the kind of answer in BENCH_FLOOR.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import cast

import orjson
import uvloop

from bench.peers.apps.common import HELLO, INTERVAL, MESSAGE, PIECE, PIECES, TOKENS, event_bytes, files, token_bytes

UPLOAD_SIZE = 64 << 20


def whole(content: bytes, kind: bytes = b"text/plain") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind, len(content), content)


class Floor(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)


class Fixed(Floor):
    """The same answer to every head."""

    answer = whole(HELLO)

    def data_received(self, data: bytes) -> None:
        count = data.count(b"\r\n\r\n")
        self.transport.write(self.answer if count == 1 else self.answer * count)


class Json(Fixed):
    """A small object, encoded each time."""

    def data_received(self, data: bytes) -> None:
        self.transport.write(whole(orjson.dumps(MESSAGE), b"application/json"))


class Small(Fixed):
    """A file of 10 KiB from memory."""

    answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not Small.answer:
            Small.answer = whole((files() / "small.bin").read_bytes(), b"application/octet-stream")


class Echo(Floor):
    """JSON in, the same out.  Trusts that nothing comes behind the content."""

    held = b""

    def data_received(self, data: bytes) -> None:
        if self.held:
            data = self.held + data
        end = data.find(b"\r\n\r\n")
        start = data.find(b"Content-Length: ") + 16
        if end < 0 or len(data) - end - 4 < int(data[start : data.find(b"\r", start)]):
            self.held = data
            return
        self.held = b""
        self.transport.write(whole(orjson.dumps(orjson.loads(data[end + 4 :])), b"application/json"))


class Upload(Floor):
    """Counts 64 MiB behind each head."""

    left = 0

    def data_received(self, data: bytes) -> None:
        if not self.left:
            self.left = UPLOAD_SIZE
            data = data[data.find(b"\r\n\r\n") + 4 :]
        self.left -= len(data)
        if not self.left:
            self.transport.write(whole(orjson.dumps({"size": UPLOAD_SIZE}), b"application/json"))


class Chunked(Floor):
    """64 MiB in chunks, as fast as the socket takes them."""

    left = 0
    paused = False
    chunk = b"%x\r\n%b\r\n" % (len(PIECE), PIECE)

    def data_received(self, data: bytes) -> None:
        self.left = PIECES
        self.transport.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        self.go()

    def go(self) -> None:
        while self.left and not self.paused:
            self.left -= 1
            self.transport.write(self.chunk if self.left else self.chunk + b"0\r\n\r\n")

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.go()


class Tokens(Floor):
    """Small events in chunks, each made when its turn comes."""

    def data_received(self, data: bytes) -> None:
        pieces = [b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"]
        for number in range(TOKENS):
            event = token_bytes(number)
            pieces.append(b"%x\r\n%b\r\n" % (len(event), event))
        pieces.append(b"0\r\n\r\n")
        self.transport.write(b"".join(pieces))


class Big(Floor):
    """64 MiB by os.sendfile, waiting for the socket through a duplicate of its descriptor."""

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().create_task(self.move()).add_done_callback(lambda task: task.result())

    async def move(self) -> None:
        loop = asyncio.get_running_loop()
        with (files() / "big.bin").open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
            out = os.dup(self.transport.get_extra_info("socket").fileno())
            offset = 0
            while offset < size:
                try:
                    offset += os.sendfile(out, file.fileno(), offset, size - offset)
                except BlockingIOError:
                    writable: asyncio.Future[None] = loop.create_future()
                    loop.add_writer(out, writable.set_result, None)
                    await writable
                    loop.remove_writer(out)
            os.close(out)


class Events(Floor):
    """The same bytes to all, ten times a second."""

    everybody: set[asyncio.Transport] = set()

    def data_received(self, data: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        self.transport.write(head + b"9\r\n: hello\n\n\r\n")
        self.everybody.add(self.transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.everybody.discard(self.transport)

    @classmethod
    async def publish(cls) -> None:
        number = 0
        due = time.monotonic()
        while True:
            due += INTERVAL
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            number += 1
            event = event_bytes(number)
            chunk = b"%x\r\n%b\r\n" % (len(event), event)
            for transport in cls.everybody:
                transport.write(chunk)


KINDS: dict[str, type[Floor]] = {
    "hello": Fixed,
    "json": Json,
    "echo": Echo,
    "small": Small,
    "big": Big,
    "upload": Upload,
    "chunked": Chunked,
    "tokens": Tokens,
    "events": Events,
}


async def main() -> None:
    loop = asyncio.get_running_loop()
    kind = KINDS[os.environ["BENCH_FLOOR"]]
    server = await loop.create_server(kind, "127.0.0.1", int(os.environ["BENCH_PORT"]), backlog=2048)
    publisher = loop.create_task(Events.publish()) if kind is Events else None
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    if publisher is not None:
        publisher.cancel()
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
