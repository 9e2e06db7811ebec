"""Names of topics, patterns over them, and what a hub holds for each topic.

A name is segments between slashes.  In a pattern, ``*`` stands for exactly one segment: ``rooms/*`` is for ``rooms/1``
and not for ``rooms/1/users``.  Knows neither events nor subscribers beyond their order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from rat.stream.policy import Policy
from rat.stream.ring import ReplayRing

if TYPE_CHECKING:
    from rat.stream.subscription import Subscription

__all__ = ["GivenSettings", "Topic", "TopicPattern", "TopicSettings", "TopicTable", "check_topic", "is_pattern"]

_MAX_NAME = 512
_CONTROL = re.compile("[\0-\x1f\x7f]")


def is_pattern(name: str) -> bool:
    return "*" in name and "*" in name.split("/")


def check_topic(name: str, *, pattern: bool = False) -> str:
    """*name*, if it can be the name of a topic (or a pattern, where that is allowed).  Raises ValueError else."""
    if not name or len(name) > _MAX_NAME:
        raise ValueError(f"topic name of {len(name)} characters, and must have 1 to {_MAX_NAME}")
    if found := _CONTROL.search(name):
        raise ValueError(f"topic {name!r} has the control character {found.group()!r} at {found.start()}")
    if not pattern and is_pattern(name):
        raise ValueError(f"topic {name!r} is a pattern, and only subscriptions take patterns")
    return name


class TopicPattern:
    """A compiled pattern."""

    __slots__ = ("_match", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        segments = ["[^/]+" if segment == "*" else re.escape(segment) for segment in name.split("/")]
        self._match = re.compile("/".join(segments)).fullmatch

    def matches(self, name: str) -> bool:
        return self._match(name) is not None


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """How much of a topic is kept for replay, and what gives way in a full queue."""

    replay_events: int
    replay_seconds: float
    replay_bytes: int
    policy: Policy = Policy.DROP_OLDEST


@dataclass(frozen=True, slots=True)
class GivenSettings:
    """What the application says of a topic; None: the hub's default, whatever that will be."""

    replay_events: int | None = None
    replay_seconds: float | None = None
    replay_bytes: int | None = None
    policy: Policy | None = None

    def over(self, other: TopicSettings | GivenSettings) -> Any:
        """*other* with what is given here in its place."""
        return replace(other, **{key: value for key, value in asdict(self).items() if value is not None})


class Topic:
    """What a hub holds for one topic: its ring, its subscribers in the order in which they came, its counts."""

    __slots__ = ("_by_name", "_members", "_snapshot", "name", "policy", "published", "ring", "settled")

    def __init__(self, name: str, settings: TopicSettings, *, floor: int) -> None:
        self.name = name
        self.settled = False
        """Has settings of its own, and stays when it is empty."""
        self.published = 0
        self.ring = ReplayRing(max_events=0, max_seconds=0, max_bytes=0, floor=floor)
        self._members: dict[Subscription, bool] = {}
        self._by_name = 0
        self._snapshot: tuple[Subscription, ...] | None = ()
        self.policy = settings.policy
        self.apply(settings)

    def apply(self, settings: TopicSettings) -> None:
        """Take other settings; what passes the new bounds goes with the next event."""
        self.policy = settings.policy
        self.ring.max_events = settings.replay_events
        self.ring.max_seconds = settings.replay_seconds
        self.ring.max_bytes = settings.replay_bytes

    @property
    def members(self) -> tuple[Subscription, ...]:
        """The subscribers; the tuple stays as it is when they change while it is walked."""
        if self._snapshot is None:
            self._snapshot = tuple(self._members)
        return self._snapshot

    @property
    def is_pinned(self) -> bool:
        """Has settings of its own, or a subscriber who asked for its very name."""
        return self.settled or self._by_name > 0

    @property
    def is_idle(self) -> bool:
        """Nothing is held, and nobody would notice if it were made anew when it is needed."""
        return not self.is_pinned and not len(self.ring)

    def add(self, subscription: Subscription, *, by_name: bool) -> None:
        self._members[subscription] = by_name
        self._by_name += by_name
        self._snapshot = None

    def remove(self, subscription: Subscription) -> None:
        self._by_name -= self._members.pop(subscription, False)
        self._snapshot = None


class TopicTable:
    """All topics of a hub.  At most *most* that nobody asked for by name; past it, those silent longest go.

    ``floor`` is the newest event of any topic that went: a topic that is made anew may have lost that much.
    """

    def __init__(self, defaults: TopicSettings, *, most: int, on_made: Callable[[Topic], None]) -> None:
        self._defaults = defaults
        self._on_made = on_made
        self._most = most
        self._topics: dict[str, Topic] = {}
        self._exact: dict[str, GivenSettings] = {}
        self._patterns: list[tuple[TopicPattern, GivenSettings]] = []
        self.floor = 0

    def __len__(self) -> int:
        return len(self._topics)

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._topics.values())

    def get(self, name: str) -> Topic | None:
        return self._topics.get(name)

    def make(self, name: str) -> Topic:
        """The topic of this name, made when there is none."""
        topic = self._topics.get(name)
        if topic is None:
            if len(self._topics) >= self._most:
                self._evict()
            topic = self._topics[name] = Topic(name, self.settings(name), floor=self.floor)
            topic.settled = name in self._exact
            self._on_made(topic)
        return topic

    def settings(self, name: str) -> TopicSettings:
        """Those given for the name, else for the first pattern that matches, else the defaults."""
        given = self._given(name)
        settings: TopicSettings = self._defaults if given is None else given.over(self._defaults)
        return settings

    def _given(self, name: str) -> GivenSettings | None:
        exact = self._exact.get(name)
        if exact is not None:
            return exact
        return next((settings for pattern, settings in self._patterns if pattern.matches(name)), None)

    def set_defaults(self, defaults: TopicSettings) -> None:
        """What holds where nothing is given."""
        self._defaults = defaults
        for topic in self._topics.values():
            topic.apply(self.settings(topic.name))

    def configure(self, name: str, given: GivenSettings) -> None:
        """Give settings to a topic, or to all that match a pattern; what is not given stays as it was."""
        was = self._given(name)
        settings = given if was is None else given.over(was)
        if is_pattern(name):
            self._patterns = [pair for pair in self._patterns if pair[0].name != name]
            self._patterns.append((TopicPattern(name), settings))
        else:
            self._exact[name] = settings
            self.make(name).settled = True
        for topic in self._topics.values():
            topic.apply(self.settings(topic.name))

    def matching(self, pattern: TopicPattern) -> list[Topic]:
        return [topic for name, topic in self._topics.items() if pattern.matches(name)]

    def raise_floor(self, floor: int) -> None:
        """Any topic may have lost events up to *floor*."""
        self.floor = max(self.floor, floor)
        for topic in self._topics.values():
            topic.ring.floor = max(topic.ring.floor, floor)

    def sweep(self, now: float) -> None:
        """Let go what is too old, and the topics that are empty."""
        for topic in list(self._topics.values()):
            topic.ring.trim(now)
            if topic.is_idle:
                self.drop(topic)

    def drop(self, topic: Topic) -> None:
        """Forget a topic; those who are subscribed to it by a pattern will meet it again when it is made anew."""
        for subscription in topic.members:
            subscription.part(topic)
        del self._topics[topic.name]
        self.floor = max(self.floor, topic.ring.newest)

    def _evict(self) -> None:
        # A tenth at once, so that the search is paid for by as many new topics.
        free = [topic for topic in self._topics.values() if not topic.is_pinned]
        free.sort(key=lambda topic: topic.ring.newest)
        for topic in free[: max(1, self._most // 10)]:
            self.drop(topic)
