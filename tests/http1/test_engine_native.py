"""The verbs of an engine in C are its methods in plain Python: the same results, the same state after each."""

from __future__ import annotations

import gc
import inspect
import pydoc
import random
import sys
from typing import Any

import pytest

from rat.config import Limits
from rat.errors import LocalProtocolError, RemoteProtocolError
from rat.events import CompleteResponse, ContentReceived, EndOfMessage, RequestReceived, ResponseEnd, ResponseStart
from rat.http1.engine import HttpEngine, ReferenceEngine
from tests.http1.feeding import ATTRIBUTES, DATE
from tests.http1.heads import CLIENTS, mutated, wires
from tests.support.allocations import can_fail, refusals_of
from tests.support.examples import seed, times
from tests.support.extensions import built

native = built("rat.http1._lane")

if HttpEngine.next_event is ReferenceEngine.next_event:
    pytest.skip("the verbs in C were not asked for", allow_module_level=True)


@pytest.mark.parametrize("name", ["receive_request", "next_event", "answer"])
def test_help_says_what_it_says_of_the_method(name: str) -> None:
    ours, theirs = getattr(HttpEngine, name), getattr(ReferenceEngine, name)
    assert (ours.__name__, ours.__qualname__, ours.__doc__) == (theirs.__name__, theirs.__qualname__, theirs.__doc__)
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert f"{name}(self" in pydoc.plain(pydoc.render_doc(HttpEngine))


SLOTS = (
    *("state", "must_close", "content_allowed", "_answer", "_at", "_by_lane", "_continue", "_data", "_empty_line"),
    *("_eof", "_quick", "_scanned", "_swallowed", "unread", "wanted", "is_quiet", "needs_continue", "_request"),
)
FIELDS = (((b"content-type", b"text/plain"),), [(b"a", b"b")], ((b"connection", b"close"),), [(b"a", b"b\n")], ())
CONTENTS = (b"", b"hello", b"x" * 70_000, bytearray(b"hello"))


def told(value: object) -> Any:
    """*value*, for comparison."""
    if isinstance(value, RequestReceived):
        return [getattr(value, name) for name in (*ATTRIBUTES, "content", "trailers")]
    return value() if callable(value) else value


class Pair:
    """An engine of each kind, to which the same things are done."""

    def __init__(self, http: str) -> None:
        self.kinds = [kind(Limits(), date=lambda: DATE, http=http) for kind in (ReferenceEngine, HttpEngine)]

    def do(self, verb: str, *arguments: Any) -> Any:
        """What *verb* gives or raises; both must agree on that, and on all they hold afterwards."""
        results: list[Any] = []
        for engine in self.kinds:
            try:
                result = getattr(engine, verb)(*arguments)
            except (LocalProtocolError, RemoteProtocolError) as error:
                result = type(error), str(error)
            results.append([told(result), [told(getattr(engine, name)) for name in SLOTS], type(result)])
        assert results[0] == results[1], (verb, arguments)
        return result


def converse(pair: Pair, source: random.Random, wire: bytes) -> int:
    """Feed *wire* in pieces and do what can be done in between; the number of requests."""
    requests = 0
    while wire:
        size = source.choice((len(wire), len(wire), source.randrange(1, 80)))
        piece, wire = wire[:size], wire[size:]
        event = pair.do(source.choice(("receive_data", "receive_request")), piece)
        if not wire and source.random() < 0.2:
            pair.do("receive_eof")
        for _ in range(20):
            if isinstance(event, RequestReceived):
                requests += 1
            elif not isinstance(event, ContentReceived | EndOfMessage) and pair.kinds[0]._answer.name == "OWED":
                speak(pair, source)
            before = pair.kinds[0].state, pair.kinds[0].unread
            event = pair.do("next_event")
            if (pair.kinds[0].state, pair.kinds[0].unread) == before and pair.kinds[0]._answer.name != "OWED":
                break
    return requests


def speak(pair: Pair, source: random.Random) -> None:
    status, fields, content = source.choice((200, 200, 404, 204)), source.choice(FIELDS), source.choice(CONTENTS)
    if source.random() < 0.1:
        pair.do("close_after_answer")
    if source.random() < 0.1:
        pair.do("discard_content")
    if source.random() < 0.7:
        pair.do("answer", status, fields, content)
    elif source.random() < 0.5:
        pair.do("send", CompleteResponse(status, fields, content))
    else:
        pair.do("send", ResponseStart(status, ()))
        pair.do("send", ResponseEnd())


@pytest.mark.parametrize("http", ["auto", "h11"])
def test_whatever_comes_and_is_answered(http: str) -> None:
    source = random.Random(seed(21))
    count, requests = times(400 if http == "auto" else 50), 0
    for number, wire in enumerate(wires(seed(22), count)):
        whole = mutated(source, wire) if number % 3 == 0 else wire
        client = CLIENTS[source.choice(sorted(CLIENTS))]
        for pieces in (whole, whole + client + wire, client * 3 + whole):
            requests += converse(Pair(http), source, pieces)
    assert requests > 3 * count


def test_the_plain_way() -> None:
    pair = Pair("auto")
    for _ in range(3):
        assert isinstance(pair.do("receive_request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), RequestReceived)
        assert pair.do("next_event").name == "PAUSED"
        assert pair.do("answer", 200, FIELDS[0], b"hello").endswith(b"\r\n\r\nhello")
        assert pair.do("answer", 200, FIELDS[0], b"hello") is None
        assert pair.do("next_event").name == "NEED_DATA"


def test_a_date_that_fails_is_told() -> None:
    def fail() -> bytes:
        raise OSError("no clock")

    engine = HttpEngine(Limits(), date=fail)
    assert engine.receive_request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") is not None
    with pytest.raises(OSError, match="no clock"):
        engine.answer(200, (), b"")


def test_what_is_no_call() -> None:
    engine: Any = HttpEngine(Limits(), date=lambda: DATE)
    for call in (engine.next_event, engine.answer):
        with pytest.raises(TypeError, match="argument"):
            call(1)
    with pytest.raises(AttributeError):
        HttpEngine.next_event(3)  # type: ignore[arg-type]
    assert engine.receive_request(data=b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").method == "GET"
    for arguments in [(ReferenceEngine, ()), (object, (None,) * 7)]:
        with pytest.raises((ValueError, AttributeError), match=r"7 marks|receive_request"):
            native.verbs(*arguments)


def test_what_is_read_stays_while_garbage_is_collected() -> None:
    wire = b"POST /path HTTP/1.1\r\nHost: example.org\r\nContent-Length: 3\r\n\r\nabc"
    engine = HttpEngine(Limits(), date=lambda: DATE)
    engine.receive_data(bytes(bytearray(wire * 2)))

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            size = len(engine._data)
            engine._data = b""
            kept.append(bytes(size))

    kept: list[bytes] = []
    thresholds = gc.get_threshold()
    gc.collect()
    try:
        gc.set_threshold(0)
        Garbage()
        gc.set_threshold(1)
        event = engine.next_event()
    finally:
        gc.set_threshold(*thresholds)
    assert isinstance(event, RequestReceived)
    assert (event.method, event.path, event.content) == ("POST", b"/path", b"abc")


def test_no_reference_is_lost() -> None:
    engine = HttpEngine(Limits(), date=lambda: DATE)
    wire = b"POST /a?b HTTP/1.1\r\nHost: example.org\r\nContent-Length: 3\r\n\r\nabc"

    def once() -> None:
        for pieces in (wire, wire + wire, wire[:50]):
            if engine.receive_request(pieces) is None:
                while isinstance(engine.next_event(), RequestReceived):
                    assert engine.answer(200, (), b"hello")
            else:
                assert engine.answer(200, (), b"hello")
        engine.receive_data(wire[50:])
        assert isinstance(engine.next_event(), RequestReceived)
        assert engine.answer(200, (), b"hello")

    once()
    gc.collect()
    before = sys.getrefcount(wire), len(gc.get_objects()), sys.getallocatedblocks()
    for _ in range(200):
        once()
    gc.collect()
    after = sys.getrefcount(wire), len(gc.get_objects()), sys.getallocatedblocks()
    assert all(new - old < 20 for old, new in zip(before, after, strict=True))


SWEEP = """
from rat.config import Limits
from rat.http1 import _lane
from rat.http1.engine import HttpEngine, ReferenceEngine
from tests.support.allocations import refusals

one = b"POST /a?b HTTP/1.1\\r\\nHost: example.org\\r\\nContent-Length: 3\\r\\n\\r\\nabc"
engine = HttpEngine(Limits(), date=lambda: b"now")

def alone():
    engine.__init__(Limits(), date=lambda: b"now")
    return lambda: engine.receive_request(one)

def behind():
    engine.__init__(Limits(), date=lambda: b"now")
    engine.receive_data(one * 9)
    return engine.next_event

def answered():
    engine.__init__(Limits(), date=lambda: b"now")
    engine.receive_request(one)
    return lambda: engine.answer(200, (), b"x" * 20)

def made():
    marks = (None,) * 7
    return lambda: _lane.verbs(ReferenceEngine, marks)

for prepare in (alone, behind, answered, made):
    print(refusals(prepare))
"""


@can_fail
def test_every_allocation_may_fail() -> None:
    counts = refusals_of(SWEEP, RAT_LANE="native")
    assert len(counts) == 4
    assert all(counts)
