"""Calls by name, whatever carried them: what a handler sees of one, how it is called, and what its failures become.

Knows no connection and no bytes.  ``rat.calls`` has them over HTTP, ``rat.frames_protocol`` over frames.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import secrets
from collections.abc import AsyncIterator, Callable
from types import FunctionType, MethodType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

from rat.errors import CallError, ClientDisconnected, CodecError, HTTPError

if TYPE_CHECKING:
    from rat.app import Rat
    from rat.messages import Address

__all__ = ["CONNECTION", "CallRequest", "Carrier", "Connection", "Procedure", "answer_connection",
           "begins_later", "blame", "failure"]  # fmt: skip

log = logging.getLogger("rat.error")

CONNECTION = ""
"""The name under which a peer that makes no calls opens its one stream."""

_COUNTED = re.compile(r"\d+(?= to \d+ positional| positional| were given| was given)")
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    415: "unsupported",
    422: "unprocessable",
    429: "too_many",
    503: "unavailable",
}


class Carrier(Protocol):
    """The connection that a call came on, as its handler may see it."""

    @property
    def app(self) -> Rat: ...

    @property
    def client(self) -> Address | None: ...

    @property
    def server(self) -> Address | None: ...

    @property
    def is_lost(self) -> bool: ...

    def items_of(self, stream_id: int) -> AsyncIterator[Any]:
        """What the caller sends on the call."""

    async def send_item(self, stream_id: int, value: Any) -> None:
        """Send one item to the caller."""


class CallRequest(tuple[Carrier, int, str]):
    """One call, as its handler sees it; the same names as ``rat.Request`` has, as far as a call has them.

    A tuple because nothing that Python can make is made faster, and each call makes one.
    """

    _state: SimpleNamespace

    method = "CALL"
    scheme = "rat"

    @property
    def _carrier(self) -> Carrier:
        return self[0]

    @property
    def stream_id(self) -> int:
        """The number of the call on its connection."""
        return self[1]

    @property
    def name(self) -> str:
        """What was called."""
        return self[2]

    @property
    def path(self) -> str:
        """Where the same call is over HTTP."""
        return f"/_call/{self.name}"

    @property
    def app(self) -> Rat:
        """The application that is called."""
        return self._carrier.app

    @property
    def client(self) -> Address | None:
        """The caller's address; None for a Unix socket."""
        return self._carrier.client

    @property
    def server(self) -> Address | None:
        """The address that the caller connected to; None for a Unix socket."""
        return self._carrier.server

    @property
    def state(self) -> SimpleNamespace:
        """The handler's own, for this call."""
        try:
            return self._state
        except AttributeError:
            self._state = SimpleNamespace()
            return self._state

    @property
    def is_disconnected(self) -> bool:
        """The caller is known to have left."""
        return self._carrier.is_lost

    @property
    def stream(self) -> AsyncIterator[Any]:
        """What the caller sends after the call: values, and pieces of blobs as bytes.  Ends at its end.

        Raises ClientDisconnected when the connection ends first.  One task may read it.
        """
        return self._carrier.items_of(self.stream_id)

    async def send(self, value: Any) -> None:
        """Send one item; waits while the caller is full.  What the handler returns in the end is the result."""
        await self._carrier.send_item(self.stream_id, value)

    def __repr__(self) -> str:
        return f"CallRequest({self.name!r}, stream {self.stream_id})"


class Connection:
    """Values both ways, for those who want no calls: what ``@app.frames`` handlers get."""

    __slots__ = ("_items", "request")

    def __init__(self, request: CallRequest) -> None:
        self.request = request
        self._items = request.stream

    def __aiter__(self) -> AsyncIterator[Any]:
        """What the peer sends, until its end."""
        return self._items

    async def send(self, value: Any) -> None:
        """Send *value*; waits while the peer is full."""
        await self.request.send(value)

    @property
    def client(self) -> Address | None:
        return self.request.client

    @property
    def app(self) -> Rat:
        return self.request.app

    @property
    def state(self) -> SimpleNamespace:
        return self.request.state


def answer_connection(handler: Callable[[Connection], Any]) -> Callable[[CallRequest], Any]:
    """The procedure behind ``@app.frames``: it is called by the empty name, and its answer is the end."""

    async def answer(request: CallRequest) -> None:
        await handler(Connection(request))

    return answer


class Procedure:
    """One declared call.

    *thread*: a plain handler runs in a thread.  *timeout*: seconds until its answer has to be complete; None for what
    the caller asks for.
    """

    __slots__ = ("handler", "name", "timeout")

    def __init__(
        self, name: str, handler: Callable[..., Any], *, thread: bool = False, timeout: float | None = None
    ) -> None:
        if not callable(handler):
            raise TypeError(f"handler of call {name!r} is {type(handler).__name__}, expected a function")
        self.name = name
        self.handler = _in_thread(handler, name) if thread else handler
        self.timeout = timeout

    def invoke(self, request: Any, args: Any, kwargs: dict[str, Any] | None) -> Any:
        """Call the handler.

        Raises CallError ``bad_arguments`` when they do not fit it; what it raises itself passes.
        """
        try:
            return self.handler(request, *args, **kwargs) if kwargs else self.handler(request, *args)
        except TypeError as error:
            raise blame(error, self.name) from None


def blame(error: BaseException, name: str) -> BaseException:
    """*error* of a handler, caught where it was called: CallError ``bad_arguments`` if the arguments did not fit it."""
    if not isinstance(error, TypeError) or error.__traceback__ is None or error.__traceback__.tb_next is not None:
        return error
    # Raised by the call itself, and not inside it: the traceback ends where it was caught.
    return CallError("bad_arguments", f"call {name}: {_about_arguments(error)}")


def begins_later(handler: Callable[..., Any]) -> bool:
    """Whether a call of *handler* runs nothing of it: an async function or generator begins when it is awaited."""
    code = getattr(getattr(handler, "__func__", handler), "__code__", None)
    flags = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
    return isinstance(handler, FunctionType | MethodType) and code is not None and bool(code.co_flags & flags)


def _in_thread(handler: Callable[..., Any], name: str) -> Callable[..., Any]:
    signature = inspect.signature(handler)

    async def later(*args: Any, **kwargs: Any) -> Any:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise CallError("bad_arguments", f"call {name}: {error}") from None
        return await asyncio.to_thread(handler, *args, **kwargs)

    return later


def _about_arguments(error: TypeError) -> str:
    text = str(error)
    # Python counts the request as well, and the caller knows of none.
    return _COUNTED.sub(lambda count: str(int(count[0]) - 1), text.partition("() ")[2] or text)


def failure(error: BaseException, name: str) -> CallError:
    """What the caller is told of *error*: nothing of the inside, but an error id that stands in the log as well."""
    if isinstance(error, CallError):
        return error
    if isinstance(error, HTTPError):
        code = _CODES.get(error.status, "failed" if error.status >= 500 else "refused")
        return CallError(code, error.detail or code.replace("_", " "), {"status": error.status})
    if isinstance(error, ClientDisconnected):
        return CallError("disconnected", "the caller left before the stream was whole")
    error_id = secrets.token_hex(8)
    if isinstance(error, CodecError):
        log.error("error %s: call %s gave a value that cannot be sent: %s", error_id, name, error)
    else:
        log.error("error %s in call %s", error_id, name, exc_info=error)
    return CallError("internal", "internal error", {"error_id": error_id})
