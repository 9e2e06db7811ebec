"""The queue of one subscriber that does not keep up: bounded by events and bytes, and what gives way when full.

Knows no hub and no sink.
"""

from __future__ import annotations

import enum
from collections import OrderedDict

from rat.stream.broker import HubEvent

__all__ = ["Policy", "SubscriberQueue"]


class Policy(enum.Enum):
    """What gives way when an event comes and the queue is full."""

    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"
    COALESCE = "coalesce"
    """An event replaces the queued one of the same topic and key at any time; full of other keys, the oldest goes."""
    DISCONNECT = "disconnect"


class SubscriberQueue:
    """Events that wait for one subscriber, in the order of their sequence numbers.

    Never holds more than *max_events*, nor more than *max_bytes* unless a single event is larger.  Where events were
    dropped is remembered, and said by ``pop`` at that place; coalesced ones were superseded and are only counted.
    """

    __slots__ = (
        "_events",
        "_gaps",
        "_keys",
        "_tail_gap",
        "coalesced",
        "dropped_newest",
        "dropped_oldest",
        "front_gap",
        "max_bytes",
        "max_events",
        "size",
    )

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self.max_events = max_events
        self.max_bytes = max_bytes
        self._events: OrderedDict[int, HubEvent] = OrderedDict()
        self._keys: dict[tuple[str, str], int] = {}
        self._gaps: dict[int, int] = {}
        self._tail_gap = 0
        self.front_gap = 0
        """Events dropped before the first that is queued."""
        self.size = 0
        """Bytes that are queued."""
        self.dropped_oldest = 0
        self.dropped_newest = 0
        self.coalesced = 0

    def __len__(self) -> int:
        return len(self._events)

    def push(self, event: HubEvent, policy: Policy) -> bool:
        """Queue *event*; False when *policy* is to disconnect and there is no room."""
        key = (event.topic, event.key) if policy is Policy.COALESCE and event.key is not None else None
        if key is not None:
            self._supersede(key, event.sequence)
        length = len(event.wire)
        while self._events and (len(self._events) >= self.max_events or self.size + length > self.max_bytes):
            if policy is Policy.DISCONNECT:
                return False
            if policy is Policy.DROP_NEWEST:
                self.dropped_newest += 1
                self._tail_gap += 1
                return True
            self.front_gap += 1
            self.dropped_oldest += 1
            self._remove_first()
        if self._tail_gap:
            self._gaps[event.sequence] = self._gaps.get(event.sequence, 0) + self._tail_gap
            self._tail_gap = 0
        self._events[event.sequence] = event
        self.size += length
        if key is not None:
            self._keys[key] = event.sequence
        return True

    def take_gap(self) -> int:
        """How many events were dropped right before the next one, or at the end of all; said once."""
        if not self.front_gap and not self._events:
            gap, self._tail_gap = self._tail_gap, 0
            return gap
        if self._events and self._gaps:
            self.front_gap += self._gaps.pop(next(iter(self._events)), 0)
        gap, self.front_gap = self.front_gap, 0
        return gap

    def first(self) -> int | None:
        """The sequence number of the next event, or None."""
        return next(iter(self._events), None)

    def pop(self) -> HubEvent:
        """The next event; ``take_gap`` comes before it.  Raises KeyError when there is none."""
        return self._remove_first()

    def _remove_first(self) -> HubEvent:
        sequence, event = self._events.popitem(last=False)
        self.size -= len(event.wire)
        if self._gaps:
            self.front_gap += self._gaps.pop(sequence, 0)
        if event.key is not None and self._keys.get((event.topic, event.key)) == sequence:
            del self._keys[event.topic, event.key]
        return event

    def _supersede(self, key: tuple[str, str], by: int) -> None:
        old = self._keys.pop(key, None)
        if old is not None:
            self.coalesced += 1
            self.size -= len(self._events.pop(old).wire)
            if old in self._gaps:
                self._gaps[by] = self._gaps.pop(old)
