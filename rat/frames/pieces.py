"""A value that comes in several frames, until it is whole.  Knows what may stand in one, and nothing of calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rat.codec.frame import Flag, Kind
from rat.errors import RemoteProtocolError

__all__ = ["BETWEEN_PIECES", "Pieces"]

BETWEEN_PIECES: Final = frozenset((Kind.PING, Kind.PONG, Kind.GOAWAY, Kind.CREDIT))
"""Kinds that may stand between the pieces of a value."""
_MORE: Final = int(Flag.MORE)
_SAME: Final = int(Flag.OPEN | Flag.SHARED)
"""Flags that all pieces of a value have in common."""


class Pieces:
    """One value of at most *limit* bytes.  *refuse* makes the error, of code and message, that a bad piece raises."""

    __slots__ = ("_content", "_head", "_limit", "_refuse", "is_dropped", "size")

    def __init__(
        self, kind: Kind, flags: int, stream_id: int, limit: int, refuse: Callable[[str, str], RemoteProtocolError]
    ) -> None:
        self._head = (kind, flags & _SAME, stream_id)
        self._content = bytearray()
        self._limit = limit
        self._refuse = refuse
        self.size = 0
        """Bytes that have come."""
        self.is_dropped = False
        """Nobody wants it: the bytes are counted and judged, and not kept."""

    def drop(self) -> None:
        """Keep nothing of it, now and from here on."""
        self.is_dropped = True
        self._content = bytearray()

    def add(self, kind: Kind, flags: int, stream_id: int, piece: bytes | memoryview) -> memoryview | None:
        """The next piece of the value; if it was the last, the value, or nothing of it if it was dropped.

        Raises RemoteProtocolError.
        """
        if (kind, flags & _SAME, stream_id) != self._head:
            begun, _, owner = self._head
            raise self._refuse("protocol", f"{kind.name} frame on stream {stream_id} between the pieces of a "
                               f"{begun.name} on stream {owner}")  # fmt: skip
        if not piece:
            raise self._refuse("protocol", f"{kind.name} frame on stream {stream_id} is a piece without bytes")
        size = self.size + len(piece)
        if size > self._limit:
            raise self._refuse("value_size", f"value of at least {size} bytes in pieces, limit {self._limit}")
        self.size = size
        if not self.is_dropped:
            self._content += piece
        return None if flags & _MORE else memoryview(self._content)
