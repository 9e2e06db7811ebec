"""What the peer of one connection has sent and nobody has read, in bytes, call by call.  Knows numbers only.

Credit bounds what is under way, but not this: a value longer than half the first window is charged half of it
(:mod:`rat.frames.streams`), and a window may hold thousands of values of one byte.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from rat.config import FrameLimits

__all__ = ["COUNTED_CALL", "LEAST", "Holding", "most_held"]

LEAST: Final = 32
"""What a value counts for at least, in bytes: its place in a queue (as RFC 9113, section 6.5.2 counts a field)."""
COUNTED_CALL: Final = 4096
"""Arguments of so many bytes are counted for as long as their call is in flight; of shorter ones there is 1 MiB at most
with 256 calls, and most calls are over in the turn that reads them."""


def most_held(limits: FrameLimits) -> int:
    """Bytes that one connection holds unread: enough for the largest value at least."""
    return max(limits.held, limits.assembled, limits.payload)


class Holding:
    """The bytes of one connection.  Never negative, and 0 when everything has been read or let go.

    A call counts for the items and data that wait to be read, and for its arguments until it is over.
    """

    __slots__ = ("_arguments", "_total", "_unread", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Most bytes that are held together."""
        self._total = 0
        self._unread: dict[int, int] = {}
        self._arguments: dict[int, int] = {}

    def add(self, stream_id: int, size: int) -> bool:
        """An item or data of *size* bytes has come.  False, and nothing is counted, if it passes the limit."""
        if size < LEAST:
            size = LEAST
        total = self._total + size
        if total > self.limit:
            return False
        self._total = total
        self._unread[stream_id] = self._unread.get(stream_id, 0) + size
        return True

    def add_arguments(self, stream_id: int, size: int) -> bool:
        """A call with arguments of *size* bytes begins.  False, and nothing is counted, if it passes the limit."""
        if self._total + size > self.limit:
            return False
        self._total += size
        self._arguments[stream_id] = size
        return True

    def has_room(self, size: int) -> bool:
        """Whether *size* bytes more are within the limit."""
        return self._total + size <= self.limit

    def take(self, stream_id: int, size: int) -> None:
        """An item or data of *size* bytes has been read."""
        left = self._unread.get(stream_id)
        if left is None:
            return  # let go before
        if size < LEAST:
            size = LEAST
        if left <= size:
            del self._unread[stream_id]
            self._total -= left
        else:
            self._unread[stream_id] = left - size
            self._total -= size

    def let_go(self, stream_id: int) -> None:
        """What the call had unread is gone."""
        self._total -= self._unread.pop(stream_id, 0)

    def total(self, live: Collection[int]) -> int:
        """Bytes that are held, where *live* are the calls that are not over."""
        for stream_id in self._arguments.keys() - live:
            self._total -= self._arguments.pop(stream_id)
        return self._total

    def unread(self, stream_id: int) -> int:
        """Bytes that wait to be read on the call."""
        return self._unread.get(stream_id, 0)

    def give_way(self, stream_id: int, size: int, live: Collection[int]) -> int | None:
        """Which call has to go so that *size* bytes more of *stream_id* are within the limit; None if they are.

        Of *live* the one with the most unread, so that who reads is not ended by who does not; or *stream_id* itself,
        if no other has more.  One is enough: it has more than is added.
        """
        size = max(size, LEAST)
        if self.total(live) + size <= self.limit:
            return None
        most, going = self.unread(stream_id) + size, stream_id
        for other, unread in self._unread.items():
            if unread > most and other in live:
                most, going = unread, other
        return going
