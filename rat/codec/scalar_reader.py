"""The decoder's half for values that contain no others, and what both halves read with.

Knows no container and no table; `rat.codec.reader` adds them.
"""

from __future__ import annotations

import datetime as dt
import math
import struct
import uuid
from typing import Any, Final, TypeAlias

from rat.codec import scalars
from rat.codec.values import DTYPES, VIEW_FROM, Tag

__all__ = ["Buffer", "Malformed", "ScalarReader"]

Buffer: TypeAlias = bytes | bytearray | memoryview

_F64: Final = struct.Struct("<d")


class Malformed(Exception):
    """Bytes without a meaning; whoever read the tag adds its offset."""


class ScalarReader:
    """Reads parts and scalars from *data* at ``pos``, which moves on.  Raises Malformed."""

    __slots__ = ("data", "end", "in_set", "pos", "zero_copy")

    def __init__(self, data: Buffer, pos: int, zero_copy: bool) -> None:
        self.data = memoryview(data).cast("B")
        self.end = len(self.data)
        self.pos = pos
        self.zero_copy = zero_copy
        self.in_set = False

    def _take(self, size: int) -> memoryview:
        start = self.pos
        if size > self.end - start:
            raise Malformed(f"{size} bytes claimed, {self.end - start} left")
        self.pos = start + size
        return self.data[start : self.pos]

    def _byte(self) -> int:
        return self._take(1)[0]

    def _varint(self) -> int:
        first = self._byte()
        if first <= 250:
            return first
        if first >= 254:
            raise Malformed(f"varint that begins with {first}")
        return int.from_bytes(self._take(2 << (first - 251)), "little")

    def _text(self, content: memoryview) -> str:
        try:
            return str(content, "utf-8")
        except UnicodeDecodeError as error:
            raise Malformed(f"byte {error.start} of a str is no UTF-8") from None

    def _ascii(self, content: memoryview) -> str:
        try:
            return str(content, "ascii")
        except UnicodeDecodeError as error:
            raise Malformed(f"byte {error.start} of a short str is no ASCII") from None

    def _plain_text(self) -> str:
        return self._text(self._take(self._varint()))

    def _read_none(self, tag: int, depth: int) -> None:
        return None

    def _read_bool(self, tag: int, depth: int) -> bool:
        byte = self._byte()
        if byte > 1:
            raise Malformed(f"bool of {byte}")
        return byte == 1

    def _read_int(self, tag: int, depth: int) -> int:
        zigzag = self._varint()
        return zigzag >> 1 if zigzag & 1 == 0 else -(zigzag >> 1) - 1

    def _read_float(self, tag: int, depth: int) -> float:
        value: float = _F64.unpack(self._take(8))[0]
        return value

    def _read_str(self, tag: int, depth: int) -> str:
        return self._text(self._take(self._varint()))

    def _read_bytes(self, tag: int, depth: int) -> bytes | memoryview:
        content = self._take(self._varint())
        return content.toreadonly() if self.zero_copy and len(content) >= VIEW_FROM else bytes(content)

    def _read_open_bytes(self, tag: int, depth: int) -> bytes:
        content = bytearray()
        while size := self._varint():
            content += self._take(size)
        return bytes(content)

    def _read_one_byte_bool(self, tag: int, depth: int) -> bool:
        return tag == Tag.TRUE

    def _read_full_int(self, tag: int, depth: int) -> int:
        rest = int.from_bytes(self._take(1 << ((tag - Tag.U8) & 3)), "little")
        if rest >> 63:
            raise Malformed(f"int of 64 bits under tag {tag}")
        return rest if tag <= Tag.U64 else -1 - rest

    def _read_big_int(self, tag: int, depth: int) -> int:
        size = self._varint()
        if size == 0:
            raise Malformed("int of 0 bytes")
        return int.from_bytes(self._take(size), "little", signed=True)

    def _read_bytearray(self, tag: int, depth: int) -> bytearray:
        if self.in_set:
            raise Malformed("bytearray inside a set")
        return bytearray(self._take(self._varint()))

    def _read_moment(self, tag: int, depth: int) -> dt.date | dt.time | dt.timedelta:
        try:
            if tag == Tag.TIMEDELTA:
                return scalars.unpack_timedelta(self._take(12))
            if tag == Tag.DATE:
                return scalars.unpack_date(self._take(4))
            date = scalars.unpack_date(self._take(4)) if tag in (Tag.DATETIME, Tag.AWARE_DATETIME) else None
            content = self._take(7)
            zone = self._zone() if tag in (Tag.AWARE_TIME, Tag.AWARE_DATETIME) else None
            time = scalars.unpack_time(content, zone)
            return time if date is None else dt.datetime.combine(date, time)
        except ValueError as error:
            raise Malformed(str(error)) from None

    def _zone(self) -> dt.tzinfo:
        kind = self._byte()
        if kind > 3:
            raise Malformed(f"time zone of kind {kind}")
        offset = scalars.OFFSET.unpack(self._take(8))[0] if kind in (1, 3) else None
        name = self._plain_text() if kind in (2, 3) else None
        return scalars.make_zone(kind, offset, name)

    def _read_uuid(self, tag: int, depth: int) -> uuid.UUID:
        return uuid.UUID(bytes=bytes(self._take(16)))

    def _read_decimal(self, tag: int, depth: int) -> Any:
        content = bytes(self._take(self._varint()))
        try:
            return scalars.parse_decimal(content)
        except ValueError as error:
            raise Malformed(str(error)) from None

    def _read_array(self, tag: int, depth: int) -> Any:
        if self.in_set:
            raise Malformed("array inside a set")
        dtype, dimensions = self._byte(), self._byte()
        if dtype >= len(DTYPES):
            raise Malformed(f"array of dtype {dtype}")
        if dimensions > 32:
            raise Malformed(f"array of {dimensions} dimensions, limit 32")
        shape = tuple(self._varint() for _ in range(dimensions))
        if dimensions > 1 and 0 in shape:
            raise Malformed(f"array of shape {shape}: a dimension of 0 beside another")
        size = struct.calcsize(DTYPES[dtype])
        content = self._take(math.prod(shape) * size).toreadonly()
        content = scalars.native_order(content if self.zero_copy else memoryview(bytes(content)), size)
        # A shape makes cast refuse an array of no elements, and one dimension needs none.
        array: Any = content.cast(DTYPES[dtype]) if dimensions == 1 else content.cast(DTYPES[dtype], shape)
        return array
