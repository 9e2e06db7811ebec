"""What the frames engine says and hears: one class for each kind of frame, the same received and sent.

Knows no bytes and no connection.  Stream ids are those of the wire: odd ones are the client's calls.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from rat.events import Buffer

__all__ = [
    "UNSAID",
    "Call",
    "Cancel",
    "Credit",
    "Data",
    "End",
    "Error",
    "Event",
    "Exhausted",
    "Goaway",
    "Hello",
    "Item",
    "Ping",
    "Pong",
    "Profile",
    "Result",
]


Profile: TypeAlias = Literal["full", "bincode"]
UNSAID: Final = 1 << 62
"""What a peer holds that does not say how much: no bound that anybody could meet."""


class _Event:
    """Equal when the class and every field are; for tests and for people, not for the hot path."""

    __slots__: tuple[str, ...] = ()

    def _fields(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in type(self).__slots__)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), repr(self._fields())))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in type(self).__slots__)
        return f"{type(self).__name__}({inside})"


class Hello(_Event):
    """The peer has said what it takes.

    frame     largest payload that the sender takes, in bytes
    value     largest value that it assembles from several frames, in bytes
    streams   calls that it answers at once
    credit    first window of every stream towards it, in bytes
    held      bytes of arguments and of what is unread that it holds, of all calls together; UNSAID if it says nothing
    features  ``tables``, ``checksum``, ``zstd``: those that it offers; of a server, those that hold from now on
    profile   ``full`` or ``bincode``
    """

    __slots__ = ("credit", "features", "frame", "held", "profile", "streams", "value", "version")

    def __init__(
        self,
        *,
        version: int = 1,
        frame: int,
        value: int,
        streams: int,
        credit: int,
        held: int = UNSAID,
        features: frozenset[str] = frozenset(),
        profile: Profile = "full",
    ) -> None:
        self.version = version
        self.frame = frame
        self.value = value
        self.streams = streams
        self.credit = credit
        self.held = held
        self.features = features
        self.profile = profile


class Call(_Event):
    """A call by name.  *is_open*: the caller goes on with items or data and finishes with End.

    *options*: what the caller asks of the other side, ``deadline`` (seconds, counted from arrival) being the one that
    this project knows.
    """

    __slots__ = ("args", "is_open", "kwargs", "name", "options", "stream_id")

    def __init__(
        self,
        stream_id: int,
        name: str,
        args: list[Any],
        kwargs: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        is_open: bool = False,
    ) -> None:
        self.stream_id = stream_id
        self.name = name
        self.args = args
        self.kwargs = kwargs
        self.options = options
        self.is_open = is_open


class Result(_Event):
    """The answer to a call, and its end."""

    __slots__ = ("stream_id", "value")

    def __init__(self, stream_id: int, value: Any) -> None:
        self.stream_id = stream_id
        self.value = value


class Item(_Event):
    """One value of a stream, either direction.

    *size*: the credit that it holds, in bytes, until it is consumed.  *length*: its own, of which a large one is
    charged a part.
    """

    __slots__ = ("length", "size", "stream_id", "value")

    def __init__(self, stream_id: int, value: Any, size: int = 0, length: int | None = None) -> None:
        self.stream_id = stream_id
        self.value = value
        self.size = size
        self.length = size if length is None else length


class Data(_Event):
    """A slice of a blob, either direction.  *size*: the credit that it holds, in bytes, until it is consumed."""

    __slots__ = ("data", "size", "stream_id")

    def __init__(self, stream_id: int, data: Buffer, size: int = 0) -> None:
        self.stream_id = stream_id
        self.data = data
        self.size = size


class End(_Event):
    """The sender's part of the stream is whole.  Of the callee it is the end of the call."""

    __slots__ = ("stream_id",)

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id


class Error(_Event):
    """The call has failed, and is over."""

    __slots__ = ("code", "detail", "message", "stream_id")

    def __init__(self, stream_id: int, code: str, message: str, detail: Any = None) -> None:
        self.stream_id = stream_id
        self.code = code
        self.message = message
        self.detail = detail


class Cancel(_Event):
    """The sender wants nothing more of this call; it is over."""

    __slots__ = ("stream_id",)

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id


class Credit(_Event):
    """*amount* more bytes of items and data may be sent on the stream."""

    __slots__ = ("amount", "stream_id")

    def __init__(self, stream_id: int, amount: int) -> None:
        self.stream_id = stream_id
        self.amount = amount


class Ping(_Event):
    """Is anybody there?  Eight bytes that come back as they are; the engine answers by itself."""

    __slots__ = ("data",)

    def __init__(self, data: bytes = bytes(8)) -> None:
        self.data = data


class Pong(_Event):
    """The answer to a Ping."""

    __slots__ = ("data",)

    def __init__(self, data: bytes = bytes(8)) -> None:
        self.data = data


class Goaway(_Event):
    """No new calls are taken; those up to *last* are finished.  *code*: ``drain``, or what the sender refuses."""

    __slots__ = ("code", "last", "message")

    def __init__(self, last: int = 0, code: str = "drain", message: str = "") -> None:
        self.last = last
        self.code = code
        self.message = message


class Exhausted(_Event):
    """The peer has sent more than this side holds unread, and a call is over for it.

    The peer has been told: with ERROR ``exhausted`` where the call was its own, with CANCEL where it was this side's.
    *event*: what there is room for now, if that was for another call.
    """

    __slots__ = ("event", "reason", "stream_id")

    def __init__(self, stream_id: int, reason: str, event: Call | Item | Data | None = None) -> None:
        self.stream_id = stream_id
        self.reason = reason
        self.event = event


Event: TypeAlias = (
    Hello | Call | Result | Item | Data | End | Error | Cancel | Credit | Ping | Pong | Goaway | Exhausted
)  # fmt: skip
