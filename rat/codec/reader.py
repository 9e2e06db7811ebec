"""The decoder in plain Python: bytes to one value, by docs/wire-format.md.

Checks every count and length against the bytes that are there before it makes anything.  Knows no connection;
`rat.codec.reference` keeps the tables of one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from operator import index
from typing import Any, Final, TypeAlias

from rat.codec.scalar_reader import Buffer, Malformed, ScalarReader, Truncated
from rat.codec.values import ADDS_TO_TABLES, INDEX_STEP, MAX_KEYS, MAX_SHAPE_KEYS, MAX_SHAPES, Profile, Tag
from rat.errors import CodecError

__all__ = ["Malformed", "ReadTables", "Reader"]

_INT_CODES: Final = {33: ("b", 1), 34: ("h", 2), 35: ("i", 4), 36: ("q", 8)}
_ENDLESS: Final = 0xFFFFFFFF


class ReadTables:
    """The keys and shapes that a message, or a connection, has seen, by number."""

    __slots__ = ("keys", "shapes")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.shapes: list[tuple[str, ...]] = []

    def size(self) -> int:
        """How many keys and shapes there are."""
        return len(self.keys) + len(self.shapes)

    def copy(self) -> ReadTables:
        """The same keys and shapes, to be added to apart."""
        tables = ReadTables()
        tables.keys, tables.shapes = self.keys[:], self.shapes[:]
        return tables


class Reader(ScalarReader):
    """Reads values from *data*, one after the other, from ``pos`` on.

    Every refusal is a CodecError with the offset.  After one the tables are of no more use.
    """

    __slots__ = ("bincode", "items_left", "max_depth", "tables")

    def __init__(
        self,
        data: Buffer,
        tables: ReadTables,
        *,
        profile: Profile = "full",
        zero_copy: bool = False,
        max_depth: int = 64,
        max_items: int | None = None,
        pos: int = 0,
    ) -> None:
        super().__init__(data, pos, zero_copy)
        self.tables = tables
        self.bincode = profile == "bincode"
        self.max_depth = max_depth
        self.items_left = None if max_items is None else index(max_items)

    def read_message(self) -> Any:
        """The one value of a message: a reset may stand before it, and nothing after it."""
        if self.end > self.pos and self.data[self.pos] == Tag.RESET and not self.bincode:
            self.tables.keys.clear()
            self.tables.shapes.clear()
            self.pos += 1
        value = self.read()
        if self.pos != self.end:
            raise CodecError(f"{self.end - self.pos} bytes after the value", offset=self.pos)
        return value

    def read(self, depth: int = 0) -> Any:
        """The value at ``pos``, which stands inside *depth* containers."""
        start = self.pos
        try:
            if start >= self.end:
                raise Truncated("the input ends where a value must stand", start + 1)
            tag = self.data[start]
            self.pos = start + 1
            if tag >= 251 or self.bincode:
                self.pos = start
                tag = self.varint()
                if tag > Tag.DICT:
                    raise Malformed(f"tag {tag}, where a bincode tag of 0 to 7 must stand")
            elif tag >= Tag.ASCII:
                if tag < Tag.SMALL_INT:
                    return self._ascii(self.take(tag - Tag.ASCII))
                if tag < Tag.SMALL_LIST:
                    return tag - Tag.SMALL_INT
                if tag < Tag.SMALL_DICT:
                    return self._items(tag - Tag.SMALL_LIST, depth, "list")
                if tag <= Tag.SMALL_DICT_LAST:
                    return self._keyed(tag, depth)
            reader = _READERS.get(tag)
            if reader is None:
                raise Malformed(f"tag {tag}, which begins no value")
            return reader(self, tag, depth)
        except Malformed as error:
            raise CodecError(str(error), offset=start if error.offset is None else error.offset) from None

    def tag(self) -> int:
        """The tag at ``pos``, which moves behind it."""
        tag = self.byte()
        if tag >= 251:
            self.pos -= 1
            tag = self.varint()
            if tag > Tag.DICT:
                raise Malformed(f"tag {tag}, where a bincode tag of 0 to 7 must stand")
        return tag

    def _count(self, size: int = 1) -> int:
        """A count of items that take *size* bytes at least."""
        count = self.varint()
        if count * size > self.end - self.pos:
            raise Malformed(f"{count} items claimed, {self.end - self.pos} bytes left")
        return count

    def _spend(self, count: int) -> None:
        if self.items_left is not None:
            self.items_left -= count
            if self.items_left < 0:
                raise Malformed("more items than max_items allows")

    def _open(self, depth: int, kind: str) -> None:
        if depth >= self.max_depth:
            raise Malformed(f"deeper than {self.max_depth} levels")
        if self.in_set and kind not in ("tuple", "frozenset"):
            raise Malformed(f"{kind} inside a set")

    def _read_list(self, tag: int, depth: int) -> list[Any]:
        return self._items(self._count(), depth, "list")

    def _items(self, count: int, depth: int, kind: str) -> list[Any]:
        self._open(depth, kind)
        if count > self.end - self.pos:
            raise Malformed(f"{count} items claimed, {self.end - self.pos} bytes left")
        self._spend(count)
        items = []  # a loop, as a comprehension would take a frame of the stack on Python 3.11
        for _ in range(count):
            items.append(self.read(depth + 1))
        return items

    def _read_dict(self, tag: int, depth: int) -> dict[str, Any]:
        self._open(depth, "dict")
        count = self._count(2)
        self._spend(count)
        value = {}
        for _ in range(count):
            key = self.plain_key()
            value[key] = self.read(depth + 1)
        return value

    def _located(self, key: Callable[[], str]) -> str:
        start = self.pos
        try:
            return key()
        except Malformed as error:
            error.offset = start
            raise

    def plain_key(self) -> str:
        """A key of tag 7."""
        return self._located(self._plain_text)

    def _key_slot(self) -> str:
        first = self.byte()
        keys = self.tables.keys
        if first < 0xC0:
            number = first if first < 0x80 else (first & 0x3F) << 8 | self.byte()
            if number >= len(keys):
                raise Malformed(f"key {number} of {len(keys)}")
            return keys[number]
        if first == 0xFF:
            return self._plain_text()
        key = self._text(self.take(first - 0xC0))
        if len(keys) < MAX_KEYS:
            keys.append(key)
        return key

    def _keyed(self, tag: int, depth: int) -> dict[str, Any]:
        self._open(depth, "dict")
        keys = self.head(tag)
        self._spend(len(keys))
        return self._values(keys, depth)

    def head(self, tag: int) -> tuple[str, ...]:
        """The key slots of a dict under *tag*; its keys become a shape if they may."""
        count = tag - Tag.SMALL_DICT if tag != Tag.WIDE_DICT else self.byte()
        if tag == Tag.WIDE_DICT and not 1 <= count <= MAX_SHAPE_KEYS:
            raise Malformed(f"dict of {count} keys, where 1 to {MAX_SHAPE_KEYS} can stand")
        known = self.tables.keys
        slots = []
        in_table = True
        for _ in range(count):
            first = self.data[self.pos] if self.pos < self.end else 0
            before = len(known)
            slots.append(self._located(self._key_slot))
            if first == 0xFF or (first >= 0xC0 and len(known) == before):
                in_table = False
        keys = tuple(slots)
        if len(set(keys)) != count:
            raise Malformed("dict with the same key twice")
        if keys and in_table and len(self.tables.shapes) < MAX_SHAPES:
            self.tables.shapes.append(keys)
        return keys

    def shape(self, tag: int) -> tuple[str, ...]:
        """The keys of a dict under *tag* whose shape is known."""
        number = self.byte() if tag == Tag.SHAPED_DICT else tag - Tag.SHAPE
        shapes = self.tables.shapes
        if number >= len(shapes):
            raise Malformed(f"shape {number} of {len(shapes)}")
        return shapes[number]

    def _read_shaped(self, tag: int, depth: int) -> dict[str, Any]:
        keys = self.shape(tag)
        self._open(depth, "dict")
        self._spend(len(keys))
        return self._values(keys, depth)

    def _values(self, keys: tuple[str, ...], depth: int) -> dict[str, Any]:
        if len(keys) > self.end - self.pos:
            raise Malformed(f"{len(keys)} values claimed, {self.end - self.pos} bytes left")
        value = {}
        for key in keys:
            value[key] = self.read(depth + 1)
        return value

    def _read_packed(self, tag: int, depth: int) -> list[Any]:
        self._open(depth, "list")
        if tag == Tag.ASCII_LIST:
            return self._read_ascii_list()
        code, size = _INT_CODES.get(tag, ("d", 8))
        count = self._count(size)
        self._spend(count)
        return list(struct.unpack(f"<{count}{code}", self.take(count * size)))

    def _read_ascii_list(self) -> list[str]:
        count = self._count()
        self._spend(count)
        sizes = self.take(count)
        text = self._ascii(self.take(sum(sizes)))
        items = []
        start = 0
        for size in sizes:
            items.append(text[start : start + size])
            start += size
        return items

    def _read_indexed_list(self, tag: int, depth: int) -> list[Any]:
        self._open(depth, "list")
        count = self._count()
        size = int.from_bytes(self.take(4), "little")
        start = self.pos
        blocks = 0 if size == _ENDLESS else -(-count // INDEX_STEP)
        body = count if size == _ENDLESS else max(size, count)
        if body + 4 * blocks > self.end - start:
            raise Malformed(f"list of {size} bytes with {blocks} entries of index, {self.end - start} bytes left")
        self._spend(count)
        items: list[Any] = []
        entries: list[int] = []
        known = self.tables.size()
        for done in range(1, count + 1):
            items.append(self.read(depth + 1))
            if done % INDEX_STEP == 0 or done == count:
                before, known = known, self.tables.size()
                entries.append(self.pos - start | (ADDS_TO_TABLES if known != before else 0))
        if size != _ENDLESS:
            if self.pos - start != size:
                raise Malformed(f"list of {self.pos - start} bytes that claims {size}")
            if self.take(4 * blocks) != struct.pack(f"<{blocks}I", *entries):
                raise Malformed("list with an index that does not fit it")
        return items

    def _read_open_list(self, tag: int, depth: int) -> list[Any]:
        self._open(depth, "list")
        items = []
        while not self._closed():
            self._spend(1)
            items.append(self.read(depth + 1))
        return items

    def _read_open_dict(self, tag: int, depth: int) -> dict[str, Any]:
        self._open(depth, "dict")
        value = {}
        while not self._closed():
            self._spend(1)
            key = self.read_open_key(depth + 1)
            value[key] = self.read(depth + 1)
        return value

    def read_open_key(self, depth: int) -> str:
        """The key of an entry of tag 45: a str value."""
        if self.pos < self.end and (tag := self.data[self.pos]) != Tag.STR and not Tag.ASCII <= tag < Tag.SMALL_INT:
            raise CodecError(f"key under tag {tag}, where only str can stand", offset=self.pos)
        key: str = self.read(depth)
        return key

    def _closed(self) -> bool:
        closed = self.pos < self.end and self.data[self.pos] == Tag.CLOSE
        self.pos += closed
        return closed

    def _read_tuple(self, tag: int, depth: int) -> tuple[Any, ...]:
        return tuple(self._items(self._count(), depth, "tuple"))

    def _read_set(self, tag: int, depth: int) -> set[Any] | frozenset[Any]:
        kind = "set" if tag == Tag.SET else "frozenset"
        self._open(depth, kind)
        was_in_set, self.in_set = self.in_set, True
        items = self._items(self._count(), depth, "frozenset")
        self.in_set = was_in_set
        try:
            return set(items) if tag == Tag.SET else frozenset(items)
        except TypeError as error:  # Decimal("sNaN") has no hash
            raise Malformed(str(error)) from None


_ReaderMethod: TypeAlias = Callable[[Reader, int, int], Any]

_READERS: Final[dict[int, _ReaderMethod]] = {
    Tag.NONE: Reader._read_none,
    Tag.BOOL: Reader._read_bool,
    Tag.INT: Reader._read_int,
    Tag.FLOAT: Reader._read_float,
    Tag.STR: Reader._read_str,
    Tag.BYTES: Reader._read_bytes,
    Tag.LIST: Reader._read_list,
    Tag.DICT: Reader._read_dict,
    Tag.FALSE: Reader._read_one_byte_bool,
    Tag.TRUE: Reader._read_one_byte_bool,
    **dict.fromkeys(range(Tag.U8, Tag.N64 + 1), Reader._read_full_int),
    Tag.BIG_INT: Reader._read_big_int,
    Tag.BYTEARRAY: Reader._read_bytearray,
    **dict.fromkeys(range(Tag.DATE, Tag.AWARE_DATETIME + 1), Reader._read_moment),
    Tag.UUID: Reader._read_uuid,
    Tag.DECIMAL: Reader._read_decimal,
    Tag.TUPLE: Reader._read_tuple,
    Tag.SET: Reader._read_set,
    Tag.FROZENSET: Reader._read_set,
    Tag.ARRAY: Reader._read_array,
    **dict.fromkeys(range(Tag.F64_LIST, Tag.ASCII_LIST + 1), Reader._read_packed),
    Tag.INDEXED_LIST: Reader._read_indexed_list,
    Tag.OPEN_LIST: Reader._read_open_list,
    Tag.OPEN_DICT: Reader._read_open_dict,
    Tag.OPEN_BYTES: Reader._read_open_bytes,
    Tag.WIDE_DICT: Reader._keyed,
    **dict.fromkeys(range(Tag.SHAPED_DICT, Tag.SHAPE_LAST + 1), Reader._read_shaped),
}
