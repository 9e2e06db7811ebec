"""The content of one request on its way from the connection to the handler.

Knows no socket and no HTTP: the shell feeds pieces in, the handler takes them out, and a callable says when more is
wanted.  A piece that is ``bytes`` is handed over as it came, never copied.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Callable

from rat.errors import ContentTooLarge
from rat.events import Buffer, FieldLines

__all__ = ["BodyReader", "BodyState"]


class BodyState(enum.Enum):
    """How far the content has come; what is still queued is read in every state."""

    OPEN = "more may come"
    ENDED = "the message is whole"
    FAILED = "the rest will never come"


# What the shell may tell in each state.  A failure that comes after the end is none: the message was whole.
TRANSITIONS = {
    (BodyState.OPEN, "feed"): BodyState.OPEN,
    (BodyState.OPEN, "feed_eof"): BodyState.ENDED,
    (BodyState.OPEN, "fail"): BodyState.FAILED,
    (BodyState.ENDED, "fail"): BodyState.ENDED,
    (BodyState.FAILED, "feed"): BodyState.FAILED,
    (BodyState.FAILED, "feed_eof"): BodyState.FAILED,
    (BodyState.FAILED, "fail"): BodyState.FAILED,
}


class BodyReader:
    """The content of one request, as an async iterator of bytes.

    One task may read at a time (RuntimeError for a second one that waits).  A cancelled ``__anext__`` or ``read`` has
    consumed nothing.  Ends at the end of the message; raises ClientDisconnected if the peer left first, and
    ContentTooLarge past *limit* bytes, both after the pieces that came before.  All sizes in bytes.

    *on_wanted* is called, possibly inside ``__anext__``, when a reader is about to wait, and when the queue falls to
    *low_water* after it was full; it may feed at once.
    """

    __slots__ = (
        "_error",
        "_full",
        "_high_water",
        "_limit",
        "_low_water",
        "_on_wanted",
        "_pieces",
        "_size",
        "_state",
        "_waiter",
        "received",
        "trailers",
    )

    def __init__(
        self, *, limit: int | None, high_water: int, low_water: int, on_wanted: Callable[[], None] | None = None
    ) -> None:
        if low_water > high_water:
            raise ValueError(f"low water {low_water} is above high water {high_water}")
        self._limit = limit
        self._high_water = high_water
        self._low_water = low_water
        self._on_wanted = on_wanted
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._full = False
        self._state = BodyState.OPEN
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.received = 0
        """Bytes fed so far, those past the limit included."""
        self.trailers: FieldLines = ()
        """The trailer fields; empty until the end of the message has come."""

    # The shell's side

    @property
    def state(self) -> BodyState:
        return self._state

    @property
    def is_full(self) -> bool:
        """Above high water, and not yet down at low water again."""
        return self._full

    @property
    def is_waiting(self) -> bool:
        """A reader waits for the next piece."""
        return self._waiter is not None

    @property
    def queued(self) -> int:
        """Bytes fed and not yet read."""
        return self._size

    def feed(self, data: Buffer) -> bool:
        """Queue *data*; False when no more should be fed until ``on_wanted`` is called.

        Bytes are kept as they are, any other buffer is copied.  Past the limit the reader fails with ContentTooLarge
        and *data* is dropped, as is all that comes after a failure.
        """
        self._move("feed")
        if self._state is not BodyState.OPEN:
            return False
        size = len(data)
        if not size:
            return not self._full
        self.received += size
        if self._limit is not None and self.received > self._limit:
            self.fail(ContentTooLarge(self._limit, self.received))
            return False
        self._pieces.append(data if type(data) is bytes else bytes(data))
        self._size += size
        if self._size > self._high_water:
            self._full = True
        self._wake()
        return not self._full

    def feed_eof(self, trailers: FieldLines = ()) -> None:
        """The message is whole."""
        self._move("feed_eof")
        if self._state is BodyState.ENDED:
            self.trailers = trailers
            self._wake()

    def fail(self, error: BaseException) -> None:
        """The rest will not come: *error* is raised once the queue is read.  The first failure counts."""
        if self._state is BodyState.OPEN:
            self._error = error
        self._move("fail")
        self._wake()

    # The reader's side

    def __aiter__(self) -> BodyReader:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            await self._wait()
            if not self._pieces:
                raise StopAsyncIteration
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._full and self._size <= self._low_water:
            self._full = False
            self._want()
        return piece

    async def read(self, limit: int | None = None) -> bytes:
        """All the content that is left, as one bytes object.

        Raises ContentTooLarge when it is more than *limit* bytes, and what ``__anext__`` raises.
        """
        pieces: list[bytes] = []
        size = 0
        try:
            async for piece in self:
                pieces.append(piece)
                size += len(piece)
                if limit is not None and size > limit:
                    raise ContentTooLarge(limit, size)
        except asyncio.CancelledError:
            self._pieces.extendleft(reversed(pieces))
            self._size += size
            raise
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _wait(self) -> None:
        """Until a piece is queued or the message has ended; raises the failure."""
        if self._waiter is not None:
            raise RuntimeError("another task reads this content already")
        if self._state is BodyState.OPEN:
            self._want()
        while not self._pieces and self._state is BodyState.OPEN:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._error is not None and not self._pieces:
            raise self._error.with_traceback(None)

    def _want(self) -> None:
        if self._on_wanted is not None and self._state is BodyState.OPEN:
            self._on_wanted()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _move(self, verb: str) -> None:
        try:
            self._state = TRANSITIONS[self._state, verb]
        except KeyError:
            raise RuntimeError(f"{verb} after the message was {self._state.name.lower()}") from None

    def __repr__(self) -> str:
        return f"BodyReader({self._state.name}, {self._size} bytes queued, {self.received} received)"
