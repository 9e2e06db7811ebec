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

__all__ = ["Buffer", "Malformed", "ScalarReader", "Truncated"]

Buffer: TypeAlias = bytes | bytearray | memoryview

_F64: Final = struct.Struct("<d")


class Malformed(Exception):
    """Bytes without a meaning.  Whoever read the tag adds its *offset*, unless a key has set its own."""

    offset: int | None = None


class Truncated(Malformed):
    """The input ends too early: *wanted* bytes of it are needed at least."""

    def __init__(self, message: str, wanted: int) -> None:
        super().__init__(message)
        self.wanted = wanted


class ScalarReader:
    """Reads parts and scalars from *data* at ``pos``, which moves on.  Raises Malformed."""

    __slots__ = ("data", "end", "in_set", "pos", "zero_copy")

    def __init__(self, data: Buffer, pos: int, zero_copy: bool) -> None:
        self.data = memoryview(data).cast("B")
        self.end = len(self.data)
        self.pos = pos
        self.zero_copy = zero_copy
        self.in_set = False

    def take(self, size: int) -> memoryview:
        start = self.pos
        if size > self.end - start:
            raise Truncated(f"{size} bytes claimed, {self.end - start} left", start + size)
        self.pos = start + size
        return self.data[start : self.pos]

    def skip(self, size: int) -> None:
        """As `take`, without a look at the bytes."""
        if size > self.end - self.pos:
            raise Truncated(f"{size} bytes claimed, {self.end - self.pos} left", self.pos + size)
        self.pos += size

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        first = self.byte()
        if first <= 250:
            return first
        if first >= 254:
            raise Malformed(f"varint that begins with {first}")
        return int.from_bytes(self.take(2 << (first - 251)), "little")

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
        return self._text(self.take(self.varint()))

    def _read_none(self, tag: int, depth: int) -> None:
        return None

    def _read_bool(self, tag: int, depth: int) -> bool:
        byte = self.byte()
        if byte > 1:
            raise Malformed(f"bool of {byte}")
        return byte == 1

    def _read_int(self, tag: int, depth: int) -> int:
        zigzag = self.varint()
        return zigzag >> 1 if zigzag & 1 == 0 else -(zigzag >> 1) - 1

    def _read_float(self, tag: int, depth: int) -> float:
        value: float = _F64.unpack(self.take(8))[0]
        return value

    def _read_str(self, tag: int, depth: int) -> str:
        return self._text(self.take(self.varint()))

    def _read_bytes(self, tag: int, depth: int) -> bytes | memoryview:
        content = self.take(self.varint())
        return content.toreadonly() if self.zero_copy and len(content) >= VIEW_FROM else bytes(content)

    def _read_open_bytes(self, tag: int, depth: int) -> bytes:
        content = bytearray()
        while size := self.varint():
            content += self.take(size)
        return bytes(content)

    def _read_one_byte_bool(self, tag: int, depth: int) -> bool:
        return tag == Tag.TRUE

    def _read_full_int(self, tag: int, depth: int) -> int:
        rest = int.from_bytes(self.take(1 << ((tag - Tag.U8) & 3)), "little")
        if rest >> 63:
            raise Malformed(f"int of 64 bits under tag {tag}")
        return rest if tag <= Tag.U64 else -1 - rest

    def _read_big_int(self, tag: int, depth: int) -> int:
        size = self.varint()
        if size == 0:
            raise Malformed("int of 0 bytes")
        return int.from_bytes(self.take(size), "little", signed=True)

    def _read_bytearray(self, tag: int, depth: int) -> bytearray:
        if self.in_set:
            raise Malformed("bytearray inside a set")
        return bytearray(self.take(self.varint()))

    def _read_moment(self, tag: int, depth: int) -> dt.date | dt.time | dt.timedelta:
        try:
            if tag == Tag.TIMEDELTA:
                return scalars.unpack_timedelta(self.take(12))
            if tag == Tag.DATE:
                return scalars.unpack_date(self.take(4))
            date = scalars.unpack_date(self.take(4)) if tag in (Tag.DATETIME, Tag.AWARE_DATETIME) else None
            content = self.take(7)
            zone = self._zone() if tag in (Tag.AWARE_TIME, Tag.AWARE_DATETIME) else None
            time = scalars.unpack_time(content, zone)
            return time if date is None else dt.datetime.combine(date, time)
        except ValueError as error:
            raise Malformed(str(error)) from None

    def _zone(self) -> dt.tzinfo:
        kind = self.byte()
        if kind > 3:
            raise Malformed(f"time zone of kind {kind}")
        offset = scalars.OFFSET.unpack(self.take(8))[0] if kind in (1, 3) else None
        name = self._plain_text() if kind in (2, 3) else None
        return scalars.make_zone(kind, offset, name)

    def skip_zone(self) -> None:
        kind = self.byte()
        if kind > 3:
            raise Malformed(f"time zone of kind {kind}")
        self.skip(8 if kind & 1 else 0)
        if kind >= 2:
            self.skip(self.varint())

    def _read_uuid(self, tag: int, depth: int) -> uuid.UUID:
        return uuid.UUID(bytes=bytes(self.take(16)))

    def _read_decimal(self, tag: int, depth: int) -> Any:
        content = bytes(self.take(self.varint()))
        try:
            return scalars.parse_decimal(content)
        except ValueError as error:
            raise Malformed(str(error)) from None

    def _read_array(self, tag: int, depth: int) -> Any:
        if self.in_set:
            raise Malformed("array inside a set")
        code, shape, size = self.array_head()
        content = self.take(size).toreadonly()
        content = scalars.native_order(content if self.zero_copy else memoryview(bytes(content)), struct.calcsize(code))
        # A shape makes cast refuse an array of no elements, and one dimension needs none.
        array: Any = content.cast(code) if len(shape) == 1 else content.cast(code, shape)  # type: ignore[call-overload]
        return array

    def array_head(self) -> tuple[str, tuple[int, ...], int]:
        """Format, shape and size in bytes of a typed array."""
        dtype, dimensions = self.byte(), self.byte()
        if dtype >= len(DTYPES):
            raise Malformed(f"array of dtype {dtype}")
        if dimensions > 32:
            raise Malformed(f"array of {dimensions} dimensions, limit 32")
        shape = tuple(self.varint() for _ in range(dimensions))
        if dimensions > 1 and 0 in shape:
            raise Malformed(f"array of shape {shape}: a dimension of 0 beside another")
        return DTYPES[dtype], shape, math.prod(shape) * struct.calcsize(DTYPES[dtype])
