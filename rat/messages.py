"""The request as a handler sees it.  Everything is parsed when it is first asked for.

Knows no socket: the content comes from a BodyReader, or lies complete in the head's event.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

from rat.compiled import compiled
from rat.errors import HTTPError
from rat.fields import Headers, QueryParams, parse_cookies
from rat.values import DATA_VALUE, load_data_value, load_json, media_type

if TYPE_CHECKING:
    from rat.app import Rat
    from rat.events import RequestReceived
    from rat.forms import Form
    from rat.stream.body import BodyReader
    from rat.uploads import Part

__all__ = ["Address", "Connection", "Request", "new_request", "unsupported"]


class Address(NamedTuple):
    """Where a peer is."""

    host: str
    port: int


class Connection(Protocol):
    """What a request wants to know of the connection it came on."""

    @property
    def client(self) -> Any:
        """The Address of the peer, or None where it has none (a Unix socket)."""

    @property
    def server(self) -> Any: ...

    @property
    def scheme(self) -> str: ...


class Exchange(Protocol):
    """What a request wants to know of its exchange."""

    @property
    def is_disconnected(self) -> bool: ...


class Request:
    """One request.

    Its content is read once: as a stream from ``body`` or ``parts``, or whole by ``read``, ``json``, ``text``,
    ``value`` or ``form``, which may be called again.  In a plain ``def`` handler it has been read already, and is
    ``content``.
    """

    __slots__ = (
        "__weakref__",
        "_body",
        "_connection",
        "_content",
        "_cookies",
        "_exchange",
        "_form",
        "_headers",
        "_query",
        "_state",
        "_stream",
        "app",
        "head",
        "path_params",
    )

    # Unset until first asked for; a slot that is not set costs nothing at construction.
    _content: bytes
    _cookies: dict[str, str]
    _form: Form
    _headers: Headers
    _query: QueryParams
    _state: SimpleNamespace
    _stream: AsyncIterator[bytes]

    def __init__(
        self,
        app: Rat,
        head: RequestReceived,
        connection: Connection,
        exchange: Exchange | None,
        body: BodyReader | None,
        path_params: dict[str, Any],
    ) -> None:
        """*body* is None when the content is complete in *head*."""
        self.app = app
        self.head = head
        self._connection = connection
        self._exchange = exchange
        self._body = body
        self.path_params = path_params
        """What the converters of the route made of the path."""

    # -- the head

    @property
    def method(self) -> str:
        """The method as it came (RFC 9110, section 9)."""
        return self.head.method

    @property
    def target(self) -> bytes:
        """The request-target as it came."""
        return self.head.target

    @property
    def path(self) -> str:
        """The path, percent-decoded; bytes that are not UTF-8 are replaced."""
        path = self.head.path
        return (unquote_to_bytes(path) if b"%" in path else path).decode("utf-8", "replace")

    @property
    def query(self) -> QueryParams:
        """The parameters of the query, decoded."""
        try:
            return self._query
        except AttributeError:
            self._query = QueryParams.parse(self.head.query)
            return self._query

    @property
    def headers(self) -> Headers:
        """The fields of the head, in the order in which they came."""
        try:
            return self._headers
        except AttributeError:
            self._headers = Headers(self.head.fields)
            return self._headers

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies by name (RFC 6265, section 5.4)."""
        try:
            return self._cookies
        except AttributeError:
            self._cookies = parse_cookies(self.headers.getlist("cookie"))
            return self._cookies

    @property
    def http_version(self) -> str:
        """``1.1`` or ``1.0``."""
        return self.head.http_version

    @property
    def host(self) -> str:
        """The authority that is asked for, with its port if one was named (RFC 9110, section 7.2)."""
        return self.head.authority.decode("latin-1")

    @property
    def scheme(self) -> str:
        """``http``, or ``https`` where this server ends the TLS itself; what a proxy ended is in the fields it sets."""
        return self._connection.scheme

    @property
    def client(self) -> Address | None:
        """Where the peer is; None on a Unix socket."""
        client = self._connection.client
        return client if client is None or isinstance(client, Address) else Address(*client[:2])

    @property
    def content_type(self) -> str:
        """The media type of the content in lower case, without its parameters; empty without one."""
        return media_type(self.headers.get("content-type"))[0]

    @property
    def content_length(self) -> int | None:
        """The declared length in bytes; None when chunked."""
        return self.head.content_length

    @property
    def last_event_id(self) -> str | None:
        """Where an event stream is to go on: the Last-Event-ID field, else the parameter ``last_event_id``."""
        field = self.headers.get("last-event-id")
        if field is None:
            return self.query.get("last_event_id")
        # WHATWG HTML 9.2.3: sent as UTF-8.
        return field.encode("latin-1").decode("utf-8", "replace")

    @property
    def state(self) -> SimpleNamespace:
        """The user's own, for this request."""
        try:
            return self._state
        except AttributeError:
            self._state = SimpleNamespace()
            return self._state

    @property
    def is_disconnected(self) -> bool:
        """The client is known to have left."""
        return self._exchange is not None and self._exchange.is_disconnected

    # -- the content

    @property
    def body(self) -> AsyncIterator[bytes]:
        """The content as it arrives: one reader, which holds the client back by not reading.

        Ends at the end of the message; raises ClientDisconnected or ContentTooLarge.
        """
        if self._body is not None and not hasattr(self, "_content"):
            return self._body
        try:
            return self._stream
        except AttributeError:
            self._stream = _once(self.content)
            return self._stream

    @property
    def content(self) -> bytes:
        """All of the content, once it is here; RuntimeError before.  In plain ``def`` handlers it always is."""
        content = self.head.content
        if content is not None:
            return content
        try:
            return self._content
        except AttributeError:
            raise RuntimeError("the content has not been read, await request.read() first") from None

    async def read(self) -> bytes:
        """All of the content.  Raises ContentTooLarge past the limit of the route."""
        if self._body is None:
            return self.content
        try:
            return self._content
        except AttributeError:
            self._content = await self._body.read()
            return self._content

    async def json(self) -> Any:
        """The content as JSON, whatever its type is said to be.  HTTPError 400, with the offset, if it is none."""
        content = self.head.content
        return load_json(await self.read() if content is None else content)

    async def text(self) -> str:
        """The content as text, by the charset of its Content-Type, else UTF-8.  HTTPError 400 if it is none, 415
        for an unknown charset."""
        await self.read()
        return self.content_text()

    async def value(self) -> Any:
        """The content as a value, by Content-Type: DataValue or JSON.  HTTPError 415 for any other type."""
        await self.read()
        return self.content_value()

    def content_json(self) -> Any:
        """``json`` for plain ``def`` handlers."""
        return load_json(self.content)

    def content_text(self) -> str:
        """``text`` for plain ``def`` handlers."""
        charset = media_type(self.headers.get("content-type"))[1].get("charset", "utf-8")
        content = self.content
        try:
            return content.decode(charset)
        except LookupError:
            raise HTTPError(415, f"charset {charset[:40]!r} is not known") from None
        except UnicodeDecodeError as error:
            raise HTTPError(400, f"content is not {charset} at offset {error.start} of {len(content)}") from None

    def content_value(self) -> Any:
        """``value`` for plain ``def`` handlers."""
        kind = self.content_type
        if kind == DATA_VALUE:
            return load_data_value(self.content)
        if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
            return load_json(self.content)
        raise unsupported(kind, f"application/json or {DATA_VALUE}")

    def content_form(self) -> Form:
        """``form`` for plain ``def`` handlers."""
        from rat.forms import read_form

        try:
            return self._form
        except AttributeError:
            reading = read_form(self, inline=True)
            try:
                # All the content is here, so nothing in it waits.
                reading.send(None)
            except StopIteration as done:
                self._form = done.value
                return self._form
            reading.close()
            raise RuntimeError("the content has not been read, await request.form()") from None

    async def form(self) -> Form:
        """The fields of a form, urlencoded or multipart; files are spooled to disk.

        HTTPError 415 for another type, 400 for content that is broken, 413 past ``Limits.multipart_parts``.
        """
        try:
            return self._form
        except AttributeError:
            from rat.forms import read_form

            self._form = await read_form(self)
            return self._form

    def parts(self) -> AsyncIterator[Part]:
        """The parts of multipart content as they arrive; none is held in memory.  Errors as ``form``."""
        from rat.uploads import iterate_parts

        return iterate_parts(self)

    async def save(self, path: str | Path) -> int:
        """Stream the content to the file *path*, which appears when it is whole; the number of bytes."""
        from rat.uploads import save_stream

        return await save_stream(self.body, path)

    @property
    def trailers(self) -> Headers:
        """The trailer fields, after the content has been read."""
        lines = self.head.trailers if self._body is None else self._body.trailers
        return Headers([(name.lower(), value) for name, value in lines])

    def __repr__(self) -> str:
        return f"Request({self.method} {self.target!r})"


_native: Final = compiled("rat._messages", "RAT_MESSAGES")
if TYPE_CHECKING or _native is None:
    new_request = Request
else:
    # Without the call of its __init__ (bench/cases.py: 800 instructions of 30,000).
    new_request = _native.maker(Request, ("app", "head", "_connection", "_exchange", "_body", "path_params"), (), ())


async def _once(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content


def unsupported(kind: str, expected: str) -> HTTPError:
    """415 for content of type *kind*, which may be empty."""
    came = f"content type {kind[:80]!r}" if kind else "content without a type"
    return HTTPError(415, f"{came}, expected {expected}")
