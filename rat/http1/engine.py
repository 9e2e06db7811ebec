"""The one door to HTTP/1.1 without I/O: bytes in, events out; events in, bytes out.

One instance per connection.  Knows no socket, task or clock; the date comes from a callable.  Heads go through the
fast lane or through screen and h11, content through neither: it is counted here and handed on as it came.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, TypeAlias

from rat.config import Limits
from rat.errors import LocalProtocolError, RemoteProtocolError
from rat.events import (
    CLOSED,
    NEED_DATA,
    PAUSED,
    Buffer,
    CompleteResponse,
    ContentReceived,
    EndOfMessage,
    FieldLines,
    FileRegion,
    InformationalResponse,
    RequestReceived,
    ResponseContent,
    ResponseEnd,
    ResponseStart,
    Signal,
    Wire,
)
from rat.http1 import reference
from rat.http1.answer import Framing, Plan, check_field, forbids_content, plan_answer
from rat.http1.chunked import JOIN_BELOW, ChunkedDecoder, ChunkState, chunk, last_chunk
from rat.http1.screen import judge_start, screen

__all__ = ["TRANSITIONS", "HttpEngine", "HttpState", "Step"]


class HttpState(Enum):
    IDLE = "no byte of a next request"
    HEAD = "part of a head"
    BODY = "content of the request outstanding, answer owed"
    ANSWER = "the request is whole, answer owed"
    DISCARD = "content that nobody reads outstanding, answer owed"
    DRAIN = "content that nobody reads outstanding, answer complete"
    FAILED = "the peer broke the rules; one answer may be sent or finished"
    CLOSED = "over"

    __hash__ = object.__hash__


class Step(Enum):
    HEAD_BEGINS = "a byte of a head came"
    REQUEST = "a head came, content is outstanding"
    WHOLE_REQUEST = "a request came with all of its content"
    CONTENT_END = "the content is whole"
    CONTENT_UNWANTED = "nobody will read the content"
    ANSWER_END = "the answer is complete"
    LAST_ANSWER_END = "the answer is complete, and the connection ends with it"
    PEER_FAILED = "the peer broke the rules"
    PEER_CLOSED = "the peer sent all it had to send"
    BROKEN = "an answer began that cannot be completed"

    __hash__ = object.__hash__


_S = HttpState
TRANSITIONS: Final[dict[tuple[HttpState, Step], HttpState]] = {
    (_S.IDLE, Step.HEAD_BEGINS): _S.HEAD,
    (_S.IDLE, Step.REQUEST): _S.BODY,
    (_S.IDLE, Step.WHOLE_REQUEST): _S.ANSWER,
    (_S.IDLE, Step.PEER_CLOSED): _S.CLOSED,
    (_S.IDLE, Step.PEER_FAILED): _S.FAILED,
    (_S.IDLE, Step.LAST_ANSWER_END): _S.CLOSED,
    (_S.HEAD, Step.HEAD_BEGINS): _S.HEAD,
    (_S.HEAD, Step.REQUEST): _S.BODY,
    (_S.HEAD, Step.WHOLE_REQUEST): _S.ANSWER,
    (_S.HEAD, Step.PEER_FAILED): _S.FAILED,
    (_S.HEAD, Step.LAST_ANSWER_END): _S.CLOSED,
    (_S.BODY, Step.CONTENT_END): _S.ANSWER,
    (_S.BODY, Step.CONTENT_UNWANTED): _S.DISCARD,
    (_S.BODY, Step.ANSWER_END): _S.DRAIN,
    (_S.BODY, Step.LAST_ANSWER_END): _S.CLOSED,
    (_S.BODY, Step.PEER_FAILED): _S.FAILED,
    (_S.BODY, Step.BROKEN): _S.CLOSED,
    (_S.ANSWER, Step.ANSWER_END): _S.IDLE,
    (_S.ANSWER, Step.LAST_ANSWER_END): _S.CLOSED,
    (_S.ANSWER, Step.BROKEN): _S.CLOSED,
    (_S.DISCARD, Step.CONTENT_END): _S.ANSWER,
    (_S.DISCARD, Step.ANSWER_END): _S.DRAIN,
    (_S.DISCARD, Step.LAST_ANSWER_END): _S.CLOSED,
    (_S.DISCARD, Step.BROKEN): _S.CLOSED,
    (_S.DRAIN, Step.CONTENT_END): _S.IDLE,
    (_S.DRAIN, Step.PEER_FAILED): _S.CLOSED,
    (_S.FAILED, Step.LAST_ANSWER_END): _S.CLOSED,
    (_S.FAILED, Step.BROKEN): _S.CLOSED,
}


class Answer(Enum):
    """Where the answer of this side stands."""

    NONE = "none is owed"
    OWED = "owed, not begun"
    OPEN = "its head was sent"


HttpEvent: TypeAlias = RequestReceived | ContentReceived | EndOfMessage | Signal


class HttpEngine:
    """HTTP/1.1 of a server over one connection (RFC 9112).

    ``next_event`` is pulled: a request that lies complete in the buffer is one event.  After RemoteProtocolError one
    answer may be sent, or the one that has begun be finished.  After a LocalProtocolError while an answer was under way
    the connection must be cut: its framing is lost.

    state            see HttpState
    must_close       the connection ends when the answer is complete
    content_allowed  False while the answer may carry no content (RFC 9110, sections 9.3.2, 15.3.5, 15.4.5)
    """

    __slots__ = (
        "_answer",
        "_at",
        "_continue",
        "_data",
        "_date",
        "_decoder",
        "_empty_line",
        "_eof",
        "_error",
        "_framing",
        "_http_version",
        "_limits",
        "_method",
        "_owed",
        "_reference",
        "_remaining",
        "_scanned",
        "_server",
        "_swallowed",
        "content_allowed",
        "must_close",
        "state",
    )

    def __init__(
        self,
        limits: Limits,
        *,
        date: Callable[[], bytes],
        server_header: bytes | None = b"rat",
        http: str = "auto",
    ) -> None:
        self._limits = limits
        self._date = date
        self._server = server_header
        self._reference = http == "h11"
        self.state = HttpState.IDLE
        self.must_close = False
        self.content_allowed = True
        # What came and was not consumed is _data[_at:]; a bytearray when it came in pieces.
        self._data: bytes | bytearray = b""
        self._at = 0
        self._scanned = 0
        self._empty_line = False
        self._eof = False
        # The request in hand.
        self._method: str | None = None
        self._http_version = "1.1"
        self._remaining = 0
        self._decoder: ChunkedDecoder | None = None
        self._continue = False
        self._error: RemoteProtocolError | None = None
        self._swallowed = 0
        # Its answer.
        self._answer = Answer.NONE
        self._framing = Framing.NONE
        self._owed = 0

    # -- what comes

    def receive_data(self, data: bytes) -> None:
        """Take bytes of the peer.  What is wrong with them shows at ``next_event``."""
        held = self._data
        if self._at >= len(held):
            self._data = data
            self._at = self._scanned = 0
        else:
            if isinstance(held, bytes):
                held = self._data = bytearray(memoryview(held)[self._at :])
                self._scanned = max(0, self._scanned - self._at)
                self._at = 0
            held += data

    def receive_eof(self) -> None:
        """The peer will send no more; what it asked for already is still answered."""
        self._eof = True

    def wanted(self) -> int:
        """How many bytes would complete what is being read; 0 when that is not known."""
        if self.state not in (HttpState.BODY, HttpState.DISCARD, HttpState.DRAIN):
            return 0
        missing = self._decoder.wanted() if self._decoder is not None else self._remaining
        return max(0, missing - (len(self._data) - self._at))

    @property
    def needs_continue(self) -> bool:
        """The client waits for 100 (Continue): no content came, and neither 100 nor a final answer was sent."""
        return self._continue and self.state is HttpState.BODY and self._at >= len(self._data)

    @property
    def content_outstanding(self) -> bool:
        """Content of the last request never came, or bytes came that nobody will read: close lingering."""
        return self._remaining > 0 or self._decoder is not None or self._at < len(self._data)

    @property
    def eof_received(self) -> bool:
        """The peer has half-closed the connection, or left."""
        return self._eof

    def close_after_answer(self) -> None:
        """End the connection with the answer in hand, which says so if its head is still to come."""
        self.must_close = True

    def discard_content(self) -> None:
        """Nobody will read the rest of the content: swallow it from now on, up to ``limits.linger`` bytes."""
        if self.state is HttpState.BODY:
            self._move(Step.CONTENT_UNWANTED)

    def next_event(self) -> HttpEvent:
        """The next event, or NEED_DATA, PAUSED, CLOSED.

        Raises RemoteProtocolError, once, with the status that answers it; CLOSED from then on.
        """
        state = self.state
        if state is HttpState.ANSWER:
            return PAUSED
        if state is HttpState.BODY:
            return self._next_content()
        if state is HttpState.DISCARD or state is HttpState.DRAIN:
            signal = self._swallow()
            if signal is not None:
                return signal
        elif state is HttpState.FAILED or state is HttpState.CLOSED:
            return CLOSED
        return self._next_head()

    def _move(self, step: Step) -> None:
        self.state = TRANSITIONS[self.state, step]

    def _fail(self, error: RemoteProtocolError) -> RemoteProtocolError:
        """The peer broke the rules with *error*."""
        if self._answer is Answer.NONE:
            # The request in hand is none that could be read: nothing is known of it.
            self._answer = Answer.OWED
            self._method = None
            self._http_version = "1.1"
        self.must_close = True
        self._continue = False
        self._move(Step.PEER_FAILED)
        return error

    # -- heads of requests

    def _next_head(self) -> HttpEvent:
        data = self._data
        at = self._at
        size = len(data)
        if at < size and data[at] == 0x0D and not self._empty_line:
            # RFC 9112, section 2.2: ignore an empty line before the request line.  One, and it begins no request.
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
        raw = data[at:end]
        try:
            head = screen(raw, limits)
            reference.read_request(raw, head)
        except RemoteProtocolError as error:
            raise self._fail(error) from None
        method = head.method.decode("ascii")
        self._method = method
        self._http_version = head.http_version
        self.must_close = not head.keep_alive
        request = RequestReceived(
            method,
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
            None,
        )
        self._begin(request, end)
        return request

    def _begin(self, request: RequestReceived, end: int) -> None:
        """Start the exchange of *request*, whose head ended at *end*; give it its content if that is there already."""
        data = self._data
        assert isinstance(data, bytes)
        self._empty_line = False
        self._answer = Answer.OWED
        self._framing = Framing.NONE
        self._decoder = None
        self._remaining = 0
        length = request.content_length
        if length == 0:
            request.content = b""
        elif length is not None:
            if len(data) - end >= length:
                request.content = data[end : end + length]
                end += length
            else:
                self._remaining = length
        else:
            self._decoder = decoder = ChunkedDecoder(self._limits)
            pieces: list[bytes] = []
            try:
                body_end = decoder.decode(data, end, pieces)
            except RemoteProtocolError:
                body_end = end
            if decoder.state is ChunkState.DONE:
                request.content = b"".join(pieces)
                request.trailers = decoder.trailers
                self._decoder = None
                end = body_end
            else:
                # Not whole, or wrong: that shows when the content is pulled, as if it had come later.
                self._decoder = ChunkedDecoder(self._limits)
        self._at = end
        self._continue = request.expects_continue and request.content is None
        self._swallowed = 0
        self._move(Step.REQUEST if request.content is None else Step.WHOLE_REQUEST)

    # -- content of requests

    def _next_content(self) -> HttpEvent:
        if self._error is not None:
            error, self._error = self._error, None
            raise self._fail(error)
        try:
            piece = self._take_content()
        except RemoteProtocolError as error:
            raise self._fail(error) from None
        if piece:
            self._continue = False
            return ContentReceived(piece)
        if piece is None:
            return NEED_DATA
        trailers = self._decoder.trailers if self._decoder is not None else ()
        self._decoder = None
        self._continue = False
        self._move(Step.CONTENT_END)
        return EndOfMessage(trailers)

    def _take_content(self) -> bytes | None:
        """What came of the content, without a copy where all that came is content; empty at its end, None for nothing.

        Raises RemoteProtocolError; when content stood before the error, it is kept for the next call.
        """
        decoder = self._decoder
        if not self._remaining if decoder is None else decoder.state is ChunkState.DONE:
            return b""
        data = self._data
        at = self._at
        if at >= len(data):
            if data:
                self._data = b""
                self._at = 0
            if self._eof:
                missing = "chunked content" if decoder is not None else f"the last {self._remaining} bytes of content"
                raise RemoteProtocolError(f"the peer closed before {missing} came")
            return None
        if not isinstance(data, bytes):
            data = self._data = bytes(memoryview(data)[at:])
            at = self._at = 0
        if decoder is None:
            piece = data[at : at + self._remaining]
            self._at = at + len(piece)
            self._remaining -= len(piece)
            if self._at >= len(data):
                self._data = b""
                self._at = 0
            return piece
        pieces: list[bytes] = []
        try:
            self._at = decoder.decode(data, at, pieces)
        except RemoteProtocolError as error:
            if not pieces:
                raise
            self._error = error
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return piece or (b"" if decoder.state is ChunkState.DONE else self._take_content())

    def _swallow(self) -> Signal | None:
        """Throw away content that nobody reads.  None when the next head is due."""
        owed = self.state is HttpState.DISCARD
        try:
            if self._error is not None:
                raise self._error
            while piece := self._take_content():
                self._swallowed += len(piece)
                if self._error is not None:
                    raise self._error
                if self._swallowed > self._limits.linger:
                    raise RemoteProtocolError(f"content of {self._swallowed} bytes that nobody reads")
        except RemoteProtocolError:
            # Nobody asked for this content, so nobody is told what is wrong with it: the connection ends.
            self.must_close = True
            self._error = None
            self._move(Step.CONTENT_END if owed else Step.PEER_FAILED)
            return PAUSED if owed else CLOSED
        if piece is None:
            return NEED_DATA
        self._decoder = None
        self._continue = False
        self._move(Step.CONTENT_END)
        return PAUSED if owed else None

    # -- answers

    def send(self, event: Any) -> Wire:
        """What to write for *event*: Complete- and InformationalResponse, ResponseStart, ResponseContent, ResponseEnd.

        Raises LocalProtocolError when *event* is not allowed now or is not what was declared; if the head of the answer
        had been sent, the connection must be cut.
        """
        kind = type(event)
        if kind is CompleteResponse:
            return self._send_complete(event)
        if kind is ResponseContent:
            return self._send_content(event.data)
        if kind is ResponseStart:
            plan = self._plan(event.status, event.fields, None)
            self._owed = plan.length
            self._framing = plan.framing
            self._answer = Answer.OPEN
            return [self._head(plan)]
        if kind is ResponseEnd:
            return self._send_end(event.trailers)
        if kind is InformationalResponse:
            return self._send_informational(event)
        raise LocalProtocolError(f"{kind.__name__} is nothing that can be sent")

    def _send_complete(self, event: CompleteResponse) -> Wire:
        content = event.content
        plan = self._plan(event.status, event.fields, content.nbytes if type(content) is memoryview else len(content))
        head = self._head(plan)
        wire: Wire
        if plan.framing is not Framing.LENGTH or not plan.length:
            wire = [head]
        elif plan.length < JOIN_BELOW:
            wire = [b"".join((head, content))]
        else:
            wire = [head, content]
        self._end_answer()
        return wire

    def _send_content(self, data: Buffer | FileRegion) -> Wire:
        if self._answer is not Answer.OPEN:
            raise LocalProtocolError(f"content while the answer is {self._answer.value}")
        framing = self._framing
        size = data.nbytes if type(data) is memoryview else len(data)
        if not size or framing is Framing.NONE:
            return []
        if framing is Framing.CHUNKED:
            return chunk(data)
        if framing is Framing.LENGTH:
            self._owed -= size
            if self._owed < 0:
                raise self._broken(f"content is {-self._owed} bytes longer than its Content-Length")
        return [data]

    def _send_end(self, trailers: FieldLines) -> Wire:
        if self._answer is not Answer.OPEN:
            raise LocalProtocolError(f"end of content while the answer is {self._answer.value}")
        wire: Wire = []
        if self._framing is Framing.LENGTH and self._owed:
            raise self._broken(f"content is {self._owed} bytes shorter than its Content-Length")
        if self._framing is Framing.CHUNKED:
            wire.append(last_chunk(trailers))
        elif trailers and self._framing is Framing.LENGTH:
            raise self._broken("trailer fields behind content with a Content-Length")
        self._end_answer()
        return wire

    def _send_informational(self, event: InformationalResponse) -> Wire:
        if self._answer is not Answer.OWED or self._method is None:
            raise LocalProtocolError(f"interim answer {event.status} while the answer is {self._answer.value}")
        if not 100 <= event.status < 200 or event.status == 101:
            raise LocalProtocolError(f"status {event.status} is not the status of an interim answer, 100 or 102 to 199")
        lines = []
        for name, value in event.fields:
            check_field(name, value)
            lines.append((name, value.strip(b" \t")))
        if event.status == 100:
            self._continue = False
        if self._http_version == "1.0":
            # RFC 9110, section 15.2: never to a client of HTTP/1.0.
            return []
        return [reference.write_head(event.status, lines)]

    def _plan(self, status: int, fields: FieldLines, complete: int | None) -> Plan:
        """Check that an answer may begin, and plan its head."""
        closes = self.must_close
        if self._answer is Answer.NONE:
            # A deadline or a stop may be answered before a request is whole: RFC 9110, section 15.5.9.
            if self.state not in (HttpState.IDLE, HttpState.HEAD) or complete is None or status < 400:
                raise LocalProtocolError(f"answer {status} while none is owed")
            self._method = None
            self._http_version = "1.1"
            closes = True
        elif self._answer is Answer.OPEN:
            raise LocalProtocolError(f"second answer {status} to one request")
        elif self._continue:
            # RFC 9110, section 10.1.1: whether the content still comes is the client's choice, so nothing can follow.
            closes = True
        elif complete is not None and self._too_much_outstanding():
            closes = True
        method = self._method
        plan = plan_answer(status, fields, complete, method=method, http_version=self._http_version, closes=closes)
        self.must_close = plan.closes
        self._continue = False
        self.content_allowed = not forbids_content(method, status)
        return plan

    def _head(self, plan: Plan) -> bytes:
        lines = plan.lines
        if self._server is not None and not plan.has_server:
            lines.insert(0, (b"Server", self._server))
        if not plan.has_date:
            lines.insert(0, (b"Date", self._date()))
        return reference.write_head(plan.status, lines)

    def _too_much_outstanding(self) -> bool:
        # Content of a known length only; chunked content is counted while it is swallowed.
        return self._remaining > self._limits.linger + len(self._data) - self._at

    def _broken(self, message: str) -> LocalProtocolError:
        self._answer = Answer.NONE
        self.must_close = True
        self._move(Step.BROKEN)
        return LocalProtocolError(message)

    def _end_answer(self) -> None:
        self._answer = Answer.NONE
        self.content_allowed = True
        if self.state in (HttpState.IDLE, HttpState.HEAD, HttpState.FAILED) or self._too_much_outstanding():
            self.must_close = True
        self._move(Step.LAST_ANSWER_END if self.must_close else Step.ANSWER_END)
