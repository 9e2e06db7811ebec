"""JSON by orjson, with the codec's errors."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from rat.codec import CodecError
from rat.codec.json import dumps, loads


@dataclasses.dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, None, True, "é"]}, '{"a":[1,null,true,"é"]}'),
        (Point(3), '{"x":3}'),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), '"2026-01-02T00:00:00+00:00"'),
        (float("nan"), "null"),
    ],
)
def test_dumps(value: Any, text: str) -> None:
    assert dumps(value).decode() == text


def test_options() -> None:
    assert dumps({"b": 1, "a": {}}, sort_keys=True) == b'{"a":{},"b":1}'
    assert dumps({"b": 1}, indent=True) == b'{\n  "b": 1\n}'
    assert dumps({"c": 1j}, default=lambda value: [value.real, value.imag]) == b'{"c":[0.0,1.0]}'


@pytest.mark.parametrize("value", [object(), {1: 2}, 1 << 70, "\ud800", b"bytes"])
def test_values_that_json_cannot_say(value: Any) -> None:
    with pytest.raises(CodecError, match=r"^value that JSON cannot say: [a-z]"):
        dumps([value])


def test_an_error_in_default_passes_through() -> None:
    def default(value: Any) -> Any:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        dumps(object(), default=default)
    with pytest.raises(CodecError, match="recursion limit"):
        dumps(object(), default=lambda value: value)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_loads(kind: Any) -> None:
    assert loads(kind(b'{"a": [1, 2.5, "x"], "a": null}')) == {"a": None}
    assert loads('["é"]') == ["é"]


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        (b"", 0),
        (b'{"a": 1,}', 7),
        ('{"é": nope}', 7),
        ('{"é": nope}'.encode(), 7),
        (b'["\xff"]', 2),
        (b"NaN", 0),
        ("\ud800", 0),
    ],
)
def test_text_that_is_no_json(text: Any, offset: int) -> None:
    with pytest.raises(CodecError, match=r"^text that is no JSON: [a-z]") as refusal:
        loads(text)
    assert refusal.value.offset == offset


def test_what_is_no_text() -> None:
    with pytest.raises(TypeError, match="JSON text of type int"):
        loads(5)  # type: ignore[arg-type]
