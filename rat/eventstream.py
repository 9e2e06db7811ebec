"""The answer that is a stream of server-sent events.

How events become bytes is ``rat.stream.sse``'s business, when a comment is sent ``rat.stream.heartbeat``'s.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterable

from rat.events import KeptFields
from rat.fields import HeaderSource
from rat.responses import Response
from rat.router import UNSET, Unset
from rat.stream.heartbeat import HEARTBEAT_AFTER, EventBytes, event_bytes
from rat.stream.sse import Event, goodbye, retry_field
from rat.stream.subscription import Subscription

__all__ = ["EventStream"]

_TYPE = "text/event-stream; charset=utf-8"
_FIELDS = KeptFields(
    (
        (b"content-type", _TYPE.encode()),
        (b"cache-control", b"no-store"),
        # Proxies that gather an answer before they pass it on would keep events back.
        (b"x-accel-buffering", b"no"),
    )
)
_COMES_BACK_AFTER = 1.0
"""Least seconds until clients return to a server that stops, where the stream names no *retry*."""


class EventStream(Response):
    """Events as they come (WHATWG HTML, section 9.2), until *events* ends or the client leaves.

    *heartbeat*: seconds of silence after which a comment is sent, None for never; left out, the server's
    ``stream.heartbeat``.  *retry*: seconds after which a client that lost the connection comes back; announced first.
    *events* is closed with the stream, also one that never started.
    """

    __slots__ = ("_heartbeat", "_retry", "subscription")

    def __init__(
        self,
        events: AsyncIterable[Event],
        *,
        heartbeat: float | Unset | None = UNSET,
        retry: float | None = None,
        status: int = 200,
        headers: HeaderSource | None = None,
        compress: bool | None = False,
    ) -> None:
        if not isinstance(events, AsyncIterable):
            raise TypeError(f"events are {type(events).__name__}, expected an async iterable")
        if retry is not None:
            retry_field(retry)
        super().__init__(b"", status, headers, content_type=_TYPE, compress=compress)
        if headers is None:
            # One for all: fields of its own for each of many thousand streams would be a tenth of what they cost.
            self._fields = _FIELDS
        else:
            for name, value in _FIELDS[1:]:
                self.headers.setdefault(name.decode(), value.decode())
        self._heartbeat = heartbeat
        self.body = event_bytes(events, heartbeat=self.heartbeat, retry=retry)
        self.subscription = events if isinstance(events, Subscription) and not compress else None
        """The bare subscription to the hub, which can be told to write straight to the connection."""
        self.is_open_ended = True
        self._retry = retry

    @property
    def heartbeat(self) -> float | None:
        """Seconds of silence after which a comment is sent, None for never."""
        return HEARTBEAT_AFTER if isinstance(self._heartbeat, Unset) else self._heartbeat

    def default_heartbeat(self, seconds: float) -> None:
        """What the server is told, for a stream that was not; before it begins.  0 is never."""
        if isinstance(self._heartbeat, Unset):
            self._heartbeat = seconds
            if isinstance(self.body, EventBytes):
                self.body.heartbeat = seconds or None

    @property
    def opening(self) -> bytes:
        """What stands before the first event: the reconnection time, where one is named."""
        return b"" if self._retry is None else retry_field(self._retry) + b"\n"

    def goodbye(self) -> bytes:
        """The event ``rat.close``, with a time to come back that differs from client to client."""
        return goodbye(_COMES_BACK_AFTER if self._retry is None else self._retry, random.random)
