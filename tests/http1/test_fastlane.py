"""The short cut is equal to h11 behind the screen: same requests, same answers, same state, or it declines."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.config import Limits
from rat.errors import LocalProtocolError
from rat.events import (
    CompleteResponse,
    FieldLines,
    InformationalResponse,
    RequestReceived,
    ResponseContent,
    ResponseEnd,
    ResponseStart,
    Wire,
)
from rat.http1 import fastlane
from rat.http1.engine import HttpEngine
from rat.http1.fastlane import HeadReader
from tests.http1.feeding import Log, byte_by_byte, converse, engine, every_split, joined
from tests.http1.heads import CLIENTS, wires
from tests.support.examples import examples, seed, times

native: Any = None
with contextlib.suppress(ImportError):
    import rat.http1._lane as native


@cache
def readers(limits: Limits) -> dict[str, HeadReader]:
    """Everything here holds of both readers of heads, where the one in C is built."""
    size = min(limits.request_line, limits.head, limits.field_line)
    known = {"reference": fastlane.reference_reader(limits.fields, size)}
    if native is not None:
        known["native"] = native.head_reader(RequestReceived, limits.fields, size)
    return known


def compare(pieces: list[bytes], lanes: list[bool], limits: Limits | None = None) -> Log:
    """h11 and both readers must agree on everything, and the readers on which heads take the short cut."""
    by_h11 = converse(pieces, "h11", limits=limits)
    taken: list[list[bool]] = []
    for name, reader in readers(limits or Limits()).items():
        taken.append([])
        assert converse(pieces, lanes=taken[-1], limits=limits, reader=reader) == by_h11, (name, pieces)
    assert taken[0] == taken[-1], pieces
    lanes += taken[0]
    return by_h11


@pytest.mark.generated
def test_generated_heads_are_read_alike() -> None:
    lanes: list[bool] = []
    count = times(2_400)
    for wire in wires(seed(1), count):
        compare([wire], lanes)
    # A generator whose heads nobody accepts would prove nothing.
    assert sum(lanes) > count / 2


@pytest.mark.generated
def test_generated_heads_are_read_alike_at_every_split() -> None:
    lanes: list[bool] = []
    for wire in wires(seed(2), times(24)):
        expected = compare([wire], lanes)
        for pieces in every_split(wire):
            assert compare(pieces, lanes) == expected
        for pieces in byte_by_byte(wire):
            assert compare(pieces, lanes) == expected
    assert sum(lanes) > times(1_200)


@given(st.binary(max_size=80), st.binary(max_size=80))
@examples(100)
def test_no_bytes_make_a_difference(value: bytes, target: bytes) -> None:
    compare([b"GET /" + target + b" HTTP/1.1\r\nHost: a\r\nX: " + value + b"\r\n\r\n"], [])


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_what_clients_send_takes_the_short_cut_at_every_split(client: str) -> None:
    wire = CLIENTS[client]
    lanes: list[bool] = []
    expected = compare([wire], lanes)
    assert expected.status is None
    for pieces in [*every_split(wire), *byte_by_byte(wire)]:
        assert compare(pieces, lanes) == expected
    assert all(lanes)


def test_every_byte_in_every_place() -> None:
    template = b"GET /p?q HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTe: f\r\n\r\nok"
    lanes: list[bool] = []
    for place in range(len(template)):
        for byte in range(256) if place % 4 == 0 else b"\x00\t\n\r !#,:;?@AZ[]az~\x7f\x80\xff":
            compare([template[:place] + bytes([byte]) + template[place + 1 :]], lanes)
    assert sum(lanes) > 300


DECLINED = [
    b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"v" * 9000),
]


@pytest.mark.parametrize("wire", DECLINED)
def test_what_is_unusual_is_declined_and_read_by_h11(wire: bytes) -> None:
    lanes: list[bool] = []
    compare([wire], lanes)
    assert not any(lanes)


def of_size(size: int) -> bytes:
    long = b"X: " + b"v" * 100 + b"\r\n"
    return b"GET / HTTP/1.1\r\nHost: a\r\n" + long + long + b"Y: " + b"w" * (size - 242) + b"\r\n\r\n"


def with_field_line(size: int) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"v" * (size - 3) + b"\r\n\r\n"


def with_fields(count: int) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * (count - 1) + b"\r\n"


def with_line(size: int) -> bytes:
    return b"GET /" + b"a" * (size - 14) + b" HTTP/1.1\r\nHost: a\r\n\r\n"


SMALL = Limits(request_line=100, head=300, field_line=150, fields=10)
EDGES: list[tuple[str, Callable[[int], bytes], int, int]] = [
    ("fields", with_fields, 10, 431),
    ("request line", with_line, 100, 414),
    ("field line", with_field_line, 150, 431),
    ("head", of_size, 300, 431),
]


@pytest.mark.parametrize(("what", "make", "limit", "status"), EDGES, ids=[edge[0] for edge in EDGES])
@pytest.mark.parametrize("past", [-1, 0, 1])
def test_limits_at_their_edges(what: str, make: Callable[[int], bytes], limit: int, status: int, past: int) -> None:
    wire = make(limit + past)
    for pieces in ([wire], *every_split(wire), *byte_by_byte(wire)):
        log = compare(pieces, [], SMALL)
        assert log.status == (status if past > 0 else None)
        assert len(log.messages) == (past <= 0)


MUTATIONS = [
    ("takes control bytes in values", rb"[\t\x20-\x7e\x80-\xff]", rb"[\t\x01-\x08\x20-\x7e\x80-\xff]"),
    ("takes DEL", rb"[\t\x20-\x7e\x80-\xff]", rb"[\t\x20-\xff]"),
    ("does without Host", rb"(?(authority)|(?!))", rb""),
    ("takes a second Host", rb"(?(6)(?!))", rb""),
    ("takes a second Content-Length", rb"(?(7)(?!))", rb""),
    ("overlooks Expect", rb"[Ee](?![Xx][Pp][Ee][Cc][Tt]:)", rb"[Ee]"),
    ("overlooks Transfer-Encoding", rb"[Tt](?![Rr][Aa][Nn]", rb"[Tt](?![Rr][Aa][Mm]"),
    ("overlooks an odd Content-Length", rb"[Nn][Tt]-[Ll][Ee]", rb"[Nn][Tt]_[Ll][Ee]"),
    ("overlooks an odd Connection", rb"|[Nn][Ee][Cc][Tt][Ii]", rb"|[Nn][Ee][Cc][Tt][Jj]"),
    ("overlooks an odd Host", rb"(?![Oo][Ss][Tt]:)", rb""),
    ("takes a fragment", rb"/[!-\"$->@-~]", rb"/[!->@-~]"),
    ("takes a fragment in the query", rb"(?P<query>[!-\"$-~]", rb"(?P<query>[!-~]"),
    ("takes CONNECT", rb"(?!CONNECT )", rb""),
    (
        "takes any port",
        rb"(?:6(?:[0-4][0-9]{3}|5(?:[0-4][0-9]{2}|5(?:[0-2][0-9]|3[0-5])))|[1-5]?[0-9]{1,4})",
        rb"[0-9]{1,5}",
    ),
    ("takes HTTP/1.0", rb"HTTP/1\.1", rb"HTTP/1\.[01]"),
    ("takes a space before the colon", rb"*+:", rb"*+[ ]?:"),
    ("takes a bare LF", rb"\xff]*+\r\n", rb"\xff]*+\r?\n"),
    ("takes folded lines", rb"\xff]*+\r\n", rb"\xff]*+(?:\r\n[ \t][a-z]*+)?+\r\n"),
    ("sees no close", rb"|(?P<close>[Cc]lose)", rb"|[Cc]lose|(?P<close>_)"),
    ("takes at-signs in Host", rb"[A-Za-z0-9.\-_~]++", rb"[A-Za-z0-9.\-_~@]++"),
]


@cache
def read_by_h11(number: int) -> list[tuple[bytes, Log]]:
    return [(wire, converse([wire], "h11")) for wire in wires(number, 100)]


def disagrees(reader: HeadReader, wire: bytes, by_h11: Log) -> bool:
    try:
        return converse([wire], reader=reader) != by_h11
    except (AssertionError, SystemError):
        # SystemError: a mutated expression went on after a branch that had captured and failed.
        return True


@pytest.mark.parametrize(("what", "old", "new"), MUTATIONS, ids=[mutation[0] for mutation in MUTATIONS])
def test_a_mutation_of_the_lane_is_noticed(what: str, old: bytes, new: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of 5,000 generated heads shows it, the kind of head that the tests above draw."""
    assert old in fastlane._HEAD
    monkeypatch.setattr(fastlane, "_HEAD", re.sub(re.escape(old), lambda _: new, fastlane._HEAD))
    mutant = fastlane.reference_reader(100, 8192)
    assert any(disagrees(mutant, *read) for number in range(50) for read in read_by_h11(number))


ANSWERS: list[tuple[int, FieldLines, bytes]] = [
    (200, [(b"Content-Type", b"text/plain")], b"x" * 13),
    (200, [], b""),
    (200, [(b"a", b"b"), (b"a", b"c"), (b"Set-Cookie", b"x=y")], b"x" * 1023),
    (200, [(b"a", b" padded\t")], b"x" * 1024),
    (201, [(b"Location", b"/x")], b"x" * 65_535),
    (200, [(b"X-Long", b"v" * 500)], b"x" * 65_536),
    (200, [(b"Content-Length", b"3")], b"abc"),
    (200, [(b"Connection", b"close")], b"abc"),
    (200, [(b"Connection", b"keep-alive")], b"abc"),
    (200, [(b"Date", b"today"), (b"Server", b"other")], b"abc"),
    (200, [(b"Transfer-Encoding", b"chunked")], b"abc"),
    (204, [], b""),
    (205, [], b""),
    (304, [(b"ETag", b'"x"')], b""),
    (304, [(b"Content-Length", b"99")], b""),
    (404, [], b"not found"),
    (599, [], b"no such reason"),
]
REFUSED: list[tuple[int, FieldLines, bytes]] = [
    (200, [(b"Content-Length", b"4")], b"abc"),
    (200, [(b"Content-Length", b"x")], b"abc"),
    (200, [(b"Content-Length", b"3"), (b"Content-Length", b"3")], b"abc"),
    (200, [(b"Transfer-Encoding", b"gzip")], b"abc"),
    (200, [(b"a", b"b\r\nc: d")], b""),
    (200, [(b"a", b"b\nc")], b""),
    (200, [(b"a", b"b\x00c")], b""),
    (200, [(b"a b", b"c")], b""),
    (200, [(b"", b"c")], b""),
    (100, [], b""),
    (1000, [], b""),
]
REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HELLO / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n",
]


def replies(request: bytes, send: Iterable[object], http: str) -> tuple[list[bytes], str, bool]:
    subject = engine(http)
    subject.receive_data(request)
    assert isinstance(subject.next_event(), RequestReceived)
    assert subject.took_the_lane is (http == "auto")
    written = [joined(subject.send(event)) for event in send]
    return written, subject.state.name, subject.must_close


@pytest.mark.parametrize("request_wire", REQUESTS)
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: repr(answer)[:50])
def test_answers_are_written_alike(request_wire: bytes, answer: tuple[int, FieldLines, bytes]) -> None:
    status, fields, content = answer
    complete = [CompleteResponse(status, fields, content)]
    assert replies(request_wire, complete, "auto") == replies(request_wire, complete, "h11")
    pieces = [ResponseContent(content[:1]), ResponseContent(content[1:])]
    streamed = [InformationalResponse(103, [(b"Link", b"</x>")]), ResponseStart(status, fields), *pieces, ResponseEnd()]
    assert replies(request_wire, streamed, "auto") == replies(request_wire, streamed, "h11")


@pytest.mark.parametrize("http", ["auto", "h11"])
@pytest.mark.parametrize("answer", REFUSED, ids=lambda answer: repr(answer)[:50])
def test_answers_are_refused_alike_and_another_may_follow(http: str, answer: tuple[int, FieldLines, bytes]) -> None:
    subject = engine(http)
    subject.receive_data(REQUESTS[0])
    subject.next_event()
    with pytest.raises(LocalProtocolError):
        subject.send(CompleteResponse(*answer))
    assert joined(subject.send(CompleteResponse(500, (), b"sorry"))).endswith(b"\r\n\r\nsorry")
    assert not subject.must_close


def test_the_date_is_renewed_and_lines_do_not_pile_up() -> None:
    dates = [b"one", b"one", b"two"]
    subject = HttpEngine(Limits(), date=lambda: dates[0])
    for number in range(1000):
        subject.receive_data(REQUESTS[0])
        subject.next_event()
        if number == 500:
            dates.pop(0), dates.pop(0)
        field = (b"X-Number", b"%d" % number)
        wire: Wire = subject.send(CompleteResponse(200, [field], b""))
        expected = b"HTTP/1.1 200 OK\r\nDate: %b\r\nServer: rat\r\nX-Number: %d\r\nContent-Length: 0\r\n\r\n"
        assert wire == [expected % (dates[0], number)]
    assert len(fastlane.lane_writer(b"rat")._lines) <= 256


@pytest.mark.parametrize("read", readers(Limits()).values(), ids=readers(Limits()))
def test_every_port_takes_the_lane_and_no_larger_number(read: HeadReader) -> None:
    head = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n"
    assert [port for port in range(70_000) if read(head % port, 0)] == list(range(65_536))
