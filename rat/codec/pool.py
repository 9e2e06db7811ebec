"""Buffers used again: bytearrays by size class, for receiving and for `encode_into`.

Knows no transport: whoever writes says how many bytes are still queued.  When a buffer may be used again:

- after a write that left nothing queued, at once;
- else when the transport has sent up to the buffer's last byte: what was written in all, less what is queued, has
reached it; - and never while anybody holds a view of it.  The pool tries to shorten the bytearray by a byte, which
fails then: such a buffer is dropped, and the views keep its memory as long as they live.  The first two rules save
memory; this one is what makes reuse safe.

How the pool adapts: a class keeps as many buffers as were in use at once during the last period, or half of what it
kept before if that is more.  A period is *period* acquisitions, or ends with `trim`, which a timer may call where
traffic can stop.  Idle buffers of all classes together never take more than *max_held* bytes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

__all__ = ["BufferPool", "Parking", "PoolStatistics", "Slab"]

_KIB: Final = 1024


class Slab:
    """A buffer on loan: ``view`` shows all of its ``size`` bytes, which are at least what was asked for.

    Its content is whatever was there before.
    """

    __slots__ = ("_buffer", "_is_back", "view")

    def __init__(self, buffer: bytearray) -> None:
        self._buffer = buffer
        self._is_back = False
        self.view = memoryview(buffer)

    @property
    def size(self) -> int:
        return len(self._buffer)

    def take_back(self) -> bytearray | None:
        """The buffer, if nobody else looks at it; ``view`` is of no use afterwards.  Raises RuntimeError the second
        time.
        """
        if self._is_back:
            raise RuntimeError("buffer was released before")
        self._is_back = True
        try:
            self.view.release()
            # A shortened and lengthened bytearray keeps its memory.
            self._buffer.append(self._buffer.pop())
        except BufferError:
            return None
        return self._buffer


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """Counts since the beginning; *held*, *in_use* and *parked* are bytes now.

    hits      acquisitions that were served from the pool
    misses    acquisitions that made a buffer
    held      idle buffers
    in_use    buffers on loan, the parked ones included
    parked    buffers that wait until the transport has sent them
    dropped   returned buffers that somebody still looked at
    trimmed   idle or returned buffers that were too many
    """

    hits: int
    misses: int
    held: int
    in_use: int
    parked: int
    dropped: int
    trimmed: int


@dataclass(slots=True)
class _Class:
    """The buffers of one size."""

    idle: list[bytearray] = field(default_factory=list)
    in_use: int = 0
    peak: int = 0
    keep: int = 1


class BufferPool:
    """Buffers of 2^n bytes between *smallest* and *largest*; more is made to measure and not kept.

    For one thread, usually that of the event loop.
    """

    def __init__(
        self,
        *,
        smallest: int = 4 * _KIB,
        largest: int = 1024 * _KIB,
        max_held: int = 16 * 1024 * _KIB,
        period: int = 1024,
    ) -> None:
        if not 2 <= smallest <= largest or period < 1 or max_held < 0:
            raise ValueError(
                f"smallest {smallest}, largest {largest}, max_held {max_held}, period {period}: "
                "2 <= smallest <= largest, 0 <= max_held and 1 <= period must hold"
            )
        self._smallest = (smallest - 1).bit_length()
        self._classes = [_Class() for _ in range(self._smallest, (largest - 1).bit_length() + 1)]
        self._max_held = max_held
        self._period = period
        self._left = period
        self._hits = self._misses = self._held = self._in_use = self._parked = self._dropped = self._trimmed = 0

    def acquire(self, size: int) -> Slab:
        """A buffer of at least *size* bytes."""
        if size < 0:
            raise ValueError(f"size is {size}, and may not be negative")
        self._left -= 1
        if self._left <= 0:
            self.trim()
        number = self._number(size)
        if number is None:
            self._misses += 1
            self._in_use += size
            return Slab(bytearray(size))
        group = self._classes[number]
        group.in_use += 1
        group.peak = max(group.peak, group.in_use)
        group.keep = max(group.keep, group.peak)
        if group.idle:
            buffer = group.idle.pop()
            self._held -= len(buffer)
            self._hits += 1
        else:
            buffer = bytearray(1 << number + self._smallest)
            self._misses += 1
        self._in_use += len(buffer)
        return Slab(buffer)

    def release(self, slab: Slab) -> None:
        """Take *slab* back: once, and when nothing will be written to it or sent from it."""
        size = slab.size
        buffer = slab.take_back()
        number = self._number(size)
        self._in_use -= size
        if number is not None:
            self._classes[number].in_use -= 1
        if buffer is None:
            self._dropped += 1
        elif number is not None:
            group = self._classes[number]
            if group.in_use + len(group.idle) < group.keep and self._held + size <= self._max_held:
                group.idle.append(buffer)
                self._held += size
            else:
                self._trimmed += 1

    def trim(self) -> None:
        """End the period: let each class keep what it needed, and free the rest."""
        self._left = self._period
        for group in self._classes:
            group.keep = max(group.peak, group.keep // 2)
            group.peak = group.in_use
            while group.idle and group.in_use + len(group.idle) > group.keep:
                self._held -= len(group.idle.pop())
                self._trimmed += 1

    def statistics(self) -> PoolStatistics:
        """Counts since the start, and the bytes that are held now."""
        return PoolStatistics(
            hits=self._hits,
            misses=self._misses,
            held=self._held,
            in_use=self._in_use,
            parked=self._parked,
            dropped=self._dropped,
            trimmed=self._trimmed,
        )

    def count_parked(self, size: int) -> None:
        """*size* bytes more are parked, or less if negative; for `Parking`."""
        self._parked += size

    def _number(self, size: int) -> int | None:
        """The class of *size*, or None above the largest."""
        number = max((size - 1).bit_length() - self._smallest, 0)
        return number if number < len(self._classes) else None


class Parking:
    """The buffers of one connection that its transport may still hold.

    *written* counts all bytes given to the transport, those from elsewhere as well.
    """

    __slots__ = ("_pool", "_waiting", "written")

    def __init__(self, pool: BufferPool) -> None:
        self._pool = pool
        self._waiting: deque[tuple[int, Slab]] = deque()
        self.written = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def wrote(self, size: int, queued: int, slab: Slab | None = None) -> None:
        """*size* bytes went to the transport, from *slab* if given, and *queued* bytes wait in it now
        (``get_write_buffer_size()``).
        """
        self.written += size
        if slab is not None:
            if queued == 0:
                self._pool.release(slab)
            else:
                self._waiting.append((self.written, slab))
                self._pool.count_parked(slab.size)
        self.settle(queued)

    def settle(self, queued: int) -> None:
        """Release what has been sent, now that *queued* bytes wait in the transport."""
        sent = self.written - queued
        while self._waiting and self._waiting[0][0] <= sent:
            self._release_first()

    def close(self) -> None:
        """The connection is lost: release everything.  What the transport still holds is dropped by the pool."""
        while self._waiting:
            self._release_first()

    def _release_first(self) -> None:
        _, slab = self._waiting.popleft()
        self._pool.count_parked(-slab.size)
        self._pool.release(slab)
