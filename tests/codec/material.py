"""What the codec tests share: generated values, and an equality that tells 1 from True and 0.0 from -0.0."""

from __future__ import annotations

import datetime as dt
import decimal
import struct
import uuid
import zoneinfo
from importlib import import_module
from types import ModuleType
from typing import Any

from hypothesis import strategies as st

from rat.compiled import fault
from tests.support.examples import examples

__all__ = ["CODECS", "EDGE_INTS", "deep_list", "full_values", "plain_values", "quick", "same", "thorough"]


def _codecs() -> list[ModuleType]:
    from rat.codec import reference

    if fault("rat.codec.native._codec") is not None:
        return [reference]
    return [reference, import_module("rat.codec.native")]


CODECS = _codecs()
"""The reference, and the native codec where it was built: a generated value costs more than what is done with it."""

thorough = examples(60)
"""For the tests that everything else leans on."""
quick = examples(20)

EDGE_INTS = sorted(
    {
        sign * (1 << bits) + difference
        for bits in (0, 6, 7, 8, 15, 16, 31, 32, 53, 63, 64, 200)
        for sign in (1, -1)
        for difference in (-1, 0, 1)
    }
    | {0, 125, 126, -126, -127}
)


def same(left: Any, right: Any) -> bool:
    """Equal, of the same types all the way down, with the same bits in floats and the same order in dicts."""
    if type(left) is not type(right):
        return False
    match left:
        case float():
            return struct.pack("<d", left) == struct.pack("<d", right)
        case list() | tuple():
            return len(left) == len(right) and all(map(same, left, right))
        case dict():
            return len(left) == len(right) and all(
                same(key, other) and same(left[key], right[other]) for key, other in zip(left, right, strict=True)
            )
        case set() | frozenset():
            return _by_text(left) == _by_text(right)
        case decimal.Decimal():
            return str(left) == str(right)
        case dt.datetime() | dt.time():
            return repr(left) == repr(right)
        case memoryview():
            other: memoryview = right
            return (left.format, left.shape, left.tobytes()) == (other.format, other.shape, other.tobytes())
        case _:
            return bool(left == right)


def _by_text(items: set[Any] | frozenset[Any]) -> list[str]:
    return sorted(_text(item) for item in items)


def _text(item: Any) -> str:
    if isinstance(item, frozenset):
        return f"frozenset {_by_text(item)}"
    if isinstance(item, tuple):
        return f"tuple {[_text(part) for part in item]}"
    return repr(item)


def deep_list(depth: int, inner: Any = None) -> Any:
    """*depth* lists, one in the other."""
    value = [] if inner is None else inner
    for _ in range(depth - (inner is None)):
        value = [value]
    return value


def _same_records(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists of dicts most of which have the same keys: shapes, and the way out of them."""

    def records(keys: list[str]) -> st.SearchStrategy[Any]:
        record = st.fixed_dictionaries(dict.fromkeys(keys, values), optional={"extra": values})
        return st.lists(record, min_size=1, max_size=40)

    return st.lists(st.text(max_size=5), unique=True, max_size=4).flatmap(records)


ints = st.one_of(st.integers(), st.sampled_from(EDGE_INTS), st.integers(-130, 130))
texts = st.one_of(
    st.text(), st.text("abcdef", max_size=80), st.sampled_from(["", "a" * 63, "a" * 64, "中文", "\x7f", "\x80"])
)
_plain_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1), st.floats(), texts, st.binary()
)
_zones = st.one_of(
    st.just(dt.UTC),
    st.builds(dt.timezone, st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23))),
    st.builds(dt.timezone, st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)), st.text(max_size=5)),
    st.sampled_from([zoneinfo.ZoneInfo("UTC"), zoneinfo.ZoneInfo("Europe/Berlin")]),
)
_hashable_scalars = st.one_of(
    st.none(),
    st.booleans(),
    ints,
    st.floats(allow_nan=False),
    texts,
    st.binary(),
    st.dates(),
    st.times(timezones=st.one_of(st.none(), _zones)),
    st.datetimes(timezones=st.one_of(st.none(), _zones)),
    st.timedeltas(),
    st.uuids(),
    st.decimals(allow_nan=False),
)
_hashables = st.recursive(
    _hashable_scalars,
    lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(inner, max_size=4)),
    max_leaves=5,
)
_scalars = st.one_of(
    _hashable_scalars,
    st.floats(),
    st.binary().map(bytearray),
    st.sampled_from([decimal.Decimal("NaN"), decimal.Decimal("sNaN12"), decimal.Decimal("-0E-7"), uuid.UUID(int=0)]),
    st.sets(_hashables, max_size=5),
    st.frozensets(_hashables, max_size=5),
)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=6),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(texts, inner, max_size=5),
        _same_records(inner),
    )


_homogeneous = st.one_of(
    st.lists(st.floats(), min_size=3, max_size=40),
    st.lists(ints, min_size=3, max_size=40),
    st.lists(st.integers(-200, 200), min_size=3, max_size=40),
    st.lists(st.text("abc", max_size=3), min_size=3, max_size=40),
    st.lists(st.one_of(st.none(), st.integers(0, 300)), min_size=30, max_size=70),
)

full_values = st.recursive(st.one_of(_scalars, _homogeneous), _containers, max_leaves=25)
"""Every value of the full profile that compares by itself."""

plain_values = st.recursive(
    _plain_scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(texts, inner, max_size=5)),
    max_leaves=25,
)
"""Every value that the bincode profile can say."""
