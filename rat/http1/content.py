"""Content of a declared length, counted: the counterpart of the chunked decoder.

Knows no connection.  RFC 9112, section 6.2.
"""

from __future__ import annotations

from rat.events import FieldLines

__all__ = ["LengthDecoder"]


class LengthDecoder:
    """Takes *length* bytes of content, however they are cut, without looking at them."""

    __slots__ = ("remaining",)

    trailers: FieldLines = ()

    def __init__(self, length: int) -> None:
        self.remaining = length

    @property
    def is_done(self) -> bool:
        """The content is whole."""
        return not self.remaining

    def wanted(self) -> int:
        """Bytes that are missing."""
        return self.remaining

    def decode(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Append the content in *data* from *at* to *pieces*, and return where it ends.

        Bytes that are content from the first to the last are passed on as they are, without a copy.
        """
        piece = data[at : at + self.remaining]
        if piece:
            pieces.append(piece)
            self.remaining -= len(piece)
        return at + len(piece)
