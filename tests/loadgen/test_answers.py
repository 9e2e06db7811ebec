from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest

from rat.loadgen.answers import Answer, AnswerParser, BadAnswer

Row = tuple[int, int, bytes | None, bool]

CASES: dict[str, tuple[bytes, list[Row]]] = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", [(200, 5, b"hello", False)]),
    "no reason phrase": (b"HTTP/1.1 404 \r\ncontent-length:0\r\n\r\n", [(404, 0, b"", False)]),
    "two in a row": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nbc",
        [(200, 1, b"a", False), (500, 2, b"bc", False)],
    ),
    "interim answers do not count": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\na",
        [(201, 1, b"a", False)],
    ),
    "204": (b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", [(204, 0, b"", False)]),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", [(304, 0, b"", False)]),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
        [(200, 13, b"abc0123456789", False)],
    ),
    "chunked with trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: u\r\nV: w\r\n\r\n"
        b"HTTP/1.1 204 x\r\n\r\n",
        [(200, 1, b"a", False), (204, 0, b"", False)],
    ),
    "close": (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\na", [(200, 1, b"a", True)]),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", [(200, 1, b"a", True)]),
    "HTTP/1.0 kept": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
        [(200, 1, b"a", False)],
    ),
    "until the end": (b"HTTP/1.1 200 OK\r\n\r\nall of it", [(200, 9, b"all of it", True)]),
}

FAULTS = {
    "no HTTP": (b"SSH-2.0-x\r\n\r\n", "no status line"),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "2 different content-lengths",
    ),
    "both framings": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "content-length together with transfer-encoding",
    ),
    "chunk size": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "no chunk line"),
    "long chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabcd\r\n", "chunk longer than its size"),
    "endless head": (b"HTTP/1.1 200 OK\r\nX: " + bytes(70_000), "head of more than 65536 bytes"),
}


def cuts(wire: bytes) -> Iterator[list[bytes]]:
    yield [wire]
    yield [wire[at : at + 1] for at in range(len(wire))]
    for at in range(1, len(wire)):
        yield [wire[:at], wire[at:]]


def row(answer: Answer) -> Row:
    return answer.status, answer.size, answer.content, answer.closes


@pytest.mark.parametrize("name", CASES)
def test_answers_however_they_are_cut(name: str) -> None:
    wire, expected = CASES[name]
    for pieces in cuts(wire):
        parser = AnswerParser()
        answers = [answer for piece in pieces for answer in parser.feed(piece)]
        answers += parser.feed_eof()
        assert [row(answer) for answer in answers] == expected
        assert parser.is_idle


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_no_answer_is_refused(name: str) -> None:
    wire, message = FAULTS[name]
    with pytest.raises(BadAnswer, match=message):
        AnswerParser().feed(wire)


@pytest.mark.parametrize("wire", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", b"HTTP/1.1 20"])
def test_an_answer_cut_by_the_end_is_none(wire: bytes) -> None:
    parser = AnswerParser()
    assert parser.feed(wire) == []
    with pytest.raises(BadAnswer, match="connection closed inside an answer"):
        parser.feed_eof()


def test_answers_to_head_have_no_content() -> None:
    parser = AnswerParser(expect_content=False)
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    assert [row(answer) for answer in parser.feed(wire + wire)] == [(200, 0, b"", False)] * 2


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
@pytest.mark.parametrize("chunked", [False, True])
def test_large_content_is_summed_and_small_content_kept(size: int, chunked: bool) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    if chunked:
        wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        wire += b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    else:
        wire = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)
    parser = AnswerParser()
    answers = [answer for at in range(0, len(wire), 65_536) for answer in parser.feed(wire[at : at + 65_536])]
    assert len(answers) == 1
    assert answers[0].size == size
    if size > 1 << 20:
        assert (answers[0].content, answers[0].crc) == (None, zlib.crc32(content))
    else:
        assert answers[0].content == content
