"""The encoder in plain Python: one value to its bytes, by docs/wire-format.md.

Knows no buffer of the caller and no connection; `rat.codec.reference` gives it both.
"""

from __future__ import annotations

import datetime as dt
import decimal
import struct
import uuid
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

from rat.codec import scalars
from rat.codec.values import (
    DTYPES,
    I64_MAX,
    I64_MIN,
    INDEX_STEP,
    MAX_KEYS,
    MAX_SHAPE_KEYS,
    MAX_SHAPES,
    MAX_SHORT_KEY,
    NOT_REPLACED,
    PACK_FROM,
    Profile,
    Tag,
    key_path,
    replacement,
)
from rat.errors import CodecError

__all__ = ["Default", "Refusal", "Tables", "Writer", "varint"]

Default: TypeAlias = Callable[[Any], Any]

_F64: Final = struct.Struct("<d")
_INTS: Final = ((Tag.I8_LIST, "b"), (Tag.I8_LIST + 1, "h"), (Tag.I8_LIST + 2, "i"), (Tag.I64_LIST, "q"))
_U32_MAX: Final = 0xFFFFFFFF


class Refusal(Exception):
    """A value without a form.  *steps* grow from the inside out while it rises."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.steps: list[str] = []

    def located(self, root: str = "$") -> CodecError:
        """The public error, with the path."""
        return CodecError(str(self), path=root + "".join(reversed(self.steps)))


class Tables:
    """The keys and shapes that a message, or a connection, has seen: text to number, in the order of their numbers."""

    __slots__ = ("keys", "shapes")

    def __init__(self) -> None:
        self.keys: dict[str, int] = {}
        self.shapes: dict[tuple[str, ...], int] = {}

    def cut(self, keys: int, shapes: int) -> None:
        """Forget what came after the first *keys* and *shapes*."""
        while len(self.keys) > keys:
            self.keys.popitem()
        while len(self.shapes) > shapes:
            self.shapes.popitem()


def varint(number: int) -> bytes:
    """Section 1: the shortest varint of *number*."""
    if number <= 250:
        return bytes((number,))
    if number <= 0xFFFF:
        return b"\xfb" + number.to_bytes(2, "little")
    if number <= _U32_MAX:
        return b"\xfc" + number.to_bytes(4, "little")
    return b"\xfd" + number.to_bytes(8, "little")


class Writer:
    """Writes values to ``out``, one after the other.

    After a Refusal, ``out`` and the tables hold what came before it: who owns them cuts them back.  With *threshold*,
    payloads of that size and more are not copied: ``payloads`` has (position in ``out``, memory) for each.
    """

    __slots__ = ("default", "external", "in_set", "max_depth", "out", "payloads", "tables", "threshold", "writers")

    def __init__(
        self,
        tables: Tables,
        *,
        profile: Profile = "full",
        default: Default | None = None,
        max_depth: int = 64,
        threshold: int | None = None,
    ) -> None:
        self.out = bytearray()
        self.tables = tables
        self.default = default
        self.max_depth = max_depth
        self.threshold = threshold
        self.payloads: list[tuple[int, bytes | memoryview]] = []
        self.external = 0
        self.in_set = False
        self.writers = _FULL if profile == "full" else _BINCODE

    def write(self, value: Any, depth: int = 0) -> None:
        """Append *value*, which stands inside *depth* containers."""
        writer = self.writers.get(type(value))
        if writer is not None:
            writer(self, value, depth)
        else:
            self._write_other(value, depth)

    def _write_other(self, value: Any, depth: int) -> None:
        if scalars.is_array(value):
            if self.writers is _FULL:
                return self._write_array(value)
            return self._write_array_as_bytes(value, depth)
        plain = replacement(value)
        if plain is not NOT_REPLACED:
            return self.write(plain, depth)
        if self.default is None:
            profile = "" if self.writers is _FULL else ", which the bincode profile cannot say"
            raise Refusal(f"value of type {type(value).__name__}{profile}")
        if depth >= self.max_depth:
            raise Refusal(f"deeper than {self.max_depth} levels")
        return self.write(self.default(value), depth + 1)

    def _open(self, depth: int, kind: str) -> None:
        if depth >= self.max_depth:
            raise Refusal(f"deeper than {self.max_depth} levels")
        if self.in_set and kind not in ("tuple", "frozenset"):
            raise Refusal(f"{kind} inside a set")

    def _write_items(self, items: Sequence[Any], depth: int) -> None:
        count = len(items)
        index = 0
        try:
            for item in islice(items, count):
                self.write(item, depth)
                index += 1
        except Refusal as refusal:
            refusal.steps.append(f"[{index}]")
            raise
        if len(items) != count:
            raise Refusal(f"list of {count} items that has {len(items)} after encoding")

    def _write_payload(self, content: bytes | bytearray | memoryview) -> None:
        size = content.nbytes if isinstance(content, memoryview) else len(content)
        if self.threshold is None or size < self.threshold or self.in_set:
            self.out += content
        else:
            self.payloads.append((len(self.out), content if isinstance(content, bytes) else memoryview(content)))
            self.external += size

    # tags 0-5, as bincode has them

    def _write_none(self, value: None, depth: int) -> None:
        self.out.append(Tag.NONE)

    def _write_bool(self, value: bool, depth: int) -> None:
        self.out += b"\x01\x01" if value else b"\x01\x00"

    def _write_int(self, value: int, depth: int) -> None:
        if not I64_MIN <= value <= I64_MAX:
            raise Refusal(f"int of {value.bit_length()} bits, which the bincode profile cannot say")
        self.out.append(Tag.INT)
        self.out += varint(value << 1 if value >= 0 else (-value << 1) - 1)

    def _write_float(self, value: float, depth: int) -> None:
        self.out.append(Tag.FLOAT)
        self.out += _F64.pack(value)

    def _write_str(self, value: str, depth: int) -> None:
        content = _utf8(value)
        self.out.append(Tag.STR)
        self.out += varint(len(content))
        self.out += content

    def _write_bytes(self, value: bytes | bytearray | memoryview, depth: int) -> None:
        self.out.append(Tag.BYTES)
        self.out += varint(len(value))
        self._write_payload(value)

    def _write_list(self, value: list[Any], depth: int) -> None:
        self._open(depth, "list")
        self.out.append(Tag.LIST)
        self.out += varint(len(value))
        self._write_items(value, depth + 1)

    def _write_dict(self, value: dict[Any, Any], depth: int) -> None:
        self._open(depth, "dict")
        _check_keys(value)
        self._write_entries(value, depth)

    def _write_entries(self, value: dict[str, Any], depth: int) -> None:
        self.out.append(Tag.DICT)
        self.out += varint(len(value))
        key = ""
        items = list(value.items())
        try:
            for key, item in items:
                content = _utf8(key)
                self.out += varint(len(content))
                self.out += content
                self.write(item, depth + 1)
        except Refusal as refusal:
            refusal.steps.append(key_path(key))
            raise
        _check_length(value, len(items))

    def _write_array_as_bytes(self, value: Any, depth: int) -> None:
        dtype, shape, content = _array_parts(value)
        if DTYPES[dtype] != "B" or len(shape) != 1:
            raise Refusal(f"array of format {DTYPES[dtype]!r}, which the bincode profile cannot say")
        self._write_bytes(content, depth)

    # the extensions

    def _write_one_byte_bool(self, value: bool, depth: int) -> None:
        self.out.append(Tag.TRUE if value else Tag.FALSE)

    def _write_full_int(self, value: int, depth: int) -> None:
        if 0 <= value <= 63:
            self.out.append(Tag.SMALL_INT + value)
            return
        tag, rest = (Tag.U8, value) if value >= 0 else (Tag.N8, -1 - value)
        for power in range(4):
            if rest < 1 << min(8 << power, 63):
                self.out.append(tag + power)
                self.out += rest.to_bytes(1 << power, "little")
                return
        size = value.bit_length() // 8 + 1
        self.out.append(Tag.BIG_INT)
        self.out += varint(size)
        self.out += value.to_bytes(size, "little", signed=True)

    def _write_full_str(self, value: str, depth: int) -> None:
        if len(value) <= 63 and value.isascii():
            self.out.append(Tag.ASCII + len(value))
            self.out += value.encode()
        else:
            self._write_str(value, depth)

    def _write_bytearray(self, value: bytearray, depth: int) -> None:
        if self.in_set:
            raise Refusal("bytearray inside a set")
        self.out.append(Tag.BYTEARRAY)
        self.out += varint(len(value))
        self._write_payload(value)

    def _write_full_list(self, value: list[Any], depth: int) -> None:
        self._open(depth, "list")
        count = len(value)
        if count >= PACK_FROM and self._write_packed(value):
            return
        if count <= 31:
            self.out.append(Tag.SMALL_LIST + count)
            self._write_items(value, depth + 1)
        else:
            self.out.append(Tag.INDEXED_LIST)
            self.out += varint(count)
            self._write_indexed(value, count, depth + 1)

    def _write_packed(self, value: list[Any]) -> bool:
        """Section 9, the three packed rows; False where none of them fits."""
        kind = type(value[0])
        if kind not in (int, float, str) or any(type(item) is not kind for item in value):
            return False
        if kind is float:
            tag, content = Tag.F64_LIST, struct.pack(f"<{len(value)}d", *value)
        elif kind is int:
            low, high = min(value), max(value)
            if low < I64_MIN or high > I64_MAX:
                return False
            bits = max(low if low >= 0 else -1 - low, high if high >= 0 else -1 - high).bit_length() + 1
            tag, code = next(row for power, row in enumerate(_INTS) if bits <= 8 << power)
            content = struct.pack(f"<{len(value)}{code}", *value)
        else:
            if not all(item.isascii() and len(item) <= 255 for item in value):
                return False
            tag, content = Tag.ASCII_LIST, bytes(map(len, value)) + "".join(value).encode()
        self.out.append(tag)
        self.out += varint(len(value))
        self.out += content
        return True

    def _write_indexed(self, value: list[Any], count: int, depth: int) -> None:
        """Section 6: the body length, the items and the index."""
        place = len(self.out)
        self.out += bytes(4)
        start = len(self.out) + self.external
        offsets: list[int] = []
        index = 0
        try:
            for index, item in enumerate(islice(value, count)):
                if index and index % INDEX_STEP == 0:
                    offsets.append(len(self.out) + self.external - start)
                self.write(item, depth)
        except Refusal as refusal:
            refusal.steps.append(f"[{index}]")
            raise
        if len(value) != count or index + 1 != count:
            raise Refusal(f"list of {count} items that has {len(value)} after encoding")
        size = len(self.out) + self.external - start
        if size >= _U32_MAX:
            self.out[place : place + 4] = b"\xff\xff\xff\xff"
        else:
            self.out[place : place + 4] = size.to_bytes(4, "little")
            self.out += struct.pack(f"<{len(offsets)}I", *offsets)

    def _write_full_dict(self, value: dict[Any, Any], depth: int) -> None:
        self._open(depth, "dict")
        _check_keys(value)
        count = len(value)
        if count > MAX_SHAPE_KEYS:
            self._write_entries(value, depth)
            return
        items = value.copy()  # what `default` may do to it must not part keys from values
        keys = tuple(value)
        shape = self.tables.shapes.get(keys)
        if shape is None:
            self._write_head(keys)
        elif shape <= Tag.SHAPE_LAST - Tag.SHAPE:
            self.out.append(Tag.SHAPE + shape)
        else:
            self.out += bytes((Tag.SHAPED_DICT, shape))
        key = ""
        try:
            for key in keys:
                self.write(items[key], depth + 1)
        except Refusal as refusal:
            refusal.steps.append(key_path(key))
            raise
        _check_length(value, count)

    def _write_head(self, keys: tuple[str, ...]) -> None:
        """Section 5: the tag and the key slots of a dict whose keys are no shape yet; they become one if they may."""
        if len(keys) <= Tag.SMALL_DICT_LAST - Tag.SMALL_DICT:
            self.out.append(Tag.SMALL_DICT + len(keys))
        else:
            self.out += bytes((Tag.WIDE_DICT, len(keys)))
        known = self.tables.keys
        in_table = True
        for key in keys:
            number = known.get(key)
            if number is not None:
                self.out += bytes((number,)) if number < 128 else bytes((0x80 | number >> 8, number & 0xFF))
                continue
            try:
                content = _utf8(key)
            except Refusal as refusal:
                refusal.steps.append(key_path(key))
                raise
            if len(content) <= MAX_SHORT_KEY:
                self.out.append(0xC0 + len(content))
                if len(known) < MAX_KEYS:
                    known[key] = len(known)
                else:
                    in_table = False
            else:
                self.out.append(0xFF)
                self.out += varint(len(content))
                in_table = False
            self.out += content
        if keys and in_table and len(self.tables.shapes) < MAX_SHAPES:
            self.tables.shapes[keys] = len(self.tables.shapes)

    def _write_tuple(self, value: tuple[Any, ...], depth: int) -> None:
        self._open(depth, "tuple")
        self.out.append(Tag.TUPLE)
        self.out += varint(len(value))
        self._write_items(value, depth + 1)

    def _write_set(self, value: set[Any], depth: int) -> None:
        self._open(depth, "set")
        self._write_sorted(Tag.SET, value, depth + 1)

    def _write_frozenset(self, value: frozenset[Any], depth: int) -> None:
        self._open(depth, "frozenset")
        self._write_sorted(Tag.FROZENSET, value, depth + 1)

    def _write_sorted(self, tag: int, items: Iterable[Any], depth: int) -> None:
        """The items by their bytes.  No dict can stand in them, so that the tables stay as they are."""
        out, was_in_set = self.out, self.in_set
        self.in_set = True
        contents = []
        try:
            for item in list(items):
                self.out = bytearray()
                self.write(item, depth)
                contents.append(bytes(self.out))
        except Refusal as refusal:
            refusal.steps.append("[*]")
            raise
        finally:
            self.out, self.in_set = out, was_in_set
        out.append(tag)
        out += varint(len(contents))
        out += b"".join(sorted(contents))

    def _write_date(self, value: dt.date, depth: int) -> None:
        self.out.append(Tag.DATE)
        self.out += scalars.pack_date(value)

    def _write_time(self, value: dt.time, depth: int) -> None:
        self.out.append(Tag.TIME if value.tzinfo is None else Tag.AWARE_TIME)
        self.out += scalars.pack_time(value)
        self._write_zone(value.tzinfo)

    def _write_datetime(self, value: dt.datetime, depth: int) -> None:
        self.out.append(Tag.DATETIME if value.tzinfo is None else Tag.AWARE_DATETIME)
        self.out += scalars.pack_date(value) + scalars.pack_time(value)
        self._write_zone(value.tzinfo)

    def _write_zone(self, zone: dt.tzinfo | None) -> None:
        if zone is None:
            return
        try:
            kind, offset, name = scalars.zone_of(zone)
        except ValueError as error:
            raise Refusal(str(error)) from None
        self.out.append(kind)
        if offset is not None:
            self.out += scalars.OFFSET.pack(offset)
        if name is not None:
            content = _utf8(name)
            self.out += varint(len(content))
            self.out += content

    def _write_timedelta(self, value: dt.timedelta, depth: int) -> None:
        self.out.append(Tag.TIMEDELTA)
        self.out += scalars.pack_timedelta(value)

    def _write_uuid(self, value: uuid.UUID, depth: int) -> None:
        self.out.append(Tag.UUID)
        self.out += value.bytes

    def _write_decimal(self, value: decimal.Decimal, depth: int) -> None:
        content = scalars.decimal_text(value)
        self.out.append(Tag.DECIMAL)
        self.out += varint(len(content))
        self.out += content

    def _write_array(self, value: Any) -> None:
        if self.in_set:
            raise Refusal("array inside a set")
        dtype, shape, content = _array_parts(value)
        self.out += bytes((Tag.ARRAY, dtype, len(shape)))
        for dimension in shape:
            self.out += varint(dimension)
        self._write_payload(content)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Refusal(f"lone surrogate U+{ord(text[error.start]):04X} in a str") from None


def _array_parts(value: Any) -> tuple[int, tuple[int, ...], memoryview]:
    try:
        return scalars.typed_array(value)
    except ValueError as error:
        raise Refusal(str(error)) from None


def _check_keys(value: dict[Any, Any]) -> None:
    for key in value:
        if type(key) is not str:
            refusal = Refusal(f"key of type {type(key).__name__}, where only str can stand")
            refusal.steps.append(key_path(key))
            raise refusal


def _check_length(value: dict[str, Any], count: int) -> None:
    if len(value) != count:
        raise Refusal(f"dict of {count} entries that has {len(value)} after encoding")


_WriterMethod: TypeAlias = Callable[[Writer, Any, int], None]

_BINCODE: Final[dict[type, _WriterMethod]] = {
    type(None): Writer._write_none,
    bool: Writer._write_bool,
    int: Writer._write_int,
    float: Writer._write_float,
    str: Writer._write_str,
    bytes: Writer._write_bytes,
    bytearray: Writer._write_bytes,
    list: Writer._write_list,
    dict: Writer._write_dict,
}

_FULL: Final[dict[type, _WriterMethod]] = {
    type(None): Writer._write_none,
    bool: Writer._write_one_byte_bool,
    int: Writer._write_full_int,
    float: Writer._write_float,
    str: Writer._write_full_str,
    bytes: Writer._write_bytes,
    bytearray: Writer._write_bytearray,
    list: Writer._write_full_list,
    dict: Writer._write_full_dict,
    tuple: Writer._write_tuple,
    set: Writer._write_set,
    frozenset: Writer._write_frozenset,
    dt.date: Writer._write_date,
    dt.time: Writer._write_time,
    dt.datetime: Writer._write_datetime,
    dt.timedelta: Writer._write_timedelta,
    uuid.UUID: Writer._write_uuid,
    decimal.Decimal: Writer._write_decimal,
}
