"""The credit of one call, both ways.  Knows numbers only.

A window counts the bytes of items and data before compression and without checksums.  Data is charged as it is: a
sender cuts it to what it has.  A value cannot be cut, so that one larger than half the first window is charged half of
it; and a receiver gives back what was consumed before it holds half a window.  So every value can be sent in the end.

The window of a receiver grows when it was what both sides waited for: the peer had used up all its credit, and the
reader has taken everything and wants more.  A reader that is slower than its peer finds something each time that it
looks, and a peer that is slower never lacks credit: in neither case would a larger window help.  Nor for values of
a few bytes, of which the first window holds thousands; and for those that are charged in part a larger window would be
one of many times its size.
"""

from __future__ import annotations

from typing import Final

from rat.frames.holding import LEAST
from rat.frames.tables import StreamState

__all__ = ["MAX_CREDIT", "Stream"]

MAX_CREDIT: Final = (1 << 31) - 1
"""Most credit that a stream may have (as RFC 9113, section 6.9.1)."""


class Stream:
    """One call that goes on: its state, and what may still be sent on it either way."""

    __slots__ = ("_held", "_most_charged", "_receive_first", "_send_first", "needs", "receive_credit", "receive_window",
                 "send_credit", "state", "was_last")  # fmt: skip

    def __init__(self, state: StreamState, *, send_window: int, receive_window: int) -> None:
        self.state = state
        self._send_first = send_window
        self._receive_first = receive_window
        self._most_charged = max(1, receive_window // 2)
        self.receive_window = receive_window
        """Bytes that the peer may have sent before the reader has taken any."""
        self.send_credit = send_window
        """Bytes that this side may send now."""
        self.receive_credit = receive_window
        """Bytes that the peer may send now."""
        self.needs = 1
        """Credit that the last value took: less than this, and the next one is not even tried."""
        self._held = 0
        self.was_last = False
        """The peer has no credit for another one like the last: else its window does not :meth:`grow`."""

    def charge(self, size: int) -> int:
        """The credit that a value of *size* bytes of ours takes; 0 if there is not enough of it now."""
        due = min(size, max(1, self._send_first // 2))
        self.needs = due
        if due > self.send_credit:
            return 0
        self.send_credit -= due
        return due

    def receive_value(self, size: int) -> int:
        """The credit that a value of *size* bytes of the peer takes; -1 if it had not enough."""
        if size <= self._most_charged:
            return self.receive_data(size)
        size = self.receive_data(self._most_charged)
        self.was_last = False
        return size

    def receive_data(self, size: int) -> int:
        """The credit that *size* bytes of data of the peer take, all of them; -1 if it had not enough."""
        if size > self.receive_credit:
            return -1
        self.receive_credit -= size
        self.was_last = self.receive_credit < size >= LEAST
        return size

    def consume(self, size: int) -> int:
        """*size* bytes of credit are no longer held.  Returns what to give back now: 0 until it is worth a frame."""
        self._held += size
        if self._held * 2 < self.receive_window:
            return 0
        return self._give(0)

    def grow(self, most: int) -> int:
        """The reader waits, and nothing is left for it.  Returns what to give the peer for that.

        0 if the peer had credit: then the reader does not wait for want of it.  The window is doubled, or grows by
        *most* bytes if that is less.
        """
        growth = min(self.receive_window, most, MAX_CREDIT - self.receive_window)
        if growth <= 0 or not self.was_last:
            return 0
        self.was_last = False
        self.receive_window += growth
        return self._give(growth)

    @property
    def grown(self) -> int:
        """By how many bytes the window has grown."""
        return self.receive_window - self._receive_first

    def _give(self, more: int) -> int:
        amount = self._held + more
        self._held = 0
        self.receive_credit += amount
        return amount
