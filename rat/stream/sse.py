"""Server-sent events as text: one event becomes bytes, a stream of events becomes a stream of bytes.

https://html.spec.whatwg.org/#server-sent-events is obeyed by fragment: ``parsing-an-event-stream`` for the framing,
``authoring-notes`` for the comments that keep proxies awake.  Knows no response and no connection.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

__all__ = [
    "HEARTBEAT",
    "EncodedEvent",
    "Event",
    "ServerSentEvent",
    "WithDone",
    "encode_event",
    "goodbye",
    "retry_field",
    "with_done",
]

HEARTBEAT = b":\n\n"
"""A comment without text: it keeps proxies and stalled readers honest, and no client sees it."""

_NOT_IN_NAMES = "\r\n\0"
# A union written where it is used is made anew each time.
_BYTES = (bytes, bytearray, memoryview)


@dataclass(slots=True)
class ServerSentEvent:
    """One event.

    data     text; bytes that are UTF-8; None for no data, which no client dispatches; anything else is sent as JSON
    event    the event's name; ``message`` where there is none
    id       what the client sends as Last-Event-ID when it comes back; ``""`` makes it forget
    retry    seconds that the client waits before it comes back
    comment  text that no client shows

    Line ends of any kind in *data* and *comment* are framed right, and all arrive as LF.  Raises ValueError for CR, LF
    or NUL in *event* and *id*, and for a *retry* that is no time.
    """

    data: Any = None
    event: str | None = None
    id: str | None = None
    retry: float | None = None
    comment: str | None = None

    # Not frozen: that makes an event cost three times as much (10,000 instructions more).  So its names are looked at
    # when it is sent as well.
    def __post_init__(self) -> None:
        check_name("event", self.event)
        check_name("id", self.id)
        if self.retry is not None:
            retry_field(self.retry)


class EncodedEvent:
    """An event that has been encoded already, once for all who get it: ``wire`` is its bytes."""

    __slots__ = ("wire",)

    def __init__(self, wire: bytes) -> None:
        self.wire = wire


Event: TypeAlias = ServerSentEvent | EncodedEvent | str | bytes | dict[str, Any] | list[Any]
"""What a stream of events may yield; everything but the first two is the data of an event."""


def check_name(what: str, value: str | None) -> None:
    """Raise ValueError when *value* cannot be the value of the field *what*."""
    if value is not None and ("\n" in value or "\r" in value or "\0" in value):
        found = min(value.index(wrong) for wrong in _NOT_IN_NAMES if wrong in value)
        raise ValueError(f"{what} {value!r} has {value[found]!r} at {found}")


def retry_field(seconds: float) -> bytes:
    """The line that sets the reconnection time; milliseconds on the wire."""
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"retry is {seconds} seconds, and must be finite and not negative")
    return b"retry: %d\n" % round(seconds * 1000)


def _lines(name: bytes, text: bytes, end: bytes = b"\n") -> bytes:
    """*text* as fields of *name*, which ends with a colon: one for each of its lines, which end with LF, CR or both.

    *end* is what stands behind the last one.
    """
    # Half of what ``in`` costs, and a tenth of an expression.
    if text.find(b"\n") < 0 and text.find(b"\r") < 0:
        return b"".join((name, text, end))
    lines = text.splitlines()
    if text[-1] in b"\r\n":
        # Behind the last line end is a line as well, an empty one.
        lines.append(b"")
    return b"\n".join([name + line for line in lines]) + end


def _json(data: Any, end: bytes) -> bytes:
    try:
        # JSON by orjson has no line ends.
        return b"".join((b"data: ", orjson.dumps(data), end))
    except orjson.JSONEncodeError as error:
        raise TypeError(f"event data of type {type(data).__name__} is no JSON: {error}") from None


def encode_data(data: Any, end: bytes = b"\n") -> bytes:
    """The data field's lines for *data*.  Raises TypeError for what is no JSON, UnicodeError for what is no UTF-8."""
    if isinstance(data, str):
        return _lines(b"data: ", data.encode(), end)
    if isinstance(data, _BYTES):
        text = bytes(data)
        text.decode()
        return _lines(b"data: ", text, end)
    return _json(data, end)


def encode_event(event: Event) -> bytes:
    """The bytes of *event*, the empty line that dispatches it included."""
    if type(event) is dict:
        # What most generators yield.
        return _json(event, b"\n\n")
    if isinstance(event, EncodedEvent):
        return event.wire
    if not isinstance(event, ServerSentEvent):
        return encode_data(event, b"\n\n")
    parts = []
    if event.comment is not None:
        parts.append(_lines(b": ", event.comment.encode()))
    if event.event is not None:
        check_name("event", event.event)
        parts += (b"event: ", event.event.encode(), b"\n")
    if event.id is not None:
        check_name("id", event.id)
        parts += (b"id: ", event.id.encode(), b"\n")
    if event.retry is not None:
        parts.append(retry_field(event.retry))
    if event.data is not None:
        parts.append(encode_data(event.data))
    parts.append(b"\n")
    return b"".join(parts)


def goodbye(retry: float, random: Callable[[], float], *, reason: str = "the server stops") -> bytes:
    """The last event of a stream that the server ends: ``rat.close``, with a time to come back.

    *random* gives numbers from 0 to 1 (exclusive): the clients come back between *retry* and twice *retry* seconds from
    now, not all at once.  It carries no id, so the client still knows the last event that it got.
    """
    delay = retry * (1 + random())
    return encode_event(ServerSentEvent(event="rat.close", retry=delay, data={"reason": reason}))


class WithDone(AsyncIterator[Event]):
    """The events of a stream, and at its end the data ``[DONE]``: the convention of token streams."""

    __slots__ = ("_done", "_events", "_iterator")

    def __init__(self, events: AsyncIterable[Event]) -> None:
        self._events = events
        self._iterator = aiter(events)
        self._done = False

    def __aiter__(self) -> WithDone:
        return self

    async def __anext__(self) -> Event:
        if self._done:
            raise StopAsyncIteration
        try:
            return await anext(self._iterator)
        except StopAsyncIteration:
            self._done = True
            return "[DONE]"
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._done = True
            raise

    async def aclose(self) -> None:
        """Close the stream below."""
        self._done = True
        await close_source(self._events, self._iterator)


def with_done(events: AsyncIterable[Event]) -> WithDone:
    """*events*, followed by an event whose data is ``[DONE]``; not after an error."""
    return WithDone(events)


async def close_source(*sources: object) -> None:
    """``aclose`` every one of *sources* that has it, each once, the last first; one that never started as well."""
    seen: list[object] = []
    for source in reversed(sources):
        if any(source is other for other in seen):
            continue
        seen.append(source)
        aclose = getattr(source, "aclose", None)
        if aclose is not None:
            await aclose()
