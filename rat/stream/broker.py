"""Where events get their numbers: the seam between a hub and whatever carries events between hubs.

A broker numbers what is published and gives every event to every hub, in order.  Knows no topic patterns, no
subscribers and no bounds of theirs.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import orjson

from rat.stream.sse import EncodedEvent

__all__ = ["Broker", "BrokerSubscription", "HubEvent", "MemoryBroker", "parse_id"]


def parse_id(text: str) -> tuple[str, int] | None:
    """Epoch and sequence number of an event's id, or None when it is none of ours."""
    epoch, dash, digits = text.rpartition("-")
    # int() alone takes signs, spaces, underscores and digits of other scripts.
    if not dash or not epoch or not (digits.isascii() and digits.isdigit()) or len(digits) > 20:
        return None
    return epoch, int(digits)


class HubEvent(EncodedEvent):
    """One published event, encoded once for all who get it.

    topic     the topic that it was published to
    sequence  its number, which only grows
    id        ``<epoch>-<sequence>``
    key       what it supersedes events of, in queues that coalesce
    time      when it was published, seconds on the clock of the hub that it is delivered to (``time.monotonic``)
    wire      its bytes as a server-sent event
    """

    __slots__ = ("epoch", "key", "sequence", "time", "topic")

    def __init__(self, epoch: str, sequence: int, topic: str, body: bytes, key: str | None, time: float) -> None:
        """*body* is the event without its id, as ``encode_event`` makes it."""
        super().__init__(b"id: %b-%d\n%b" % (epoch.encode(), sequence, body))
        self.epoch = epoch
        self.sequence = sequence
        self.topic = topic
        self.key = key
        self.time = time

    @property
    def id(self) -> str:
        return f"{self.epoch}-{self.sequence}"

    @property
    def event(self) -> str | None:
        """The event's name."""
        for line in self.wire.split(b"\n"):
            if line.startswith(b"event: "):
                return line[7:].decode()
        return None

    @property
    def data(self) -> str:
        """The event's data as text."""
        return b"\n".join([line[6:] for line in self.wire.split(b"\n") if line.startswith(b"data: ")]).decode()

    def json(self) -> Any:
        """The event's data, read as JSON.  Raises ValueError where it is none."""
        return orjson.loads(self.data)

    def __repr__(self) -> str:
        return f"HubEvent({self.id}, {self.topic!r}, {len(self.wire)} bytes)"


class BrokerSubscription(Protocol):
    """A hub's place at a broker.  ``floor``: the newest sequence number that can no longer be had there; 0 for none."""

    floor: int

    def close(self) -> None:
        """Deliver nothing more."""


class Broker(Protocol):
    """What a hub asks of a broker.

    ``epoch`` names one life of the numbering: it never changes, and no other life has the same.
    """

    @property
    def epoch(self) -> str: ...

    @property
    def sequence(self) -> int:
        """The newest number that is known to have been given."""

    async def publish(self, topic: str, body: bytes, key: str | None) -> str:
        """Number the event and have it delivered to every hub; its id."""

    def subscribe(self, deliver: Callable[[HubEvent], None], after: int) -> BrokerSubscription:
        """Call *deliver* for every event with a number above *after*, in order: those still held, then each new one.

        *deliver* is called on the hub's loop, never twice for one event.
        """

    async def close(self) -> None:
        """No event is taken or delivered any more."""


class MemoryBroker:
    """A broker in this process; every hub on it lives on one loop.

    One hub needs nothing else, and its own rings are the memory.  For several hubs it holds the last *keep_events*
    events, so that one that joins late can replay what happened before.
    """

    def __init__(
        self, *, keep_events: int = 0, epoch: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._epoch = secrets.token_hex(6) if epoch is None else epoch
        self._sequence = 0
        self._clock = clock
        self._kept: deque[HubEvent] = deque(maxlen=keep_events)
        self._places: list[_Place] = []
        self._closed = False

    @property
    def epoch(self) -> str:
        return self._epoch

    @property
    def sequence(self) -> int:
        return self._sequence

    async def publish(self, topic: str, body: bytes, key: str | None) -> str:
        """Number the event and deliver it; its id.  Raises RuntimeError once closed."""
        if self._closed:
            raise RuntimeError("the broker is closed")
        self._sequence += 1
        event = HubEvent(self._epoch, self._sequence, topic, body, key, self._clock())
        self._kept.append(event)
        for place in tuple(self._places):
            place.deliver(event)
        return event.id

    def subscribe(self, deliver: Callable[[HubEvent], None], after: int) -> BrokerSubscription:
        """See :class:`Broker`."""
        if self._closed:
            raise RuntimeError("the broker is closed")
        held = self._kept[0].sequence if self._kept else self._sequence + 1
        place = _Place(self, deliver, held - 1)
        for event in self._kept:
            if event.sequence > after:
                deliver(event)
        self._places.append(place)
        return place

    async def close(self) -> None:
        """See :class:`Broker`."""
        self._closed = True
        self._places.clear()

    def leave(self, place: _Place) -> None:
        if place in self._places:
            self._places.remove(place)


class _Place:
    def __init__(self, broker: MemoryBroker, deliver: Callable[[HubEvent], None], floor: int) -> None:
        self._broker = broker
        self.deliver = deliver
        self.floor = floor

    def close(self) -> None:
        self._broker.leave(self)
