"""Large buffers that are given away, and used again when nobody holds them any more.

Memory of 1 MiB that is new to the process costs a fault for every page of it, and clearing it: as much as receiving
into it.  Whoever gets a buffer keeps it as long as he likes, views and all: only a buffer to which no reference is left
but the one in here is given to somebody else.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["MOST_AHEAD", "MOST_HELD", "Lending", "ahead_buffer", "exact_buffer", "keeps_ahead"]

MOST_HELD: Final = 8 * 1024 * 1024
"""Bytes of buffers that a thread remembers, in use or not."""
MOST_AHEAD: Final = 2 * 1024 * 1024
"""Bytes of the largest buffer that a thread keeps to read ahead into."""
_FREE: Final = 3
"""References to a free buffer: of the list, of the variable that looks at it, and of the question itself."""
_references: Final[Callable[[object], int]] = getattr(sys, "getrefcount", lambda _: _FREE + 1)


class Lending:
    """The buffers of one thread, the oldest first."""

    __slots__ = ("_buffers", "_most", "held")

    def __init__(self, most: int = MOST_HELD) -> None:
        self._buffers: list[bytearray] = []
        self._most = most
        self.held = 0
        """Bytes of buffers that are remembered."""

    def take(self, size: int) -> bytearray:
        """A buffer of *size* bytes, or up to an eighth more.  What it holds is whatever was there before."""
        buffers = self._buffers
        most = size + size // 8
        # The newest first: it is still in the processor's cache.
        for position in range(len(buffers) - 1, -1, -1):
            buffer = buffers[position]
            if size <= len(buffer) <= most and _references(buffer) == _FREE:
                buffers.append(buffers.pop(position))
                return buffer
        buffer = bytearray(size)
        if size <= self._most:
            buffers.append(buffer)
            self.held += size
            while self.held > self._most:
                self.held -= len(buffers.pop(0))
        return buffer


class _Thread(threading.local):
    def __init__(self) -> None:
        self.take = Lending().take
        self.ahead: memoryview | None = None


_thread: Final = _Thread()


def exact_buffer(size: int) -> memoryview:
    """*size* bytes that belong to whoever gets them."""
    return memoryview(_thread.take(size))[:size]


def ahead_buffer(size: int) -> memoryview:
    """*size* bytes or up to an eighth more, the same ones until they are kept: whoever reads next, reads into them."""
    ahead = _thread.ahead
    if ahead is None or not size <= len(ahead) <= size + size // 8:
        ahead = _thread.ahead = memoryview(_thread.take(size))
    return ahead


def keeps_ahead(memory: object) -> bool:
    """Whether *memory* is what :func:`ahead_buffer` gives; it belongs to whoever asked, then."""
    if memory is not _thread.ahead:
        return False
    _thread.ahead = None
    return True
