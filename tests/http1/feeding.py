"""Drives engines: one conversation, three ways to cut its bytes, two ways to read its heads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rat.config import Limits
from rat.errors import RemoteProtocolError
from rat.events import (
    CLOSED,
    NEED_DATA,
    PAUSED,
    CompleteResponse,
    ContentReceived,
    EndOfMessage,
    RequestReceived,
    Wire,
)
from rat.http1.engine import HttpEngine, HttpEvent
from rat.http1.fastlane import HeadReader
from rat.http1.state import TRANSITIONS, HttpState, Step

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
WAYS = ("auto", "h11")
EDGES = {(before, after) for (before, _), after in TRANSITIONS.items()}
ATTRIBUTES = (
    "method",
    "target",
    "path",
    "query",
    "route_key",
    "http_version",
    "authority",
    "field_section",
    "content_length",
    "keep_alive",
    "expects_continue",
    "fields",
)


class WatchedEngine(HttpEngine):
    """Holds every change of its state against the table, and counts the requests that took the short cut."""

    __slots__ = ("_seen", "current")

    current: RequestReceived
    _seen: HttpState

    def _move(self, step: Step) -> None:
        self._watch()
        super()._move(step)
        self._seen = self.state

    def _watch(self) -> None:
        """What was not moved has made one step of the table at most."""
        old = getattr(self, "_seen", HttpState.IDLE)
        assert self.state is old or (old, self.state) in EDGES, f"{old} became {self.state}"
        self._seen = self.state

    def next_event(self) -> HttpEvent:
        self._watch()
        try:
            return super().next_event()
        finally:
            self._watch()

    def receive_request(self, data: bytes) -> RequestReceived | None:
        self._watch()
        request = super().receive_request(data)
        self._watch()
        return request

    def send(self, event: Any) -> Wire:
        self._watch()
        try:
            return super().send(event)
        finally:
            self._watch()

    @property
    def took_the_lane(self) -> bool:
        return self._by_lane


def engine(http: str = "auto", limits: Limits | None = None, reader: HeadReader | None = None) -> WatchedEngine:
    """*reader* reads the heads in place of the one that an installation has."""
    made = WatchedEngine(limits or Limits(), date=lambda: DATE, http=http)
    if reader is not None:
        made._lane = reader
    return made


@dataclass
class Message:
    """A request, however it was handed out."""

    head: dict[str, Any]
    content: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    is_whole: bool = False


@dataclass
class Log:
    """All that came of a conversation, in a form that does not depend on how the bytes were cut."""

    messages: list[Message] = field(default_factory=list)
    status: int | None = None
    written: bytes = b""
    state: HttpState = HttpState.IDLE
    must_close: bool = False
    is_over: bool = False


Answerer = Callable[[HttpEngine, RequestReceived], Iterable[Wire]]


def joined(wire: Wire) -> bytes:
    return b"".join(part for part in wire if isinstance(part, bytes | bytearray | memoryview))


def hello(engine: HttpEngine, request: RequestReceived) -> Iterator[Wire]:
    """The plain answer."""
    yield engine.send(CompleteResponse(200, [(b"Content-Type", b"text/plain")], b"hello from " + request.path))


def converse(
    pieces: Iterable[bytes],
    http: str = "auto",
    *,
    eof: bool = False,
    limits: Limits | None = None,
    answer: Answerer = hello,
    lanes: list[bool] | None = None,
    reader: HeadReader | None = None,
) -> Log:
    """Feed *pieces*, answer every whole request, and answer what is wrong."""
    log = Log()
    subject = engine(http, limits, reader)
    for piece in pieces:
        subject.receive_data(piece)
        _pull(subject, log, answer, lanes)
    if eof:
        subject.receive_eof()
        _pull(subject, log, answer, lanes)
    log.state = subject.state
    log.must_close = subject.must_close
    return log


def _pull(subject: WatchedEngine, log: Log, answer: Answerer, lanes: list[bool] | None) -> None:
    while True:
        try:
            event = subject.next_event()
        except RemoteProtocolError as error:
            assert log.status is None, "a second error"
            log.status = error.status or 0
            log.written += joined(subject.send(CompleteResponse(log.status, (), b"%d" % log.status)))
            assert subject.must_close
            assert subject.state is HttpState.CLOSED
            continue
        if isinstance(event, RequestReceived):
            assert type(event) is RequestReceived
            if lanes is not None:
                lanes.append(subject.took_the_lane)
            message = Message({name: getattr(event, name) for name in ATTRIBUTES})
            log.messages.append(message)
            if event.content is not None:
                message.content, message.trailers, message.is_whole = event.content, list(event.trailers), True
                assert subject.next_event() is PAUSED
            else:
                assert subject.state is HttpState.BODY
            subject.current = event
        elif isinstance(event, ContentReceived):
            assert len(event.data)
            log.messages[-1].content += event.data
        elif isinstance(event, EndOfMessage):
            log.messages[-1].trailers = list(event.trailers)
            log.messages[-1].is_whole = True
        elif event is PAUSED:
            for wire in answer(subject, subject.current):
                log.written += joined(wire)
        elif event is CLOSED:
            log.is_over = True
            return
        else:
            assert event is NEED_DATA
            return


def whole(wire: bytes) -> Iterator[list[bytes]]:
    yield [wire]


def byte_by_byte(wire: bytes) -> Iterator[list[bytes]]:
    yield [wire[at : at + 1] for at in range(len(wire))]


def every_split(wire: bytes) -> Iterator[list[bytes]]:
    """Every cut into two; of long wires the ends and a sample of the middle."""
    size = len(wire)
    ends = 150 if size < 3000 else 40
    places = (
        range(1, size)
        if size < 600
        else sorted({*range(1, ends), *range(ends, size, size // 30), *range(size - ends, size)})
    )
    for place in places:
        yield [wire[:place], wire[place:]]


FEEDS = (whole, byte_by_byte, every_split)
