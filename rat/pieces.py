"""The pieces of an answer that is a stream, as bytes.

Knows no response: only where the pieces come from.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from rat.events import Buffer

__all__ = ["Pieces", "piece_bytes"]


def piece_bytes(piece: object) -> bytes:
    """One piece of a stream: text is encoded.  Raises TypeError for what is neither text nor bytes."""
    if type(piece) is bytes:
        return piece
    if isinstance(piece, str):
        return piece.encode("utf-8")
    if isinstance(piece, Buffer):
        return bytes(piece)
    raise TypeError(f"a stream yielded {type(piece).__name__}, expected bytes or str")


class Pieces:
    """The pieces of a stream as ``piece_bytes`` has them.

    Who wants one coroutine less for each piece takes the *source* after the *first* piece and calls it himself.
    """

    __slots__ = ("_first", "_iterator", "_source")

    def __init__(self, source: AsyncIterable[Any], first: tuple[Any, ...] = ()) -> None:
        """*first* holds the piece that *source* has given already, if it has."""
        self._source = source
        self._first = first
        self._iterator: AsyncIterator[Any] | None = None

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        if self._iterator is None:
            self._iterator = self._source.__aiter__()
        if self._first:
            (piece,), self._first = self._first, ()
        else:
            piece = await self._iterator.__anext__()
        return piece_bytes(piece)

    @property
    def has_first(self) -> bool:
        """A piece of the source has been taken already, and is still to be given."""
        return bool(self._first)

    @property
    def source(self) -> AsyncIterator[Any]:
        """The pieces as they come from where they are made."""
        if self._iterator is None:
            self._iterator = self._source.__aiter__()
        return self._iterator

    async def aclose(self) -> None:
        """Close the source, also one that was never started."""
        close = getattr(self._iterator or self._source, "aclose", None)
        if close is not None:
            await close()
