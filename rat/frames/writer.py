"""Frames out: headers, pieces, checksums and compression, gathered until the shell takes them.

Knows lengths and flags, and nothing of calls.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from rat.codec.frame import CHECKSUM_SIZE, Flag, Kind, checksum, pack_header
from rat.codec.framing import crc32
from rat.events import Buffer
from rat.frames.compression import COMPRESS_FROM, Compressor

__all__ = ["FrameWriter"]

_head: Final = struct.Struct(">II").pack
_digest: Final = struct.Struct(">I").pack
_CHECKSUM: Final = int(Flag.CHECKSUM)
_COMPRESSED: Final = int(Flag.COMPRESSED)
_MORE: Final = int(Flag.MORE)
_PLAIN: Final = frozenset((Kind.HELLO, Kind.GOAWAY))


class FrameWriter:
    """What this side has to say, in order.

    *limit* is the largest payload that the peer takes; *direct* the largest that can be written as it is, without a
    look at checksum, compression or pieces.
    """

    __slots__ = ("compressor", "direct", "held", "is_summed", "limit", "out")

    def __init__(self) -> None:
        self.out: list[Buffer] = []
        self.held = 0
        """Bytes of values in *out*, more or less: whoever fills it should stop to write at some point."""
        self.limit = 1024
        self.direct = 1024
        self.is_summed = False
        self.compressor: Compressor | None = None

    def configure(self, limit: int, *, is_summed: bool, is_compressed: bool) -> None:
        """Take over what the two HELLOs agreed on."""
        self.limit = limit
        self.is_summed = is_summed
        self.compressor = Compressor() if is_compressed else None
        self.direct = -1 if is_summed else min(limit, COMPRESS_FROM - 1) if is_compressed else limit

    def take(self) -> list[Buffer]:
        """Everything that has been gathered, for the shell to write."""
        out = self.out
        self.out = []
        self.held = 0
        return out

    def frame(self, kind: int, flags: int, stream_id: int, payload: Buffer = b"") -> None:
        """One frame whose payload is within the limit."""
        self.held += len(payload)
        if kind in _PLAIN:
            self.out += (pack_header(kind, 0, stream_id, len(payload)), payload)
            return
        if self.compressor is not None and len(payload) >= COMPRESS_FROM:
            small = self.compressor.compress(bytes(payload))
            if len(small) < len(payload):
                payload = small
                flags |= _COMPRESSED
        if self.is_summed:
            flags |= _CHECKSUM
            digest = _digest(crc32(payload, crc32(_head(kind << 24 | flags << 16, stream_id))))
            self.out += (pack_header(kind, flags, stream_id, len(payload) + CHECKSUM_SIZE), payload, digest)
        elif payload:
            self.out += (pack_header(kind, flags, stream_id, len(payload)), payload)
        else:
            self.out.append(pack_header(kind, flags, stream_id, 0))

    def value(self, kind: int, flags: int, stream_id: int, segments: Sequence[Buffer], size: int) -> None:
        """One value of *size* bytes in *segments*, in as many frames as the limit asks for.

        The segments are written as they are, without a copy, where neither checksum nor compression touches them.
        """
        self.held += size
        room = self.room
        if size <= room and self.direct >= 0 and (self.compressor is None or size < COMPRESS_FROM):
            self.out.append(pack_header(kind, flags, stream_id, size))
            self.out += segments
            return
        pieces = _pieces(segments, room)
        for piece in pieces[:-1]:
            self._piece(kind, flags | _MORE, stream_id, piece)
        self._piece(kind, flags, stream_id, pieces[-1])

    def _piece(self, kind: int, flags: int, stream_id: int, piece: list[memoryview]) -> None:
        size = sum(len(part) for part in piece)
        if self.compressor is not None and size >= COMPRESS_FROM:
            self.frame(kind, flags, stream_id, piece[0] if len(piece) == 1 else b"".join(piece))
        elif self.is_summed:
            flags |= _CHECKSUM
            digest = checksum(kind, flags, stream_id, piece)
            self.out += (pack_header(kind, flags, stream_id, size + CHECKSUM_SIZE), *piece, digest)
        else:
            self.out += (pack_header(kind, flags, stream_id, size), *piece)

    @property
    def room(self) -> int:
        """Bytes of a value or blob that fit in one frame."""
        return self.limit - CHECKSUM_SIZE if self.is_summed else self.limit


def _pieces(segments: Sequence[Buffer], room: int) -> list[list[memoryview]]:
    """*segments* cut into pieces of *room* bytes, the last one shorter; none is empty."""
    pieces: list[list[memoryview]] = [[]]
    left = room
    for segment in segments:
        view = memoryview(segment).cast("B") if not isinstance(segment, bytes) else memoryview(segment)
        while len(view):
            if left == 0:
                pieces.append([])
                left = room
            part = view[:left]
            pieces[-1].append(part)
            left -= len(part)
            view = view[len(part) :]
    return pieces
