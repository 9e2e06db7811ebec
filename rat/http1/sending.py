"""What this side sends: answers in the order and of the shape that HTTP/1.1 allows, as bytes.

The half of the engine that writes.  Sees of the receiving half only the request in hand and the state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from rat.errors import LocalProtocolError
from rat.events import (
    Buffer,
    CompleteResponse,
    FieldLines,
    FileRegion,
    InformationalResponse,
    RequestReceived,
    ResponseContent,
    ResponseEnd,
    ResponseStart,
    Wire,
)
from rat.http1 import fastlane, reference
from rat.http1.answer import (
    JOIN_BELOW,
    ContentWriter,
    Framing,
    Plan,
    check_field,
    forbids_content,
    plan_answer,
    size_of,
)
from rat.http1.state import TRANSITIONS, Answer, HttpState, Step

__all__ = ["AnswerSide"]

_ANSWER: Final = HttpState.ANSWER
_OWED: Final = Answer.OWED
_NONE: Final = Answer.NONE
_ANSWERED: Final = TRANSITIONS[_ANSWER, Step.ANSWER_END]


class AnswerSide(ABC):
    """The writing half of HttpEngine, which inherits it; the slots are those that both halves touch."""

    __slots__ = (
        "_answer",
        "_by_lane",
        "_continue",
        "_date",
        "_quick",
        "_request",
        "_server",
        "_write",
        "_writer",
        "content_allowed",
        "must_close",
        "state",
    )

    def __init__(self, date: Callable[[], bytes], server_header: bytes | None) -> None:
        self._date = date
        self._server = server_header
        self._write = fastlane.lane_writer(server_header).write
        self.state = HttpState.IDLE
        self.must_close = False
        self.content_allowed = True
        # The request in hand; it waits for 100 (Continue); the fast lane has read it; its answer may be written from
        # prebuilt parts.
        self._request: RequestReceived | None = None
        self._continue = False
        self._by_lane = False
        self._quick = False
        self._answer = Answer.NONE
        self._writer: ContentWriter | None = None

    @abstractmethod
    def _too_much_outstanding(self) -> bool:
        """More content of the request is outstanding than would be swallowed."""

    def _move(self, step: Step) -> None:
        self.state = TRANSITIONS[self.state, step]

    @property
    def looks_whole_when_cut(self) -> bool:
        """An answer is under way whose content ends with the connection (RFC 9112, section 6.3)."""
        return self._writer is not None and self._writer.ends_with_connection

    def close_after_answer(self) -> None:
        """End the connection with the answer in hand, which says so if its head is still to come."""
        self.must_close = True
        self._quick = False

    def answer(self, status: int, fields: FieldLines, content: Any) -> bytes | None:
        """What ``send`` gives for a CompleteResponse of these, in one buffer, where it is a plain one; else None.

        An event less for nearly every request (bench/cases.py: 1,800 instructions of 45,000).  Raises as ``send``.
        """
        if self._quick and self.state is _ANSWER and self._answer is _OWED:
            wire = self._write(status, fields, content, self._date())
            if wire is not None:
                self._quick = False
                self._answer = _NONE
                self._request = None
                self.state = _ANSWERED
                return wire
        return None

    def send(self, event: Any) -> Wire:
        """What to write for *event*: Complete- and InformationalResponse, ResponseStart, ResponseContent, ResponseEnd.

        Raises LocalProtocolError when *event* is not allowed now or is not what was declared; if the head of the answer
        had been sent, the connection must be cut.
        """
        kind = type(event)
        if kind is CompleteResponse:
            wire = self.answer(event.status, event.fields, event.content)
            return self._send_complete(event) if wire is None else [wire]
        if kind is ResponseContent:
            return self.content(event.data)
        if kind is ResponseStart:
            plan = self._plan(event.status, event.fields, None)
            head = self._head(plan)
            self._begun(plan)
            self._answer = Answer.OPEN
            self._writer = ContentWriter(plan)
            # Nothing of it is asked for any more, and the content of the answer may take for ever.
            self._request = None
            return [head]
        if kind is ResponseEnd:
            return self._send_end(event.trailers)
        if kind is InformationalResponse:
            return self._send_informational(event)
        raise LocalProtocolError(f"{kind.__name__} is nothing that can be sent")

    def _send_complete(self, event: CompleteResponse) -> Wire:
        content = event.content
        plan = self._plan(event.status, event.fields, size_of(content))
        head = self._head(plan)
        self._begun(plan)
        self._end_answer()
        if plan.framing is not Framing.LENGTH or not plan.length:
            return [head]
        return [b"".join((head, content))] if plan.length < JOIN_BELOW else [head, content]

    def content(self, data: Buffer | FileRegion) -> Wire:
        """What ``send`` gives for a ResponseContent of *data*: an event less for each piece.  Raises as ``send``."""
        if self._writer is None:
            raise LocalProtocolError(f"content of an answer that is {self._answer.value}")
        try:
            return self._writer.write(data)
        except LocalProtocolError:
            self._break()
            raise

    def _send_end(self, trailers: FieldLines) -> Wire:
        if self._writer is None:
            raise LocalProtocolError(f"end of an answer that is {self._answer.value}")
        try:
            wire = self._writer.end(trailers)
        except LocalProtocolError:
            self._break()
            raise
        self._end_answer()
        return wire

    def _send_informational(self, event: InformationalResponse) -> Wire:
        request = self._request
        if self._answer is not Answer.OWED or request is None:
            raise LocalProtocolError(f"interim answer {event.status} to an answer that is {self._answer.value}")
        if not 100 <= event.status < 200 or event.status == 101:
            raise LocalProtocolError(f"status {event.status} is not the status of an interim answer, 100 or 102 to 199")
        lines = []
        for name, value in event.fields:
            check_field(name, value)
            lines.append((name, value.strip(b" \t")))
        if event.status == 100:
            self._continue = False
        if request.http_version == "1.0":
            # RFC 9110, section 15.2: never to a client of HTTP/1.0.
            return []
        return [self._write_head(event.status, lines)]

    def _plan(self, status: int, fields: FieldLines, complete: int | None) -> Plan:
        """Check that an answer may begin, and plan its head.  Changes nothing."""
        closes = self.must_close
        request = self._request
        if self._answer is Answer.NONE:
            # A deadline or a stop may be answered before a request is whole (RFC 9110, section 15.5.9).
            if self.state not in (HttpState.IDLE, HttpState.HEAD) or complete is None or status < 400:
                raise LocalProtocolError(f"answer {status} that is not owed")
            request = None
            closes = True
        elif self._answer is Answer.OPEN:
            raise LocalProtocolError(f"second answer {status} to one request")
        elif self._continue:
            # RFC 9110, section 10.1.1: whether the content still comes is the client's choice, so nothing can follow.
            closes = True
        elif complete is not None and self._too_much_outstanding():
            closes = True
        method, http_version = (None, "1.1") if request is None else (request.method, request.http_version)
        return plan_answer(status, fields, complete, method=method, http_version=http_version, closes=closes)

    def _begun(self, plan: Plan) -> None:
        """The head of *plan* is on its way."""
        self.must_close = plan.closes
        self._quick = self._continue = False
        request = self._request
        self.content_allowed = not forbids_content(None if request is None else request.method, plan.status)

    def _head(self, plan: Plan) -> bytes:
        lines = plan.lines
        if self._server is not None and not plan.has_server:
            lines.insert(0, (b"Server", self._server))
        if not plan.has_date:
            lines.insert(0, (b"Date", self._date()))
        return self._write_head(plan.status, lines)

    def _write_head(self, status: int, lines: list[tuple[bytes, bytes]]) -> bytes:
        return fastlane.write_head(status, lines) if self._by_lane else reference.write_head(status, lines)

    def _break(self) -> None:
        self._answer = Answer.NONE
        self._writer = None
        self.must_close = True
        self._move(Step.BROKEN)

    def _end_answer(self) -> None:
        self._answer = Answer.NONE
        self._request = None
        self._writer = None
        self.content_allowed = True
        if self.state in (HttpState.IDLE, HttpState.HEAD, HttpState.FAILED) or self._too_much_outstanding():
            self.must_close = True
        self._move(Step.LAST_ANSWER_END if self.must_close else Step.ANSWER_END)
