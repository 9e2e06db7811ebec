"""Where the items of one container begin, found as they are asked for: what views stand on.

A *start* is an offset and the tables as they are there.  Snapshots of tables are shared and never changed.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import Any, Final, Protocol, TypeAlias

from rat.codec.reader import Reader, ReadTables
from rat.codec.scalar_reader import Buffer, Malformed
from rat.codec.scan import ENDLESS, BlockIndex, Scanner
from rat.codec.values import INDEX_STEP, Tag
from rat.errors import CodecError

__all__ = ["Children", "Start", "children_of", "skip"]

Start: TypeAlias = tuple[int, ReadTables]

_CODES: Final = {Tag.F64_LIST: ("d", 8), 33: ("b", 1), 34: ("h", 2), 35: ("i", 4), Tag.I64_LIST: ("q", 8)}


class Children(Protocol):
    """The items of a list or tuple, or the values of a dict, by number; ``keys`` is None for a list."""

    count: int
    keys: tuple[str, ...] | None

    def start(self, index: int) -> Start:
        """Where item *index* begins, which must be below ``count``."""


class Walk:
    """Items one behind the other; *starts* are those that are known already, at least the first."""

    def __init__(self, data: Buffer, starts: list[Start], count: int, keys: tuple[str, ...] | None = None) -> None:
        self._data = data
        self._starts = starts
        self.count = count
        self.keys = keys

    def start(self, index: int) -> Start:
        while len(self._starts) <= index:
            self._starts.append(skip(self._data, self._starts[-1]))
        return self._starts[index]


class Blocks:
    """Items of an indexed list: a jump to the block, and at most 15 steps."""

    keys: tuple[str, ...] | None = None

    def __init__(self, data: Buffer, first: Start, index: BlockIndex, count: int) -> None:
        self._data = data
        self._first, tables = first
        self._index = index
        self.count = count
        self._walked = 0  # blocks whose additions to the tables are known
        self._from = [0]  # the block from which on ...
        self._tables = [tables]  # ... these tables hold

    def start(self, index: int) -> Start:
        block, steps = divmod(index, INDEX_STEP)
        for adding in self._index.adding(self._walked, block):
            begin = self._begin(adding), self._tables[-1]
            self._tables.append(skip(self._data, begin, INDEX_STEP)[1])
            self._from.append(adding + 1)
        self._walked = max(self._walked, block)
        tables = self._tables[bisect_right(self._from, block) - 1]
        start = self._begin(block), tables
        return skip(self._data, start, steps) if steps else start

    def _begin(self, block: int) -> int:
        try:
            return self._first + self._index.begin(block)
        except Malformed as error:
            raise CodecError(str(error), offset=self._first) from None


class Packed:
    """Items of a packed list, which have no tags: ``item`` makes them."""

    keys: tuple[str, ...] | None = None

    def __init__(self, part: Reader, tag: int) -> None:
        self._offset = part.pos - 1
        self.count = part.varint()
        self._code, self._size = _CODES.get(tag, ("", 0))
        self._sizes = part.take(self.count) if tag == Tag.ASCII_LIST else memoryview(b"")
        self._content = part.take(sum(self._sizes) if tag == Tag.ASCII_LIST else self.count * self._size)

    def item(self, index: int) -> Any:
        if self._code:
            return struct.unpack_from(f"<{self._code}", self._content, index * self._size)[0]
        begin = sum(self._sizes[:index])
        try:
            return str(self._content[begin : begin + self._sizes[index]], "ascii")
        except UnicodeDecodeError:
            raise CodecError("short str that is no ASCII", offset=self._offset) from None

    def start(self, index: int) -> Start:
        raise TypeError("an item of a packed list has no start")


def skip(data: Buffer, start: Start, count: int = 1) -> Start:
    """What stands behind *count* values.  Raises CodecError if they do not end."""
    pos, tables = start
    live = tables.copy()
    scanner = Scanner(live, pos, count)
    if not scanner.run(data, len(data)):
        raise CodecError(f"{scanner.wanted} bytes wanted, {len(data)} there", offset=pos)
    return scanner.pos, live if live.size() != tables.size() else tables


def children_of(data: Buffer, start: Start) -> Children | Packed | None:
    """The items of the list, tuple or dict at *start*; None for any other value.  Raises CodecError."""
    pos, before = start
    if pos < len(data) and Tag.SHAPE <= (tag := data[pos]) <= Tag.SHAPE_LAST and tag - Tag.SHAPE < len(before.shapes):
        keys = before.shapes[tag - Tag.SHAPE]
        return Walk(data, [(pos + 1, before)], len(keys), keys)
    tables = before.copy()
    part = Reader(data, tables, pos=pos)
    try:
        tag = part.tag()
        if Tag.SMALL_LIST <= tag < Tag.SMALL_DICT:
            return Walk(data, [(part.pos, before)], tag - Tag.SMALL_LIST)
        if tag in (Tag.LIST, Tag.TUPLE):
            count = part.varint()
            return Walk(data, [(part.pos, before)], count)
        if tag == Tag.INDEXED_LIST:
            count, size = part.varint(), int.from_bytes(part.take(4), "little")
            first = part.pos, before
            if size == ENDLESS:
                return Walk(data, [first], count)
            part.skip(size)
            return Blocks(data, first, BlockIndex(part.take(4 * -(-count // INDEX_STEP)), size, count), count)
        if Tag.F64_LIST <= tag <= Tag.ASCII_LIST:
            return Packed(part, tag)
        if tag == Tag.WIDE_DICT or Tag.SMALL_DICT <= tag <= Tag.SMALL_DICT_LAST:
            keys = part.head(tag)
            return Walk(data, [(part.pos, tables if tables.size() != before.size() else before)], len(keys), keys)
        if Tag.SHAPED_DICT <= tag <= Tag.SHAPE_LAST:
            keys = part.shape(tag)
            return Walk(data, [(part.pos, before)], len(keys), keys)
        if tag == Tag.DICT:
            return _plain_entries(data, part, before)
        if tag in (Tag.OPEN_LIST, Tag.OPEN_DICT):
            return _open_items(data, (part.pos, before), tag == Tag.OPEN_DICT)
        return None
    except Malformed as error:
        raise CodecError(str(error), offset=pos if error.offset is None else error.offset) from None


def _plain_entries(data: Buffer, part: Reader, tables: ReadTables) -> Walk:
    entries: dict[str, Start] = {}
    for _ in range(part.varint()):
        key = part.plain_key()
        entries[key] = part.pos, tables
        part.pos, tables = skip(data, entries[key])
    return Walk(data, list(entries.values()), len(entries), tuple(entries))


def _open_items(data: Buffer, start: Start, is_dict: bool) -> Walk:
    starts: list[Start] = []
    entries: dict[str, Start] = {}
    while data[start[0] : start[0] + 1] != bytes((Tag.CLOSE,)):
        if is_dict:
            reader = Reader(data, start[1].copy(), pos=start[0])
            key = reader.read_open_key(0)
            entries[key] = start = reader.pos, start[1]
        else:
            starts.append(start)
        start = skip(data, start)
    if is_dict:
        return Walk(data, list(entries.values()), len(entries), tuple(entries))
    return Walk(data, starts, len(starts))
