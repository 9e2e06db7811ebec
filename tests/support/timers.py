"""Time that a test sets: the two verbs of a loop that deal with it."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

__all__ = ["FakeTimers"]


class _Handle:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeTimers:
    """``advance`` lets time pass and calls what is due, in order."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self._count = itertools.count()
        self._heap: list[tuple[float, int, _Handle]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object], /) -> _Handle:
        handle = _Handle(callback)
        heapq.heappush(self._heap, (self.now + delay, next(self._count), handle))
        return handle

    @property
    def pending(self) -> int:
        return sum(handle.callback is not None for _, _, handle in self._heap)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            self.now, _, handle = heapq.heappop(self._heap)
            if handle.callback is not None:
                handle.callback()
        self.now = end
