"""The encoder's half for values that contain no others, and the refusal that both halves raise.

Knows no container and no table; `rat.codec.writer` adds them.
"""

from __future__ import annotations

import datetime as dt
import decimal
import struct
import uuid
from typing import Any, Final

from rat.codec import scalars
from rat.codec.values import DTYPES, I64_MAX, I64_MIN, Tag
from rat.errors import CodecError

__all__ = ["Refusal", "ScalarWriter", "utf8", "varint"]

_F64: Final = struct.Struct("<d")


class Refusal(Exception):
    """A value without a form.  *steps* grow from the inside out while it rises."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.steps: list[str] = []

    def located(self, root: str = "$") -> CodecError:
        """The public error, with the path."""
        return CodecError(str(self), path=root + "".join(reversed(self.steps)))


def varint(number: int) -> bytes:
    """Section 1: the shortest varint of *number*."""
    if number <= 250:
        return bytes((number,))
    if number <= 0xFFFF:
        return b"\xfb" + number.to_bytes(2, "little")
    if number <= 0xFFFFFFFF:
        return b"\xfc" + number.to_bytes(4, "little")
    return b"\xfd" + number.to_bytes(8, "little")


def utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Refusal(f"lone surrogate U+{ord(text[error.start]):04X} in a str") from None


def _array_parts(value: Any) -> tuple[int, tuple[int, ...], memoryview]:
    try:
        return scalars.typed_array(value)
    except ValueError as error:
        raise Refusal(str(error)) from None


class ScalarWriter:
    """Appends scalars to ``out``.

    With *threshold*, payloads of that size and more are not copied: ``payloads`` has (position in ``out``, memory) for
    each, and ``external`` their bytes.
    """

    __slots__ = ("external", "in_set", "out", "payloads", "threshold")

    def __init__(self, threshold: int | None) -> None:
        self.out = bytearray()
        self.threshold = threshold
        self.payloads: list[tuple[int, bytes | memoryview]] = []
        self.external = 0
        self.in_set = False

    def _write_payload(self, content: bytes | bytearray | memoryview) -> None:
        size = content.nbytes if isinstance(content, memoryview) else len(content)
        if self.threshold is None or size < self.threshold or self.in_set:
            self.out += content
        else:
            self.payloads.append((len(self.out), content if isinstance(content, bytes) else memoryview(content)))
            self.external += size

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
        content = utf8(value)
        self.out.append(Tag.STR)
        self.out += varint(len(content))
        self.out += content

    def _write_bytes(self, value: bytes | bytearray | memoryview, depth: int) -> None:
        self.out.append(Tag.BYTES)
        self.out += varint(len(value))
        self._write_payload(value)

    def _write_array_as_bytes(self, value: Any, depth: int) -> None:
        dtype, shape, content = _array_parts(value)
        if DTYPES[dtype] != "B" or len(shape) != 1:
            raise Refusal(f"array of format {DTYPES[dtype]!r}, which the bincode profile cannot say")
        self._write_bytes(content, depth)

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
            content = utf8(name)
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
