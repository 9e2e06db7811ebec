"""DataValue frames over TCP, and the same calls over HTTP, on one port.

Serve it with ``rat serve examples/datavalue_tcp.py`` and call it from another terminal::

    rat call rat://127.0.0.1:8000 add 1 2
    rat call rat://127.0.0.1:8000 countdown 3
    node examples/datavalue_peer.mjs 8000
    curl -H 'Content-Type: application/json' -d '[1, 2]' http://127.0.0.1:8000/_call/add
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from rat import Blob, CallError, Rat
from rat.procedures import CallRequest, Connection

app = Rat()


@app.call("add")
def add(request: CallRequest, a: int, b: int) -> int:
    return a + b


@app.call("echo")
async def echo(request: CallRequest, value: Any) -> Any:
    return value


@app.call("now")
def now(request: CallRequest) -> datetime:
    return datetime.now(UTC)


@app.call("divide")
def divide(request: CallRequest, a: float, b: float) -> float:
    if b == 0:
        raise CallError("division_by_zero", f"{a} cannot be divided by zero", {"a": a})
    return a / b


@app.call("countdown")
async def countdown(request: CallRequest, count: int, interval: float = 0.0) -> AsyncIterator[dict[str, int]]:
    """A stream to the caller: it runs no further ahead than the caller's window."""
    for left in range(count, 0, -1):
        yield {"left": left}
        await asyncio.sleep(interval)


@app.call("total")
async def total(request: CallRequest) -> float:
    """A stream from the caller."""
    numbers: list[float] = [number async for number in request.stream]
    return sum(numbers)


@app.call("upper")
async def upper(request: CallRequest) -> str:
    """Streams both ways."""
    async for text in request.stream:
        await request.send(text.upper())
    return "bye"


@app.call("sha256")
async def sha256(request: CallRequest) -> dict[str, Any]:
    """A blob of any size from the caller, a window of it at a time."""
    digest, size = hashlib.sha256(), 0
    async for piece in request.stream:
        digest.update(piece)
        size += len(piece)
    return {"size": size, "sha256": digest.hexdigest()}


@app.call("zeros")
def zeros(request: CallRequest, size: int) -> Blob:
    """A blob of any size to the caller."""
    piece = bytes(min(size, 65536))
    return Blob(piece[: min(len(piece), size - start)] for start in range(0, size, 65536))


@app.frames
async def values(connection: Connection) -> None:
    """For peers that only want values: each one comes back with its number."""
    number = 0
    async for value in connection:
        await connection.send({"number": number, "value": value})
        number += 1
