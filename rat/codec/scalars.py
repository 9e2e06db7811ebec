"""The scalar extensions between Python objects and their content: the datetime family, UUID, Decimal, typed arrays.

Content is what follows the tag.  ValueError is the only refusal, with the reason; who calls adds the place.
"""

from __future__ import annotations

import array
import datetime as dt
import decimal
import struct
import sys
import zoneinfo
from typing import Any, Final

from rat.codec.values import DTYPES

__all__ = [
    "DTYPES",
    "decimal_text",
    "is_array",
    "make_zone",
    "native_order",
    "pack_date",
    "pack_time",
    "pack_timedelta",
    "parse_decimal",
    "typed_array",
    "unpack_date",
    "unpack_time",
    "unpack_timedelta",
    "zone_of",
]

DATE: Final = struct.Struct("<HBB")
TIME: Final = struct.Struct("<BBBI")
TIMEDELTA: Final = struct.Struct("<iII")
OFFSET: Final = struct.Struct("<q")

_DAY: Final = 86_400_000_000
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_ALIASES: Final = {("l", 4): "i", ("L", 4): "I", ("l", 8): "q", ("L", 8): "Q", ("n", 8): "q", ("N", 8): "Q"}


def pack_date(value: dt.date) -> bytes:
    return DATE.pack(value.year, value.month, value.day)


def unpack_date(content: bytes | memoryview) -> dt.date:
    return dt.date(*DATE.unpack(content))


def pack_time(value: dt.time | dt.datetime) -> bytes:
    return TIME.pack(value.hour, value.minute, value.second, value.microsecond | value.fold << 31)


def unpack_time(content: bytes | memoryview, zone: dt.tzinfo | None) -> dt.time:
    hour, minute, second, microsecond = TIME.unpack(content)
    return dt.time(hour, minute, second, microsecond & 0x7FFFFFFF, zone, fold=microsecond >> 31)


def pack_timedelta(value: dt.timedelta) -> bytes:
    return TIMEDELTA.pack(value.days, value.seconds, value.microseconds)


def unpack_timedelta(content: bytes | memoryview) -> dt.timedelta:
    days, seconds, microseconds = TIMEDELTA.unpack(content)
    if seconds >= 86_400 or microseconds >= 1_000_000:
        raise ValueError(f"timedelta of {seconds} seconds and {microseconds} microseconds in a day")
    try:
        return dt.timedelta(days, seconds, microseconds)
    except OverflowError as error:
        raise ValueError(f"timedelta of {days} days") from error


def zone_of(zone: dt.tzinfo) -> tuple[int, int | None, str | None]:
    """Kind, offset in microseconds and name of *zone*, as the wire has them."""
    if zone is dt.UTC:
        return 0, None, None
    if type(zone) is dt.timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]
        microseconds = offset // _MICROSECOND
        return (3, microseconds, name[0]) if name else (1, microseconds, None)
    if type(zone) is zoneinfo.ZoneInfo and zone.key is not None:
        return 2, None, zone.key
    raise ValueError(f"time zone of type {type(zone).__name__}")


def make_zone(kind: int, offset: int | None, name: str | None) -> dt.tzinfo:
    """The time zone that `zone_of` took apart."""
    if kind == 0:
        return dt.UTC
    if kind == 2:
        assert name is not None
        try:
            return zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"time zone {name!r} is not known here") from error
    assert offset is not None
    if not -_DAY < offset < _DAY:
        raise ValueError(f"time zone with an offset of {offset} microseconds")
    difference = dt.timedelta(microseconds=offset)
    return dt.timezone(difference) if name is None else dt.timezone(difference, name)


def decimal_text(value: decimal.Decimal) -> bytes:
    return str(value).encode("ascii")


def parse_decimal(content: bytes) -> decimal.Decimal:
    """The decimal whose ``str()`` *content* is; no other spelling is taken."""
    text = content.decode("ascii", "replace")
    try:
        value = decimal.Decimal(text)
    except (decimal.InvalidOperation, ValueError) as error:
        raise ValueError("decimal text that is no number") from error
    if str(value) != text:
        raise ValueError("decimal text that is not in its plain form")
    return value


def is_array(value: object) -> bool:
    """Whether *value* is exactly an array.array, a memoryview or a NumPy array.  NumPy is not imported to find out."""
    kind = type(value)
    if kind is memoryview or kind is array.array:
        return True
    numpy = sys.modules.get("numpy")
    return numpy is not None and kind is numpy.ndarray


def typed_array(value: Any) -> tuple[int, tuple[int, ...], memoryview]:
    """Dtype number, shape, and the elements as contiguous bytes in C order, little-endian: the object's own memory
    where it can be.
    """
    try:
        view = memoryview(value)
        form = view.format
    except (ValueError, TypeError) as error:
        raise ValueError(f"{type(value).__name__} that gives no buffer: {error}") from error
    name = form.lstrip("@=<") if len(form) == 2 else form
    name = _ALIASES.get((name, view.itemsize), name)
    if name not in DTYPES:
        raise ValueError(f"array of format {form!r}")
    if view.ndim > 32:
        raise ValueError(f"array of {view.ndim} dimensions, limit 32")
    shape = view.shape or ()
    if len(shape) > 1 and 0 in shape:
        raise ValueError(f"array of shape {shape}: a dimension of 0 beside another")
    content = view.cast("B") if view.c_contiguous and view.ndim and view.nbytes else memoryview(view.tobytes())
    return DTYPES.index(name), tuple(shape), native_order(content, view.itemsize)


def native_order(content: memoryview, size: int, order: str = sys.byteorder) -> memoryview:
    """*content* with the bytes of every element of *size* bytes reversed on a big-endian machine, as it is on any
    other.
    """
    if order == "little" or size == 1:
        return content
    swapped = bytearray(content)
    for index in range(size):
        swapped[index::size] = content[size - 1 - index :: size]
    return memoryview(swapped)
