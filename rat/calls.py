"""Procedures over HTTP: POST /_call/NAME with the arguments as a value, its result as a value.

A list of values is the arguments in order, a map is the arguments by name, no content is none.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from rat.errors import HTTPError
from rat.responses import Response
from rat.stream.iterators import threaded
from rat.values import DATA_VALUE, JSON, dump_data_value, dump_json, prefers_data_value

if TYPE_CHECKING:
    from rat.messages import Request

__all__ = ["bind_arguments", "over_http"]


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


def over_http(name: str, handler: Callable[..., Any]) -> Callable[[Request], Any]:
    """The HTTP handler of the procedure *name*.  A result that is an async iterator is sent as one JSON text a line."""

    async def answer(request: Request) -> Response:
        arguments = await request.value() if await request.read() else []
        positional, by_name = bind_arguments(name, handler, arguments)
        result = handler(request, *positional, **by_name)
        while type(result) is CoroutineType:
            result = await result
        if isinstance(result, Response):
            return result
        if isinstance(result, Iterator):
            result = threaded(result)
        if isinstance(result, AsyncIterable):
            return Response(_lines(result), content_type="application/x-ndjson")
        binary = prefers_data_value(request.headers.combined("accept"))
        content = dump_data_value(result) if binary else dump_json(result)
        return Response(content, headers={"vary": "accept"}, content_type=DATA_VALUE if binary else JSON)

    return answer


async def _lines(items: AsyncIterable[Any]) -> AsyncIterator[bytes]:
    iterator: Any = aiter(items)
    try:
        async for item in iterator:
            yield dump_json(item) + b"\n"
    finally:
        if hasattr(iterator, "aclose"):
            await iterator.aclose()
