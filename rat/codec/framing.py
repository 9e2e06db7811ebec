"""The hot loops of frames: CRC-32, the calls of one buffer, the frame of one value.  Pure.

``rat/codec/native/frames.c`` is the same in C, and is taken where it was built, as `rat.codec` chooses.  zlib's CRC-32
is the reference, and the one that is used where the processor cannot multiply without carries.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from rat.codec import implementation
from rat.compiled import compiled
from rat.errors import CodecError

__all__ = ["Calls", "ReferenceCalls", "crc32", "pack_value", "reference_pack_value"]

_PREFIX = struct.Struct(">III")
_HEADER_SIZE = 8


class ReferenceCalls(Iterator[tuple[int, Any, Any]]):
    """Stream id, name and arguments of each plain call at the head of *data*, decoded when it is asked for.

    Plain: the header holds *word* (kind, flags, reserved), the frame is here and of at most *longest* bytes after its
    length, its id is above the last one, from *last* on, and of *parity*.  Whatever else comes ends it.  A value that
    is not a list of a string and a list has None for a name; one that cannot be decoded is its CodecError, and the
    last.
    """

    __slots__ = ("_data", "_decode", "_is_over", "_longest", "_parity", "_word", "last", "position")

    def __init__(
        self, data: bytes, decode: Callable[[bytes], Any], word: int, last: int, parity: int, longest: int
    ) -> None:
        self._data = data
        self._decode = decode
        self._word = word
        self.last = last
        """The last stream id."""
        self._parity = parity
        self._longest = longest
        self._is_over = False
        self.position = 0
        """Where the next frame begins."""

    def __next__(self) -> tuple[int, Any, Any]:
        data, position = self._data, self.position
        if self._is_over or len(data) - position < _PREFIX.size:
            raise StopIteration
        length, word, stream_id = _PREFIX.unpack_from(data, position)
        stop = position + 4 + length
        if word != self._word or not _HEADER_SIZE <= length <= self._longest or stop > len(data):
            raise StopIteration
        if stream_id <= self.last or stream_id & 1 != self._parity:
            raise StopIteration
        try:
            value = self._decode(data[position + _PREFIX.size : stop])
        except CodecError as error:
            value = error
            self._is_over = True
        self.last = stream_id
        self.position = stop
        if type(value) is list and len(value) == 2 and type(value[0]) is str and type(value[1]) is list:
            return stream_id, value[0], value[1]
        return stream_id, None, value


def reference_pack_value(word: int, stream_id: int, message: bytes) -> bytes:
    """The frame that holds *message*; *word* is kind, flags and reserved field in one number."""
    return _PREFIX.pack(_HEADER_SIZE + len(message), word, stream_id) + message


def _native() -> Any:
    return compiled("rat.codec.native._frames", "RAT_CODEC") if implementation == "native" else None


if TYPE_CHECKING:
    from rat.codec.native._frames import Calls, crc32, pack_value
else:
    _frames = _native()
    Calls = getattr(_frames, "Calls", ReferenceCalls)
    crc32 = getattr(_frames, "crc32", zlib.crc32)
    pack_value = getattr(_frames, "pack_value", reference_pack_value)
