"""What a handler returned, brought into the one shape that is looked at from here on: a Response."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator, Sequence
from typing import Any

from rat.events import FieldLines
from rat.fields import Headers
from rat.pieces import Pieces, piece_bytes
from rat.responses import BYTES_FIELDS, NO_FIELDS, TEXT_FIELDS, Response, checked_status
from rat.values import DATA_VALUE, dump_data_value, dump_json, prefers_data_value

__all__ = ["begin_stream", "json_response", "normalise"]

# The answer was chosen by Accept: RFC 9110, section 12.5.5.
_CHOSEN_JSON_FIELDS: FieldLines = ((b"content-type", b"application/json"), (b"vary", b"accept"))
_CHOSEN_DATA_VALUE_FIELDS: FieldLines = ((b"content-type", DATA_VALUE.encode()), (b"vary", b"accept"))


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
    response = Response.of(b"", NO_FIELDS) if body is None else normalise(body, accept)
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
        return Response.of(value.encode("utf-8"), TEXT_FIELDS)  # type: ignore[attr-defined]
    if isinstance(value, Response):
        return value
    if kind is bytes:
        return Response.of(value, BYTES_FIELDS)  # type: ignore[arg-type]
    if value is None:
        return Response.of(b"", NO_FIELDS, 204)
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


async def begin_stream(source: AsyncIterable[Any]) -> Response:
    """A stream of *source* whose first piece is awaited here, so that what is raised before it can become an answer.

    Text in the first piece makes it text/plain.
    """
    iterator = source.__aiter__()
    try:
        first = await iterator.__anext__()
    except StopAsyncIteration:
        return Response.of(b"", NO_FIELDS)
    if type(first) is not bytes and not isinstance(first, str):
        await _check_piece(first, iterator)
    response = Response.of(b"", TEXT_FIELDS if isinstance(first, str) else BYTES_FIELDS)
    response.body = Pieces(iterator, (first,))
    response.is_open_ended = True
    return response


async def _check_piece(piece: object, iterator: Any) -> None:
    """Raises TypeError for what is no piece, when *iterator* has been closed."""
    try:
        piece_bytes(piece)
    except TypeError:
        if hasattr(iterator, "aclose"):
            await iterator.aclose()
        raise
