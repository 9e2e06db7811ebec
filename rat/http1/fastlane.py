"""The verified short cut for plain requests and their answers.

One regular expression screens and reads a head at once; what it does not match is no error but goes to screen and h11
from the first byte.  It must never match what those refuse, nor read it differently: tests/http1/test_fastlane.py holds
it to that.  `rat.http1._lane` is the same in C, where it could be built; the environment variable ``RAT_LANE``
(``native`` or ``reference``) decides for those who want to.  No cache holds whole heads: only lines and beginnings of
our own answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

from rat.compiled import compiled
from rat.config import Limits
from rat.events import FieldLines, KeptFields, RequestReceived
from rat.http1.answer import JOIN_BELOW, NO_CONTENT, PLANNED_FIELDS, REASONS, check_field

__all__ = ["HeadReader", "LaneWriter", "implementation", "lane_reader", "lane_writer", "reference_reader", "write_head"]

HeadReader: TypeAlias = Callable[[bytes, int], RequestReceived | None]
"""Called with bytes and where a head begins in them; None for one that is not whole, or not for the lane."""
CompleteWriter: TypeAlias = Callable[[int, FieldLines, object, bytes], bytes | None]
"""As ``LaneWriter.complete``."""

_TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# The letters c, e, h and t begin the names that have a say in framing, and have their own branches: a name that
# begins otherwise needs no look-ahead (bench/micro_http1.py: 1.7 us without the partition, 0.6 with it).
_OTHER = rb"[!#$%&'*+\-.^_`|~0-9ABDFGI-SU-Zabdfgi-su-z]"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*+\r\n"
_REST = _TCHAR + rb"*+:" + _VALUE
_OWS = rb"[ \t]*+"

# Groups 6 and 7 are authority and length: a second one of either does not match.  A branch that fails after it has
# captured must fail the whole head, as every branch here does: re does not restore groups inside possessive repeats.
_HEAD = (
    # CONNECT is refused elsewhere.  The target is in origin-form, without a fragment.
    rb"(?P<route_key>(?!CONNECT )(?P<method>[A-Z]++) (?P<path>/[!-\"$->@-~]*+))(?:\?(?P<query>[!-\"$-~]*+))?+"
    rb" HTTP/1\.1\r\n(?P<field_section>(?:"
    + (_OTHER + _REST)
    # Host, once, a name or an IPv4 address with a port up to 65535; anything rarer is not for us.
    + (rb"|[Hh](?:ost:" + _OWS + rb"(?(6)(?!))(?P<authority>[A-Za-z0-9.\-_~]++")
    # The longer forms first: what a possessive group has taken it does not give back.
    + (rb"(?::(?:6(?:[0-4][0-9]{3}|5(?:[0-4][0-9]{2}|5(?:[0-2][0-9]|3[0-5])))|[1-5]?[0-9]{1,4}))?+)")
    + (_OWS + rb"\r\n|(?![Oo][Ss][Tt]:)" + _REST + rb")")
    + (rb"|[Cc](?:ookie:" + _VALUE)
    + (rb"|ontent-[Ll]ength:" + _OWS + rb"(?(7)(?!))(?P<length>[0-9]{1,19}+)" + _OWS + rb"\r\n")
    + (rb"|onnection:" + _OWS + rb"(?:[Kk]eep-[Aa]live|(?P<close>[Cc]lose))" + _OWS + rb"\r\n")
    + rb"|(?![Oo][Nn](?:[Tt][Ee][Nn][Tt]-[Ll][Ee][Nn][Gg][Tt][Hh]|[Nn][Ee][Cc][Tt][Ii][Oo][Nn]):)"
    + (_REST + rb")")
    + (rb"|[Ee](?![Xx][Pp][Ee][Cc][Tt]:)" + _REST)
    + (rb"|[Tt](?![Rr][Aa][Nn][Ss][Ff][Ee][Rr]-[Ee][Nn][Cc][Oo][Dd][Ii][Nn][Gg]:)" + _REST)
    + rb"){1,FIELDS}+)(?(authority)|(?!))\r\n"
)


_METHODS: Final = {name.encode("ascii"): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}
_new: Final = object.__new__


def reference_reader(fields: int, size: int) -> HeadReader:
    """The reader of heads of at most *fields* fields and *size* bytes, in plain Python."""
    match_head = re.compile(_HEAD.replace(b"FIELDS", b"%d" % fields) if fields > 0 else rb"(?!)").match

    def read_head(data: bytes, at: int) -> RequestReceived | None:
        match = match_head(data, at)
        if match is None:
            return None
        stop = match.end()
        if stop - at > size:
            return None
        request: RequestReceived = _new(RequestReceived)
        request._parts = match
        request.route_key, method, request.path, request.field_section, length, close = match.group(1, 2, 3, 5, 7, 8)
        # Nine requests of ten have one of these: no new string for them.
        request.method = _METHODS.get(method) or method.decode("ascii")
        request.keep_alive = close is None
        request.expects_continue = False
        request.http_version = "1.1"
        request.trailers = ()
        if length is None:
            request.content_length = 0
            request.content = b""
        else:
            request.content_length = count = int(length)
            if stop + count > len(data):
                request.content = None
            else:
                request.content = data[stop : stop + count]
                stop += count
        request.stop = stop
        return request

    return read_head


implementation: Final = "reference" if compiled("rat.http1._lane", "RAT_LANE") is None else "native"
"""``native`` or ``reference``: which reader of heads servers use."""


@lru_cache(maxsize=8)
def lane_reader(limits: Limits) -> HeadReader:
    """The reader of heads that keep *limits*, whatever they look like."""
    size = min(limits.request_line, limits.head, limits.field_line)
    if implementation == "reference":
        return reference_reader(limits.fields, size)
    from rat.http1._lane import head_reader

    return head_reader(RequestReceived, limits.fields, size)


def write_head(status: int, lines: list[tuple[bytes, bytes]]) -> bytes:
    """A planned head, as h11 writes it."""
    parts = [b"HTTP/1.1 %d %b\r\n" % (status, REASONS.get(status, b""))]
    for name, value in lines:
        parts += (name, b": ", value, b"\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


_LENGTHS: Final = [b"Content-Length: %d\r\n\r\n" % length for length in range(1024)]
_KEPT_LINES = 256
_KEPT_SIZE = 128


def _is_plain(field: tuple[bytes, bytes]) -> bool:
    """Nothing of *field* is of a class of its own, whose hash could do anything: it may be looked up in C."""
    return type(field) is tuple and type(field[0]) is type(field[1]) is bytes


class LaneWriter:
    """Writes complete answers from prebuilt parts; one for all connections with the same Server field."""

    __slots__ = ("_blocks", "_date", "_lines", "_server", "_starts", "write")

    write: CompleteWriter
    """``complete``, in C where that could be built."""

    def __init__(self, server: bytes | None) -> None:
        self._server = b"" if server is None else b"Server: %b\r\n" % server
        self._date: bytes | None = None
        self._starts: dict[int, bytes] = {}
        self._lines: dict[tuple[bytes, bytes], bytes] = {}
        self._blocks: dict[tuple[tuple[bytes, bytes], ...], bytes] = {}
        self.write = self.complete
        if implementation == "native":
            from rat.http1._lane import answer_writer

            self.write = answer_writer(self.complete, self._starts, self._lines, self._blocks)

    def complete(self, status: int, fields: FieldLines, content: object, date: bytes) -> bytes | None:
        """The bytes of an answer on a connection that stays open, to a method that wants content; None if unusual.

        *date* may be a new object each second, and is compared by identity.  Raises LocalProtocolError for a field that
        cannot be sent.
        """
        if date is not self._date:
            self._date = date
            self._starts.clear()
        start = self._starts.get(status)
        if start is None:
            start = self._start(status, date)
            if start is None:
                return None
        if type(content) is not bytes:
            return None
        size = len(content)
        if size < 1024:
            end = _LENGTHS[size]
        elif size < JOIN_BELOW:
            end = b"Content-Length: %d\r\n\r\n" % size
        else:
            return None
        if type(fields) is KeptFields:
            block = fields.written
            if block is not None:
                return b"".join((start, block, end, content))
        elif type(fields) is tuple:
            # A constant of the application, most likely: kept joined.
            block = self._blocks.get(fields)
            if block is not None:
                return b"".join((start, block, end, content))
        lines = self._lines
        written: list[bytes] = []
        for field in fields:
            line = lines.get(field) or self._line(field)
            if line is None:
                return None
            written.append(line)
        block = b"".join(written)
        if type(fields) is KeptFields:
            fields.written = block
        elif type(fields) is tuple and len(self._blocks) < _KEPT_LINES and len(block) < 2 * _KEPT_SIZE:
            self._keep(fields, block)
        return b"".join((start, block, end, content))

    def _keep(self, fields: tuple[tuple[bytes, bytes], ...], block: bytes) -> None:
        if all(map(_is_plain, fields)):
            self._blocks[fields] = block

    def _start(self, status: int, date: bytes) -> bytes | None:
        """Status line, Date and Server; None where content is not allowed or the status is not a known final one."""
        if status < 200 or status in NO_CONTENT or status not in REASONS:
            return None
        start = b"HTTP/1.1 %d %b\r\nDate: %b\r\n%b" % (status, REASONS[status], date, self._server)
        if type(status) is int:
            self._starts[status] = start
        return start

    def _line(self, field: tuple[bytes, bytes]) -> bytes | None:
        """The line of one field; None for a field that has a say in the rest of the head."""
        name, value = field
        if name.lower() in PLANNED_FIELDS:
            return None
        check_field(name, value)
        line = b"%b: %b\r\n" % (name, value.strip(b" \t"))
        if len(line) <= _KEPT_SIZE and _is_plain(field):
            if len(self._lines) >= _KEPT_LINES:
                self._lines.clear()
            self._lines[field] = line
        return line


@lru_cache(maxsize=8)
def lane_writer(server: bytes | None) -> LaneWriter:
    """The writer that all connections with this Server field share."""
    return LaneWriter(server)
