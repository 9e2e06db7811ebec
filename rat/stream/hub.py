"""Topics with many subscribers: each event is encoded once, and what a subscriber missed is replayed or said.

Knows brokers, rings, queues and subscriptions; no socket and no HTTP.  Everything runs on one loop and nothing here
waits, so that neither publishing nor the step from replay to live is ever interrupted.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, TypeAlias

from rat.config import StreamLimits
from rat.errors import HTTPError
from rat.stream.broker import Broker, HubEvent, MemoryBroker, parse_id
from rat.stream.delivery import EndReason, frame_chunk
from rat.stream.heartbeat import Cancellable, Timers
from rat.stream.policy import Policy
from rat.stream.sse import ServerSentEvent, check_name, encode_data
from rat.stream.statistics import Counts, HubStatistics, Present, TopicStatistics
from rat.stream.subscription import Subscription
from rat.stream.topics import GivenSettings, Topic, TopicPattern, TopicSettings, TopicTable, check_topic, is_pattern

__all__ = ["Authorise", "Hub"]

Authorise: TypeAlias = Callable[[str, Any], bool]
"""Says whether an identity may subscribe to a topic or pattern."""

_TICK = 1.0
"""Seconds between two looks at who is silent: a heartbeat is late by at most this much."""
_SWEEP = 5.0


class Hub:
    """Publishes events to topics, and hands them to subscriptions.

    Ids are ``<epoch>-<sequence>`` of the broker; sequence numbers grow over all topics.  For one loop only, and safe
    to call from anything that runs on it, filters and sinks included.  Ends with ``close``.
    """

    def __init__(
        self,
        limits: StreamLimits | None = None,
        *,
        broker: Broker | None = None,
        clock: Timers | None = None,
        authorise: Authorise | None = None,
        max_topics: int = 10_000,
    ) -> None:
        """*broker* is one for this hub alone by default.  *clock* is time, by default the process's and the loop's.

        *max_topics* bounds the topics that are kept while nobody is subscribed to them.
        """
        limits = limits or StreamLimits()
        self.limits = limits
        self.authorise = authorise
        """Asked for every topic and pattern of a subscription; may be set at any time."""
        self._clock = clock
        self.now: Callable[[], float] = time.monotonic if clock is None else clock.time
        self.sequence = 0
        """The newest event that was handed to the subscribers of this hub."""
        self._table = TopicTable(
            _kept(limits),
            most=max_topics,
            on_made=self._topic_made,
        )
        self._subscriptions: dict[Subscription, None] = {}
        self._patterns: dict[Subscription, None] = {}
        self._attached: dict[Subscription, None] = {}
        self._waiting: deque[HubEvent] = deque()
        self._delivering = False
        self._timer: Cancellable | None = None
        self._next_sweep = self.now() + _SWEEP
        self._closed = False
        self._published = 0
        self._subscribed = 0
        self._counts = Counts()
        self._ended: Counter[str] = Counter()
        self._owns_broker = broker is None
        self._broker: Broker = MemoryBroker(clock=self.now) if broker is None else broker
        self._place = self._broker.subscribe(self._deliver, 0)
        self._table.raise_floor(self._place.floor)

    # -- publishing

    async def publish(self, topic: str, data: Any, *, event: str | None = None, key: str | None = None) -> str:
        """Send *data* to all who are subscribed to *topic*; the event's id.

        *data* is text, bytes in UTF-8, or anything else as JSON.  *event* is its name.  *key* says which events of the
        topic it supersedes, for queues that coalesce.  Raises ValueError for a name that cannot be one, TypeError for
        data that is no JSON, RuntimeError once the hub is closed.
        """
        if self._closed:
            raise RuntimeError("the hub is closed")
        if self._table.get(topic) is None:
            check_topic(topic)
        if isinstance(data, ServerSentEvent):
            raise TypeError("publish takes the data of an event, not a ServerSentEvent: the id is the broker's")
        body = encode_data(data) + b"\n"
        if event is not None:
            check_name("event", event)
            body = b"event: %b\n%b" % (event.encode(), body)
        return await self._broker.publish(topic, body, key)

    def topic(
        self,
        name: str,
        *,
        replay_events: int | None = None,
        replay_seconds: float | None = None,
        replay_bytes: int | None = None,
        policy: str | Policy | None = None,
    ) -> None:
        """Set what is kept of a topic, or of all that match a pattern, and what gives way in full queues.

        What is not given stays as it was.  A bound of 0 keeps nothing.  Raises ValueError for a policy that is none.
        """
        check_topic(name, pattern=True)
        if min(replay_events or 0, replay_seconds or 0, replay_bytes or 0) < 0:
            raise ValueError(
                f"topic {name!r} has a negative bound: {replay_events=}, {replay_seconds=}, {replay_bytes=}"
            )
        given = None if policy is None else Policy(policy)
        self._table.configure(name, GivenSettings(replay_events, replay_seconds, replay_bytes, given))

    def set_limits(self, limits: StreamLimits) -> None:
        """Take other bounds: for later subscriptions, and for what topics keep that were not told otherwise."""
        self.limits = limits
        self._table.set_defaults(_kept(limits))

    # -- subscribing

    def subscribe(
        self,
        *topics: str,
        after: str | None = None,
        where: Callable[[HubEvent], bool] | None = None,
        policy: str | Policy | None = None,
        max_events: int | None = None,
        max_bytes: int | None = None,
        identity: Any = None,
        lifetime: float | None = None,
    ) -> Subscription:
        """A place among those who get the events of *topics*, from this moment on; close it.

        *after* is the id of the last event that was seen, or ``earliest``: what followed and is still held comes first,
        and what is not held any more is said by ``event: rat.gap``.  *where* chooses events.  *policy*, *max_events*
        and *max_bytes* are of its queue; the policy is the topic's where none is given.  *identity* is who subscribes,
        for ``authorise`` and ``presence``.  After *lifetime* seconds it ends.

        Raises HTTPError 403 when ``authorise`` says no, ValueError for names and bounds that are none, TypeError when
        *where* or ``authorise`` has to be awaited, RuntimeError once the hub is closed.
        """
        if self._closed:
            raise RuntimeError("the hub is closed")
        if not topics:
            raise ValueError("a subscription needs at least one topic")
        if inspect.iscoroutinefunction(where):
            raise TypeError("where is a coroutine function, and filters are asked while an event is handed out")
        for name in topics:
            check_topic(name, pattern=True)
            if self.authorise is not None and not _decided(self.authorise(name, identity), "authorise"):
                raise HTTPError(403, f"subscribing to {name!r} is not allowed")
        max_events = self.limits.subscriber_events if max_events is None else max_events
        max_bytes = self.limits.subscriber_bytes if max_bytes is None else max_bytes
        if max_events < 1 or max_bytes < 1:
            raise ValueError(f"a queue of {max_events} events and {max_bytes} bytes holds nothing")
        patterns = tuple(TopicPattern(name) for name in topics if is_pattern(name))
        subscription = Subscription(
            self,
            topics,
            patterns,
            where=where,
            policy=None if policy is None else Policy(policy),
            max_events=max_events,
            max_bytes=max_bytes,
            identity=identity,
            since=self.now(),
        )
        expiry = None
        if lifetime is not None:
            timers = self._clock or asyncio.get_running_loop()
            expiry = timers.call_later(lifetime, lambda: subscription.end(EndReason.EXPIRED))
        self._register(subscription)
        if not after:
            subscription.begin(self.sequence, replay=False, gap=None, expiry=expiry)
        else:
            cursor, gap = self._place_of(after, subscription)
            subscription.begin(cursor, replay=True, gap=gap, expiry=expiry)
        return subscription

    def _register(self, subscription: Subscription) -> None:
        self._subscribed += 1
        self._subscriptions[subscription] = None
        joined = {name: self._table.make(name) for name in subscription.names if not is_pattern(name)}
        for pattern in subscription.patterns:
            joined.update((topic.name, topic) for topic in self._table.matching(pattern))
        for topic in joined.values():
            subscription.join(topic)
        if subscription.patterns:
            self._patterns[subscription] = None

    def _place_of(self, after: str, subscription: Subscription) -> tuple[int, dict[str, Any] | None]:
        """Where to begin for one who has seen the event *after*, and what it has missed for good."""
        if after == "earliest":
            return 0, None
        parsed = parse_id(after)
        if parsed is None or parsed[0] != self._broker.epoch or parsed[1] > max(self._broker.sequence, self.sequence):
            # Another life of the numbering, or none of ours: all that is held is news to this client.
            return 0, {"reason": "unknown", "after": after}
        cursor = parsed[1]
        now = self.now()
        missed = []
        for topic in subscription.topics:
            topic.ring.trim(now)
            if topic.ring.floor > cursor:
                missed.append(topic.name)
        if self._table.floor > cursor:
            missed += [pattern.name for pattern in subscription.patterns]
        return cursor, {"reason": "expired", "after": after, "topics": missed} if missed else None

    # -- who is there

    def presence(self, topic: str) -> list[Present]:
        """Who is subscribed to *topic*, by its name or by a pattern, in the order in which they came."""
        found = self._table.get(topic)
        if found is not None:
            members = found.members
        else:
            members = tuple(each for each in self._patterns if any(pattern.matches(topic) for pattern in each.patterns))
        return [Present(each.identity, each.since, each.names) for each in members]

    def disconnect(self, which: Callable[[Present], bool]) -> int:
        """End the subscriptions of those whom *which* chooses; how many there were."""
        leaving = [each for each in self._subscriptions if which(Present(each.identity, each.since, each.names))]
        for subscription in leaving:
            subscription.end(EndReason.DISCONNECTED)
        return len(leaving)

    def statistics(self) -> HubStatistics:
        """What was counted so far; costs a walk over all subscriptions and topics."""
        counts = Counts()
        counts.add(self._counts)
        for subscription in self._subscriptions:
            counts.add(subscription.counts())
        return HubStatistics(
            subscriptions=len(self._subscriptions),
            subscribed=self._subscribed,
            published=self._published,
            counts=counts,
            ended=dict(self._ended),
            queued_events=sum(each.queued_events for each in self._subscriptions),
            queued_bytes=sum(each.queued_bytes for each in self._subscriptions),
            topics={
                topic.name: TopicStatistics(len(topic.members), topic.published, len(topic.ring), topic.ring.size)
                for topic in self._table
            },
        )

    async def close(self) -> None:
        """End all subscriptions and leave the broker, which is closed if it was made for this hub alone."""
        self._closed = True
        self._place.close()
        if self._owns_broker:
            await self._broker.close()
        for subscription in tuple(self._subscriptions):
            subscription.end(EndReason.SHUTDOWN)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- delivering

    def _deliver(self, event: HubEvent) -> None:
        # A filter or a sink may publish: that event waits until this one has reached everybody, so order holds.
        if self._delivering:
            self._waiting.append(event)
            return
        self._delivering = True
        try:
            self._fan_out(event)
            while self._waiting:
                self._fan_out(self._waiting.popleft())
        finally:
            self._delivering = False

    def _fan_out(self, event: HubEvent) -> None:
        topic = self._table.get(event.topic) or self._table.make(event.topic)
        self.sequence = event.sequence
        self._published += 1
        topic.published += 1
        now = self.now()
        topic.ring.append(event, now)
        if members := topic.members:
            chunk = frame_chunk(event.wire)
            for subscription in members:
                subscription.offer(event, chunk)
        if now >= self._next_sweep:
            self._next_sweep = now + _SWEEP
            self._table.sweep(now)

    def _topic_made(self, topic: Topic) -> None:
        """A new topic: patterns may match it."""
        for subscription in self._patterns:
            if any(pattern.matches(topic.name) for pattern in subscription.patterns):
                subscription.join(topic)

    def _tick(self) -> None:
        self._timer = None
        now = self.now()
        for subscription in tuple(self._attached):
            subscription.beat(now)
        if now >= self._next_sweep:
            self._next_sweep = now + _SWEEP
            self._table.sweep(now)
        self._arm()

    def _arm(self) -> None:
        if self._timer is None and self._attached:
            timers = self._clock or asyncio.get_running_loop()
            self._timer = timers.call_later(_TICK, self._tick)

    # -- what subscriptions call

    def attached(self, subscription: Subscription) -> None:
        self._attached[subscription] = None
        self._arm()

    def detached(self, subscription: Subscription) -> None:
        self._attached.pop(subscription, None)
        if not self._attached and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def leave(self, subscription: Subscription, reason: EndReason) -> None:
        self._ended[reason.name.lower()] += 1
        self._counts.add(subscription.counts())
        self._subscriptions.pop(subscription, None)
        self._patterns.pop(subscription, None)
        self.detached(subscription)
        for topic in subscription.topics:
            topic.remove(subscription)
            if topic.is_idle and not topic.published:
                self._table.drop(topic)

    def ring_keeps(self, topic: str) -> bool:
        found = self._table.get(topic)
        return found is not None and found.ring.keeps

    def policy(self, topic: str) -> Policy:
        found = self._table.get(topic)
        return Policy.DROP_OLDEST if found is None else found.policy


def _kept(limits: StreamLimits) -> TopicSettings:
    return TopicSettings(limits.replay_events, limits.replay_seconds, limits.replay_bytes)


def _decided(verdict: object, who: str) -> bool:
    """*verdict* as a bool.  Raises TypeError for one that is still to come: it would count as a yes."""
    if inspect.isawaitable(verdict):
        if inspect.iscoroutine(verdict):
            verdict.close()
        raise TypeError(f"{who} gave {type(verdict).__name__}, expected a bool at once")
    return bool(verdict)
