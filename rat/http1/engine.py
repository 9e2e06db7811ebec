"""The one door to HTTP/1.1 without I/O: bytes in, events out; events in, bytes out.

One instance per connection.  Knows no socket, task or clock; the date comes from a callable.  Heads go through the
fast lane or through screen and h11, content through neither: :mod:`rat.http1.receiving` counts it and hands it on as it
came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from rat.config import Limits
from rat.errors import RemoteProtocolError
from rat.events import (
    CLOSED,
    NEED_DATA,
    PAUSED,
    ContentReceived,
    EndOfMessage,
    RequestReceived,
    Signal,
)
from rat.http1 import fastlane, reference
from rat.http1.chunked import ChunkedDecoder
from rat.http1.content import LengthDecoder
from rat.http1.receiving import ContentSide
from rat.http1.screen import judge_start, screen
from rat.http1.state import TRANSITIONS, Answer, HttpState, Step

__all__ = ["HttpEngine", "HttpEvent", "HttpState", "ReferenceEngine"]

HttpEvent: TypeAlias = RequestReceived | ContentReceived | EndOfMessage | Signal

# A global is cheaper than an attribute of an Enum, which costs 0.15 us on CPython 3.11 (bench/micro_http1.py).
_IDLE: Final = HttpState.IDLE
_HEAD: Final = HttpState.HEAD
_BODY: Final = HttpState.BODY
_ANSWER: Final = HttpState.ANSWER
_OWED: Final = Answer.OWED
_WHOLE: Final = TRANSITIONS[_IDLE, Step.WHOLE_REQUEST]


class ReferenceEngine(ContentSide):
    """HTTP/1.1 of a server over one connection (RFC 9112).

    ``next_event`` is pulled: a request that lies complete in the buffer is one event.  After RemoteProtocolError one
    answer may be sent, or the one that has begun be finished.  After a LocalProtocolError while an answer was under way
    the connection must be cut: its framing is lost.

    state            see HttpState
    must_close       the connection ends when the answer is complete
    content_allowed  False while the answer may carry no content (RFC 9110, sections 9.3.2, 15.3.5, 15.4.5)
    """

    __slots__ = ("_empty_line", "_lane")

    def __init__(
        self,
        limits: Limits,
        *,
        date: Callable[[], bytes],
        server_header: bytes | None = b"rat",
        http: str = "auto",
    ) -> None:
        """*date* gives the value of the Date field.  *http* is ``auto``, or ``h11`` for no short cuts."""
        super().__init__(limits, date, server_header)
        self._lane = fastlane.lane_reader(limits) if http == "auto" else None
        self._empty_line = False

    # -- what comes

    def receive_data(self, data: bytes) -> None:
        """Take bytes of the peer.  What is wrong with them shows at ``next_event``."""
        held = self._data
        if self._at >= len(held):
            self._data = data
            self._at = self._scanned = 0
        elif self.state is not HttpState.CLOSED:
            if isinstance(held, bytes):
                held = self._data = bytearray(memoryview(held)[self._at :])
                self._scanned = max(0, self._scanned - self._at)
                self._at = 0
            held += data

    def receive_request(self, data: bytes) -> RequestReceived | None:
        """``receive_data`` and ``next_event`` in one, for *data* that is one whole plain request and nothing else.

        None for any other: it has been received.
        """
        if self.state is _IDLE and not self._data and self._lane is not None:
            request = self._lane(data, 0)
            if (
                request is not None
                and request.content is not None
                and request.stop == len(data)
                and request.keep_alive
                and request.method != "HEAD"
            ):
                self._request = request
                self._by_lane = self._quick = True
                self._empty_line = self.must_close = False
                self._answer = _OWED
                self.state = _WHOLE
                return request
        self.receive_data(data)
        return None

    def receive_eof(self) -> None:
        """The peer will send no more; what it asked for already is still answered."""
        self._eof = True

    @property
    def is_quiet(self) -> bool:
        """Between two requests, with no byte of the next one: ``next_event`` would say NEED_DATA."""
        return self.state is _IDLE and not self._data and not self._eof

    def next_event(self) -> HttpEvent:
        """The next event, or NEED_DATA, PAUSED, CLOSED.

        Raises RemoteProtocolError, once, with the status that answers it; CLOSED from then on.
        """
        state = self.state
        if state is _ANSWER:
            return PAUSED
        if state is _IDLE or state is _HEAD:
            data = self._data
            at = self._at
            if at < len(data) and self._lane is not None and type(data) is bytes:
                request = self._lane(data, at)
                if request is not None:
                    return self._take(request, data)
            elif not data and not self._eof:
                return NEED_DATA
            return self._next_head()
        if state is _BODY:
            return self._next_content()
        if state is HttpState.DISCARD or state is HttpState.DRAIN:
            signal = self._swallow()
            # The next head comes by the same door.
            return self.next_event() if signal is None else signal
        return CLOSED

    # -- heads of requests

    def _take(self, request: RequestReceived, data: bytes) -> RequestReceived:
        """Start the exchange of a request whose head the fast lane has read."""
        self._request = request
        self._by_lane = True
        # The answer to HEAD has no content.
        self._quick = request.keep_alive and request.method != "HEAD"
        self.must_close = not request.keep_alive
        if request.content is None:
            self._begin(request, data, request.stop)
        else:
            self._consumed(request.stop)
            self._empty_line = False
            self._answer = _OWED
            self.state = _WHOLE
        return request

    def _next_head(self) -> HttpEvent:
        data = self._data
        at = self._at
        size = len(data)
        if at < size and data[at] == 0x0D and not self._empty_line:
            # RFC 9112, section 2.2: ignore an empty line before the request line.  One, and it begins no request; but
            # the time for a head counts from its first byte.
            self._move(Step.HEAD_BEGINS)
            if size == at + 1 and not self._eof:
                return NEED_DATA
            if data[at + 1 : at + 2] in (b"\n", b""):
                self._empty_line = True
                at = self._at = self._scanned = min(at + 2, size)
        if at >= size:
            self._data = b""
            self._at = self._scanned = 0
            if self._eof:
                self._move(Step.PEER_CLOSED)
                return CLOSED
            return NEED_DATA
        limits = self._limits
        scanned = max(at, self._scanned)
        end = data.find(b"\r\n\r\n", max(at, scanned - 3)) + 4
        if end < 4 or end - at > limits.head:
            try:
                judge_start(data, at, scanned, limits)
            except RemoteProtocolError as error:
                raise self._fail(error) from None
            self._move(Step.HEAD_BEGINS)
            self._scanned = size
            if self._eof:
                raise self._fail(RemoteProtocolError(f"the peer closed after {size - at} bytes of a head"))
            return NEED_DATA
        if not isinstance(data, bytes):
            data = self._data = bytes(data)
            if self._lane is not None:
                taken = self._lane(data, at)
                if taken is not None:
                    return self._take(taken, data)
        raw = data[at:end]
        try:
            head = screen(raw, limits)
            reference.read_request(raw, head)
        except RemoteProtocolError as error:
            raise self._fail(error) from None
        request = RequestReceived(
            head.method.decode("ascii"),
            head.target,
            head.path,
            head.query,
            b"%b %b" % (head.method, head.path),
            head.http_version,
            head.authority,
            head.field_section,
            head.content_length,
            head.keep_alive,
            head.expects_continue,
            b"" if head.content_length == 0 else None,
        )
        self._request = request
        self._by_lane = False
        self.must_close = not head.keep_alive
        self._begin(request, data, end)
        return request

    def _begin(self, request: RequestReceived, data: bytes, end: int) -> None:
        """Start the exchange of *request*, whose head ended at *end*; give it its content if that is there already."""
        self._empty_line = False
        self._answer = Answer.OWED
        self._swallowed = 0
        length = request.content_length
        if length is None:
            decoder = ChunkedDecoder(self._limits)
            pieces: list[bytes] = []
            try:
                body_end = decoder.decode(data, end, pieces)
            except RemoteProtocolError:
                body_end = end
            if decoder.is_done:
                request.content = b"".join(pieces)
                request.trailers = decoder.trailers
                end = body_end
            else:
                # Not whole, or wrong: that shows when the content is pulled, as if it had come later.
                self._content = ChunkedDecoder(self._limits)
        elif length:
            if len(data) - end >= length:
                request.content = data[end : end + length]
                end += length
            else:
                self._content = LengthDecoder(length)
        self._consumed(end)
        if request.content is None:
            self._continue = request.expects_continue
            self._quick = False
            self._move(Step.REQUEST)
        else:
            self._move(Step.WHOLE_REQUEST)


class HttpEngine(ReferenceEngine):
    """A ReferenceEngine whose verbs take the way of nearly every request in C, where that could be built."""

    __slots__ = ()

    if not TYPE_CHECKING and fastlane.implementation == "native":
        from rat.http1._lane import verbs

        receive_request, next_event, answer = verbs(
            ReferenceEngine, (_IDLE, _HEAD, _ANSWER, _OWED, Answer.NONE, PAUSED, NEED_DATA)
        )
        del verbs
