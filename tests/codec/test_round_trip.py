"""What goes in comes out: same value, same types, same order, from the same bytes."""

from __future__ import annotations

import array
import collections
import dataclasses
import enum
import random
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from rat.codec import reference
from tests.codec.material import CODECS, EDGE_INTS, full_values, plain_values, same, thorough


@thorough
@given(value=full_values)
def test_full_profile(value: Any) -> None:
    message = reference.encode(value)
    for codec in CODECS:
        assert codec.encode(value) == message, codec
        assert same(codec.decode(message), value), codec


@thorough
@given(value=plain_values)
def test_bincode_profile(value: Any) -> None:
    message = reference.encode(value, profile="bincode")
    for codec in CODECS:
        assert codec.encode(value, profile="bincode") == message, codec
        assert same(codec.decode(message, profile="bincode"), value), codec
        assert same(codec.decode(message), value), codec


@pytest.mark.parametrize("number", EDGE_INTS)
def test_ints_at_the_edges_alone_and_packed(codec: ModuleType, number: int) -> None:
    for value in (number, [number] * 3, [0, number, 1, -1], [number, 1.0, 2, 3]):
        assert same(codec.decode(codec.encode(value)), value)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 15, 16, 17, 25, 26, 31, 32, 33, 48, 49, 127, 128, 129, 250, 251, 70_000])
@pytest.mark.parametrize(
    "make",
    [
        lambda size: [None] * size,
        lambda size: [{"a": index % 7, "b": {"c": None}} for index in range(size)],
        lambda size: tuple(range(size)),
        lambda size: list(range(size)),
        lambda size: [str(index) for index in range(size)],
        lambda size: {str(index): index for index in range(size)},
        lambda size: "x" * size,
        lambda size: "中" * size,
        lambda size: bytes(size),
    ],
    ids=["nones", "records", "tuple", "ints", "texts", "dict", "str", "cjk", "bytes"],
)
def test_containers_of_every_size_of_count(make: Callable[[int], Any], size: int) -> None:
    value = make(size)
    message = reference.encode(value)
    for codec in CODECS:
        assert codec.encode(value) == message, codec
        # Without `same` all the way down: what the values are is known, and 70,000 of them are many.
        decoded = codec.decode(message)
        assert (type(decoded), decoded) == (type(value), value), codec


def test_keys_and_shapes_beyond_their_tables(codec: ModuleType) -> None:
    generator = random.Random(1)
    keys = [f"key {number}" for number in range(1500)] + ["k" * 62, "k" * 63, "键" * 30]
    value = [dict.fromkeys(generator.sample(keys, generator.randint(1, 6))) for _ in range(1500)]
    value += [dict.fromkeys(keys[start : start + 128]) for start in range(0, 1400, 64)] * 2
    value += value[:400]
    message = codec.encode(value)
    assert same(codec.decode(message), value)
    assert message == reference.encode(value)


@pytest.mark.parametrize("code", "bBhHiIlLqQfd")
def test_array_array(codec: ModuleType, code: str) -> None:
    given_array = array.array(code, [0, 1, 2, 3, 100])
    shown = codec.decode(codec.encode({"a": given_array}))["a"]
    assert isinstance(shown, memoryview)
    assert shown.readonly
    assert shown.itemsize == given_array.itemsize
    assert shown.tolist() == given_array.tolist()
    assert codec.decode(codec.encode(array.array(code))).tolist() == []


@pytest.mark.parametrize(
    "given_array",
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        np.arange(24, dtype=np.int64).reshape(4, 6)[::2, ::-3],
        np.asfortranarray(np.arange(6, dtype=np.uint16).reshape(2, 3)),
        np.array([True, False]),
        np.array(7.5),
        np.zeros(0),
        np.zeros((1,) * 32),
    ],
    ids=lambda given_array: f"{given_array.dtype}{given_array.shape}",
)
def test_numpy_arrays(codec: ModuleType, given_array: Any) -> None:
    message = codec.encode(given_array)
    assert message == reference.encode(given_array)
    for zero_copy in (False, True):
        again = np.asarray(codec.decode(message, zero_copy=zero_copy))
        assert again.dtype == given_array.dtype
        assert again.shape == given_array.shape
        assert (again == given_array).all()


def test_memoryviews_of_any_stride(codec: ModuleType) -> None:
    whole = memoryview(bytes(range(100)))
    for view in (whole, whole[3:7], whole[::-2], whole.cast("B", (10, 10)), memoryview(b"")):
        again = codec.decode(codec.encode(view))
        assert same(again, view.toreadonly())


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: Any = dataclasses.field(default=None, repr=False)


Pair = collections.namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        (Pair(1, [2]), (1, [2])),
        ({Colour.RED, Level.HIGH}, {"red", 3}),
        ([Level.HIGH] * 5, [3] * 5),
    ],
)
def test_enums_dataclasses_and_named_tuples_become_plain(codec: ModuleType, value: Any, plain: Any) -> None:
    assert same(codec.decode(codec.encode(value)), plain)
    assert codec.encode(value) == reference.encode(value)


def test_default_is_asked_for_what_has_no_form(codec: ModuleType) -> None:
    value = {"ranges": [range(3), range(0)], "inner": collections.OrderedDict(a=complex(1, 2))}

    def default(other: Any) -> Any:
        match other:
            case range():
                return list(other)
            case collections.OrderedDict():
                return dict(other)
            case _:
                return (other.real, other.imag)

    plain = {"ranges": [[0, 1, 2], []], "inner": {"a": (1.0, 2.0)}}
    assert same(codec.decode(codec.encode(value, default=default)), plain)


def test_same_bytes_whatever_the_hash_seed(codec: ModuleType) -> None:
    program = (
        f"from {codec.__name__} import encode\n"
        "print(encode({'a': {'x', 'y', 'z', 1, None}, 'b': [{'k': 1, 'l': 2}] * 3, 'c': frozenset('pqr')}).hex())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


def test_duplicates_in_a_set_count_once(codec: ModuleType) -> None:
    assert same(codec.decode(bytes.fromhex("1d03818281")), {1, 2})
