"""The answer of a handler.

Knows no connection: the shell sends what ``field_lines`` and ``body`` say.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote

from rat.compiled import compiled
from rat.cookies import cookie_field
from rat.events import Buffer, FieldLines, FileRegion
from rat.fields import HeaderSource, MutableHeaders, encode_field, field_lines
from rat.pieces import Pieces
from rat.stream.blob import FilePieces
from rat.stream.iterators import threaded
from rat.values import dump_json

if TYPE_CHECKING:
    from rat.messages import Request

__all__ = [
    "BYTES_FIELDS",
    "NO_FIELDS",
    "TEXT_FIELDS",
    "Deferred",
    "JSONResponse",
    "RedirectResponse",
    "Response",
    "checked_status",
]

Body: TypeAlias = "bytes | list[Buffer | FileRegion] | AsyncIterable[bytes]"
Trailers: TypeAlias = "HeaderSource | Callable[[], HeaderSource] | None"

_COPY_BELOW = 64 * 1024
_new: Final = object.__new__
NO_FIELDS: FieldLines = ()
TEXT_FIELDS: FieldLines = ((b"content-type", b"text/plain; charset=utf-8"),)
BYTES_FIELDS: FieldLines = ((b"content-type", b"application/octet-stream"),)
_JSON_FIELDS: FieldLines = ((b"content-type", b"application/json"),)


_native: Final = compiled("rat._messages", "RAT_MESSAGES")
if TYPE_CHECKING or _native is None:  # noqa: SIM108 - mypy takes no base class from an expression
    Base = object
else:
    Base = _native.Base

_TYPES_KEPT: Final = 128
_types: Final[dict[str, FieldLines]] = {}


def _type_fields(content_type: str) -> FieldLines:
    """The fields of an answer that names nothing but its type; applications name few types, again and again."""
    fields = (encode_field("content-type", content_type),)
    if len(_types) < _TYPES_KEPT:
        _types[content_type] = fields
    return fields


class Response(Base):
    """One answer.

    *body* is bytes, text (UTF-8), or an iterable of either, sent as it comes; a sync iterable runs in a thread of its
    own, and an open file is read there, from where it stands, and closed.  A Content-Length given with an iterable is
    kept and enforced.  *trailers* follow chunked content; a callable is asked for them after the last piece.
    *compress*: None lets the server decide, False forbids.
    """

    __slots__ = ("_fields", "_headers", "_trailers", "body", "closers", "compress", "is_open_ended", "status")

    prepare: Callable[[Request], Awaitable[Response]] | None = None
    """What the shell awaits before it sends the answer, on answers that need it; the answer it gives is sent."""

    def at_once(self, request: Request) -> Response | None:
        """What ``prepare`` would give, where nothing has to be waited for."""
        return None

    _fields: FieldLines
    _headers: MutableHeaders | None
    _trailers: Trailers
    body: Body
    is_open_ended: bool
    """The content ends when its producer says so: nobody waits for the end once the client has closed its side."""

    def __init__(
        self,
        body: Buffer
        | str
        | AsyncIterable[Buffer | str]
        | Iterable[Buffer | str]
        | list[Buffer | FileRegion]
        | None = b"",
        status: int = 200,
        headers: HeaderSource | None = None,
        *,
        content_type: str | None = None,
        trailers: Trailers = None,
        compress: bool | None = None,
    ) -> None:
        if type(body) is bytes and headers is None and trailers is None and type(status) is int and 200 <= status < 600:
            # Most answers, and nothing to judge.
            self.status = status
            self.body = body
            self.compress = compress
            self.closers = self._headers = self._trailers = None
            self.is_open_ended = False
            if content_type is None:
                self._fields = BYTES_FIELDS if body else NO_FIELDS
            else:
                self._fields = _types.get(content_type) or _type_fields(content_type)
            return
        self.status = checked_status(status)
        self.compress = compress
        self.closers = None
        self._headers = None
        self._trailers = trailers
        self._fields = NO_FIELDS
        self.is_open_ended = False
        default = self._take(body)
        if trailers is not None and not callable(trailers):
            field_lines(trailers)
        if headers is None:
            self._fields = default if content_type is None else _type_fields(content_type)
        else:
            lines = field_lines(headers)
            if content_type is not None:
                lines = [line for line in lines if line[0] != b"content-type"]
                lines.insert(0, encode_field("content-type", content_type))
            elif default and not any(name == b"content-type" for name, _ in lines):
                lines[:0] = default
            self._fields = lines
            if self.is_open_ended and any(name == b"content-length" for name, _ in lines):
                self.is_open_ended = False
        if isinstance(self.body, list):
            self.headers.setdefault("content-length", str(sum(len(part) for part in self.body)))

    def _take(self, body: object) -> FieldLines:
        """Bring *body* into its shape; the fields that describe it."""
        if isinstance(body, bytes):
            self.body = body
            return BYTES_FIELDS if body else NO_FIELDS
        if isinstance(body, str):
            self.body = body.encode("utf-8")
            return TEXT_FIELDS
        if body is None:
            self.body = b""
            return NO_FIELDS
        if isinstance(body, bytearray):
            self.body = bytes(body)
        elif isinstance(body, memoryview):
            self.body = (
                bytes(body) if body.nbytes < _COPY_BELOW else [body.cast("B") if body.contiguous else bytes(body)]
            )
        elif isinstance(body, list) and all(isinstance(part, Buffer | FileRegion) for part in body):
            self.body = [memoryview(part).cast("B") if isinstance(part, memoryview) else part for part in body]
        elif isinstance(body, AsyncIterable):
            self.is_open_ended = True
            self.body = Pieces(body)
        elif hasattr(body, "read"):
            self.body = Pieces(threaded(FilePieces(body)))  # type: ignore[arg-type]
        elif isinstance(body, Iterable) and not isinstance(body, dict | set | frozenset):
            self.is_open_ended = True
            self.body = Pieces(threaded(body))
        else:
            raise TypeError(f"body is {type(body).__name__}, expected bytes, str or an iterable of them")
        return BYTES_FIELDS

    @staticmethod
    def of(body: bytes, fields: FieldLines, status: int = 200, /) -> Response:
        """An answer of parts that need no judging: *fields* as ``field_lines`` gives them."""
        response: Response = _new(Response)
        response.status = status
        response.body = body
        response.compress = None
        response.is_open_ended = False
        response._fields = fields
        response._headers = None
        response._trailers = None
        response.closers = None
        return response

    @property
    def headers(self) -> MutableHeaders:
        """The fields of the answer; change them as you like until it is sent."""
        if self._headers is None:
            self._headers = MutableHeaders(list(self._fields))
        return self._headers

    def field_lines(self) -> FieldLines:
        """The fields for the wire, names in lower case."""
        return self._fields if self._headers is None else self._headers.raw

    def replace_fields(self, lines: FieldLines) -> None:
        """Send *lines*, as ``field_lines`` gives them, in place of the fields so far."""
        self._fields = lines
        self._headers = None

    @property
    def trailers(self) -> Callable[[], FieldLines] | None:
        """Gives the trailer fields, once the content is whole; None without trailers."""
        return None if self._trailers is None else self._trailer_lines

    @trailers.setter
    def trailers(self, trailers: Trailers) -> None:
        if trailers is not None and not callable(trailers):
            field_lines(trailers)
        self._trailers = trailers

    def _trailer_lines(self) -> FieldLines:
        source = self._trailers
        if callable(source):
            source = source()
        return field_lines(source or ())

    def set_cookie(
        self,
        name: str,
        value: str = "",
        *,
        max_age: int | None = None,
        expires: datetime | int | float | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Add a Set-Cookie field (RFC 6265, section 4.1).  *max_age* in seconds; *expires* as an aware datetime or a
        POSIX time.  Raises ValueError for what the grammar does not allow, or a user agent would refuse."""
        text = cookie_field(
            name,
            value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )
        self.headers.add("set-cookie", text)

    def delete_cookie(
        self, name: str, *, path: str | None = "/", domain: str | None = None, secure: bool = False
    ) -> None:
        """Tell the user agent to forget a cookie; *path* and *domain* must be those that it was set with."""
        secure = secure or name.startswith(("__Secure-", "__Host-"))
        self.set_cookie(name, max_age=0, expires=0, path=path, domain=domain, secure=secure)

    closers: list[Callable[[], object]] | None
    """What ``close`` will call; None for nothing."""

    def on_close(self, callback: Callable[[], object]) -> None:
        """Have *callback* called once, after the answer has ended in whatever way."""
        if self.closers is None:
            self.closers = []
        self.closers.append(callback)

    def close(self) -> None:
        """Run what ``on_close`` was given, last first.  All of it runs; the first exception is raised at the end."""
        failure: BaseException | None = None
        while self.closers:
            try:
                self.closers.pop()()
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def goodbye(self) -> bytes | None:
        """What to send before the end of a stream that the server breaks off; None for nothing."""
        return None

    def __repr__(self) -> str:
        size = f"{len(self.body)} bytes" if isinstance(self.body, bytes) else type(self.body).__name__
        return f"{type(self).__name__}({self.status}, {size})"


if _native is not None:
    # Plain answers are made in C, by far the most (bench/cases.py: 4,000 instructions of 34,000).
    _make = _native.maker(
        Response,
        ("body", "_fields", "status", "compress", "is_open_ended", "_headers", "_trailers", "closers"),
        (200,),
        (None, False, None, None, None),
    )
    _make.__wrapped__ = Response.of
    Response.of = staticmethod(_make)  # type: ignore[method-assign]
    _native.quicken(Response, _make, _types, NO_FIELDS, BYTES_FIELDS, TEXT_FIELDS)


class JSONResponse(Response):
    """*value* as JSON.  Raises CodecError, with the path, for what JSON cannot say."""

    __slots__ = ()

    def __init__(
        self, value: object, status: int = 200, headers: HeaderSource | None = None, *, indent: bool = False
    ) -> None:
        super().__init__(b"", status, headers)
        self.body = dump_json(value, indent=indent)
        if headers is None:
            self._fields = _JSON_FIELDS
        else:
            self.headers.setdefault("content-type", "application/json")


class RedirectResponse(Response):
    """The client is sent to *location* (RFC 9110, section 15.4); characters that no URI has are percent-encoded."""

    __slots__ = ()

    def __init__(self, location: str, status: int = 307, headers: HeaderSource | None = None) -> None:
        if status not in (301, 302, 303, 307, 308):
            raise ValueError(f"status {status} is no redirection, expected 301, 302, 303, 307 or 308")
        super().__init__(b"", status, headers)
        if any(char in location for char in "\r\n\0"):
            encode_field("location", location)
        self.headers["location"] = quote(location, safe=":/?#[]@!$&'()*+,;=%~-._")


class Deferred(Response):
    """An answer that is still being made, for callers that cannot wait: ``prepare`` gives it."""

    __slots__ = ("_making",)

    def __init__(self, making: Awaitable[Response]) -> None:
        super().__init__()
        self._making = making

    async def prepare(self, request: Request) -> Response:
        return await self._making


def checked_status(status: object) -> int:
    """*status* as an int.  Raises TypeError or ValueError for what is no status of a final answer."""
    if not isinstance(status, int) or isinstance(status, bool):
        raise TypeError(f"status is {status!r}, expected a number from 200 to 599")
    if not 200 <= status <= 599:
        raise ValueError(f"status is {int(status)}, expected a number from 200 to 599")
    return int(status)
