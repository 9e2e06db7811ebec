"""What a peer sends on one stream, until somebody takes it.

Knows no frames; its bounds are the credit that the peer has, and what the connection holds.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

__all__ = ["Inbox", "InboxState", "nothing"]


class InboxState(enum.Enum):
    """How far the sender has come."""

    OPEN = "more may come"
    ENDED = "all has come"
    FAILED = "what had come can be taken, then the error is raised"
    DROPPED = "what had come is let go, and the error is raised"


TRANSITIONS = {
    # state            sees       becomes
    (InboxState.OPEN, "item"): InboxState.OPEN,
    (InboxState.OPEN, "end"): InboxState.ENDED,
    (InboxState.OPEN, "failure"): InboxState.FAILED,
    (InboxState.OPEN, "drop"): InboxState.DROPPED,
    (InboxState.ENDED, "drop"): InboxState.DROPPED,
    (InboxState.FAILED, "drop"): InboxState.DROPPED,
}


class Inbox(AsyncIterator[Any]):
    """Items in the order in which they came, as an async iterator.

    One task may iterate at a time.  A cancelled ``__anext__`` has consumed nothing.  *on_taken* is called with size and
    length of each item that is taken: its credit can be given back; *on_empty* when the reader has to wait for the next
    one.  Ends at the sender's end; raises what :meth:`fail` was given, once everything that came before has been taken,
    and what :meth:`drop` was given at once.
    """

    __slots__ = ("_error", "_items", "_on_empty", "_on_taken", "_waiter", "state")

    def __init__(self, on_taken: Callable[[int, int], None], on_empty: Callable[[], None]) -> None:
        self._items: deque[tuple[Any, int, int]] = deque()
        self._on_taken = on_taken
        self._on_empty = on_empty
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self.state = InboxState.OPEN

    def __len__(self) -> int:
        return len(self._items)

    def feed(self, item: Any, size: int, length: int) -> None:
        """*item* of *length* bytes has come, and holds *size* bytes of credit until it is taken."""
        self._items.append((item, size, length))
        self._wake()

    def end(self) -> None:
        """All has come."""
        if self.state is InboxState.OPEN:
            self.state = InboxState.ENDED
            self._wake()

    def fail(self, error: BaseException) -> None:
        """No more will come; *error* says why."""
        if self.state is InboxState.OPEN:
            self.state = InboxState.FAILED
            self._error = error
            self._wake()

    def drop(self, error: BaseException) -> None:
        """Let go of all that was not taken; *error* says why."""
        self._items.clear()
        self.state = InboxState.DROPPED
        self._error = error
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def __anext__(self) -> Any:
        while not self._items:
            if self.state is InboxState.ENDED:
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            if self._waiter is not None:
                raise RuntimeError("another task reads this stream already")
            self._on_empty()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        item, size, length = self._items.popleft()
        self._on_taken(size, length)
        return item


async def nothing() -> AsyncIterator[Any]:
    """The items of a call that has none."""
    items: tuple[Any, ...] = ()
    for item in items:
        yield item
