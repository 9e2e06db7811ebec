"""A body that is pushed: a producer writes, the connection takes.

Knows no connection; to the shell it is one more async iterator of bytes.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from rat.errors import ClientDisconnected

__all__ = ["Producer", "PushStream", "StreamWriter", "pushed"]

_JOIN_BELOW = 64 * 1024
"""Pieces are joined up to this many bytes; larger ones are handed over as they are, never copied."""


class StreamWriter:
    """What a producer writes to.  One task may write at a time; all sizes in bytes."""

    __slots__ = ("_stream",)

    def __init__(self, stream: PushStream) -> None:
        self._stream = stream

    async def write(self, data: bytes | str) -> None:
        """Give *data* (text in UTF-8) to the stream; waits while more than high water is queued.

        What is written before the producer next waits for anything leaves together.  A cancelled write has written.
        Raises ClientDisconnected when nobody will take it.
        """
        await self._stream.push(data.encode() if isinstance(data, str) else data)

    async def drain(self) -> None:
        """Wait until all that was written has been taken by the connection."""
        await self._stream.taken()


Producer: TypeAlias = Callable[[StreamWriter], Awaitable[object]]


class _State(enum.Enum):
    IDLE = "the producer has not been called"
    RUNNING = "the producer runs"
    ENDED = "the producer has returned, failed or was cancelled"


def pushed(producer: Producer, *, high_water: int = 64 * 1024) -> PushStream:
    """What ``await producer(writer)`` writes, as a body: ``return Response(pushed(producer))``."""
    return PushStream(producer, high_water=high_water)


class PushStream(AsyncIterator[bytes]):
    """The bytes that a producer writes.

    The producer runs in a task of its own, from the first ``__anext__`` on.  The stream ends when it returns, and
    raises what it raised, after what it wrote before.  One task may iterate at a time; a cancelled ``__anext__`` has
    consumed nothing.  ``aclose`` cancels the producer and waits for it.
    """

    __slots__ = ("_error", "_high_water", "_pieces", "_producer", "_reader", "_size", "_state", "_task", "_writer")

    def __init__(self, producer: Producer, *, high_water: int = 64 * 1024) -> None:
        self._producer = producer
        self._high_water = high_water
        self._state = _State.IDLE
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: tuple[int, asyncio.Future[None]] | None = None

    def __aiter__(self) -> PushStream:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            await self._wait()
            if not self._pieces:
                error = self._error
                self._error = None
                raise error or StopAsyncIteration
        data = self._gather()
        self._size -= len(data)
        if self._writer is not None and self._size <= self._writer[0] and not self._writer[1].done():
            self._writer[1].set_result(None)
        return data

    async def aclose(self) -> None:
        """Cancel the producer, if it still runs, and wait for it.  Raises what it raised then."""
        task, state = self._task, self._state
        self._state = _State.ENDED
        self._pieces.clear()
        self._size = 0
        if task is None or task is asyncio.current_task():
            return
        if state is _State.RUNNING:
            task.cancel()
            await asyncio.wait([task])
        error = self._error
        self._error = None
        if error is not None and not isinstance(error, asyncio.CancelledError | ClientDisconnected):
            raise error

    def _gather(self) -> bytes:
        """The next piece, and those behind it as long as they are small together."""
        pieces = self._pieces
        first = pieces.popleft()
        size = len(first)
        if not pieces or size + len(pieces[0]) > _JOIN_BELOW:
            return first
        parts = [first]
        while pieces and size + len(pieces[0]) <= _JOIN_BELOW:
            part = pieces.popleft()
            size += len(part)
            parts.append(part)
        return b"".join(parts)

    async def _wait(self) -> None:
        """Until something was written or the producer has ended."""
        if self._reader is not None:
            raise RuntimeError("another task reads this stream already")
        if self._state is _State.IDLE:
            self._state = _State.RUNNING
            self._task = asyncio.get_running_loop().create_task(self._run())
        while not self._pieces and self._state is _State.RUNNING:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None

    # -- the producer's side

    async def _run(self) -> None:
        try:
            await self._producer(StreamWriter(self))
        except BaseException as error:
            # The reader gets it, cancellation included: an end without a word would make a short body look whole.
            self._error = error
        finally:
            self._state = _State.ENDED
            self._wake()

    async def push(self, data: bytes) -> None:
        if self._state is not _State.RUNNING:
            raise ClientDisconnected("nobody reads this stream any more")
        if data:
            self._pieces.append(data)
            self._size += len(data)
            self._wake()
        if self._size > self._high_water:
            await self._until(self._high_water // 2)

    async def taken(self) -> None:
        if self._size:
            await self._until(0)

    async def _until(self, size: int) -> None:
        """Until at most *size* bytes are queued."""
        if self._writer is not None:
            raise RuntimeError("another task writes to this stream already")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writer = (size, waiter)
        try:
            await waiter
        finally:
            self._writer = None

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
