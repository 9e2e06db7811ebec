"""The verbs of the engine: order, pressure, early answers, refusals of our own caller's mistakes, and the end."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from rat.config import Limits
from rat.errors import LocalProtocolError, RemoteProtocolError
from rat.events import (
    CLOSED,
    NEED_DATA,
    PAUSED,
    CompleteResponse,
    ContentReceived,
    EndOfMessage,
    FileRegion,
    InformationalResponse,
    RequestReceived,
    ResponseContent,
    ResponseEnd,
    ResponseStart,
    Signal,
)
from rat.http1.state import TRANSITIONS, HttpState
from tests.http1.feeding import EDGES, WAYS, WatchedEngine, engine, joined

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECT = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"
OK = CompleteResponse(200, (), b"ok")
CLOSE = b"\r\nConnection: close\r\n"

pytestmark = pytest.mark.parametrize("http", WAYS)


def begun(http: str, *wires: bytes, limits: Limits | None = None) -> WatchedEngine:
    """An engine that has handed out the first request of *wires*."""
    subject = engine(http, limits)
    for wire in wires:
        subject.receive_data(wire)
    assert isinstance(subject.next_event(), RequestReceived)
    return subject


def pull(subject: WatchedEngine) -> list[Any]:
    """Events until there is none; content as bytes, the end of a message by its trailers."""
    events: list[Any] = []
    while not isinstance(event := subject.next_event(), Signal):
        if isinstance(event, ContentReceived):
            events.append(bytes(event.data))
        else:
            events.append(list(event.trailers) if isinstance(event, EndOfMessage) else event)
    return [*events, event]


def test_a_plain_cycle(http: str) -> None:
    subject = engine(http)
    assert (subject.next_event(), subject.state, subject.wanted()) == (NEED_DATA, HttpState.IDLE, 0)
    subject.receive_data(GET[:9])
    assert (subject.next_event(), subject.state) == (NEED_DATA, HttpState.HEAD)
    subject.receive_data(GET[9:] + GET)
    request = subject.next_event()
    assert isinstance(request, RequestReceived)
    assert (request.content, subject.state, subject.next_event()) == (b"", HttpState.ANSWER, PAUSED)
    assert joined(subject.send(OK)).endswith(b"\r\n\r\nok")
    assert subject.state is HttpState.IDLE
    assert isinstance(subject.next_event(), RequestReceived)
    subject.send(OK)
    assert (subject.next_event(), subject.must_close) == (NEED_DATA, False)


def test_content_is_handed_on_as_it_came(http: str) -> None:
    segment = bytes(100_000)
    subject = begun(http, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200001\r\n\r\n")
    assert subject.wanted() == 200_001
    for _ in range(2):
        subject.receive_data(segment)
        event = subject.next_event()
        assert isinstance(event, ContentReceived)
        assert event.data is segment
        assert subject.next_event() is NEED_DATA
    assert subject.wanted() == 1
    subject.receive_data(b"x" + GET)
    assert pull(subject) == [b"x", [], PAUSED]


def test_a_chunk_that_fills_a_segment_is_handed_on_as_it_came(http: str) -> None:
    segment = bytes(100_000)
    subject = begun(http, CHUNKED + b"%x\r\n" % len(segment))
    assert subject.next_event() is NEED_DATA
    assert subject.wanted() == len(segment) + 2
    subject.receive_data(segment)
    event = subject.next_event()
    assert isinstance(event, ContentReceived)
    assert event.data is segment


def test_content_waits_until_it_is_pulled(http: str) -> None:
    subject = begun(http, POST, b"01234")
    subject.receive_data(b"56")
    subject.receive_data(b"789")
    assert subject.wanted() == 0
    assert pull(subject) == [b"0123456789", [], PAUSED]


def test_expect_waits_for_100(http: str) -> None:
    subject = begun(http, EXPECT)
    waits = [subject.needs_continue]
    assert joined(subject.send(InformationalResponse(100))) == b"HTTP/1.1 100 Continue\r\n\r\n"
    waits.append(subject.needs_continue)
    assert waits == [True, False]
    subject.receive_data(b"0123456789")
    assert pull(subject) == [b"0123456789", [], PAUSED]
    assert CLOSE not in joined(subject.send(OK))


def test_content_that_came_unasked_needs_no_100(http: str) -> None:
    subject = begun(http, EXPECT)
    subject.receive_data(b"0")
    assert not subject.needs_continue
    assert pull(subject) == [b"0", NEED_DATA]
    assert not subject.needs_continue


@pytest.mark.parametrize("streamed", [False, True])
def test_a_final_answer_instead_of_100_closes(http: str, streamed: bool) -> None:
    subject = begun(http, EXPECT)
    events = [ResponseStart(403, ()), ResponseEnd()] if streamed else [CompleteResponse(403)]
    assert CLOSE in joined([part for event in events for part in subject.send(event)])
    assert (subject.must_close, subject.next_event(), subject.content_outstanding) == (True, CLOSED, True)


def test_an_early_answer_lets_the_rest_of_the_content_pass(http: str) -> None:
    subject = begun(http, POST, b"012")
    assert CLOSE not in joined(subject.send(OK))
    assert subject.state is HttpState.DRAIN
    assert pull(subject) == [NEED_DATA]
    subject.receive_data(b"3456789" + GET)
    assert isinstance(subject.next_event(), RequestReceived)


def test_an_early_answer_to_more_than_would_be_swallowed_closes(http: str) -> None:
    for length, closes in ((1003, False), (1004, True)):
        subject = begun(http, POST.replace(b"10", b"%d" % length), b"012", limits=Limits(linger=1000))
        assert (CLOSE in joined(subject.send(OK))) is closes
        assert subject.must_close is closes
        assert (subject.next_event() is CLOSED) is closes


def test_chunked_content_that_nobody_reads_is_swallowed_up_to_a_bound(http: str) -> None:
    for size, signal in ((1000, NEED_DATA), (1001, CLOSED)):
        subject = begun(http, CHUNKED, limits=Limits(linger=1000))
        subject.send(OK)
        subject.receive_data(b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n")
        assert pull(subject) == [signal]
        assert subject.must_close is (signal is CLOSED)


def test_discarded_content_passes_while_the_answer_is_made(http: str) -> None:
    subject = begun(http, POST, b"012")
    subject.discard_content()
    assert pull(subject) == [NEED_DATA]
    assert subject.state is HttpState.DISCARD
    subject.receive_data(b"3456789")
    assert pull(subject) == [PAUSED]
    assert CLOSE not in joined(subject.send(OK))
    assert subject.next_event() is NEED_DATA


def test_discarded_content_past_its_bound_closes_after_the_answer(http: str) -> None:
    subject = begun(http, CHUNKED, limits=Limits(linger=10))
    subject.discard_content()
    subject.receive_data(b"b\r\n01234567890\r\n")
    assert pull(subject) == [PAUSED]
    assert CLOSE in joined(subject.send(OK))
    assert subject.next_event() is CLOSED


def test_the_answer_may_come_before_discarded_content(http: str) -> None:
    subject = begun(http, POST)
    subject.discard_content()
    subject.send(OK)
    assert subject.state is HttpState.DRAIN
    subject.receive_data(b"0123456789")
    assert (subject.next_event(), subject.state) == (NEED_DATA, HttpState.IDLE)


@pytest.mark.parametrize("wrong", ["malformed", "eof"])
@pytest.mark.parametrize("owed", [True, False])
def test_wrong_content_that_nobody_reads_ends_the_connection_quietly(http: str, owed: bool, wrong: str) -> None:
    subject = begun(http, CHUNKED, b"1\r\nx")
    if owed:
        subject.discard_content()
    else:
        subject.send(OK)
    if wrong == "eof":
        subject.receive_eof()
    else:
        subject.receive_data(b"y")
    assert pull(subject) == [PAUSED if owed else CLOSED]
    assert subject.must_close


def test_one_answer_may_follow_an_error(http: str) -> None:
    subject = begun(http, CHUNKED, b"2\r\nab\r\nz\r\n")
    assert subject.next_event() == ContentReceived(b"ab")
    with pytest.raises(RemoteProtocolError, match=r"malformed chunk line b'z\\r\\n'") as caught:
        subject.next_event()
    assert (caught.value.status, subject.state, subject.next_event()) == (400, HttpState.FAILED, CLOSED)
    assert CLOSE in joined(subject.send(CompleteResponse(400)))
    with pytest.raises(LocalProtocolError, match="answer 400 that is not owed"):
        subject.send(CompleteResponse(400))


def test_an_answer_that_has_begun_may_be_finished_after_an_error(http: str) -> None:
    subject = begun(http, POST, b"012")
    subject.send(ResponseStart(200, [(b"Content-Length", b"2")]))
    subject.receive_eof()
    assert subject.next_event() == ContentReceived(b"012")
    with pytest.raises(RemoteProtocolError, match="7 bytes of content were to come"):
        subject.next_event()
    subject.send(ResponseContent(b"ok"))
    assert (subject.send(ResponseEnd()), subject.state, subject.must_close) == ([], HttpState.CLOSED, True)


def test_an_error_answer_to_what_was_no_request_has_content(http: str) -> None:
    subject = begun(http, GET.replace(b"GET", b"HEAD") + b"BAD\r\n\r\n")
    subject.send(OK)
    with pytest.raises(RemoteProtocolError):
        subject.next_event()
    assert joined(subject.send(CompleteResponse(400, (), b"why"))).endswith(b"\r\n\r\nwhy")


@pytest.mark.parametrize("wire", [b"", GET[:5], GET[:20]])
def test_a_deadline_may_be_answered_before_a_request_is_whole(http: str, wire: bytes) -> None:
    subject = engine(http)
    subject.receive_data(wire)
    subject.next_event()
    with pytest.raises(LocalProtocolError, match="answer 200 that is not owed"):
        subject.send(OK)
    assert CLOSE in joined(subject.send(CompleteResponse(408)))
    assert (subject.must_close, subject.next_event()) == (True, CLOSED)


def test_close_after_answer_is_said(http: str) -> None:
    subject = begun(http, GET + GET)
    subject.close_after_answer()
    assert CLOSE in joined(subject.send(OK))
    assert (subject.must_close, subject.next_event()) == (True, CLOSED)


def test_eof_is_met_when_all_that_came_is_answered(http: str) -> None:
    subject = begun(http, GET + GET)
    subject.receive_eof()
    assert subject.next_event() is PAUSED
    subject.send(OK)
    assert isinstance(subject.next_event(), RequestReceived)
    subject.send(OK)
    assert (subject.next_event(), subject.next_event()) == (CLOSED, CLOSED)


def test_files_travel_as_they_are(http: str) -> None:
    region = FileRegion(io.BytesIO(bytes(5)), 0, 5)
    subject = begun(http, GET + GET + GET.replace(b"GET", b"HEAD"))
    subject.send(ResponseStart(200, [(b"Content-Length", b"5")]))
    assert subject.send(ResponseContent(region)) == [region]
    assert subject.send(ResponseEnd()) == []
    subject.next_event()
    subject.send(ResponseStart(200, ()))
    assert subject.send(ResponseContent(region)) == [b"5\r\n", region, b"\r\n"]
    assert subject.send(ResponseEnd()) == [b"0\r\n\r\n"]
    subject.next_event()
    subject.send(ResponseStart(200, [(b"Content-Length", b"5")]))
    assert (subject.content_allowed, subject.send(ResponseContent(region))) == (False, [])
    subject.send(ResponseEnd())
    assert subject.content_allowed


def test_large_content_is_not_copied(http: str) -> None:
    large = bytes(64 * 1024)
    subject = begun(http, GET + GET)
    wire = subject.send(CompleteResponse(200, (), large))
    assert (len(wire), wire[1] is large) == (2, True)
    subject.next_event()
    subject.send(ResponseStart(200, ()))
    assert subject.send(ResponseContent(large)) == [b"10000\r\n", large, b"\r\n"]
    assert len(subject.send(ResponseContent(large[1:]))) == 1


def test_any_buffer_is_counted_in_bytes(http: str) -> None:
    subject = begun(http, GET + GET)
    view = memoryview(bytes(16)).cast("Q")
    assert b"\r\nContent-Length: 16\r\n" in joined(subject.send(CompleteResponse(200, (), view)))
    subject.next_event()
    subject.send(ResponseStart(200, ()))
    assert joined(subject.send(ResponseContent(view))).startswith(b"10\r\n")
    assert joined(subject.send(ResponseContent(bytearray(b"x")))) == b"1\r\nx\r\n"


LENGTH_5 = ResponseStart(200, [(b"Content-Length", b"5")])
BROKEN = [
    ([LENGTH_5, ResponseContent(b"123456")], "content is 1 bytes longer than its Content-Length"),
    ([LENGTH_5, ResponseContent(b"1234"), ResponseEnd()], "content is 1 bytes shorter than its Content-Length"),
    ([LENGTH_5, ResponseContent(b"12345"), ResponseEnd([(b"a", b"b")])], "trailer fields behind content"),
    ([ResponseStart(200), ResponseEnd([(b"a\r\n", b"b")])], "is no token"),
    ([ResponseStart(200), ResponseEnd([(b"a", b"b\n")])], "has control bytes"),
    ([ResponseStart(200), ResponseEnd([(b"Content-Length", b"1")])], "in the trailer section"),
]


@pytest.mark.parametrize(("events", "message"), BROKEN)
def test_an_answer_that_is_not_what_it_said_breaks_the_connection(http: str, events: list[Any], message: str) -> None:
    for wire in (GET, POST):
        subject = begun(http, wire)
        for event in events[:-1]:
            subject.send(event)
        with pytest.raises(LocalProtocolError, match=message):
            subject.send(events[-1])
        assert (subject.state, subject.must_close, subject.next_event()) == (HttpState.CLOSED, True, CLOSED)


MISUSE: list[tuple[list[Any], str]] = [
    ([ResponseContent(b"x")], "content of an answer that is owed, not begun"),
    ([ResponseEnd()], "end of an answer that is owed, not begun"),
    ([ResponseStart(200), ResponseStart(200)], "second answer 200 to one request"),
    ([ResponseStart(200), OK], "second answer 200 to one request"),
    ([ResponseStart(200), InformationalResponse(103)], "interim answer 103 to an answer that is begun"),
    ([OK, OK], "answer 200 that is not owed"),
    ([OK, ResponseContent(b"x")], "content of an answer that is not owed"),
    ([InformationalResponse(101)], "status 101 is not the status of an interim answer"),
    ([InformationalResponse(200)], "status 200 is not the status of an interim answer"),
    ([InformationalResponse(103, [(b"a", b"\n")])], "has control bytes"),
    ([ResponseStart(199)], "status 199 is not the status of a final answer"),
    ([ResponseStart(200, [(b"Transfer-Encoding", b"gzip")])], "only chunked can be sent"),
    ([RequestReceived], "type is nothing that can be sent"),
]


@pytest.mark.parametrize(("events", "message"), MISUSE)
def test_what_may_not_be_sent_now(http: str, events: list[Any], message: str) -> None:
    subject = begun(http, GET)
    for event in events[:-1]:
        subject.send(event)
    before = subject.state
    with pytest.raises(LocalProtocolError, match=message):
        subject.send(events[-1])
    assert subject.state is before


def test_no_interim_answer_goes_to_http_1_0(http: str) -> None:
    subject = begun(http, b"GET / HTTP/1.0\r\n\r\n")
    assert subject.send(InformationalResponse(103)) == []


def test_an_unknown_status_has_no_reason(http: str) -> None:
    assert joined(begun(http, GET).send(CompleteResponse(799))).startswith(b"HTTP/1.1 799 \r\n")


def test_without_a_server_field(http: str) -> None:
    subject = WatchedEngine(Limits(), date=lambda: b"now", server_header=None, http=http)
    subject.receive_data(GET)
    subject.next_event()
    assert joined(subject.send(OK)) == b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\nok"


def work(prepare: Callable[[], tuple[WatchedEngine, list[bytes]]]) -> int:
    """Bytes that a conversation makes the engine look at, counted on its buffer."""
    subject, pieces = prepare()
    copied = 0
    for piece in pieces:
        held = id(subject._data)
        subject.receive_data(piece)
        while isinstance(subject.next_event(), RequestReceived):
            subject.send(OK)
        copied += 0 if id(subject._data) == held else len(subject._data)
    return copied


def test_dribbled_and_pipelined_bytes_are_not_copied_again_and_again(http: str) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 90 + b"\r\n"
    assert work(lambda: (engine(http), [head[at : at + 1] for at in range(len(head))])) < 4 * len(head)
    many = GET * 500
    assert work(lambda: (engine(http), [many])) <= len(many)


def test_a_closed_engine_gathers_nothing(http: str) -> None:
    subject = begun(http, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + GET)
    subject.send(OK)
    for _ in range(100):
        subject.receive_data(bytes(1000))
        assert subject.next_event() is CLOSED
    assert len(subject._data) < 1000
    assert subject.content_outstanding


def test_every_transition_has_a_way_there(http: str) -> None:
    reached = {HttpState.IDLE}
    for _ in HttpState:
        reached |= {after for before, after in EDGES if before in reached}
    assert reached == set(HttpState)
    assert not [before for before, _ in TRANSITIONS if before is HttpState.CLOSED]
