"""What a hub counts.

Knows no hub: plain records.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

__all__ = ["Counts", "HubStatistics", "Present", "TopicStatistics"]


@dataclass(slots=True)
class Counts:
    """What became of events on their way to subscribers."""

    delivered: int = 0
    """Handed over to a subscriber, replayed ones included."""
    replayed: int = 0
    gaps: int = 0
    """How often a subscriber was told that it missed something."""
    dropped_oldest: int = 0
    dropped_newest: int = 0
    coalesced: int = 0

    def add(self, other: Counts) -> None:
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))


@dataclass(frozen=True, slots=True)
class TopicStatistics:
    """One topic: its subscribers, what was published, and what is held for replay (events, and bytes as encoded)."""

    subscribers: int
    published: int
    held_events: int
    held_bytes: int


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """A hub since it was made.  ``queued`` and ``held`` are now, everything else since the beginning."""

    subscriptions: int
    """How many there are now."""
    subscribed: int
    """How many there have been."""
    published: int
    counts: Counts
    ended: dict[str, int]
    """Ended subscriptions by reason, in lower case: ``closed``, ``expired``, ``overflow`` ..."""
    queued_events: int
    queued_bytes: int
    topics: dict[str, TopicStatistics] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Present:
    """One who is subscribed: who, since when (seconds on the hub's clock), and to which topics and patterns."""

    identity: Any
    since: float
    topics: tuple[str, ...]
