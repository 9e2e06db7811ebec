"""The answer of a handler, and the one shape that everything a handler may return is brought into.

Knows no connection: the shell sends what ``field_lines`` and ``body`` say.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import quote

from rat.cookies import cookie_field
from rat.events import Buffer, FieldLines, FileRegion
from rat.fields import Headers, HeaderSource, MutableHeaders, encode_field, field_lines
from rat.stream.blob import FilePieces
from rat.stream.iterators import threaded
from rat.values import DATA_VALUE, dump_data_value, dump_json, prefers_data_value

if TYPE_CHECKING:
    from rat.messages import Request

__all__ = [
    "Deferred",
    "JSONResponse",
    "Pieces",
    "RedirectResponse",
    "Response",
    "begin_stream",
    "checked_status",
    "json_response",
    "normalise",
    "piece_bytes",
]

Body: TypeAlias = "bytes | list[Buffer | FileRegion] | AsyncIterable[bytes]"
Trailers: TypeAlias = "HeaderSource | Callable[[], HeaderSource] | None"

_COPY_BELOW = 64 * 1024
_new: Final = object.__new__
_NO_FIELDS: FieldLines = ()
_TEXT_FIELDS: FieldLines = ((b"content-type", b"text/plain; charset=utf-8"),)
_BYTES_FIELDS: FieldLines = ((b"content-type", b"application/octet-stream"),)
_JSON_FIELDS: FieldLines = ((b"content-type", b"application/json"),)
# The answer was chosen by Accept: RFC 9110, section 12.5.5.
_CHOSEN_JSON_FIELDS: FieldLines = ((b"content-type", b"application/json"), (b"vary", b"accept"))
_CHOSEN_DATA_VALUE_FIELDS: FieldLines = ((b"content-type", DATA_VALUE.encode()), (b"vary", b"accept"))


_TYPES_KEPT: Final = 128
_types: Final[dict[str, FieldLines]] = {}


def _type_fields(content_type: str) -> FieldLines:
    """The fields of an answer that names nothing but its type; applications name few types, again and again."""
    fields = (encode_field("content-type", content_type),)
    if len(_types) < _TYPES_KEPT:
        _types[content_type] = fields
    return fields


class Response:
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
                self._fields = _BYTES_FIELDS if body else _NO_FIELDS
            else:
                self._fields = _types.get(content_type) or _type_fields(content_type)
            return
        self.status = checked_status(status)
        self.compress = compress
        self.closers = None
        self._headers = None
        self._trailers = trailers
        self._fields = _NO_FIELDS
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
            return _BYTES_FIELDS if body else _NO_FIELDS
        if isinstance(body, str):
            self.body = body.encode("utf-8")
            return _TEXT_FIELDS
        if body is None:
            self.body = b""
            return _NO_FIELDS
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
        return _BYTES_FIELDS

    @staticmethod
    def of(body: bytes, fields: FieldLines, status: int = 200) -> Response:
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


def piece_bytes(piece: object) -> bytes:
    """One piece of a stream: text is encoded.  Raises TypeError for what is neither text nor bytes."""
    if type(piece) is bytes:
        return piece
    if isinstance(piece, str):
        return piece.encode("utf-8")
    if isinstance(piece, Buffer):
        return bytes(piece)
    raise TypeError(f"a stream yielded {type(piece).__name__}, expected bytes or str")


class Pieces:
    """The pieces of a stream as ``piece_bytes`` has them.

    Who wants one coroutine less for each piece takes the *source* after the *first* piece and calls it himself.
    """

    __slots__ = ("_first", "_iterator", "_source")

    def __init__(self, source: AsyncIterable[Any], first: tuple[Any, ...] = ()) -> None:
        """*first* holds the piece that *source* has given already, if it has."""
        self._source = source
        self._first = first
        self._iterator: AsyncIterator[Any] | None = None

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        if self._iterator is None:
            self._iterator = self._source.__aiter__()
        if self._first:
            (piece,), self._first = self._first, ()
        else:
            piece = await self._iterator.__anext__()
        return piece_bytes(piece)

    @property
    def has_first(self) -> bool:
        """A piece of the source has been taken already, and is still to be given."""
        return bool(self._first)

    @property
    def source(self) -> AsyncIterator[Any]:
        """The pieces as they come from where they are made."""
        if self._iterator is None:
            self._iterator = self._source.__aiter__()
        return self._iterator

    async def aclose(self) -> None:
        """Close the source, also one that was never started."""
        close = getattr(self._iterator or self._source, "aclose", None)
        if close is not None:
            await close()


async def begin_stream(source: AsyncIterable[Any]) -> Response:
    """A stream of *source* whose first piece is awaited here, so that what is raised before it can become an answer.

    Text in the first piece makes it text/plain.
    """
    iterator = source.__aiter__()
    try:
        first = await iterator.__anext__()
    except StopAsyncIteration:
        return Response.of(b"", _NO_FIELDS)
    response = Response.of(b"", _TEXT_FIELDS if isinstance(first, str) else _BYTES_FIELDS)
    response.body = Pieces(iterator, (first,))
    response.is_open_ended = True
    return response


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


def json_response(value: object) -> Response:
    """The answer to a client that prefers JSON, or does not say."""
    return Response.of(dump_json(value), _CHOSEN_JSON_FIELDS)


def _from_value(value: object, accept: str | None) -> Response:
    if accept is not None and prefers_data_value(accept):
        return Response.of(dump_data_value(value), _CHOSEN_DATA_VALUE_FIELDS)
    return json_response(value)


def _from_tuple(value: Sequence[Any], accept: str | None) -> Response:
    if len(value) not in (2, 3):
        raise TypeError(f"a tuple of {len(value)} was returned, expected (body, status) or (body, status, headers)")
    body, status = value[0], checked_status(value[1])
    if isinstance(body, tuple):
        raise TypeError("the body of a returned tuple is a tuple itself")
    response = Response.of(b"", _NO_FIELDS) if body is None else normalise(body, accept)
    response.status = status
    if len(value) == 3 and value[2] is not None:
        if not isinstance(value[2], Headers | Iterable) or isinstance(value[2], str | bytes):
            raise TypeError(f"headers are {type(value[2]).__name__}, expected a mapping or (name, value) pairs")
        response.headers.update(value[2])
        if response.is_open_ended and "content-length" in response.headers:
            response.is_open_ended = False
    return response


def normalise(value: object, accept: str | None = None) -> Response:
    """The Response that *value*, as returned by a handler, stands for.

    *accept* is the Accept field of the request, where it asks for DataValue.  Raises TypeError for what a handler may
    not return, CodecError for a dict or list that cannot be encoded.
    """
    kind = type(value)
    if kind is dict or kind is list:
        return _from_value(value, accept)
    if kind is str:
        return Response.of(value.encode("utf-8"), _TEXT_FIELDS)  # type: ignore[attr-defined]
    if isinstance(value, Response):
        return value
    if kind is bytes:
        return Response.of(value, _BYTES_FIELDS)  # type: ignore[arg-type]
    if value is None:
        return Response.of(b"", _NO_FIELDS, 204)
    if kind is tuple:
        return _from_tuple(value, accept)  # type: ignore[arg-type]
    if isinstance(value, str | bytearray | memoryview | bytes):
        return Response(value)
    if isinstance(value, dict | list):
        return _from_value(value, accept)
    if isinstance(value, AsyncIterable | Iterator):
        return Response(value)
    raise TypeError(
        f"a handler returned {kind.__name__}, expected Response, dict, list, str, bytes, None, an iterator, "
        "(body, status) or (body, status, headers)"
    )
