"""JSON a value at a time, each on a line of its own (NDJSON, ``application/x-ndjson``): written and read as it comes.

Neither side holds more than a line.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

from rat.config import MIB
from rat.errors import HTTPError
from rat.fields import HeaderSource
from rat.responses import Response
from rat.stream.iterators import threaded
from rat.values import dump_json, load_json

__all__ = ["JSON_LINES", "JSONLines", "json_lines", "read_json_lines"]

JSON_LINES = "application/x-ndjson"


class JSONLines(Response):
    """*values* as lines of JSON, each sent when it is there; a sync iterable runs in a thread of its own.

    A value that JSON cannot say cuts the answer, and CodecError with the path to it is logged.
    """

    __slots__ = ()

    def __init__(
        self,
        values: AsyncIterable[Any] | Iterable[Any],
        status: int = 200,
        headers: HeaderSource | None = None,
        *,
        compress: bool | None = None,
    ) -> None:
        super().__init__(json_lines(values), status, headers, content_type=JSON_LINES, compress=compress)


async def json_lines(values: AsyncIterable[Any] | Iterable[Any]) -> AsyncIterator[bytes]:
    """The line of each of *values*, which are closed at the end.  Raises CodecError for what JSON cannot say."""
    iterator: Any = aiter(values if isinstance(values, AsyncIterable) else threaded(values))
    try:
        async for value in iterator:
            yield dump_json(value) + b"\n"
    finally:
        if hasattr(iterator, "aclose"):
            await iterator.aclose()


async def read_json_lines(pieces: AsyncIterable[bytes], *, max_line: int = MIB) -> AsyncIterator[Any]:
    """The value of each line of *pieces*, such as ``request.body``; empty lines are passed over.

    Raises HTTPError with the number of the line: 400 for one that is no JSON, 413 for one of more than *max_line*
    bytes.  What *pieces* raises passes.
    """
    held = bytearray()
    number = 1
    async for piece in pieces:
        begin = 0
        while (end := piece.find(b"\n", begin)) >= 0:
            _hold(held, piece[begin:end], number, max_line)
            if line := held.strip():
                yield _value(line, number)
            held.clear()
            begin, number = end + 1, number + 1
        _hold(held, piece[begin:], number, max_line)
    if line := held.strip():
        yield _value(line, number)


def _hold(held: bytearray, piece: bytes, number: int, limit: int) -> None:
    if len(held) + len(piece) > limit:
        raise HTTPError(413, f"line {number} has more than {limit} bytes")
    held += piece


def _value(line: bytearray, number: int) -> Any:
    try:
        return load_json(line)
    except HTTPError as error:
        raise HTTPError(400, f"line {number}: {error.detail}") from None
