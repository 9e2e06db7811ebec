"""A hub with set time, and a client that reads as an EventSource does, for the tests of the hub."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from rat.config import StreamLimits
from rat.stream.broker import Broker, MemoryBroker
from rat.stream.delivery import EndReason
from rat.stream.hub import Hub
from rat.stream.subscription import Subscription
from tests.support.sse import EventSource, Received
from tests.support.timers import FakeTimers

__all__ = ["Reader", "Wire", "make_hub"]


def make_hub(timers: FakeTimers | None = None, *, broker: Broker | None = None, **limits: Any) -> Hub:
    clock = timers or FakeTimers()
    options = {name: limits.pop(name) for name in ("authorise", "max_topics") if name in limits}
    broker = broker or MemoryBroker(epoch="e", clock=clock.time)
    return Hub(replace(StreamLimits(), **limits), broker=broker, clock=clock, **options)


class Reader:
    """Takes from a subscription what is there, without ever waiting."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.source = EventSource()

    def take(self, most: int = 1_000_000) -> list[Received]:
        """Up to *most* events; those of this call."""
        before = len(self.source.events)
        for _ in range(most):
            step = self.subscription.__anext__().__await__()
            try:
                next(step)
            except StopIteration as done:
                self.source.feed(done.value.wire)
            except StopAsyncIteration:
                break
            else:
                step.close()
                break
        return self.source.events[before:]

    def data(self, most: int = 1_000_000) -> list[str]:
        return [said(event) for event in self.take(most)]


class Wire:
    """A sink with room for some calls; unframes its chunks and reads them as a client would."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.room = room
        self.calls: list[bytes] = []
        self.source = EventSource()
        self.ended: list[EndReason] = []

    def __call__(self, data: bytes) -> bool:
        assert self.room > 0, "called under pressure"
        self.room -= 1
        self.calls.append(data)
        size, _, rest = data.partition(b"\r\n")
        assert rest.endswith(b"\r\n")
        assert len(rest) - 2 == int(size, 16) > 0
        self.source.feed(rest[:-2])
        return self.room > 0

    def data(self) -> list[str]:
        """What came since the last call."""
        events, self.source.events = self.source.events, []
        return [said(event) for event in events]


def said(event: Received) -> str:
    """The data, or what an event of the hub itself says."""
    if event.event == "rat.gap":
        gap = orjson.loads(event.data)
        return " ".join(["gap", gap["reason"], *map(str, gap.get("topics", [gap.get("dropped", "")]))]).strip()
    if event.event == "rat.close":
        return f"close: {orjson.loads(event.data)['reason']}"
    return event.data
