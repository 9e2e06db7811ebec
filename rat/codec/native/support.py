"""What the C codec leaves to Python: the rare values, and errors that the reference words already.

The functions take and give whole pieces of a message.  They raise ValueError with the reason; the C code adds the
place.
"""

from __future__ import annotations

from typing import Any

from rat.codec import scalars
from rat.codec.reader import _READERS, Reader, ReadTables
from rat.codec.scalar_reader import Malformed
from rat.codec.scalar_writer import Refusal, varint
from rat.codec.writer import Tables, Writer

__all__ = ["array_parts", "byte_view", "read_big_int", "read_scalar", "write_big_int", "write_scalar"]


def write_scalar(value: Any) -> bytes:
    """Tag and content of a date, time, datetime, timedelta, UUID or Decimal."""
    writer = Writer(Tables())
    try:
        writer.write(value)
    except Refusal as refusal:
        raise ValueError(str(refusal)) from None
    return bytes(writer.out)


def read_scalar(data: memoryview, pos: int, tag: int, zero_copy: bool, in_set: bool) -> tuple[Any, int]:
    """The value under *tag* whose content begins at *pos*, and where it ends."""
    reader = Reader(data, ReadTables(), zero_copy=zero_copy, pos=pos)
    reader.in_set = in_set
    try:
        return _READERS[tag](reader, tag, 0), reader.pos
    except Malformed as error:
        raise ValueError(str(error)) from None


def write_big_int(value: int) -> bytes:
    """The two's complement of section 4, tag 18."""
    return value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)


def read_big_int(content: bytes) -> int:
    return int.from_bytes(content, "little", signed=True)


def array_parts(value: Any) -> tuple[bytes, memoryview, bool]:
    """Dtype, number of dimensions and shape as the wire has them; the elements; whether that is bytes in a row."""
    dtype, shape, content = scalars.typed_array(value)
    head = bytes((dtype, len(shape))) + b"".join(map(varint, shape))
    return head, content, scalars.DTYPES[dtype] == "B" and len(shape) == 1


def byte_view(data: Any) -> memoryview:
    return memoryview(data).cast("B")
