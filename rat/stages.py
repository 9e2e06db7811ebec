"""How far a request and its answer have come, and why they may come no further."""

from __future__ import annotations

import enum

__all__ = ["TRANSITIONS", "Cause", "Stage"]


class Stage(enum.Enum):
    """How far the exchange has come."""

    IDLE = "no request"
    HANDLING = "the handler works, no byte of the answer is out"
    SENDING = "the head of the answer is out"


class Cause(enum.Enum):
    """Why this side cancelled the handler."""

    DEPARTED = "the connection is gone"
    HALF_CLOSED = "the client closed its side, and the answer has no end of its own"
    DEADLINE = "the handler had its time"
    DRAINING = "the server stops"
    ABORTED = "the connection is being cut from this side"


TRANSITIONS = {
    # stage            sees              becomes
    (Stage.IDLE, "request"): Stage.HANDLING,
    (Stage.HANDLING, "complete answer"): Stage.IDLE,
    (Stage.HANDLING, "head of answer"): Stage.SENDING,
    (Stage.HANDLING, "departure"): Stage.IDLE,
    (Stage.HANDLING, "error"): Stage.IDLE,
    (Stage.SENDING, "end of answer"): Stage.IDLE,
    (Stage.SENDING, "departure"): Stage.IDLE,
    (Stage.SENDING, "error"): Stage.IDLE,
}
