"""Answers of a server, cut out of its bytes.

Knows no socket and no clock.  Lenient where a measuring client may be, exact about framing (RFC 9112, section 6.3):
an answer that is short, long or unframed must not count as an answer.
"""

from __future__ import annotations

import enum
import re
import zlib

__all__ = ["Answer", "AnswerParser", "BadAnswer"]

KEEP = 1 << 20
"""Content up to this size is handed out; of larger content only size and checksum."""
_HEAD_LIMIT = 64 * 1024
_HEADS_REMEMBERED = 512

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*(?=\r\n)", re.IGNORECASE)
_CODING = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*(?=\r\n)", re.IGNORECASE)
_CONNECTION = re.compile(rb"\r\nconnection:([^\r\n]*)(?=\r\n)", re.IGNORECASE)
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]+)[^\r\n]*\r\n")


class BadAnswer(Exception):
    """Bytes that are no answer; the text says why."""


class Framing(enum.Enum):
    """How the end of the content is found."""

    NONE = "no content"
    LENGTH = "Content-Length"
    CHUNKED = "chunked"
    CLOSE = "until the connection closes"


class Answer:
    """One whole answer.

    status   the status code
    size     bytes of content, chunk framing taken off
    content  the content, or None when it was larger than a mebibyte
    crc      zlib.crc32 of content that was not kept, else 0
    closes   the server will close the connection after it
    """

    __slots__ = ("closes", "content", "crc", "size", "status")

    def __init__(self, status: int, size: int, content: bytes | None, crc: int, closes: bool) -> None:
        self.status = status
        self.size = size
        self.content = content
        self.crc = crc
        self.closes = closes

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.size} bytes)"


_Head = tuple[int, Framing, int, bool]


class AnswerParser:
    """The answers on one connection, in order.  Start a new one for each connection."""

    __slots__ = ("_crc", "_expect_content", "_head", "_heads", "_left", "_pieces", "_rest", "_size")

    def __init__(self, *, expect_content: bool = True, heads: dict[bytes, _Head] | None = None) -> None:
        """*expect_content* is False when the requests are HEAD.  *heads*: what heads seen before meant, to share."""
        self._expect_content = expect_content
        self._heads = {} if heads is None else heads
        self._rest = b""
        self._head: _Head | None = None
        self._left = 0
        self._reset()

    def _reset(self) -> None:
        self._head = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._crc = 0

    @property
    def is_idle(self) -> bool:
        """No byte of an unfinished answer is held."""
        return self._head is None and not self._rest

    def feed(self, data: bytes) -> list[Answer]:
        """The answers that *data* completed.  Raises BadAnswer."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        answers: list[Answer] = []
        position = 0
        while position < len(data):
            if self._head is None:
                end = data.find(b"\r\n\r\n", position)
                if end < 0:
                    if len(data) - position > _HEAD_LIMIT:
                        raise BadAnswer(f"head of more than {_HEAD_LIMIT} bytes")
                    break
                raw = data[position : end + 2]
                head = self._heads.get(raw)
                if head is None:
                    head = self._understand(raw)
                position = end + 4
                status, framing, length, closes = head
                if status < 200:
                    continue
                if framing is Framing.LENGTH and position + length <= len(data) and length <= KEEP:
                    content = data[position : position + length]
                    answers.append(Answer(status, length, content, 0, closes))
                    position += length
                    continue
                self._head = head
                self._left = length if framing is Framing.LENGTH else -1
                if framing is Framing.NONE:
                    answers.append(self._finish())
                continue
            if self._head[1] is Framing.CHUNKED:
                position, done = self._read_chunks(data, position)
                if done:
                    answers.append(self._finish())
                    continue
                break
            if self._head[1] is Framing.CLOSE:
                self._take(data[position:])
                position = len(data)
                break
            piece = data[position : position + self._left]
            self._take(piece)
            position += len(piece)
            self._left -= len(piece)
            if self._left == 0:
                answers.append(self._finish())
        if position < len(data):
            self._rest = data[position:] if position else data
        return answers

    def feed_eof(self) -> list[Answer]:
        """The answer that the end of the connection completed, if any.  Raises BadAnswer for one that it cut."""
        if self._head is not None and self._head[1] is Framing.CLOSE:
            return [self._finish()]
        if not self.is_idle:
            raise BadAnswer(f"connection closed inside an answer, after {self._size} bytes of content")
        return []

    def _understand(self, raw: bytes) -> _Head:
        match = _STATUS.match(raw)
        if match is None:
            raise BadAnswer(f"no status line in {raw[:40]!r}")
        status = int(match[2])
        lengths = set(_LENGTH.findall(raw))
        if len(lengths) > 1:
            raise BadAnswer(f"{len(lengths)} different content-lengths")
        chunked = _CODING.search(raw) is not None
        if chunked and lengths:
            raise BadAnswer("content-length together with transfer-encoding")
        connection = b",".join(_CONNECTION.findall(raw)).lower()
        closes = b"close" in connection or (match[1] == b"0" and b"keep-alive" not in connection)
        length = int(lengths.pop()) if lengths else 0
        if not self._expect_content or status < 200 or status in (204, 304):
            framing, length = Framing.NONE, 0
        elif chunked:
            framing = Framing.CHUNKED
        elif _LENGTH.search(raw):
            framing = Framing.LENGTH if length else Framing.NONE
        else:
            framing, closes = Framing.CLOSE, True
        head = (status, framing, length, closes)
        if len(self._heads) >= _HEADS_REMEMBERED:
            self._heads.clear()
        self._heads[raw] = head
        return head

    def _read_chunks(self, data: bytes, position: int) -> tuple[int, bool]:
        """(where reading stopped, has the content ended).  ``_left``: -1 before a chunk line, -2 in trailers."""
        while True:
            if self._left == -2:
                end = data.find(b"\r\n", position)
                if end < 0:
                    return position, False
                blank = end == position
                position = end + 2
                if blank:
                    return position, True
            elif self._left == -1:
                match = _CHUNK_LINE.match(data, position)
                if match is None:
                    if b"\r\n" in data[position : position + 1024] or len(data) - position > 1024:
                        raise BadAnswer(f"no chunk line in {data[position : position + 20]!r}")
                    return position, False
                position = match.end()
                size = int(match[1], 16)
                self._left = size + 2 if size else -2
            elif self._left > 2:
                piece = data[position : position + self._left - 2]
                if not piece:
                    return position, False
                self._take(piece)
                position += len(piece)
                self._left -= len(piece)
            else:
                if len(data) - position < 2:
                    return position, False
                if data[position : position + 2] != b"\r\n":
                    raise BadAnswer("chunk longer than its size")
                position += 2
                self._left = -1

    def _take(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > KEEP:
            for held in self._pieces:
                self._crc = zlib.crc32(held, self._crc)
            self._pieces.clear()
            self._crc = zlib.crc32(piece, self._crc)
        else:
            self._pieces.append(piece)

    def _finish(self) -> Answer:
        assert self._head is not None
        content = b"".join(self._pieces) if self._size <= KEEP else None
        answer = Answer(self._head[0], self._size, content, self._crc, self._head[3])
        self._reset()
        return answer
