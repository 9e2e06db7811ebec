"""The one place where frames meet the codec: values of one connection to bytes and back.

Knows what HELLO agreed on: the profile, and whether both sides keep tables of shapes and keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias

from rat.codec import Decoder, Encoder, decode, encode, encode_segments
from rat.codec.frame import Flag
from rat.config import FrameLimits
from rat.events import Buffer
from rat.frames.events import Profile

__all__ = ["BLOBS", "BYTES", "Values"]

_DEPTH: Final = 64
"""What ``decode`` takes when it is told nothing."""
_SHARED: Final = int(Flag.SHARED)
_LARGE: Final = 32 * 1024
"""Bytes objects from here on are not copied into a message but written from where they are."""
_LOOK_AT: Final = 8
"""So many items of a list are looked at for large bytes."""
BYTES: Final = frozenset((bytes, bytearray, memoryview))
"""Types that are bytes and nothing else."""
BLOBS: Final = BYTES | {list}
"""Types that may be, or hold at their surface, large bytes."""


_encode_bincode: Callable[[Any], bytes] = partial(encode, profile="bincode")

_Decode: TypeAlias = Callable[[bytes | memoryview], Any]


@lru_cache(maxsize=64)
def _decoders(profile: Profile, depth: int, items: int) -> tuple[_Decode, _Decode]:
    """Decoders of messages that lean on no other: one that copies, and one whose large bytes are views."""
    # What ``decode`` does anyway it is not told: each word takes time.
    options: dict[str, Any] = {"max_items": items}
    if profile != "full":
        options["profile"] = profile
    if depth != _DEPTH:
        options["max_depth"] = depth
    return partial(decode, **options), partial(decode, zero_copy=True, **options)


class Values:
    """The codec of one connection.

    Messages that use the tables have to be decoded in the order in which they were encoded, every one of them.
    """

    __slots__ = (
        "_decode_plain",
        "_decoder",
        "_encoder",
        "_limits",
        "_profile",
        "decode_owned",
        "encode",
        "encode_alone",
        "flags",
    )

    def __init__(self, limits: FrameLimits, profile: Profile, *, has_tables: bool) -> None:
        self._limits = limits
        self._profile = profile
        self._decode_plain, self.decode_owned = _decoders(profile, limits.depth, limits.items)
        self._encoder = Encoder() if has_tables else None
        self._decoder = Decoder(max_depth=limits.depth, max_items=limits.items) if has_tables else None
        self.encode_alone: Callable[[Any], bytes] = encode if profile == "full" else _encode_bincode
        """A value as a message that leans on no other."""
        self.encode = self.encode_alone if self._encoder is None else self._encoder.encode
        """A value as one message.  Raises CodecError, and has changed nothing then."""
        self.flags = _SHARED if has_tables else 0
        """Of every frame that holds what ``encode`` gave."""

    @staticmethod
    def is_large(value: Any) -> bool:
        """Whether *value* is, or is a list that holds, bytes that are not worth a copy."""
        kind = type(value)
        if kind is list:
            return any(type(item) in BYTES and len(item) >= _LARGE for item in value[:_LOOK_AT])
        return kind in BYTES and len(value) >= _LARGE

    def lane(self, size: int) -> tuple[int, Callable[[bytes], Any]]:
        """Flags and decoder of the messages that this peer mostly sends, for those of at most *size* bytes."""
        if self._decoder is not None:
            return _SHARED, self._decoder.decode
        # Every item takes a byte, so that a small message needs no limit on them; and arguments by name cost time.
        if self._profile == "full" and self._limits.depth == _DEPTH and self._limits.items >= size:
            return 0, decode
        return 0, self._decode_plain

    def segments(self, value: Any) -> Sequence[Buffer]:
        """A value as a message in pieces that leans on no other; large bytes are pieces where they lie."""
        return encode_segments(value, threshold=_LARGE, profile=self._profile)

    def forget(self) -> None:
        """A message that ``encode`` gave is not sent: the tables begin anew with the next one."""
        if self._encoder is not None:
            self._encoder.reset()

    def decode(self, message: bytes | memoryview, flags: int, *, is_owned: bool) -> Any:
        """The value of a message.  *is_owned*: large bytes may be views of it.  Raises CodecError."""
        if flags & _SHARED and self._decoder is not None:
            return self._decoder.decode(message)
        return (self.decode_owned if is_owned else self._decode_plain)(message)
