"""The frame header of DataValue frames: parse, judge and serialize.  Pure; knows no connection and no values.

A frame on the wire, all numbers big-endian::

    u32 length      what follows: 8 bytes of header and the payload
    u8  kind        one of Kind
    u8  flags       of Flag, only those that the kind allows
    u16 reserved    0
    u32 stream      0 is the connection; odd ids are the client's calls, even ids the server's
    payload         length - 8 bytes; with CHECKSUM its last four are the CRC-32 of header and payload
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from rat.codec.framing import crc32
from rat.errors import CodecError

__all__ = [
    "CHECKSUM_SIZE",
    "FLAGS_ALLOWED",
    "HEADER_SIZE",
    "LENGTH_SIZE",
    "MAX_STREAM_ID",
    "PREFIX_SIZE",
    "Flag",
    "FrameHeader",
    "Kind",
    "checksum",
    "pack_frame",
    "pack_header",
    "parse_header",
    "parse_length",
    "verify_checksum",
]


class Kind(enum.IntEnum):
    """What a frame is."""

    HELLO = 1
    CALL = 2
    RESULT = 3
    ITEM = 4
    END = 5
    ERROR = 6
    CANCEL = 7
    CREDIT = 8
    DATA = 9
    PING = 10
    PONG = 11
    GOAWAY = 12


class Flag(enum.IntFlag):
    """What is special about a frame's payload."""

    COMPRESSED = 0x01
    """The payload is one zstd frame."""
    CHECKSUM = 0x02
    """The payload ends with the CRC-32 of header and payload."""
    MORE = 0x04
    """The value goes on in the next frame of this kind and stream."""
    OPEN = 0x08
    """Of CALL: the caller goes on with ITEM or DATA, and finishes with END."""
    SHARED = 0x10
    """The value uses the connection's tables of shapes and keys."""


_ANY: Final = Flag.CHECKSUM
_VALUE: Final = Flag.CHECKSUM | Flag.COMPRESSED | Flag.MORE | Flag.SHARED

FLAGS_ALLOWED: Final[dict[Kind, Flag]] = {
    Kind.HELLO: Flag(0),
    Kind.CALL: _VALUE | Flag.OPEN,
    Kind.RESULT: _VALUE,
    Kind.ITEM: _VALUE,
    Kind.END: _ANY,
    Kind.ERROR: _ANY | Flag.COMPRESSED,
    Kind.CANCEL: _ANY,
    Kind.CREDIT: _ANY,
    Kind.DATA: _ANY | Flag.COMPRESSED,
    Kind.PING: _ANY,
    Kind.PONG: _ANY,
    Kind.GOAWAY: Flag(0),
}
"""Which flags a kind may carry; anything else is refused.  HELLO and GOAWAY are plain, so that everybody reads them."""

LENGTH_SIZE: Final = 4
HEADER_SIZE: Final = 8
PREFIX_SIZE: Final = LENGTH_SIZE + HEADER_SIZE
"""Bytes before the payload: the length and the header."""
CHECKSUM_SIZE: Final = 4
MAX_STREAM_ID: Final = 0xFFFF_FFFF

_PREFIX: Final = struct.Struct(">IBBHI")
_HEADER: Final = struct.Struct(">BBHI")
_KINDS: Final = {int(kind): kind for kind in Kind}
_DIGEST: Final = struct.Struct(">I")


class FrameHeader(NamedTuple):
    """One frame's header.  *payload_size* is in bytes, the checksum included."""

    kind: Kind
    flags: Flag
    stream_id: int
    payload_size: int

    @property
    def frame_size(self) -> int:
        """Bytes of the whole frame on the wire."""
        return PREFIX_SIZE + self.payload_size


def parse_length(data: bytes | bytearray | memoryview, offset: int = 0, *, limit: int) -> int | None:
    """The length field at *offset*, judged alone; None if fewer than four bytes are there.

    *limit* bounds the payload.  Raises CodecError, with the offset, for a length that no frame within it has.
    """
    if len(data) - offset < LENGTH_SIZE:
        return None
    length = int.from_bytes(data[offset : offset + LENGTH_SIZE])
    if length < HEADER_SIZE:
        raise CodecError(f"frame of {length} bytes, and its header alone takes {HEADER_SIZE}", offset=offset)
    if length > HEADER_SIZE + limit:
        raise CodecError(f"frame with a payload of {length - HEADER_SIZE} bytes, limit {limit}", offset=offset)
    return length


def parse_header(data: bytes | bytearray | memoryview, offset: int = 0, *, limit: int) -> FrameHeader | None:
    """The header of the frame at *offset*; None if it is not all there.

    *limit* bounds the payload.  Raises CodecError, with the offset of what is wrong.
    """
    if parse_length(data, offset, limit=limit) is None or len(data) - offset < PREFIX_SIZE:
        return None
    length, number, flags, reserved, stream_id = _PREFIX.unpack_from(data, offset)
    kind = _KINDS.get(number)
    if kind is None:
        raise CodecError(f"frame of unknown kind {number}", offset=offset + 4)
    strange = flags & ~int(FLAGS_ALLOWED[kind])
    if strange:
        raise CodecError(f"{kind.name} frame with flags 0x{strange:02x}, allowed 0x{FLAGS_ALLOWED[kind]:02x}",
                         offset=offset + 5)  # fmt: skip
    if reserved:
        raise CodecError(f"{kind.name} frame with 0x{reserved:04x} in the reserved field", offset=offset + 6)
    return FrameHeader(kind, Flag(flags), stream_id, length - HEADER_SIZE)


def pack_header(kind: int, flags: int, stream_id: int, payload_size: int) -> bytes:
    """The 12 bytes before a payload of *payload_size* bytes, the checksum's included."""
    return _PREFIX.pack(HEADER_SIZE + payload_size, kind, flags, 0, stream_id)


def checksum(kind: int, flags: int, stream_id: int, payload: Iterable[bytes | bytearray | memoryview]) -> bytes:
    """The four bytes that end a frame with CHECKSUM: CRC-32 of the 8-byte header and of the *payload* before them."""
    digest = crc32(_HEADER.pack(kind, flags, 0, stream_id))
    for piece in payload:
        digest = crc32(piece, digest)
    return _DIGEST.pack(digest)


def verify_checksum(kind: int, flags: int, stream_id: int, payload: bytes | memoryview) -> bytes | memoryview:
    """The *payload* without the four bytes of its checksum.  Raises CodecError if they are missing or do not fit."""
    if len(payload) < CHECKSUM_SIZE:
        raise CodecError(f"payload of {len(payload)} bytes, and its checksum alone takes {CHECKSUM_SIZE}", offset=0)
    content = payload[:-CHECKSUM_SIZE]
    came = bytes(payload[-CHECKSUM_SIZE:])
    due = checksum(kind, flags, stream_id, (content,))
    if came != due:
        raise CodecError(f"checksum {came.hex()}, and the frame's is {due.hex()}", offset=len(content))
    return content


def pack_frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A whole frame; the checksum is added if *flags* has CHECKSUM."""
    if flags & Flag.CHECKSUM:
        payload += checksum(kind, flags, stream_id, (payload,))
    return pack_header(kind, flags, stream_id, len(payload)) + payload
