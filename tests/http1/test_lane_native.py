"""The reader of heads in C is the regular expression to the bit, on whatever bytes."""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
from typing import Any

import pytest

from rat.errors import LocalProtocolError
from rat.events import KeptFields, RequestReceived
from rat.http1 import fastlane, fieldsearch
from tests.http1.feeding import ATTRIBUTES
from tests.http1.heads import CLIENTS, mutated, wires
from tests.support.allocations import can_fail, refusals_of
from tests.support.examples import seed, times
from tests.support.extensions import built

native = built("rat.http1._lane")

SIZE = 2000
FIELDS = 9
by_c = native.head_reader(RequestReceived, FIELDS, SIZE)
by_expression = fastlane.reference_reader(FIELDS, SIZE)


def outcome(read: fastlane.HeadReader, data: bytes, at: int) -> Any:
    request = read(data, at)
    if request is None:
        return None
    return [getattr(request, name) for name in (*ATTRIBUTES, "content", "stop", "trailers")], type(request)


def agree(data: bytes, at: int = 0) -> bool:
    """Whether the head was read; the readers must agree on that and on all that was read."""
    expected = outcome(by_expression, data, at)
    assert outcome(by_c, data, at) == expected, (data, at)
    return expected is not None


@pytest.mark.generated
def test_generated_heads() -> None:
    source = random.Random(seed(11))
    taken = 0
    for number, wire in enumerate(wires(seed(12), times(10_000))):
        taken += agree(mutated(source, wire) if number % 2 else wire)
    assert taken > times(3_500)


def test_every_beginning_and_every_offset() -> None:
    taken = 0
    for wire in [*CLIENTS.values(), *wires(13, 40)]:
        for place in range(len(wire) + 1):
            taken += agree(wire[:place])
            taken += agree(wire, place)
            agree(b"x" * place + wire, place)
    assert taken > 1_000


@pytest.mark.parametrize("name", CLIENTS)
def test_every_byte_at_every_place(name: str) -> None:
    wire = CLIENTS[name]
    source = random.Random(14)
    for place in range(len(wire)):
        for byte in (*b"\x00\t\n\r :?#\x7f\x80\xff", source.randrange(256), source.randrange(256)):
            agree(wire[:place] + bytes([byte]) + wire[place + 1 :])


PIECES = [
    *(b"GET ", b"HEAD ", b"CONNECT ", b"/", b"?", b"#", b" HTTP/1.1\r\n", b"\r\n", b"\r", b"\n", b"\t", b" ", b":"),
    *(
        b"Host: a\r\n",
        b"host:b:80\r\n",
        b"HOST: c\r\n",
        b"Host: a:65536\r\n",
        b"Host: a:00080\r\n",
        b"Host: a:\r\n",
    ),
    *(b"Content-Length: 3\r\n", b"content-length:0\r\n", b"Content-Length: 00000000000000000009\r\n", b"abc"),
    *(b"Connection: close\r\n", b"connection: Keep-Alive \r\n", b"Connection: keep-alive, x\r\n", b"Connection:"),
    *(b"Expect: x\r\n", b"Expected: x\r\n", b"Transfer-Encoding: chunked\r\n", b"Cookie: a=b\r\n", b"C: d\r\n"),
    *(b"X: " + b"v" * 15 + b"\x7f\r\n", b"X: " + b"v" * 16 + b"\t" + b"w" * 40 + b"\r\n", b"\xff", b"\x00"),
]


@pytest.mark.generated
def test_heads_of_pieces() -> None:
    source = random.Random(seed(15))
    taken = 0
    for _ in range(times(4_000)):
        pieces = source.choices(PIECES, k=source.randrange(15))
        if source.random() < 0.3:
            pieces.insert(source.randrange(len(pieces) + 1), source.randbytes(source.randrange(1, 4)))
        tail = b"".join(pieces)
        agree(tail)
        taken += agree(b"GET /" + tail)
        taken += agree(b"GET / HTTP/1.1\r\nHost: a\r\n" + tail + b"\r\n")
    assert taken > times(100)


@pytest.mark.parametrize("edge", [-1, 0, 1])
def test_bounds_at_their_edges(edge: int) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n"
    assert agree(head + b"X: y\r\n" * (FIELDS - 1 + edge) + b"\r\n") is (edge <= 0)
    filler = SIZE + edge - len(head) - len(b"X: \r\n\r\n")
    assert agree(head + b"X: " + b"v" * filler + b"\r\n\r\n") is (edge <= 0)
    for digits in (18, 19, 20):
        assert agree(head + b"Content-Length: " + b"9" * digits + b"\r\n\r\n") is (digits < 20)


def test_what_is_no_head_reader() -> None:
    class Bare:
        __slots__ = ("_parts",)

    class Odd(RequestReceived):
        method = property(lambda self: "GET")

    with pytest.raises(AttributeError, match="method"):
        native.head_reader(Bare, 1, 1)
    with pytest.raises(TypeError, match="Odd has no slot method"):
        native.head_reader(Odd, 1, 1)
    for arguments in [(b"GET",), (b"GET", 0, 0), ("GET", 0), (bytearray(b"GET"), 0)]:
        with pytest.raises(TypeError, match="takes bytes and where a head begins"):
            by_c(*arguments)
    with pytest.raises(ValueError, match="begins at -1"):
        by_c(b"GET", -1)
    request = by_c(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0)
    with pytest.raises(IndexError):
        request._parts["close"]
    with pytest.raises(IndexError):
        request._parts[3]


def test_no_reference_is_lost() -> None:
    data = b"POST /a?b HTTP/1.1\r\nHost: example.org\r\nContent-Length: 3\r\n\r\nabc" + b"x" * 9

    def once() -> None:
        for wire in (data, data[:-10], data[:30], data.replace(b"POST", b"BREW"), data.replace(b"?b", b"")):
            request = by_c(wire, 0)
            if request is not None:
                assert request.authority == b"example.org"
                assert request.target.startswith(b"/a")
                assert request.fields

    once()
    gc.collect()
    before = sys.getrefcount(data), len(gc.get_objects()), sys.getallocatedblocks()
    for _ in range(200):
        once()
    gc.collect()
    after = sys.getrefcount(data), len(gc.get_objects()), sys.getallocatedblocks()
    assert all(new - old < 20 for old, new in zip(before, after, strict=True))


NAMES = [b"accept", b"accept-encoding", b"x", b"host"]
BEGINNINGS = [(), (b"accept-",), (b"accept:", b"x:"), (b"a", b"hos"), (b"x" * 40,), (b"accept:b", b"z")]
LINE_PARTS = [
    [b"Accept:", b"ACCEPT:", b"accept-Encoding:", b"X:", b"x:", b"Acceptx:", b"HOST:", b"a:"],
    [b"", b" ", b"\t "],
    [b"", b"a", b"gzip;q=0.5, br", b"x: y", b"accept:z", b"\xff"],
    [b"\r\n", b" \r\n", b"\t\r\n"],
]


@pytest.mark.generated
def test_fields_and_beginnings_are_found_alike() -> None:
    source = random.Random(seed(16))
    for _ in range(times(2_000)):
        lines = [b"".join(map(source.choice, LINE_PARTS)) for _ in range(source.randrange(7))]
        section = b"".join(lines)
        request = RequestReceived("GET", b"/", b"/", b"", b"GET /", "1.1", b"", section, 0, True, False, b"")
        for name in NAMES:
            values = [value for known, value in request.fields if known == name]
            wanted = b", ".join(values) if values else None
            assert fieldsearch.reference_combined_value(section, name) == wanted, (section, name)
            assert native.combined_value(section, name) == wanted, (section, name)
        for beginnings in BEGINNINGS:
            expected = any(line.lower().startswith(beginnings) for line in lines)
            assert fieldsearch.reference_begins_any(section, beginnings) is expected, (section, beginnings)
            assert native.begins_any(section, beginnings) is expected, (section, beginnings)


def test_begins_any_takes_bytes() -> None:
    for arguments in [(b"",), (b"", b"x"), (b"", ["x"]), ("", (b"x",))]:
        with pytest.raises(TypeError, match="begins_any takes"):
            native.begins_any(*arguments)
    with pytest.raises(TypeError, match="is bytes in lower case"):
        native.begins_any(b"", ("x",))


def test_combined_value_takes_bytes() -> None:
    for arguments in [(b"",), (b"", "x"), ("", b"x"), (b"", b"x", b"y")]:
        with pytest.raises(TypeError, match="combined_value takes"):
            native.combined_value(*arguments)


def test_answers_of_known_parts_are_those_of_the_method() -> None:
    """Each answer three times: the second and third are made of parts that the first has made known."""
    by_method = fastlane.LaneWriter(b"rat")
    calls = 0

    def counted(*arguments: Any) -> bytes | None:
        nonlocal calls
        calls += 1
        return by_method.complete(*arguments)

    write = native.answer_writer(counted, by_method._starts, by_method._lines, by_method._blocks)
    reference = fastlane.LaneWriter(b"rat")
    pair = ((b"a", b"b"), (b"c", b"d"))
    fields = [(), pair[:1], pair, list(pair), ((b"date", b"x"),), KeptFields(pair), KeptFields(((b"date", b"x"),))]
    fields += [[(b"n", b"%d" % number) for number in range(count)] for count in (16, 17)]
    fields += [[(b"a", b"b" * 200)], []]
    contents = [b"x" * size for size in (0, 1, 9, 10, 1023, 1024, 65_535, 65_536)] + [bytearray(b"x"), memoryview(b"y")]
    for date in (b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sun, 06 Nov 1994 08:49:38 GMT"):
        for status in (200, 404, 204, 599):
            for lines in fields:
                for content in contents:
                    expected = reference.complete(status, lines, content, date)
                    assert [write(status, lines, content, date) for _ in range(3)] == [expected] * 3
    calls = 0
    assert write(200, fields[1], b"hello", date) is not None
    assert calls == 0
    with pytest.raises(TypeError, match="status, fields, content and date"):
        write(200, (), b"")
    with pytest.raises(TypeError):
        native.answer_writer(counted, {}, {}, None)


def test_what_an_answer_is_made_of_is_held() -> None:
    """The hash of a field may be the application's, and do anything; such a field is not looked up, and not kept."""
    writer = fastlane.LaneWriter(b"rat")
    write = native.answer_writer(writer.complete, writer._starts, writer._lines, writer._blocks)
    kept = [(b"n", b"%d" % number) for number in range(3)]
    expected = write(200, kept, b"x", b"now")
    assert writer._lines

    class Name(bytes):
        def __hash__(self) -> int:
            writer._starts.clear()
            writer._lines.clear()
            fields.clear()
            return hash(bytes(self))

    fields = [*kept[:2], (Name(kept[2][0]), kept[2][1])]
    assert write(200, fields, b"x", b"now") in (expected, fastlane.LaneWriter(b"rat").complete(200, [], b"x", b"now"))
    for _ in range(2):
        assert write(200, ((Name(b"a"), b"b"),), b"x", b"now") is not None
    assert not writer._blocks
    assert all(type(name) is bytes for name, _ in writer._lines)


def test_an_answer_that_the_method_refuses_is_refused() -> None:
    writer = fastlane.LaneWriter(None)
    write = native.answer_writer(writer.complete, writer._starts, writer._lines, writer._blocks)
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="control bytes"):
            write(200, ((b"a", b"b\nc"),), b"", b"now")
        with pytest.raises(TypeError, match="unhashable"):
            write(200, ((b"a", []),), b"", b"now")
        with pytest.raises(TypeError, match="unhashable"):
            write(200, [[b"a", b"b"]], b"", b"now")
        assert write(200, (), b"ok", b"now").endswith(b"ok")


SWEEP = """
import faulthandler
faulthandler.enable()
from rat.events import KeptFields, RequestReceived
from rat.http1 import _lane, fastlane
from tests.support.allocations import refusals

read = _lane.head_reader(RequestReceived, 100, 8192)
wire = b"BREW /a?b HTTP/1.1\\r\\nHost: a\\r\\nX: 1\\r\\nx: 2\\r\\nContent-Length: 3\\r\\n\\r\\nabc"
section = b"Host: a\\r\\nX: 1\\r\\nx: 2\\r\\nX: 3\\r\\n"
writer = fastlane.LaneWriter(b"rat")
kept = KeptFields([(b"a", b"b"), (b"c", b"d")])
answers = [(200, lines, b"x" * 20, b"now") for lines in (kept, tuple(kept), list(kept), ())]
for answer in answers:
    assert writer.write(*answer) == writer.write(*answer)

def operations():
    yield lambda: read(wire, 0).method
    yield lambda: read(wire, 0)._parts["query"]
    yield lambda: _lane.combined_value(section, b"x")
    yield lambda: _lane.head_reader(RequestReceived, 100, 8192)
    yield lambda: _lane.answer_writer(writer.complete, writer._starts, writer._lines, writer._blocks)
    for answer in answers:
        yield lambda: writer.write(*answer)

for operation in operations():
    print(refusals(lambda: operation))
"""


@can_fail
def test_every_allocation_may_fail() -> None:
    counts = refusals_of(SWEEP, RAT_LANE="native")
    assert len(counts) == 9
    assert all(counts[:5])


def chosen(wanted: str, program: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "RAT_LANE": wanted}
    program += "; from rat.http1 import fastlane; print(fastlane.implementation)"
    return subprocess.run(
        [sys.executable, "-c", program.strip("; ")], env=environment, capture_output=True, text=True, check=False
    )


def test_the_reader_can_be_chosen() -> None:
    hidden = "import sys; sys.modules['rat.http1._lane'] = None"
    assert chosen("").stdout == "native\n"
    assert chosen("reference").stdout == "reference\n"
    assert chosen("", hidden).stdout == "reference\n"
    assert "RAT_LANE is 'native', and rat.http1._lane is not built" in chosen("native", hidden).stderr
    assert "RAT_LANE is 'fast', and may be 'native' or 'reference'" in chosen("fast").stderr
