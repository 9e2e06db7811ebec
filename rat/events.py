"""What engines say and hear: events, their sentinels, and the verbs that every engine answers.

Knows no socket, no clock and no parser.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO, Final, Literal, Protocol, TypeAlias

__all__ = [
    "CLOSED",
    "NEED_DATA",
    "PAUSED",
    "Buffer",
    "CompleteResponse",
    "ContentReceived",
    "EndOfMessage",
    "Engine",
    "FieldLines",
    "FileRegion",
    "InformationalResponse",
    "KeptFields",
    "Parts",
    "RequestReceived",
    "ResponseContent",
    "ResponseEnd",
    "ResponseStart",
    "Signal",
    "Wire",
]

Buffer: TypeAlias = bytes | bytearray | memoryview
FieldLines: TypeAlias = Sequence[tuple[bytes, bytes]]


class KeptFields(tuple[tuple[bytes, bytes], ...]):
    """Field lines that go with many answers; an engine notes on them what it has made of them."""

    written: bytes | None = None


class Signal(enum.Enum):
    """What ``next_event`` answers when there is no event."""

    NEED_DATA = "the engine waits for bytes of the peer"
    PAUSED = "what has come waits: for the answer before it, or until others have had their turn"
    CLOSED = "nothing will come any more: the peer is done, or this side has announced the close"


NEED_DATA: Final[Literal[Signal.NEED_DATA]] = Signal.NEED_DATA
PAUSED: Final[Literal[Signal.PAUSED]] = Signal.PAUSED
CLOSED: Final[Literal[Signal.CLOSED]] = Signal.CLOSED


class FileRegion:
    """*count* bytes of an open binary *file* from *offset*, to be moved by the shell, by sendfile where it can.

    The sender does not close the file; who made the region does.
    """

    __slots__ = ("count", "file", "offset")

    def __init__(self, file: BinaryIO, offset: int, count: int) -> None:
        self.file = file
        self.offset = offset
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return f"FileRegion(offset={self.offset}, count={self.count})"


Wire: TypeAlias = list[Buffer | FileRegion]
"""What ``send`` gives: bytes in order, and regions of files that the shell moves."""


_FIELD_LINE = re.compile(rb"([^:]++):[ \t]*+([^\r]*+)\r\n")


class Parts(Protocol):
    """Of a head that the fast lane has read: ``query`` (None without one) and ``authority``."""

    def __getitem__(self, name: str, /) -> bytes | None: ...


class RequestReceived:
    """The head of a request and, when it lies complete in the buffer, its content.

    method            the method, as text (``GET``)
    target            the request-target as it came
    path              the path of the target, percent-encoded as it came, without query; ``*`` for OPTIONS *
    query             what stands behind the first ``?``, or empty
    route_key         ``METHOD path`` in bytes, for a dictionary of fixed routes
    http_version      ``1.1`` or ``1.0``
    authority         the host that is asked for: of an absolute target, else of Host (RFC 9112, section 3.3)
    field_section     the field lines as they came, each with its CRLF, judged by the engine already
    content_length    the declared length; 0 for a request without content; None when chunked
    keep_alive        the connection can be used again after this exchange, as far as the request says
    expects_continue  the client waits for 100 (Continue) before it sends the content
    content           all of the content if the request was complete, else None: ContentReceived and EndOfMessage follow
    trailers          the trailer fields of complete chunked content

    One that the fast lane has read keeps the parts of its head, and cuts text out when first asked for it; what
    nearly everybody asks for it is told at once, and *stop*: where in the bytes that were read the request ends, or its
    head if there is more to come.
    """

    __slots__ = (
        "_authority",
        "_fields",
        "_parts",
        "_query",
        "_target",
        "content",
        "content_length",
        "expects_continue",
        "field_section",
        "http_version",
        "keep_alive",
        "method",
        "path",
        "route_key",
        "stop",
        "trailers",
    )

    def __init__(
        self,
        method: str,
        target: bytes,
        path: bytes,
        query: bytes,
        route_key: bytes,
        http_version: str,
        authority: bytes,
        field_section: bytes,
        content_length: int | None,
        keep_alive: bool,
        expects_continue: bool,
        content: bytes | None,
        trailers: FieldLines = (),
    ) -> None:
        self.method = method
        self._target = target
        self.path = path
        self._query = query
        self.route_key = route_key
        self.http_version = http_version
        self._authority = authority
        self.field_section = field_section
        self.content_length = content_length
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue
        self.content = content
        self.trailers = trailers

    # Set when first asked for.  No __getattr__: with one, CPython looks up every attribute anew.
    _authority: bytes
    _fields: list[tuple[bytes, bytes]]
    _query: bytes
    _target: bytes
    _parts: Parts
    stop: int

    @property
    def target(self) -> bytes:
        try:
            return self._target
        except AttributeError:
            query = self._parts["query"]
            self._target = self.path if query is None else b"%b?%b" % (self.path, query)
            return self._target

    @property
    def query(self) -> bytes:
        try:
            return self._query
        except AttributeError:
            self._query = self._parts["query"] or b""
            return self._query

    @property
    def authority(self) -> bytes:
        try:
            return self._authority
        except AttributeError:
            self._authority = self._parts["authority"] or b""
            return self._authority

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """Field lines in wire order, names in lower case, values without the white space around them."""
        try:
            return self._fields
        except AttributeError:
            found = _FIELD_LINE.findall(self.field_section)
            self._fields = [(name.lower(), value.rstrip(b" \t")) for name, value in found]
            return self._fields

    def field(self, name: bytes) -> bytes | None:
        """The first value of the field *name* (given in lower case), or None."""
        for known, value in self.fields:
            if known == name:
                return value
        return None

    def __repr__(self) -> str:
        return f"RequestReceived({self.method} {self.target!r})"


class ContentReceived:
    """A piece of content.  *data* is owned by the consumer."""

    __slots__ = ("data",)

    def __init__(self, data: Buffer) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ContentReceived) and bytes(self.data) == bytes(other.data)

    def __hash__(self) -> int:
        return hash(bytes(self.data))

    def __repr__(self) -> str:
        return f"ContentReceived({bytes(self.data)!r})"


class EndOfMessage:
    """The message is whole.  *trailers* are the field lines that followed chunked content, never part of the head."""

    __slots__ = ("trailers",)

    def __init__(self, trailers: FieldLines = ()) -> None:
        self.trailers = trailers

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EndOfMessage) and list(self.trailers) == list(other.trailers)

    def __hash__(self) -> int:
        return hash(tuple(self.trailers))

    def __repr__(self) -> str:
        return f"EndOfMessage({list(self.trailers)!r})"


class InformationalResponse:
    """An interim answer, such as 100 (Continue)."""

    __slots__ = ("fields", "status")

    def __init__(self, status: int, fields: FieldLines = ()) -> None:
        self.status = status
        self.fields = fields


class ResponseStart:
    """The head of a final answer whose content follows as ResponseContent and ends with ResponseEnd.

    The engine chooses the framing: a Content-Length in *fields* is kept and enforced, otherwise chunked, or
    closing for HTTP/1.0.  It adds Date, Server and Connection.
    """

    __slots__ = ("fields", "status")

    def __init__(self, status: int, fields: FieldLines = ()) -> None:
        self.status = status
        self.fields = fields


class ResponseContent:
    """A piece of the answer's content."""

    __slots__ = ("data",)

    def __init__(self, data: Buffer | FileRegion) -> None:
        self.data = data


class ResponseEnd:
    """The answer is whole."""

    __slots__ = ("trailers",)

    def __init__(self, trailers: FieldLines = ()) -> None:
        self.trailers = trailers


class CompleteResponse:
    """A whole answer in one event; the engine adds Content-Length."""

    __slots__ = ("content", "fields", "status")

    def __init__(self, status: int, fields: FieldLines = (), content: Buffer = b"") -> None:
        self.status = status
        self.fields = fields
        self.content = content


class Engine(Protocol):
    """The verbs of a sans-I/O engine."""

    def receive_data(self, data: bytes) -> None:
        """Take bytes of the peer.  Raises nothing: what is wrong with them shows at ``next_event``."""

    def receive_eof(self) -> None:
        """The peer will send no more."""

    def next_event(self) -> Any:
        """The next event, or a Signal.  Raises RemoteProtocolError when the peer broke the rules."""

    def send(self, event: Any) -> Iterable[Buffer | FileRegion]:
        """What to write for *event*.  Raises LocalProtocolError when it is not allowed now."""

    def wanted(self) -> int:
        """How many bytes would complete what is being read; 0 when that is not known."""
