"""Values as content: JSON and DataValue text for a value, a value from either, and the choice between the two.

Knows media types and their q-values (RFC 9110, section 12), and no request or response.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson

from rat.errors import CodecError, HTTPError

__all__ = [
    "DATA_VALUE",
    "JSON",
    "dump_data_value",
    "dump_json",
    "load_data_value",
    "load_json",
    "media_type",
    "parse_weighted",
    "prefers_data_value",
    "quality",
]

JSON = "application/json"
DATA_VALUE = "application/vnd.rat.datavalue"

_MOST_PATH_STEPS = 256
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def dump_json(value: object, *, indent: bool = False) -> bytes:
    """*value* as JSON text.  Raises CodecError with the path to what JSON cannot say."""
    try:
        return orjson.dumps(value, option=_OPTIONS | orjson.OPT_INDENT_2 if indent else _OPTIONS)
    except TypeError as error:
        path = _find_unserialisable(value, "$", 0)
        raise CodecError(f"cannot be written as JSON: {_lower(str(error))}", path=path) from None


def load_json(data: bytes | bytearray | memoryview) -> Any:
    """The value of JSON text.  Raises HTTPError 400 that says what is wrong, and at which byte."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        offset = len(error.doc[: error.pos].encode("utf-8", "replace")) if error.doc else error.pos
        if not data:
            raise HTTPError(400, "content is empty, expected JSON") from None
        raise HTTPError(400, f"content is not JSON at offset {offset} of {len(data)}: {error.msg}") from None


def dump_data_value(value: object) -> bytes:
    from rat.codec import encode

    return encode(value)


def load_data_value(data: bytes | bytearray | memoryview) -> Any:
    """The value of DataValue bytes.  Raises HTTPError 400 with the offset."""
    from rat.codec import decode

    try:
        return decode(data)
    except CodecError as error:
        raise HTTPError(400, f"content is not a DataValue: {error}") from None


def _find_unserialisable(value: object, path: str, depth: int) -> str | None:
    """The path to the first part of *value* that orjson refuses, or None if that is not one part alone."""
    if depth > _MOST_PATH_STEPS:
        return path
    children: Iterable[tuple[str, object]] = ()
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                return f"{path}[{key!r}]"
        children = (
            (f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key)}]", value[key]) for key in value
        )
    elif isinstance(value, list | tuple):
        children = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    for place, child in children:
        try:
            orjson.dumps(child, option=_OPTIONS)
        except TypeError:
            return _find_unserialisable(child, place, depth + 1)
    return path


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def media_type(content_type: str | None) -> tuple[str, dict[str, str]]:
    """The type in lower case and its parameters (RFC 9110, section 8.3); ``("", {})`` for none."""
    if not content_type:
        return "", {}
    name, *rest = _split_quoted(content_type, ";")
    parameters: dict[str, str] = {}
    for item in rest:
        key, equals, value = item.partition("=")
        if equals:
            value = value.strip(" \t")
            if len(value) >= 2 and value[0] == value[-1] == '"':
                value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
            parameters.setdefault(key.strip(" \t").lower(), value)
    return name.strip(" \t").lower(), parameters


def _split_quoted(text: str, separator: str) -> list[str]:
    """*text* cut at *separator* outside of quoted strings."""
    if '"' not in text:
        return text.split(separator)
    parts, start, quoted, escaped = [], 0, False, False
    for index, char in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == separator and not quoted:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return parts


def parse_weighted(value: str) -> list[tuple[str, float]]:
    """Members of an Accept-like list with their weights; a weight that is none counts as 0 (RFC 9110, 12.4.2)."""
    members = []
    for item in _split_quoted(value, ","):
        name, *parameters = _split_quoted(item, ";")
        name = name.strip(" \t").lower()
        if not name:
            continue
        weight = 1.0
        for parameter in parameters:
            key, _, text = parameter.partition("=")
            if key.strip(" \t").lower() == "q":
                try:
                    weight = float(text)
                except ValueError:
                    weight = 0.0
                if not 0.0 <= weight <= 1.0:
                    weight = 0.0
        members.append((name, weight))
    return members


def quality(accept: str | None, name: str) -> float:
    """The weight that *accept* gives the media type *name*, by the most specific range; 1 without a field."""
    if accept is None:
        return 1.0
    kind = name.partition("/")[0] + "/*"
    best, weight = 0, 0.0
    for known, q in parse_weighted(accept):
        rank = 3 if known == name else 2 if known == kind else 1 if known == "*/*" else 0
        if rank > best:
            best, weight = rank, q
    return weight


def prefers_data_value(accept: str | None) -> bool:
    """DataValue is asked for by name, and JSON is not wanted more."""
    if accept is None or "rat.datavalue" not in accept.lower():
        return False
    weight = quality(accept, DATA_VALUE)
    return weight > 0.0 and weight >= quality(accept, JSON)
