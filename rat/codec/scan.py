"""Where values end, without making them: for views, and for streams whose rest has not come yet.

Knows the structure of a message and none of its values.  It does not judge contents (UTF-8, dates): the decoder does,
when they are read.
"""

from __future__ import annotations

import re
from typing import Final

from rat.codec.reader import Reader, ReadTables
from rat.codec.scalar_reader import Buffer, Malformed, ScalarReader, Truncated
from rat.codec.values import ADDS_TO_TABLES, INDEX_STEP, Tag
from rat.errors import CodecError

__all__ = ["ENDLESS", "BlockIndex", "Scanner"]

ENDLESS: Final = 0xFFFFFFFF
"""The length of an indexed list that has no index."""

_ADDING: Final = re.compile(rb"[\x80-\xff]")
"""The last byte of an index entry whose block adds to the tables."""
_SHAPE: Final = Tag.SHAPE
_SHAPE_LAST: Final = Tag.SHAPE_LAST
_MAX_LEVEL: Final = 64
_OPEN: Final = -1
"""In place of a number of values: as many as come before the close.  Below it, ``_OPEN - n``: n entries of a plain
dict.
"""


def _sizes() -> tuple[int, ...]:
    """Whole size of the forms that one look at the tag decides; 0 for the others."""
    sizes = [0] * 256
    for tag in (Tag.NONE, Tag.FALSE, Tag.TRUE):
        sizes[tag] = 1
    for power in range(4):
        sizes[Tag.U8 + power] = sizes[Tag.N8 + power] = 1 + (1 << power)
    sizes[Tag.BOOL] = 2
    sizes[Tag.FLOAT] = 9
    sizes[Tag.DATE], sizes[Tag.TIME], sizes[Tag.DATETIME] = 5, 8, 12
    sizes[Tag.TIMEDELTA], sizes[Tag.UUID] = 13, 17
    for tag in range(Tag.ASCII, Tag.SMALL_INT):
        sizes[tag] = 1 + tag - Tag.ASCII
    for tag in range(Tag.SMALL_INT, Tag.SMALL_DICT + 1):
        sizes[tag] = 1
    return tuple(sizes)


_SIZES: Final = _sizes()
_MORE: Final = tuple(max(0, tag - Tag.SMALL_LIST) if tag < Tag.SMALL_DICT else 0 for tag in range(256))
_WIDTHS: Final = {Tag.F64_LIST: 8, 33: 1, 34: 2, 35: 4, Tag.I64_LIST: 8}
_UNITS: Final = dict.fromkeys((Tag.STR, Tag.BYTES, Tag.BYTEARRAY, Tag.DECIMAL), 1) | _WIDTHS
"""Bytes of what the count behind the tag counts, for the forms where that is all."""
_MOMENTS: Final = {Tag.AWARE_TIME: 7, Tag.AWARE_DATETIME: 11}


class Scanner:
    """Walks over *pending* values from *pos* on and appends what they define to *tables*.

    ``run`` may be called again with a longer buffer that begins the same: the walk goes on where it was.
    """

    __slots__ = ("frames", "level", "pending", "pos", "tables", "wanted")

    def __init__(self, tables: ReadTables, pos: int = 0, pending: int = 1, level: int = 0) -> None:
        self.tables = tables
        self.pos = pos
        self.pending = pending
        self.frames: list[int] = []
        self.level = level
        self.wanted = pos + 1

    def run(self, data: Buffer, end: int) -> bool:
        """Whether the walk is over: ``pos`` is its end.  If not, *data* must reach ``wanted`` before more can be known.

        Raises CodecError with the offset of a form that has no meaning.
        """
        pos, pending, frames, shapes = self.pos, self.pending, self.frames, self.tables.shapes
        sizes, mores, units = _SIZES, _MORE, _UNITS
        try:
            while True:
                if pending == 0:
                    if not frames:
                        return True
                    pending = frames.pop()
                    continue
                if pos >= end:
                    raise Truncated("the input ends where a value must stand", pos + 1)
                if pending < _OPEN:
                    pos = _after_key(data, pos, end)
                    frames.append(pending + 1 if pending + 1 < _OPEN else 0)
                    pending = 1
                    continue
                tag = data[pos]
                size = sizes[tag]
                more = mores[tag]
                if size == 0:
                    if _SHAPE <= tag <= _SHAPE_LAST and tag - _SHAPE < len(shapes):
                        size = 1
                        more = len(shapes[tag - _SHAPE])
                    elif tag in units and pos + 1 < end and data[pos + 1] <= 250:
                        size = 2 + data[pos + 1] * units[tag]
                    elif tag == Tag.CLOSE and pending == _OPEN:
                        pos += 1
                        pending = 0
                        continue
                    else:
                        pos, more = self._special(data, pos, end)
                if pos + size > end:
                    raise Truncated(f"{size} bytes claimed, {end - pos} left", pos + size)
                pos += size
                if pending > 0 and more >= 0:
                    pending += more - 1
                elif more:
                    frames.append(pending if pending == _OPEN else pending - 1)
                    pending = more
        except Truncated as short:
            self.wanted = short.wanted
            return False
        except Malformed as error:
            raise CodecError(str(error), offset=pos if error.offset is None else error.offset) from None
        finally:
            self.pos, self.pending = pos, pending

    def _special(self, data: Buffer, pos: int, end: int) -> tuple[int, int]:
        """Where the head (or all) of the form at *pos* ends, and how many values follow."""
        part = Reader(memoryview(data)[:end], self.tables, pos=pos)
        keys, shapes = len(self.tables.keys), len(self.tables.shapes)
        try:
            more = self._form(part, part.tag())
            return part.pos, more
        except Truncated:
            del self.tables.keys[keys:]
            del self.tables.shapes[shapes:]
            raise
        finally:
            part.data.release()

    def _form(self, part: Reader, tag: int) -> int:
        match tag:
            case Tag.NONE | Tag.BOOL | Tag.FLOAT:  # in a longer varint than need be
                part.skip(_SIZES[tag] - 1)
            case Tag.INT:
                part.varint()
            case Tag.STR | Tag.BYTES | Tag.BYTEARRAY | Tag.BIG_INT | Tag.DECIMAL:
                part.skip(part.varint())
            case Tag.LIST | Tag.TUPLE | Tag.SET | Tag.FROZENSET:
                return part.varint()
            case Tag.DICT:
                count = part.varint()
                return _OPEN - count if count else 0
            case Tag.AWARE_TIME | Tag.AWARE_DATETIME:
                part.skip(_MOMENTS[tag])
                part.skip_zone()
            case Tag.ARRAY:
                part.skip(part.array_head()[2])
            case Tag.ASCII_LIST:
                part.skip(sum(part.take(part.varint())))
            case Tag.INDEXED_LIST:
                return self._indexed(part)
            case Tag.OPEN_LIST | Tag.OPEN_DICT:
                return _OPEN
            case Tag.OPEN_BYTES:
                while size := part.varint():
                    part.skip(size)
            case _ if tag in _WIDTHS:
                part.skip(part.varint() * _WIDTHS[tag])
            case _ if tag == Tag.WIDE_DICT or Tag.SMALL_DICT < tag <= Tag.SMALL_DICT_LAST:
                return len(part.head(tag))
            case _ if Tag.SHAPED_DICT <= tag <= Tag.SHAPE_LAST:
                return len(part.shape(tag))
            case _:
                raise Malformed(f"tag {tag}, which begins no value")
        return 0

    def _indexed(self, part: Reader) -> int:
        """The blocks that add to the tables are walked, the others are not looked at."""
        count, size = part.varint(), int.from_bytes(part.take(4), "little")
        if size == ENDLESS:
            return count
        start = part.pos
        part.skip(size)
        index = BlockIndex(part.take(4 * -(-count // INDEX_STEP)), size, count)
        for block in index.adding(0, len(index)):
            self._walk_block(part.data, start + index.begin(block), start + size, index.items(block))
        return 0

    def _walk_block(self, data: Buffer, begin: int, end: int, count: int) -> None:
        if self.level >= _MAX_LEVEL:
            raise Malformed(f"indexed lists nested deeper than {_MAX_LEVEL} levels")
        if not Scanner(self.tables, begin, count, self.level + 1).run(data, end):
            raise Malformed("list with an index that does not fit it")


def _after_key(data: Buffer, pos: int, end: int) -> int:
    """Where the plain key at *pos* ends."""
    with memoryview(data) as view:
        part = ScalarReader(view[:end], pos, zero_copy=False)
        try:
            part.skip(part.varint())
            return part.pos
        finally:
            part.data.release()


class BlockIndex:
    """The index of a list (section 6): where its blocks begin, and which add to the tables.  Raises Malformed."""

    __slots__ = ("_content", "_count", "_size")

    def __init__(self, content: memoryview, size: int, count: int) -> None:
        self._content = bytes(content)
        self._size = size
        self._count = count
        if (self._end(len(self) - 1) if count else 0) != size:
            raise Malformed("list with an index that does not fit it")

    def __len__(self) -> int:
        return len(self._content) // 4

    def _end(self, block: int) -> int:
        return int.from_bytes(self._content[4 * block : 4 * block + 4], "little") & ~ADDS_TO_TABLES

    def begin(self, block: int) -> int:
        """The offset of *block* from the first item."""
        begin = self._end(block - 1) if block else 0
        if begin > self._size:
            raise Malformed("list with an index that does not fit it")
        return begin

    def items(self, block: int) -> int:
        """How many items *block* has."""
        return min(INDEX_STEP, self._count - block * INDEX_STEP)

    def adding(self, first: int, stop: int) -> list[int]:
        """The blocks from *first* to before *stop* that add to the tables."""
        return [first + found.start() for found in _ADDING.finditer(self._content[4 * first + 3 : 4 * stop : 4])]
