"""Procedures over HTTP: POST /_call/NAME with the arguments as a value, its result as a value.

A list of values is the arguments in order, a map is the arguments by name, no content is none.  As
``application/vnd.rat.frames`` the content is what a frames peer would send after its HELLO: a CALL, then what the call
streams; and the answer is what it would get.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from dataclasses import replace
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from rat.codec.frame import Kind, pack_frame
from rat.config import FrameLimits
from rat.errors import CallError, ClientDisconnected, HTTPError, RemoteProtocolError
from rat.events import Signal
from rat.frames import events
from rat.frames.engine import FramesEngine
from rat.frames.settings import offer, pack_hello
from rat.frames.streams import MAX_CREDIT
from rat.jsonlines import JSON_LINES, JSONLines
from rat.procedures import failure
from rat.responses import Response
from rat.stream.blob import Blob
from rat.stream.inbox import nothing
from rat.stream.iterators import threaded
from rat.values import DATA_VALUE, JSON, dump_data_value, dump_json, prefers_data_value, quality

if TYPE_CHECKING:
    from rat.messages import Request
    from rat.procedures import Procedure

__all__ = ["FRAMES", "HttpCall", "bind_arguments", "over_http"]

FRAMES = "application/vnd.rat.frames"

_STATUSES = {
    "bad_arguments": 400, "bad_call": 400, "bad_request": 400, "unauthorized": 401, "forbidden": 403, "not_found": 404,
    "timeout": 408, "conflict": 409, "too_large": 413, "unsupported": 415, "unprocessable": 422, "too_many": 429,
    "unavailable": 503,
}  # fmt: skip
"""Status codes for the codes of CallError; any other is 422, the application having refused what was well said."""


def bind_arguments(name: str, handler: Callable[..., Any], arguments: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """*arguments*, a list or a map, as *handler* takes them after the request.  HTTPError 400 if it does not."""
    if isinstance(arguments, dict) and all(isinstance(key, str) for key in arguments):
        positional, by_name = (), arguments
    elif isinstance(arguments, list | tuple):
        positional, by_name = tuple(arguments), {}
    else:
        raise HTTPError(400, f"arguments of call {name} are {type(arguments).__name__}, expected a list or a map")
    try:
        inspect.signature(handler).bind(None, *positional, **by_name)
    except TypeError as error:
        raise HTTPError(400, f"call {name}: {error}") from None
    return positional, by_name


class HttpCall:
    """What a procedure's handler sees of a call over HTTP: the HTTP request, and the call's name and stream."""

    __slots__ = ("_request", "name", "stream")

    def __init__(self, request: Request, name: str, stream: AsyncIterator[Any]) -> None:
        self._request = request
        self.name = name
        self.stream = stream
        """What the caller streams: the items and data of the frames in the content."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)

    async def send(self, value: Any) -> None:
        """Raises CallError: over HTTP the handler yields its items."""
        raise CallError("unsupported", f"call {self.name} sends items while it reads, which needs a frames connection")


def over_http(procedure: Procedure) -> Callable[[Request], Any]:
    """The HTTP handler of *procedure*.  A result that is an iterator is sent as one JSON text a line, or as frames."""

    async def answer(request: Request) -> Response:
        name = procedure.name
        accept = request.headers.combined("accept")
        if request.content_type == FRAMES:
            caller = _Caller(request, name)
            call = await caller.begin()
            positional, by_name = tuple(call.args), call.kwargs or {}
            stream: AsyncIterator[Any] = caller.items()
        else:
            arguments: Any = await request.value() if await request.read() else []
            positional, by_name = bind_arguments(name, procedure.handler, arguments)
            stream = nothing()
        try:
            result = procedure.invoke(HttpCall(request, name, stream), positional, by_name)
            while type(result) is CoroutineType:
                result = await result
        except CallError as error:
            raise HTTPError(_STATUSES.get(error.code, 422), f"{error.code}: {error.message}") from error
        if isinstance(result, Response):
            return result
        if isinstance(result, Iterator) and not isinstance(result, Blob):
            result = threaded(result)
        if isinstance(result, Blob):
            return Response(_buffers(result), content_type="application/octet-stream")
        if isinstance(result, AsyncIterable):
            if _stream_form(accept) == FRAMES:
                return Response(_frames(result, name), headers={"vary": "accept"}, content_type=FRAMES)
            return JSONLines(result, headers={"vary": "accept"})
        if _prefers_frames(accept):
            content, kind = pack_frame(Kind.RESULT, 0, 1, dump_data_value(result)), FRAMES
        elif prefers_data_value(accept):
            content, kind = dump_data_value(result), DATA_VALUE
        else:
            content, kind = dump_json(result), JSON
        return Response(content, headers={"vary": "accept"}, content_type=kind)

    return answer


def _prefers_frames(accept: str | None) -> bool:
    """Frames are asked for by name, and neither DataValue nor JSON is wanted more."""
    if accept is None or "rat.frames" not in accept.lower():
        return False
    weight = quality(accept, FRAMES)
    return weight > 0.0 and weight >= max(quality(accept, DATA_VALUE), quality(accept, JSON))


def _stream_form(accept: str | None) -> str:
    """The type of an answer of many values: FRAMES or JSON_LINES.

    Who asks for DataValues and does not want lines more gets frames: they hold the values that were asked for, where
    lines of JSON hold others.  A client that takes neither is answered all the same, since what was called has begun
    (RFC 9110, section 12.5.1, lets a server choose that over 406).
    """
    if accept is None:
        return JSON_LINES
    named = accept.lower()
    frames = quality(accept, FRAMES) if "rat.frames" in named else None
    values = quality(accept, DATA_VALUE) if "rat.datavalue" in named and frames != 0.0 else 0.0
    weight = max(frames or 0.0, values)
    return FRAMES if weight > 0.0 and weight >= max(quality(accept, JSON_LINES), quality(accept, JSON)) else JSON_LINES


async def _buffers(blob: Blob) -> AsyncIterator[bytes]:
    async for piece in blob:
        yield bytes(piece)


async def _frames(items: AsyncIterable[Any], name: str) -> AsyncIterator[bytes]:
    """The items as ITEM frames and END; ERROR in the place of END when they end with an exception."""
    iterator: Any = aiter(items)
    try:
        async for item in iterator:
            yield pack_frame(Kind.ITEM, 0, 1, dump_data_value(item))
        yield pack_frame(Kind.END, 0, 1)
    except Exception as error:
        told = failure(error, name)
        value = {"code": told.code, "message": told.message, "detail": told.detail}
        yield pack_frame(Kind.ERROR, 0, 1, dump_data_value(value))
    finally:
        if hasattr(iterator, "aclose"):
            await iterator.aclose()


class _Caller:
    """A frames peer whose frames are the content of a request.  It needs no HELLO: the defaults hold."""

    def __init__(self, request: Request, name: str) -> None:
        config = request.app.config
        # HTTP has flow control of its own: whoever posts frames needs no credit.
        limits = replace(config.frames if config is not None else FrameLimits(), credit=MAX_CREDIT)
        self._body = aiter(request.body)
        self._name = name
        self._engine = FramesEngine(limits, is_client=False, features=frozenset())
        self._engine.receive_data(pack_frame(Kind.HELLO, 0, 0, pack_hello(offer(limits, frozenset()))))
        self._engine.next_event()

    async def _next(self) -> events.Event | None:
        """The next event, or None at the end of the content.  HTTPError 400 for frames that break the rules."""
        while True:
            try:
                event = self._engine.next_event()
            except RemoteProtocolError as error:
                raise HTTPError(400, f"content is not frames: {error}") from None
            if not isinstance(event, Signal):
                return event
            if event is Signal.CLOSED:
                return None
            self._engine.take()
            try:
                self._engine.receive_data(bytes(await anext(self._body)))
            except StopAsyncIteration:
                self._engine.receive_eof()

    async def begin(self) -> events.Call:
        """The CALL that the content begins with."""
        event = await self._next()
        if not isinstance(event, events.Call) or event.name != self._name:
            raise HTTPError(400, f"content begins with {type(event).__name__}, expected a CALL of {self._name}")
        return event

    async def items(self) -> AsyncIterator[Any]:
        """What follows the call, to its END."""
        while True:
            event = await self._next()
            if isinstance(event, events.Item):
                self._engine.consume(event.stream_id, event.size, event.length)
                yield event.value
            elif isinstance(event, events.Data):
                self._engine.consume(event.stream_id, event.size)
                yield event.data
            elif isinstance(event, events.End):
                return
            else:
                raise ClientDisconnected("the content ended before the END of its call")
