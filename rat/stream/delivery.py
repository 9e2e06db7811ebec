"""How events reach one subscriber: the states of a subscription, why it ends, and what a sink is.

Knows no hub and no queue.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["TRANSITIONS", "EndReason", "Sink", "SubscriptionState", "frame_chunk"]

Sink: TypeAlias = Callable[[bytes], bool]
"""Takes bytes, always; answers False when it wants no more until the subscription's ``resume`` is called."""


class SubscriptionState(enum.Enum):
    """Where the next event comes from."""

    REPLAYING = "from the rings of its topics, until it has seen all that they hold"
    QUEUED = "from its own queue"
    DIRECT = "straight from the publisher to the sink"
    ENDED = "from nowhere"


_S = SubscriptionState

TRANSITIONS: dict[tuple[SubscriptionState, str], SubscriptionState] = {
    # state         sees                           becomes
    (_S.REPLAYING, "the end of the rings"): _S.QUEUED,
    (_S.QUEUED, "an empty queue and a sink"): _S.DIRECT,
    (_S.DIRECT, "pressure"): _S.QUEUED,
    (_S.DIRECT, "detach"): _S.QUEUED,
    (_S.REPLAYING, "end"): _S.ENDED,
    (_S.QUEUED, "end"): _S.ENDED,
    (_S.DIRECT, "end"): _S.ENDED,
}


class EndReason(enum.Enum):
    """Why a subscription ended; all but the first are said to the client by ``event: rat.close``."""

    CLOSED = "its owner closed it"
    EXPIRED = "its time is over"
    OVERFLOW = "it did not keep up"
    SHUTDOWN = "the hub closed"
    DISCONNECTED = "it was told to leave"
    FAILED = "its filter or its sink raised"


def frame_chunk(data: bytes) -> bytes:
    """*data* as one chunk (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)
