"""The states of a connection and of its calls, and what may be seen in them: transitions as data.

Knows no bytes.  The engine looks here; the documentation prints it.
"""

from __future__ import annotations

import enum
from typing import Final

from rat.codec.frame import Kind

__all__ = ["CALLEE_SENDS", "CALLER_SENDS", "CONNECTION", "ConnectionState", "StreamState"]


class ConnectionState(enum.Enum):
    """Where a connection stands, seen from one side."""

    HELLO = "the peer's HELLO has not come"
    OPEN = "calls are made and answered"
    DRAINING = "this side has sent GOAWAY: open calls finish, new ones are refused"
    FAILED = "a rule was broken: one GOAWAY has been written, nothing more is read"
    CLOSED = "the peer will send no more"

    __hash__ = object.__hash__  # enum's own is a Python function: 0.15 us at each look into a table


class StreamState(enum.Enum):
    """Where a call stands.  Both sides keep the same states; a call that is over is forgotten."""

    OPEN = "the caller may send more items, the answer is owed"
    ENDED = "the caller has sent all, the answer is owed"
    OVER = "answered, failed or cancelled"

    __hash__ = object.__hash__


_AFTER_HELLO: Final = (Kind.CALL, Kind.RESULT, Kind.ITEM, Kind.END, Kind.ERROR, Kind.CANCEL, Kind.CREDIT, Kind.DATA,
                       Kind.PING, Kind.PONG, Kind.GOAWAY)  # fmt: skip

CONNECTION: Final[dict[ConnectionState, dict[Kind, ConnectionState]]] = {
    # state: what may be received in it, and what it becomes; everything else makes it FAILED
    ConnectionState.HELLO: {Kind.HELLO: ConnectionState.OPEN, Kind.GOAWAY: ConnectionState.HELLO},
    ConnectionState.OPEN: dict.fromkeys(_AFTER_HELLO, ConnectionState.OPEN),
    ConnectionState.DRAINING: dict.fromkeys(_AFTER_HELLO, ConnectionState.DRAINING),
    ConnectionState.FAILED: {},
    ConnectionState.CLOSED: {},
}

CALLER_SENDS: Final[dict[StreamState, dict[Kind, StreamState]]] = {
    # what the side that made the call may send on it, and what the call becomes
    StreamState.OPEN: {
        Kind.ITEM: StreamState.OPEN,
        Kind.DATA: StreamState.OPEN,
        Kind.END: StreamState.ENDED,
        Kind.CREDIT: StreamState.OPEN,
        Kind.CANCEL: StreamState.OVER,
    },
    StreamState.ENDED: {
        Kind.CREDIT: StreamState.ENDED,
        Kind.CANCEL: StreamState.OVER,
    },
}

CALLEE_SENDS: Final[dict[StreamState, dict[Kind, StreamState]]] = {
    # what the side that answers may send: the end of the answer is the end of the call
    StreamState.OPEN: {
        Kind.ITEM: StreamState.OPEN,
        Kind.DATA: StreamState.OPEN,
        Kind.CREDIT: StreamState.OPEN,
        Kind.RESULT: StreamState.OVER,
        Kind.END: StreamState.OVER,
        Kind.ERROR: StreamState.OVER,
        Kind.CANCEL: StreamState.OVER,
    },
    StreamState.ENDED: {
        Kind.ITEM: StreamState.ENDED,
        Kind.DATA: StreamState.ENDED,
        Kind.CREDIT: StreamState.ENDED,  # it may have crossed the caller's END
        Kind.RESULT: StreamState.OVER,
        Kind.END: StreamState.OVER,
        Kind.ERROR: StreamState.OVER,
        Kind.CANCEL: StreamState.OVER,
    },
}
