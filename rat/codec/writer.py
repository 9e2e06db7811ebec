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
from rat.codec.scalar_writer import Refusal, ScalarWriter, utf8, varint
from rat.codec.values import (
    ADDS_TO_TABLES,
    I64_MAX,
    I64_MIN,
    INDEX_STEP,
    INDEXED_SIZE,
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

__all__ = ["Default", "Refusal", "Tables", "Writer"]

Default: TypeAlias = Callable[[Any], Any]

_INTS: Final = ((Tag.I8_LIST, "b"), (Tag.I8_LIST + 1, "h"), (Tag.I8_LIST + 2, "i"), (Tag.I64_LIST, "q"))


class Tables:
    """The keys and shapes that a message, or a connection, has seen: text to number, in the order of their numbers."""

    __slots__ = ("keys", "shapes")

    def __init__(self) -> None:
        self.keys: dict[str, int] = {}
        self.shapes: dict[tuple[str, ...], int] = {}

    def size(self) -> int:
        """How many keys and shapes there are."""
        return len(self.keys) + len(self.shapes)

    def cut(self, keys: int, shapes: int) -> None:
        """Forget what came after the first *keys* and *shapes*."""
        while len(self.keys) > keys:
            self.keys.popitem()
        while len(self.shapes) > shapes:
            self.shapes.popitem()


class Writer(ScalarWriter):
    """Writes values to ``out``, one after the other.

    After a Refusal, ``out`` and the tables hold what came before it: who owns them cuts them back.
    """

    __slots__ = ("default", "max_depth", "tables", "writers")

    def __init__(
        self,
        tables: Tables,
        *,
        profile: Profile = "full",
        default: Default | None = None,
        max_depth: int = 64,
        threshold: int | None = None,
    ) -> None:
        super().__init__(threshold)
        self.tables = tables
        self.default = default
        self.max_depth = max_depth
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
                content = utf8(key)
                self.out += varint(len(content))
                self.out += content
                self.write(item, depth + 1)
        except Refusal as refusal:
            refusal.steps.append(key_path(key))
            raise
        _check_length(value, len(items))

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
        index: list[int] = []
        known = self.tables.size()
        done = 0
        try:
            for item in islice(value, count):
                self.write(item, depth)
                done += 1
                if done % INDEX_STEP == 0 or done == count:
                    before, known = known, self.tables.size()
                    index.append(len(self.out) + self.external - start | (ADDS_TO_TABLES if known != before else 0))
        except Refusal as refusal:
            refusal.steps.append(f"[{done}]")
            raise
        if len(value) != count or done != count:
            raise Refusal(f"list of {count} items that has {len(value)} after encoding")
        size = len(self.out) + self.external - start
        if size >= INDEXED_SIZE:
            self.out[place : place + 4] = b"\xff\xff\xff\xff"
        else:
            self.out[place : place + 4] = size.to_bytes(4, "little")
            self.out += struct.pack(f"<{len(index)}I", *index)

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
                content = utf8(key)
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
