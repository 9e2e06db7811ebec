"""The last events of one topic, bounded by count, age and bytes, and how a subscriber that comes back reads several.

Knows no subscriber and no clock; whoever asks says what time it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

from rat.stream.broker import HubEvent

__all__ = ["ReplayRing", "RingReader"]

_BATCH = 64


def _sequence(event: HubEvent) -> int:
    return event.sequence


class ReplayRing:
    """Events in the order of their sequence numbers; the oldest go first when a bound is passed.

    ``floor`` is the sequence number of the newest event that is gone (0: none is): who has seen less has missed
    something.  Sizes in bytes of the encoded events, ages in seconds.
    """

    __slots__ = ("_events", "_size", "floor", "max_bytes", "max_events", "max_seconds")

    def __init__(self, *, max_events: int, max_seconds: float, max_bytes: int, floor: int = 0) -> None:
        self._events: deque[HubEvent] = deque()
        self._size = 0
        self.floor = floor
        self.max_events = max_events
        self.max_seconds = max_seconds
        self.max_bytes = max_bytes

    def __len__(self) -> int:
        return len(self._events)

    @property
    def size(self) -> int:
        """Bytes of the events that are held."""
        return self._size

    @property
    def newest(self) -> int:
        """The sequence number of the newest event, held or gone; 0 for none."""
        return self._events[-1].sequence if self._events else self.floor

    @property
    def keeps(self) -> bool:
        """False when a bound is 0, so that nothing is ever held."""
        return self.max_events > 0 and self.max_bytes > 0 and self.max_seconds > 0

    def append(self, event: HubEvent, now: float) -> None:
        """Hold *event*, the newest of all, and let go what passes a bound."""
        self._events.append(event)
        self._size += len(event.wire)
        self.trim(now)

    def trim(self, now: float) -> None:
        """Let go what passes a bound at the time *now*."""
        events = self._events
        oldest = now - self.max_seconds
        while events and (len(events) > self.max_events or self._size > self.max_bytes or events[0].time <= oldest):
            gone = events.popleft()
            self._size -= len(gone.wire)
            self.floor = gone.sequence

    def after(self, sequence: int, limit: int) -> list[HubEvent]:
        """Up to *limit* events that follow *sequence*, the oldest first."""
        events = self._events
        start = bisect_right(events, sequence, key=_sequence)
        return [events[index] for index in range(start, min(start + limit, len(events)))]


class RingReader:
    """Reads the rings of several topics as one, in the order of sequence numbers.

    It holds one batch and otherwise only its place, so that a slow reader costs no memory; when a ring lets go what it
    has not read yet, it says of which topic.
    """

    __slots__ = ("_lost", "_rings", "_told", "batch", "cursor")

    def __init__(self, cursor: int, rings: dict[str, ReplayRing]) -> None:
        """Start behind the event *cursor*; what was lost before this moment is the caller's to say."""
        self.cursor = cursor
        """The newest event that was fetched."""
        self.batch: deque[HubEvent] = deque()
        self._rings: dict[str, ReplayRing] = {}
        self._told: dict[str, int] = {}
        self._lost: list[str] = []
        for name, ring in rings.items():
            self.join(name, ring)

    def join(self, name: str, ring: ReplayRing) -> None:
        """Read *ring* as well; what was lost before this moment is the caller's to say."""
        self._rings[name] = ring
        self._told[name] = ring.floor

    def part(self, name: str) -> None:
        """The ring *name* is given up; what was not read of it is lost."""
        ring = self._rings.pop(name)
        if ring.keeps and ring.newest > max(self.cursor, self._told.pop(name)):
            self._lost.append(name)

    def fetch(self, now: float) -> list[str]:
        """Put the next events into ``batch``, or answer the names of topics of which something was lost, told once."""
        missed, self._lost = self._lost, []
        found: list[HubEvent] = []
        for name, ring in self._rings.items():
            ring.trim(now)
            if ring.keeps and ring.floor > max(self.cursor, self._told[name]):
                missed.append(name)
                self._told[name] = ring.floor
            found += ring.after(self.cursor, _BATCH)
        if not missed and found:
            found.sort(key=_sequence)
            del found[_BATCH:]
            self.cursor = found[-1].sequence
            self.batch.extend(found)
        return missed
