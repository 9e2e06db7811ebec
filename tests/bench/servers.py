"""Servers that answer wrongly in ways that a load generator overlooks, as peers."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from bench.harness.peer import Peer, Start

RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!"
SIZE = 4 << 20
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + b"x" * SIZE
HABITS: dict[str, tuple[int, bytes]] = {
    # name: (how many answers are right on each server before it goes wrong, the wrong one)
    "right": (1 << 60, RIGHT),
    "other-content": (0, RIGHT.replace(b"World", b"Wurld")),
    "error-as-200": (0, RIGHT.replace(b"Hello, World!", b"Server Error!")),
    "empty": (0, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "error": (0, b"HTTP/1.1 500 Error\r\nContent-Length: 13\r\n\r\nHello, World!"),
    # Right when asked alone, wrong under load: nothing but the look at the answers meanwhile finds it.
    "wrong-later": (200, RIGHT.replace(b"World", b"Wurld")),
    "short-later": (200, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nH"),
    "silent": (0, b""),
    # Goes on working for clients that have left.
    "restless": (1 << 60, RIGHT),
    # Large content: one byte is another after the fifth answer; half of what was announced; a connection that ends
    # behind each answer and does not say so.
    "large": (1 << 60, b""),
    "large-later": (5, LARGE[:-1] + b"y"),
    "large-half": (0, LARGE[: len(LARGE) // 2]),
    "large-ending": (1 << 60, b""),
}


class Wrong(asyncio.Protocol):
    answered = 0
    answer = RIGHT
    right, wrong = HABITS["right"]
    ends = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"\r\n\r\n")):
            Wrong.answered += 1
            right = Wrong.answered <= self.right
            self.transport.write(self.answer if right else self.wrong)
            if self.ends or (self.answer is LARGE and not right):
                self.transport.close()


def peer(habit: str) -> Peer:
    """A peer with *habit*."""

    def command(start: Start) -> list[str]:
        return [start.python, "-m", "tests.bench.servers", habit, str(start.port)]

    return Peer(habit, command)


def work(loop: asyncio.AbstractEventLoop) -> None:
    """Half of a core, for ever, also where others want it."""
    end = time.process_time() + 0.01
    while time.process_time() < end:
        pass
    loop.call_later(0.01, work, loop)


async def main(habit: str, port: int) -> None:
    Wrong.right, Wrong.wrong = HABITS[habit]
    Wrong.answer = LARGE if habit.startswith("large") else RIGHT
    Wrong.ends = habit == "large-ending"
    if habit == "restless":
        work(asyncio.get_running_loop())
    server = await asyncio.get_running_loop().create_server(Wrong, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
