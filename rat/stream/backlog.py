"""What one subscriber has not taken yet: what the rings still hold for it, what its queue holds, and what is missing.

Knows no hub and no sink.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from rat.stream.broker import HubEvent
from rat.stream.policy import Policy, SubscriberQueue
from rat.stream.ring import ReplayRing, RingReader
from rat.stream.sse import EncodedEvent, ServerSentEvent, encode_event
from rat.stream.statistics import Counts

__all__ = ["Backlog"]


class Backlog:
    """Events in order of their sequence numbers, first from rings, then from a queue that exists only while it is used.

    ``cursor`` is the newest event that need not be offered any more, because it was fetched from a ring or came before
    the subscription.
    """

    __slots__ = (
        "_gone",
        "_max_bytes",
        "_max_events",
        "_notice",
        "_queue",
        "_reader",
        "cursor",
        "gaps",
        "pulled",
        "replayed",
    )

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._queue: SubscriberQueue | None = None
        self._reader: RingReader | None = None
        self._notice: EncodedEvent | None = None
        self._gone: Counts | None = None
        self.cursor = 0
        self.pulled = 0
        self.replayed = 0
        self.gaps = 0

    def __len__(self) -> int:
        """Events in the queue."""
        return 0 if self._queue is None else len(self._queue)

    @property
    def size(self) -> int:
        """Bytes in the queue."""
        return 0 if self._queue is None else self._queue.size

    @property
    def is_replaying(self) -> bool:
        """There may be more in the rings."""
        return self._reader is not None

    def replay(self, rings: dict[str, ReplayRing]) -> None:
        """Read what *rings* hold behind the cursor."""
        self._reader = RingReader(self.cursor, rings)

    def join(self, name: str, ring: ReplayRing) -> None:
        """There is one more ring."""
        if self._reader is not None:
            self._reader.join(name, ring)

    def part(self, name: str) -> None:
        """A ring is given up."""
        if self._reader is not None:
            self._reader.part(name)

    def say(self, event: EncodedEvent) -> None:
        """Put *event* before everything else."""
        self._notice = event

    def say_gap(self, **what: Any) -> None:
        """Put before everything else that something is missing."""
        self._notice = self._gap(what)

    def push(self, event: HubEvent, policy: Policy) -> bool:
        """Queue *event*; False when there is no room and *policy* is to disconnect."""
        if self._queue is None:
            self._queue = SubscriberQueue(self._max_events, self._max_bytes)
        return self._queue.push(event, policy)

    def pull(self, now: float, newest: int, admits: Callable[[HubEvent], bool] | None) -> EncodedEvent | None:
        """The next event, or None when there is none now.

        *newest* is the newest event of the hub; *admits* chooses among those from the rings, and may ``clear``.
        """
        if self._reader is not None and not self._reader.batch and self._notice is None:
            self._refill(self._reader, now, newest, admits)
        if self._notice is not None:
            notice, self._notice = self._notice, None
            return notice
        queue, reader = self._queue, self._reader
        if reader is not None and reader.batch:
            first = None if queue is None else queue.first()
            if first is None or reader.batch[0].sequence < first:
                self.pulled += 1
                self.replayed += 1
                return reader.batch.popleft()
        if queue is None:
            return None
        if dropped := queue.take_gap():
            return self._gap({"reason": "overflow", "dropped": dropped})
        if not len(queue):
            return None
        self.pulled += 1
        return queue.pop()

    def _refill(self, reader: RingReader, now: float, newest: int, admits: Callable[[HubEvent], bool] | None) -> None:
        while self._reader is reader and not reader.batch:
            missed = reader.fetch(now)
            self.cursor = reader.cursor
            if missed:
                self.say_gap(reason="expired", topics=missed)
                return
            if not reader.batch:
                # One that comes from a hub which is ahead of ours stays, until ours has seen as much.
                if newest >= self.cursor:
                    self._reader = None
                return
            if admits is not None:
                reader.batch = deque(event for event in reader.batch if admits(event))

    def _gap(self, what: dict[str, Any]) -> EncodedEvent:
        self.gaps += 1
        return EncodedEvent(encode_event(ServerSentEvent(event="rat.gap", data=what)))

    def release(self) -> None:
        """Let the queue go, which is empty or not wanted any more, and keep its counts."""
        if self._queue is not None:
            if self._gone is None:
                self._gone = Counts()
            self._gone.add(_counts_of(self._queue))
            self._queue = None

    def clear(self) -> None:
        """Nothing of it is wanted any more."""
        self.release()
        self._reader = None
        self._notice = None

    def counts(self) -> Counts:
        """What became of the events that came here."""
        counts = Counts(delivered=self.pulled, replayed=self.replayed, gaps=self.gaps)
        if self._gone is not None:
            counts.add(self._gone)
        if self._queue is not None:
            counts.add(_counts_of(self._queue))
        return counts


def _counts_of(queue: SubscriberQueue) -> Counts:
    return Counts(dropped_oldest=queue.dropped_oldest, dropped_newest=queue.dropped_newest, coalesced=queue.coalesced)
