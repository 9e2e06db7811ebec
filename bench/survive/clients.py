"""What the attackers have in common."""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.survive.stand import Stand

__all__ = ["HEAD", "HERE", "KIB", "clients", "has_ended", "probe", "received", "reset", "sends"]

HERE = Path(__file__).parent
KIB = 1024
HEAD = b" HTTP/1.1\r\nHost: x\r\n"


@contextlib.contextmanager
def clients(
    stand: Stand, count: int, wire: bytes = b"", *, receive_buffer: int | None = None
) -> Iterator[list[socket.socket]]:
    """*count* connections, closed at the end."""
    held = []
    try:
        for _ in range(count):
            held.append(stand.connect(wire, receive_buffer=receive_buffer))
        yield held
    finally:
        for sock in held:
            sock.close()


def reset(sock: socket.socket) -> None:
    """Leave without a word."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def received(sock: socket.socket, size: int = 65536) -> bytes | None:
    """What is there; empty at the end, also a rough one; None when nothing has come."""
    try:
        return sock.recv(size)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def has_ended(sock: socket.socket) -> bool:
    """The other side has closed or reset."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))


def sends(sock: socket.socket, data: bytes) -> bool:
    try:
        sock.send(data)
    except OSError:
        return False
    return True


async def probe(stand: Stand, seconds: float) -> dict[str, float]:
    """How a well-behaved client fares, as told by a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "probe.py"), str(stand.port), str(seconds), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return dict(json.loads(out))
