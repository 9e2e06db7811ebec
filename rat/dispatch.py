"""From a handler to an Endpoint: how it is called, what its answer becomes, and the middleware around it.

All that can be decided is decided when the endpoint is built, so that the way of a request is short.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Sequence
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeAlias

from rat.errors import ClientDisconnected
from rat.http1.fieldsearch import combined_value
from rat.problems import ErrorHandlers, answer_error
from rat.responses import Deferred, Response
from rat.returned import begin_stream, json_response, normalise
from rat.stream.iterators import threaded
from rat.tasks import Begun, first_step

if TYPE_CHECKING:
    from rat.messages import Request

__all__ = ["CallNext", "Handler", "Middleware", "build_respond", "call_style", "is_async_callable"]

Handler: TypeAlias = Callable[..., Any]
CallNext: TypeAlias = "Callable[[Request], Awaitable[Response]]"
Middleware: TypeAlias = "Callable[[Request, CallNext], Awaitable[Any]]"
AsyncRespond: TypeAlias = "Callable[[Request], Coroutine[Any, Any, Response]]"
SyncRespond: TypeAlias = "Callable[[Request], Response]"
Shape: TypeAlias = "Callable[[Any], Any] | None"


def _unwrap(handler: Handler) -> Any:
    while isinstance(handler, functools.partial):
        handler = handler.func
    if not inspect.isroutine(handler) and not inspect.isclass(handler):
        return type(handler).__call__
    return handler


def is_async_callable(handler: Handler) -> bool:
    """Calling *handler* gives a coroutine."""
    return inspect.iscoroutinefunction(_unwrap(handler))


def call_style(handler: Handler, names: Sequence[str], *, complete: bool = True) -> Callable[[Request], Any]:
    """How *handler* is called for a request: with it, and with the path parameters *names* by name.

    A handler may leave out ``request``.  Raises TypeError when its parameters do not fit; not *complete*: the prefixes
    that it will be mounted under may still bring some.
    """
    label = getattr(handler, "__qualname__", repr(handler))
    try:
        parameters = inspect.signature(handler).parameters
    except ValueError:  # a builtin that tells nothing
        parameters = {}  # type: ignore[assignment]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values()) or not parameters
    missing = [name for name in names if name not in parameters]
    if missing and not (takes_any and parameters):
        raise TypeError(f"handler {label} takes no parameter {missing[0]!r}, which is in its path")
    positional = [
        p.name
        for p in parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name not in names
    ]
    star = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    first = next(iter(parameters), None)
    by_position = star or (positional != [] and positional[0] == first)
    by_name = not by_position and "request" in parameters and "request" not in names
    given = {*names, "request" if by_name else positional[0] if by_position and positional else ""}
    for p in parameters.values() if complete else ():
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in given:
            raise TypeError(f"handler {label} needs a parameter {p.name!r}, which is not in its path")
    if by_position:
        if not names:
            return handler
        return lambda request: handler(request, **request.path_params)
    if by_name:
        return lambda request: handler(request=request, **request.path_params)
    return lambda request: handler(**request.path_params)


def _normalise(value: Any, request: Request) -> Response:
    """The answer that *value* stands for.  Accept is looked at for what it has a say in, and only where it speaks of
    DataValue: for all others the answer is JSON, and nothing is parsed."""
    if isinstance(value, Response):
        return value
    kind = type(value)
    if kind is str or kind is bytes:
        return normalise(value)
    accept = combined_value(request.head.field_section, b"accept")
    if accept is None or b"rat.datavalue" not in accept:
        return json_response(value) if kind is dict or kind is list else normalise(value)
    return normalise(value, accept.decode("latin-1"))


async def _settle(answer: Response | Awaitable[Response]) -> Response:
    return answer if isinstance(answer, Response) else await answer


def _async_respond(call: Callable[[Request], Any], scopes: Sequence[ErrorHandlers], shape: Shape) -> AsyncRespond:
    async def respond(request: Request) -> Response:
        try:
            value = await call(request)
            while type(value) is CoroutineType:
                value = await value
            if shape is not None:
                value = shape(value)
            response = _normalise(value, request)
            if response.prepare is not None:
                response = response.at_once(request) or await response.prepare(request)
            return response
        except ClientDisconnected:
            raise
        except Exception as error:
            return await _settle(answer_error(error, request, scopes))

    return respond


def _sync_respond(
    call: Callable[[Request], Any], scopes: Sequence[ErrorHandlers], shape: Shape, *, is_async: bool = False
) -> SyncRespond:
    """*is_async*: calling gives a coroutine, which takes its first step here and now."""

    async def given(value: Any) -> Any:
        return value

    def later(value: Any, request: Request) -> Deferred:
        # Not in *respond*, whose every call would make a cell for what the lambda holds.
        return Deferred(finish(lambda request: value)(request))

    async def prepare_later(response: Response, request: Request) -> Response:
        return await finish(lambda request: given(response))(request)

    def finish(later: Callable[[Request], Any]) -> AsyncRespond:
        return _async_respond(later, scopes, shape)

    def respond(request: Request) -> Response:
        try:
            value = called = call(request)
            if is_async:
                value = first_step(called)
            if type(value) is Response:
                # Most answers: nothing is to be made of it, or prepared.
                return value
            if is_async and value is called:
                # Another awaitable, of what is only marked as a coroutine function.
                return later(value, request)
            if type(value) is CoroutineType or type(value) is Begun:
                return later(value, request)
            if shape is not None:
                value = shape(value)
            response = _normalise(value, request)
            if response.prepare is not None:
                return response.at_once(request) or Deferred(prepare_later(response, request))
            return response
        except ClientDisconnected:
            raise
        except Exception as error:
            answer = answer_error(error, request, scopes)
            return answer if isinstance(answer, Response) else Deferred(answer)

    return respond


def _with_content(call: Callable[[Request], Any]) -> Callable[[Request], Any]:
    """A plain handler behind an await: the content is read first, as it would be without one."""

    async def later(request: Request) -> Any:
        await request.read()
        return call(request)

    return later


def _in_thread(call: Callable[[Request], Any]) -> Callable[[Request], Any]:
    async def later(request: Request) -> Any:
        await request.read()
        return await asyncio.to_thread(call, request)

    return later


def _streaming(call: Callable[[Request], Any], *, is_async: bool) -> Callable[[Request], Any]:
    """A handler that is a generator: it runs to its first piece before the head is sent."""

    async def later(request: Request) -> Response:
        if is_async:
            return await begin_stream(call(request))
        await request.read()
        return await begin_stream(threaded(call(request)))

    return later


def _layer(middleware: Middleware, inner: AsyncRespond, scopes: Sequence[ErrorHandlers]) -> AsyncRespond:
    async def respond(request: Request) -> Response:
        made: list[Response] = []

        async def call_next(request: Request) -> Response:
            response = await inner(request)
            made.append(response)
            return response

        try:
            response = _normalise(await middleware(request, call_next), request)
            if response.prepare is not None:
                response = await response.prepare(request)
        except (ClientDisconnected, asyncio.CancelledError):
            # Nobody will send what was made.
            for other in made:
                other.close()
            raise
        except Exception as error:
            response = await _settle(answer_error(error, request, scopes))
        # A middleware may answer in the handler's place, and its answer may still read from the other one.
        for other in made:
            if other is not response:
                response.on_close(other.close)
        return response

    return respond


def _begin_later(respond: AsyncRespond) -> SyncRespond:
    def begin(request: Request) -> Response:
        response = first_step(respond(request))
        return Deferred(response) if isinstance(response, Begun) else response

    return begin


def build_respond(
    handler: Handler,
    names: Sequence[str],
    middleware: Sequence[tuple[Middleware, Sequence[ErrorHandlers]]],
    scopes: Sequence[ErrorHandlers],
    *,
    thread: bool = False,
    event_stream: Callable[[AsyncIterable[Any]], Response] | None = None,
) -> tuple[SyncRespond, AsyncRespond | None]:
    """``begin`` and ``respond`` for an Endpoint.

    *middleware*: outermost first, each with the error handlers that hold where it was declared.  *event_stream* makes
    event streams of async iterables.
    """
    call = call_style(handler, names)
    function = _unwrap(handler)
    shape: Shape = None
    if event_stream is not None:

        def shape(value: Any) -> Any:
            if isinstance(value, AsyncIterable) and not isinstance(value, Response):
                return event_stream(value)
            return value

    plain = False
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        is_async = inspect.isasyncgenfunction(function)
        wrap = _event_call if event_stream is not None else _streaming
        call = wrap(call, is_async=is_async)
    elif inspect.iscoroutinefunction(function):
        if thread:
            raise TypeError(f"handler {handler!r} is a coroutine function, thread=True is for plain ones")
    elif thread:
        call = _in_thread(call)
    elif middleware:
        call = _with_content(call)
    else:
        plain = True
    if plain:
        return _sync_respond(call, scopes, shape), None
    respond = _async_respond(call, scopes, shape)
    if not middleware:
        return _sync_respond(call, scopes, shape, is_async=True), respond
    for function, outer_scopes in reversed(middleware):
        respond = _layer(function, respond, outer_scopes)
    return _begin_later(respond), respond


def _event_call(call: Callable[[Request], Any], *, is_async: bool) -> Callable[[Request], Any]:
    """A handler that is a generator of events: the head leaves before it runs."""

    async def later(request: Request) -> Any:
        if is_async:
            return call(request)
        await request.read()
        return threaded(call(request))

    return later
