"""Decides how an answer is framed, before anybody writes it: the last fields of its head and the count of its content.

Both ways of writing a head, h11 and the fast lane, write what is planned here.  Knows no connection.
"""

from __future__ import annotations

import re
from enum import Enum
from http import HTTPStatus
from typing import Final

from rat.errors import LocalProtocolError
from rat.events import Buffer, FieldLines, FileRegion, Wire
from rat.http1.chunked import TRAILER_FORBIDDEN
from rat.http1.screen import FIELD_VALUE, TOKEN

__all__ = [
    "JOIN_BELOW",
    "NO_CONTENT",
    "PLANNED_FIELDS",
    "REASONS",
    "ContentWriter",
    "Framing",
    "Plan",
    "check_field",
    "forbids_content",
    "plan_answer",
    "size_of",
]

REASONS: Final[dict[int, bytes]] = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}
# RFC 9110, section 15.5; the standard library knew older ones until Python 3.13.
REASONS[413] = b"Content Too Large"
REASONS[414] = b"URI Too Long"
REASONS[416] = b"Range Not Satisfiable"
REASONS[422] = b"Unprocessable Content"

NO_CONTENT: Final = frozenset({204, 205, 304})
"""RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5."""
PLANNED_FIELDS: Final = frozenset({b"connection", b"content-length", b"date", b"server", b"transfer-encoding"})
"""Fields that change what else the head says."""
JOIN_BELOW: Final = 64 * 1024
"""Content shorter than this is copied behind its head: one buffer beats two (bench/micro_http1.py)."""

_NAME = re.compile(TOKEN)
_VALUE = re.compile(FIELD_VALUE)


class Framing(Enum):
    """How the end of an answer's content is known (RFC 9112, section 6.3)."""

    NONE = "there is no content, whatever the head says"
    LENGTH = "Content-Length"
    CHUNKED = "the last chunk"
    CLOSE = "the end of the connection"


class Plan:
    """A head that is ready to be written: *lines* are all of its fields in order, Date and Server not among them.

    *length* is the content that must come, with Framing.LENGTH.  *closes*: the connection ends with this answer, and
    *lines* say so.
    """

    __slots__ = ("closes", "framing", "has_date", "has_server", "length", "lines", "status")

    def __init__(self, status: int) -> None:
        self.status = status
        self.lines: list[tuple[bytes, bytes]] = []
        self.framing = Framing.NONE
        self.length = 0
        self.closes = False
        self.has_date = False
        self.has_server = False


def forbids_content(method: str | None, status: int) -> bool:
    """No content may follow the head of this answer; see also RFC 9110, section 9.3.2."""
    return method == "HEAD" or status in NO_CONTENT


def check_field(name: bytes, value: bytes) -> None:
    """Raises LocalProtocolError for a field that would break the head apart."""
    if not _NAME.fullmatch(name):
        raise LocalProtocolError(f"field name {name[:64]!r} is no token")
    if not _VALUE.fullmatch(value):
        raise LocalProtocolError(f"value {value[:64]!r} of field {name[:64].decode()} has control bytes")


def plan_answer(
    status: int, fields: FieldLines, complete: int | None, *, method: str | None, http_version: str, closes: bool
) -> Plan:
    """Plan the head of a final answer.

    *complete* is the length of the content, or None when it will be streamed.  *method* is None when the request could
    not be read.  Raises LocalProtocolError: no final status, malformed fields, a Content-Length that is not true.
    """
    if not 200 <= status <= 999:
        raise LocalProtocolError(f"status {status} is not the status of a final answer, 200 to 999")
    plan = Plan(status)
    lines = plan.lines
    declared: int | None = None
    for name, value in fields:
        check_field(name, value)
        lowered = name.lower()
        if lowered == b"content-length":
            if declared is not None or not value.isdigit():
                raise LocalProtocolError(f"Content-Length {value[:64]!r}, wanted one number")
            declared = int(value)
        elif lowered == b"transfer-encoding":
            if value.lower() != b"chunked":
                raise LocalProtocolError(f"Transfer-Encoding {value[:64]!r}, only chunked can be sent")
        elif lowered == b"connection":
            closes = closes or b"close" in [item.strip(b" \t") for item in value.lower().split(b",")]
        else:
            if lowered == b"date":
                plan.has_date = True
            elif lowered == b"server":
                plan.has_server = True
            lines.append((name, value.strip(b" \t")))
    bare = forbids_content(method, status)
    if complete is not None and declared is not None and declared != complete and not bare:
        raise LocalProtocolError(f"content of {complete} bytes, declared were {declared}")
    framing_line: tuple[bytes, bytes] | None = None
    if status == 205:
        framing_line = (b"Content-Length", b"0")
    elif status not in (204, 304) or (status == 304 and declared is not None):
        # RFC 9110, section 8.6: a 304 may tell the length of the content it stands for, a 204 may not.
        length = declared if declared is not None else complete
        if length is not None:
            framing_line = (b"Content-Length", b"%d" % length)
            if not bare:
                plan.framing, plan.length = Framing.LENGTH, length
        elif http_version == "1.0":
            # RFC 9112, section 6.1: no transfer coding for a client that did not say HTTP/1.1.
            plan.framing = Framing.NONE if bare else Framing.CLOSE
            closes = True
        else:
            framing_line = (b"Transfer-Encoding", b"chunked")
            if not bare:
                plan.framing = Framing.CHUNKED
    plan.closes = closes
    if closes:
        lines.append((b"Connection", b"close"))
    elif http_version == "1.0":
        lines.append((b"Connection", b"keep-alive"))
    if framing_line is not None:
        lines.append(framing_line)
    return plan


def size_of(data: Buffer | FileRegion) -> int:
    """Bytes of *data*, also of a memoryview whose items are larger."""
    return data.nbytes if isinstance(data, memoryview) else len(data)


# A global is cheaper than an attribute of an Enum, which costs 0.15 us on CPython 3.11; these are asked for per piece.
_NONE: Final = Framing.NONE
_LENGTH: Final = Framing.LENGTH
_CHUNKED: Final = Framing.CHUNKED


_CHUNK_HEADS_KEPT: Final = 512
# Most events are small, and writing a number costs as much as all else here.
_CHUNK_HEADS: Final = [b"%x\r\n" % size for size in range(_CHUNK_HEADS_KEPT)]


class ContentWriter:
    """Frames the content of one answer as it was planned.

    After LocalProtocolError the framing is lost, and the connection has to be cut.
    """

    __slots__ = ("_framing", "_owed")

    def __init__(self, plan: Plan) -> None:
        self._framing = plan.framing
        self._owed = plan.length

    @property
    def ends_with_connection(self) -> bool:
        """Nothing but the end of the connection tells the end of the content."""
        return self._framing is Framing.CLOSE

    def write(self, data: Buffer | FileRegion) -> Wire:
        """What to write for *data*; nothing where none is allowed.  *data* itself is passed on when it is large."""
        size = len(data) if type(data) is bytes else size_of(data)
        if not size or self._framing is _NONE:
            return []
        if self._framing is _CHUNKED:
            head = _CHUNK_HEADS[size] if size < _CHUNK_HEADS_KEPT else b"%x\r\n" % size
            if size < JOIN_BELOW and (type(data) is bytes or not isinstance(data, FileRegion)):
                return [b"".join((head, data, b"\r\n"))]
            return [head, data, b"\r\n"]
        if self._framing is _LENGTH:
            self._owed -= size
            if self._owed < 0:
                raise LocalProtocolError(f"content is {-self._owed} bytes longer than its Content-Length")
        return [data]

    def end(self, trailers: FieldLines) -> Wire:
        """The end of the content.  Trailers go with chunks; where there are none they are dropped (RFC 9110, 6.5.1)."""
        if self._framing is _LENGTH:
            if self._owed:
                raise LocalProtocolError(f"content is {self._owed} bytes shorter than its Content-Length")
            if trailers:
                raise LocalProtocolError("trailer fields behind content with a Content-Length")
        if self._framing is not _CHUNKED:
            return []
        parts = [b"0\r\n"]
        for name, value in trailers:
            check_field(name, value)
            if name.lower() in TRAILER_FORBIDDEN:
                raise LocalProtocolError(f"field {name.decode()} in the trailer section")
            parts += (name, b": ", value.strip(b" \t"), b"\r\n")
        parts.append(b"\r\n")
        return [b"".join(parts)]
