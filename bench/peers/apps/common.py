"""What every application of the comparison answers, so that all do the same work.

Knows no server.  The applications are started with the directory of the test files in BENCH_FILES.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import orjson

HELLO = b"Hello, World!"
MESSAGE: dict[str, Any] = {
    "id": 4711,
    "name": "a small object",
    "active": True,
    "score": 0.75,
    "tags": ["json", "benchmark", "streaming"],
    "owner": {"id": 12, "name": "somebody"},
}
PIECE = bytes(range(256)) * 256
PIECES = 1024
"""``/chunked`` answers PIECES pieces of 64 KiB: 64 MiB."""
TOKENS = 200
"""``/tokens`` answers TOKENS small events, each made when its turn comes."""
INTERVAL = 0.1
"""Seconds between two events."""
BACKLOG = 2048
"""Connections that may wait to be accepted.  With 100, the thousandth that comes at once is let in seconds later."""
EVENT_PADDING = "x" * 40


def files() -> Path:
    """The directory of ``big.bin`` and ``small.bin``."""
    return Path(os.environ["BENCH_FILES"])


def token(number: int) -> dict[str, Any]:
    """The data of one event of ``/tokens``, as a model's answer comes."""
    return {"index": number, "token": f"word {number % 10}", "finish": None}


def token_bytes(number: int) -> bytes:
    """The same as it goes into the stream."""
    return b"data: %b\n\n" % orjson.dumps(token(number))


def event_data(number: int) -> str:
    """The JSON of one event: its number, and when it was made."""
    return json.dumps({"n": number, "t": round(time.monotonic(), 6), "pad": EVENT_PADDING})


def event_bytes(number: int) -> bytes:
    """One event as it goes into the stream."""
    return f"id: {number}\ndata: {event_data(number)}\n\n".encode()


class Ticker:
    """Makes an event ten times a second and puts it into a queue for each subscriber, as most applications do."""

    def __init__(self, make: Any = event_bytes) -> None:
        self._make = make
        self._queues: set[asyncio.Queue[Any]] = set()
        self._task: asyncio.Task[None] | None = None

    def subscribe(self) -> asyncio.Queue[Any]:
        """A queue that every event from now on goes into."""
        queue: asyncio.Queue[Any] = asyncio.Queue(256)
        self._queues.add(queue)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        return queue

    @property
    def subscribers(self) -> int:
        """How many queues events go into."""
        return len(self._queues)

    def unsubscribe(self, queue: asyncio.Queue[Any]) -> None:
        """Put nothing more into *queue*."""
        self._queues.discard(queue)

    async def _run(self) -> None:
        number = 0
        due = time.monotonic()
        while True:
            due += INTERVAL
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            number += 1
            event = self._make(number)
            for queue in self._queues:
                if not queue.full():
                    queue.put_nowait(event)
