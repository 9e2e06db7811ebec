"""JSON, by orjson: the other representation of values, for who does not read DataValue.

Errors are the codec's: a CodecError, with the offset in bytes where JSON does not parse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from rat.codec.scalar_reader import Buffer
from rat.errors import CodecError

__all__ = ["dumps", "loads"]


def dumps(
    obj: Any, *, default: Callable[[Any], Any] | None = None, indent: bool = False, sort_keys: bool = False
) -> bytes:
    """*obj* as JSON in UTF-8; *indent* by two spaces.

    Beyond JSON's own types: dataclasses, enums, datetimes (RFC 3339), UUIDs, and what *default* replaces.  Raises
    CodecError for anything else, for ints beyond 64 bits, lone surrogates, keys that are no str, and cycles.  NaN and
    the infinities become null.  An exception in *default* passes through.
    """
    options = (orjson.OPT_INDENT_2 if indent else 0) | (orjson.OPT_SORT_KEYS if sort_keys else 0)
    try:
        return orjson.dumps(obj, default, options)
    except orjson.JSONEncodeError as error:
        if error.__cause__ is not None and default is not None:
            raise error.__cause__ from None
        raise CodecError(f"value that JSON cannot say: {_plain(str(error))}") from None


def loads(data: Buffer | str) -> Any:
    """The value of the JSON text *data*: UTF-8, or str.

    Raises CodecError with the offset in bytes.  NaN and Infinity are no JSON; of a key that comes twice, the last one
    wins.
    """
    if not isinstance(data, bytes | bytearray | memoryview | str):
        raise TypeError(f"JSON text of type {type(data).__name__}, where bytes or str must stand")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise CodecError(f"text that is no JSON: {_plain(error.msg)}", offset=_offset(data, error)) from None


def _offset(data: Buffer | str, error: orjson.JSONDecodeError) -> int:
    """Where *data* goes wrong, in bytes of UTF-8."""
    if isinstance(data, str):
        return len(data[: error.pos].encode("utf-8", "surrogatepass"))
    content = bytes(data)
    try:
        return len(content.decode()[: error.pos].encode())
    except UnicodeDecodeError as place:
        return place.start


def _plain(message: str) -> str:
    """A dependency's words in our style: lower case, no place of its own."""
    words = message.split(": line ")[0].rstrip(".")
    return words[:1].lower() + words[1:]
