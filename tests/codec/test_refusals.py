"""What has no form, with its path; what has no meaning, with its offset."""

from __future__ import annotations

import array
import datetime as dt
import decimal
import struct
from collections import OrderedDict
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.codec import CodecError, reference
from tests.codec.material import CODECS, deep_list, full_values, quick, same


class Odd:
    """A type without a form."""


class Zone(dt.tzinfo):
    """A time zone that is no timezone and no ZoneInfo."""

    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(0)

    def dst(self, when: dt.datetime | None) -> None:
        return None

    def tzname(self, when: dt.datetime | None) -> str:
        return "Zone"


class Text(str):
    """A str that would not come back as what it was."""


def cycle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def released() -> memoryview:
    view = memoryview(b"abc")
    view.release()
    return view


REFUSED_VALUES: dict[str, tuple[Any, str]] = {
    "unsupported type": ({"users": [1, {"avatar": Odd()}]}, "$.users[1].avatar"),
    "key that is no identifier": ({"a b": {"": Odd()}}, "$['a b']['']"),
    "item of a tuple": ((1, (Odd(),)), "$[1][0]"),
    "item of a set": ({1, Odd()}, "$[*]"),
    "item in the middle of a long list": ([None] * 40 + [Odd()] + [None] * 9, "$[40]"),
    "value in a dict of many keys": ({**{str(key): None for key in range(200)}, "x": Odd()}, "$.x"),
    "second record": ([{"a": 1}, {"a": Odd()}], "$[1].a"),
    "subclass of str": ([Text("a")], "$[0]"),
    "subclass of dict": (OrderedDict(), "$"),
    "int key": ({"a": {1: 2}}, "$.a[<int>]"),
    "key of a subclass": ({Text("k"): 1}, "$[<Text>]"),
    "int key among many": ({**{str(key): 1 for key in range(200)}, 10**5000: 1}, "$[<int>]"),
    "lone surrogate": (["a", "\ud800"], "$[1]"),
    "lone surrogate in a long str": ("x" * 100 + "\udfff", "$"),
    "lone surrogate in a key": ({"\ud800": 1}, "$['\\ud800']"),
    "lone surrogate in a key of many": ({**{str(key): 1 for key in range(200)}, "\ud800": 1}, "$['\\ud800']"),
    "lone surrogate in a list of str": (["a", "b", "c", "\udc00"], "$[3]"),
    "cycle": (cycle(), "$" + "[0]" * 64),
    "depth": (deep_list(65), "$" + "[0]" * 64),
    "depth of dicts": ({"k": {"k": deep_list(63)}}, "$.k.k" + "[0]" * 62),
    "depth of a packed list": (deep_list(65, [1, 2, 3, 4]), "$" + "[0]" * 64),
    "other tzinfo": ([dt.datetime(2026, 1, 1, tzinfo=Zone())], "$[0]"),
    "array of text": ({"a": array.array("w" if "w" in array.typecodes else "u", "abc")}, "$.a"),
    "complex array": ({"a": np.zeros(3, complex)}, "$.a"),
    "half floats": (np.zeros(3, np.float16), "$"),
    "big-endian array": (np.zeros(3, ">i4"), "$"),
    "dates of numpy": (np.zeros(3, "datetime64[s]"), "$"),
    "objects of numpy": (np.array([Odd()]), "$"),
    "structures of numpy": (np.zeros(3, "i4,f8"), "$"),
    "array with an empty dimension": (np.zeros((2, 0)), "$"),
    "released memoryview": ([released()], "$[0]"),
    "memoryview in a set": ({memoryview(b"a")}, "$[*]"),
    "numpy scalar": ([np.float64(1.0)], "$[0]"),
}


@pytest.mark.parametrize(("value", "path"), REFUSED_VALUES.values(), ids=REFUSED_VALUES)
def test_refused_values(codec: ModuleType, value: Any, path: str) -> None:
    refusals: list[Callable[[], Any]] = [
        lambda: codec.encode(value),
        lambda: codec.encode_segments(value),
        lambda: codec.encode_into(value, bytearray(1000)),
        lambda: codec.Encoder().encode(value),
    ]
    for refuse in refusals:
        with pytest.raises(CodecError) as refusal:
            refuse()
        assert refusal.value.path == path
        assert refusal.value.offset is None
        assert str(refusal.value).endswith(f" at {path}")


REFUSED_IN_BINCODE = {
    "big int": ([1 << 63], "$[0]"),
    "big negative int": ([-(1 << 63) - 1], "$[0]"),
    "tuple": ({"a": (1,)}, "$.a"),
    "set": ([set()], "$[0]"),
    "date": (dt.date(2026, 1, 1), "$"),
    "decimal": (decimal.Decimal(1), "$"),
    "typed array": ([array.array("d")], "$[0]"),
    "two dimensions": (memoryview(b"abcd").cast("B", (2, 2)), "$"),
}


@pytest.mark.parametrize(("value", "path"), REFUSED_IN_BINCODE.values(), ids=REFUSED_IN_BINCODE)
def test_values_that_bincode_cannot_say(codec: ModuleType, value: Any, path: str) -> None:
    with pytest.raises(CodecError) as refusal:
        codec.encode(value, profile="bincode")
    assert refusal.value.path == path
    codec.encode(value, profile="full")


def test_bytes_likes_are_bytes_in_bincode(codec: ModuleType) -> None:
    for value in (bytearray(b"abc"), memoryview(b"abc"), array.array("B", b"abc"), memoryview(b"aXbXc")[::2]):
        assert codec.encode(value, profile="bincode").hex() == "0503616263"


def test_limits_of_depth(codec: ModuleType) -> None:
    for depth in (1, 2, 64, 256):
        value = deep_list(depth)
        message = codec.encode(value, max_depth=depth)
        assert codec.decode(message, max_depth=depth) == value
        with pytest.raises(CodecError):
            codec.encode(value, max_depth=depth - 1)
        with pytest.raises(CodecError) as refusal:
            codec.decode(message, max_depth=depth - 1)
        assert refusal.value.offset == depth - 1
    assert codec.decode(codec.encode(1, max_depth=0), max_depth=0) == 1
    for limit in (-1, 257):
        with pytest.raises(ValueError, match=f"max_depth is {limit}, and may be 0 to 256"):
            codec.encode(1, max_depth=limit)
        with pytest.raises(ValueError, match=f"max_depth is {limit}, and may be 0 to 256"):
            codec.decode(b"\0", max_depth=limit)


def test_unknown_profile(codec: ModuleType) -> None:
    with pytest.raises(ValueError, match="profile is 'other', and may be 'full' or 'bincode'"):
        codec.encode(1, profile="other")
    with pytest.raises(ValueError, match="profile is 'other', and may be 'full' or 'bincode'"):
        codec.decode(b"\0", profile="other")


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ([None] * 3, 3),
        ([[None], [None]], 4),
        ([1] * 50, 50),
        ([None] * 50, 50),
        ([{"a": 1, "b": None}] * 2, 6),
        ({str(key): 1 for key in range(200)}, 200),
        ((1, {2, 3}), 4),
        (["a"] * 10, 10),
        ([1.5] * 10, 10),
    ],
)
def test_max_items(codec: ModuleType, value: Any, items: int) -> None:
    message = codec.encode(value)
    assert same(codec.decode(message, max_items=items), value)
    with pytest.raises(CodecError) as refusal:
        codec.decode(message, max_items=items - 1)
    assert refusal.value.offset is not None


def test_chain_of_replacements_ends(codec: ModuleType) -> None:
    with pytest.raises(CodecError) as refusal:
        codec.encode([Odd()], default=lambda value: value)
    assert refusal.value.path == "$[0]"
    assert "deeper than 64 levels" in str(refusal.value)


def test_error_in_default_passes_through(codec: ModuleType) -> None:
    def default(value: Any) -> Any:
        raise LookupError("not mine")

    for call in (codec.encode, codec.encode_segments):
        with pytest.raises(LookupError, match="not mine"):
            call([1, Odd()], default=default)


@pytest.mark.parametrize("size", [2, 40])
@pytest.mark.parametrize("change", ["append", "clear"])
def test_list_that_changes_while_it_is_encoded(codec: ModuleType, size: int, change: str) -> None:
    value: list[Any] = [Odd()] + [None] * size

    def default(other: Any) -> Any:
        value.append(1) if change == "append" else value.clear()
        return None

    with pytest.raises(CodecError) as refusal:
        codec.encode({"list": value}, default=default)
    assert refusal.value.path == "$.list"


@pytest.mark.parametrize("size", [2, 200])
@pytest.mark.parametrize("change", ["add", "clear"])
def test_dict_that_changes_while_it_is_encoded(codec: ModuleType, size: int, change: str) -> None:
    value: dict[str, Any] = {"first": Odd(), **{str(key): None for key in range(size)}}

    def default(other: Any) -> Any:
        value.update(more=1) if change == "add" else value.clear()
        return None

    with pytest.raises(CodecError) as refusal:
        codec.encode([value], default=default)
    assert refusal.value.path == "$[0]"


ONE_KEY = "e1c161"  # a dict of one new key, "a"
REFUSED_BYTES = {
    "nothing": ("", 0),
    "rest": ("0000", 1),
    "rest after a list": ("c18000", 2),
    "missing item": ("c281", 0),
    "item cut": ("c28144", 2),
    "list beyond the input": ("df0000", 0),
    "reserved tag 39": ("27", 0),
    "reserved tag 43 inside": ("c12b", 1),
    "reserved tag 250": ("fa", 0),
    "close without a beginning": ("2f", 0),
    "close in a list": ("c12f", 1),
    "reset inside": ("c130", 1),
    "reset twice": ("303080", 1),
    "reset and nothing": ("30", 1),
    "extension tag as u16": ("fb0800", 0),
    "tag as u128": ("fe00000000000000000000000000000000", 0),
    "short str beyond 127": ("4280c3", 0),
    "str of a surrogate": ("0403eda080", 0),
    "overlong str": ("0402c080", 0),
    "short str beyond the input": ("43ffff", 0),
    "int cut": ("c10b01", 1),
    "u64 with its top bit": ("0d0000000000000080", 0),
    "negative u64 with its top bit": ("110000000000000080", 0),
    "big int of no bytes": ("1200", 0),
    "big int beyond the input": ("12020000"[:6], 0),
    "bytearray beyond the input": ("130261", 0),
    "date of month 13": ("14ea070d01", 0),
    "date of year 0": ("1400000101", 0),
    "date cut": ("14ea0701", 0),
    "time of hour 24": ("1518000000000000", 0),
    "time of a million microseconds": ("150000004042" + "0f00", 0),
    "timedelta with too many seconds": ("1700000000805101000000" + "0000", 0),
    "timedelta with too many microseconds": ("17000000000000000040420f00", 0),
    "timedelta beyond its range": ("17ffffff7f0000000000000000", 0),
    "zone of kind 4": ("180000000000000004", 0),
    "zone of a day": ("18" + "00" * 7 + "01" + struct.pack("<q", 86_400_000_000).hex(), 0),
    "zone that does not exist": ("18" + "00" * 7 + "0202" + b"X!".hex(), 0),
    "zone outside of its directory": ("18" + "00" * 7 + "0204" + b"../x".hex(), 0),
    "uuid cut": ("1a" + "00" * 15, 0),
    "decimal that is no number": ("1b0178", 0),
    "decimal with a space": ("1b022031", 0),
    "decimal with a low bar": ("1b03315f30", 0),
    "decimal in another spelling": ("1b03316535", 0),
    "decimal beyond ASCII": ("1b03efbc91", 0),
    "list in a set": ("1d01c0", 2),
    "dict in a tuple in a set": ("1d011c01e0", 4),
    "set in a set": ("1e011d00", 2),
    "bytearray in a set": ("1d01130161", 2),
    "array in a set": ("1d011f0200", 2),
    "signalling decimal in a set": ("1d011b04734e614e", 0),
    "set beyond the input": ("1d05808182", 0),
    "array of dtype 11": ("1f0b00", 0),
    "array of 33 dimensions": ("1f0221" + "01" * 33 + "00", 0),
    "array of 2^40 elements": ("1f0a01fd0000000000010000", 0),
    "array whose size passes 64 bits": ("1f0a02fdffffffffffffff7ffdffffffffffffff7f", 0),
    "array with an empty dimension": ("1f02020002", 0),
    "floats beyond the input": ("2002" + "00" * 15, 0),
    "2^61 floats": ("20fd000000000000002000", 0),
    "ints beyond the input": ("240100000000000000", 0),
    "str lengths beyond the input": ("250401020304", 0),
    "strs beyond the input": ("2502020161", 0),
    "strs beyond ASCII": ("250102c3a9", 0),
    "indexed list: too many items": ("260302000000" + "0000" + "02000000", 0),
    "indexed list: wrong length": ("260203000000" + "000000" + "02000000", 0),
    "indexed list: length beyond the input": ("260207000000" + "0000" + "02000000", 0),
    "indexed list: no index": ("2611" + "11000000" + "00" * 17, 0),
    "indexed list: index cut": ("2611" + "11000000" + "00" * 17 + "10000000110000", 0),
    "indexed list: wrong index": ("2611" + "11000000" + "00" * 17 + "0f00000011000000", 0),
    "indexed list: wrong bit": ("2602" + "02000000" + "0000" + "02000080", 0),
    "indexed list: missing bit": ("2601" + "04000000" + "e1c16180" + "04000000", 0),
    "indexed list without length, too many items": ("2603ffffffff0000", 0),
    "open list without its end": ("2c8182", 3),
    "open dict without its end": ("2d4161", 3),
    "open dict with an int key": ("2d818100", 1),
    "open dict with an odd end": ("2d41612f", 3),
    "open bytes cut": ("2e0161", 0),
    "open bytes beyond the input": ("2e026100", 0),
    "key that is not there": ("e10081", 1),
    "key of two bytes that is not there": ("e1808081", 1),
    "key cut": ("e1c261", 1),
    "key of no UTF-8": ("e1c1ff81", 1),
    "long key beyond the input": ("e1ff0261", 1),
    "second key cut": ("e2c161c2", 3),
    "same key twice": ("e2c161c1618182", 0),
    "same key twice by number": ("c1e2c161008182", 1),
    "value missing": (ONE_KEY, 0),
    "value of a second key missing": ("e2c161c16281", 0),
    "shape that is not there": ("33", 0),
    "shape after a dict with a long key": ("c2e1ff01618133", 6),
    "shape that comes later": ("c233" + ONE_KEY + "81", 1),
    "numbered shape that is not there": ("c2" + ONE_KEY + "813201", 5),
    "shape with a value missing": ("c2e2c161c16281823381", 8),
    "wide dict of no keys": ("3100", 0),
    "wide dict of 129 keys": ("3181" + "c0" * 129, 0),
    "bincode key beyond the input": ("07010561" + "00", 2),
    "bincode key of no UTF-8": ("070101ff00", 2),
    "bincode dict with a missing value": ("07020161000161", 7),
}


@pytest.mark.parametrize(("wire", "offset"), REFUSED_BYTES.values(), ids=REFUSED_BYTES)
def test_refused_bytes(codec: ModuleType, wire: str, offset: int) -> None:
    data = bytes.fromhex(wire)
    refusals: list[Callable[[], Any]] = [
        lambda: codec.decode(data),
        lambda: codec.decode(memoryview(data), zero_copy=True),
        lambda: codec.Decoder().decode(bytearray(data)),
        lambda: codec.decode_batch([b"\x00", data]),
    ]
    for refuse in refusals:
        with pytest.raises(CodecError) as refusal:
            refuse()
        assert refusal.value.offset == offset, str(refusal.value)
        assert refusal.value.path is None


def test_short_indexed_lists_are_read(codec: ModuleType) -> None:
    for wire, value in {
        "260000000000": [],
        "2602020000000000" + "02000000": [None, None],
        "2601" + "04000000" + "e1c16180" + "04000080": [{"a": 0}],
        "2602ffffffff0000": [None, None],
    }.items():
        assert same(codec.decode(bytes.fromhex(wire)), value)


def test_tags_that_bincode_does_not_know(codec: ModuleType) -> None:
    for tag in range(8, 256):
        for rest in (b"", bytes(20)):
            with pytest.raises(CodecError) as refusal:
                codec.decode(bytes((tag,)) + b"\x0a" + rest, profile="bincode")
            assert refusal.value.offset == 0, tag


@quick
@given(value=full_values, data=st.data())
def test_broken_messages_are_refused_or_read_alike(value: Any, data: st.DataObject) -> None:
    message = bytearray(reference.encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(message)))
        match data.draw(st.sampled_from(["cut", "change", "insert", "drop"])):
            case "cut":
                del message[place:]
            case "change":
                message[place : place + 1] = bytes((data.draw(st.integers(0, 255)),))
            case "insert":
                message[place:place] = data.draw(st.binary(max_size=3))
            case _:
                del message[place : place + 1]
    outcomes = [outcome(codec, message) for codec in CODECS]
    assert outcomes[0] == outcomes[-1]


@quick
@given(message=st.binary(max_size=60))
def test_noise_is_refused_or_read_alike(message: bytes) -> None:
    outcomes = [outcome(codec, message) for codec in CODECS]
    assert outcomes[0] == outcomes[-1]


def outcome(codec: ModuleType, message: bytes | bytearray) -> Any:
    try:
        value = codec.decode(message)
    except CodecError as error:
        return error.offset
    # Bytes say more than ==: types, order, NaN.
    try:
        return reference.encode(value)
    except CodecError as error:
        return error.path
