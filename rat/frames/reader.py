"""Bytes in, frames out: where a frame begins and ends, and in whose memory it lies.

Knows lengths, and nothing of what frames mean.  Bytes come in one of two ways, and both may be mixed: given to
:meth:`FrameReader.receive_data`, or read by the shell into the memory that :meth:`FrameReader.get_buffer` names.
"""

from __future__ import annotations

import struct
from typing import Final

from rat.codec.frame import HEADER_SIZE, LENGTH_SIZE, PREFIX_SIZE, parse_length
from rat.codec.lending import MOST_AHEAD, ahead_buffer, exact_buffer, keeps_ahead

__all__ = ["ALONE", "EXACT_FROM", "Frame", "FrameReader"]

EXACT_FROM: Final = 128 * 1024
"""A payload of at least so many bytes that is not there yet gets a buffer of its own.  Half a slab: below it moving the
frame's beginning is cheaper than one more read.  The buffer has room for the prefix of the frame that follows: when
that one is large as well, not even its beginning is moved; and a read that leaves room says that there was no more."""

_PEEK: Final = 4096
_SLACK: Final = 4096
"""Room for small frames before a large one in the buffer that is read ahead into, and behind it."""
_EARNEST: Final = 64 * 1024
"""So much of its first large frame a peer has to send before it gets a buffer for it: a length alone costs nothing."""

ALONE: Final = 2
"""Of :meth:`FrameReader.buffer_updated`: a large frame is whole, and nothing else is here."""

_unpack: Final = struct.Struct(">III").unpack_from

Frame = tuple[int, int, "bytes | memoryview"]
"""Kind, flags and reserved field in one number (``kind << 24 | flags << 16 | reserved``), stream id, payload."""


class FrameReader:
    """Cuts what the peer sends into frames.

    A payload that is handed out as ``bytes``, or from a buffer of its own, belongs to whoever gets it; a ``memoryview``
    into a slab is good until :meth:`release`.  :attr:`is_owned` says which, of the last frame that is a view.
    """

    __slots__ = ("_ahead", "_data", "_earnest", "_end", "_exact", "_exact_head", "_filled", "_pos", "_size",
                 "is_owned", "limit")  # fmt: skip

    _exact_head: tuple[int, int]
    _size: int
    """Bytes of the payload that ``_exact`` is for; behind them there is room for a prefix."""
    _ahead: int
    """After two large frames of one length: that length, for the third is read into memory that it can stay in."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Most bytes of a payload."""
        self.is_owned = False
        self._data: bytes | memoryview = b""
        self._pos = 0
        self._end = 0
        self._exact: memoryview | None = None
        self._filled = self._size = 0
        self._earnest = _EARNEST
        self._ahead = 0

    # -- bytes

    def receive_data(self, data: bytes) -> None:
        """Take bytes; they are not copied where whole frames lie in them."""
        exact = self._exact
        if exact is not None and self._filled < self._size:
            count = min(self._size - self._filled, len(data))
            exact[self._filled : self._filled + count] = data[:count]
            self._filled += count
            if count == len(data):
                return
            data = data[count:]
        if self._pos < self._end:
            self._data = b"".join((self._data[self._pos : self._end], data))
        else:
            self._data = data
        self._pos = 0
        self._end = len(self._data)

    def get_buffer(self, slab: memoryview) -> memoryview:
        """Where the next bytes are to be read to: the rest of a large payload's own buffer, or *slab*.

        The slab, of at least twice EXACT_FROM, may be shared by any number of connections, as long as
        :meth:`buffer_updated` follows with nothing in between.
        """
        if self._exact is not None and self._filled < self._size:
            return self._exact[self._filled : self._size + PREFIX_SIZE]
        tail = self._end - self._pos
        if self._ahead:
            slab = ahead_buffer(LENGTH_SIZE + self._ahead + _SLACK)
        elif self.is_owned:
            # After one large frame mostly comes another: what of it is read here has to be moved.
            slab = slab[: tail + _PEEK]
        if tail == 0:
            return slab
        slab[:tail] = self._data[self._pos : self._end]
        return slab[tail:]

    def buffer_updated(self, slab: memoryview, count: int) -> int:
        """*count* bytes are where :meth:`get_buffer` said: 0 when they complete nothing, ALONE, or 1.

        Call :meth:`release` when their frames have been taken; after ALONE, once that frame was, there is no need to.
        """
        exact = self._exact
        if exact is not None and self._filled < (size := self._size):
            self._filled = filled = self._filled + count
            if filled <= size:
                return ALONE if filled == size else 0
            self._filled = size
            self._data = bytes(exact[size:filled])
            self._pos = 0
            self._end = filled - size
            return 1
        self.is_owned = False
        self._end = end = self._end - self._pos + count
        self._pos = 0
        self._data = slab
        if ahead := self._ahead:
            self._data = data = ahead_buffer(LENGTH_SIZE + ahead + _SLACK)
            if exact is None and end >= PREFIX_SIZE:
                length, word, stream_id = _unpack(data)
                if length == ahead and end <= LENGTH_SIZE + length and keeps_ahead(data):
                    # What _begin_exact does, where there is least to do.
                    self._exact = data[PREFIX_SIZE:]
                    self._exact_head = (word, stream_id)
                    self._filled = end - PREFIX_SIZE
                    self._data = b""
                    self._end = 0
                    return 0 if end < LENGTH_SIZE + length else ALONE
        return 1

    def release(self) -> None:
        """Let go of the slab; what has not been taken is kept."""
        if type(self._data) is memoryview:
            self._data = bytes(self._data[self._pos : self._end])
            self._end -= self._pos
            self._pos = 0

    # -- frames

    def whole_small(self, size: int) -> bytes:
        """A copy of what is here, if a whole frame of at most *size* bytes is next; else empty.

        :meth:`skip` takes what was used of it.
        """
        have = self._end - self._pos
        if have < PREFIX_SIZE or self._exact is not None:
            return b""
        length = int.from_bytes(self._data[self._pos : self._pos + LENGTH_SIZE])
        if HEADER_SIZE <= length <= size and LENGTH_SIZE + length <= have:
            return bytes(self._data[self._pos : self._end])
        return b""

    def skip(self, count: int) -> None:
        """Whole frames of *count* bytes have been taken from what :meth:`whole_small` gave."""
        self._pos += count

    def next_frame(self) -> Frame | None:
        """The next frame that is whole, or None.  Raises CodecError for a length that no frame may have."""
        if self._exact is not None:
            return self._next_exact()
        data, pos = self._data, self._pos
        start = pos + PREFIX_SIZE
        if start > self._end:
            if self._end - pos >= LENGTH_SIZE:
                parse_length(data[pos : pos + LENGTH_SIZE], limit=self.limit)
            return None
        length, word, stream_id = _unpack(data, pos)
        stop = pos + length + LENGTH_SIZE
        if stop > self._end or not start <= stop <= start + self.limit:
            parse_length(data[pos : pos + LENGTH_SIZE], limit=self.limit)
            if length >= EXACT_FROM and self._end - pos >= self._earnest:
                self._begin_exact(length - HEADER_SIZE, word, stream_id)
            return None
        if length >= EXACT_FROM and self._ahead and type(data) is memoryview:
            self._begin_exact(length - HEADER_SIZE, word, stream_id)
            return self._next_exact()
        self._pos = stop
        return word, stream_id, data[start:stop]

    def _begin_exact(self, size: int, word: int, stream_id: int) -> None:
        """A large frame has begun: its payload gets memory of its own, what has come of it is there already."""
        data, start, end = self._data, self._pos + PREFIX_SIZE, self._end
        stop = start + size
        if stop > end:
            stop = end
        if type(data) is memoryview and start + size <= len(data) and keeps_ahead(data):
            exact = data[start:]
        else:
            exact = exact_buffer(size + PREFIX_SIZE)
            exact[: stop - start] = data[start:stop]
        self._exact = exact
        self._exact_head = (word, stream_id)
        self._filled = stop - start
        length = size + HEADER_SIZE
        self._ahead = length if size == self._size and length <= MOST_AHEAD else 0
        self._size = size
        self._data = bytes(data[stop:end]) if stop < end else b""
        self._pos, self._end = 0, end - stop

    def peek_large(self) -> Frame:
        """The frame that is ALONE; :meth:`take_large` takes it."""
        assert self._exact is not None
        return (*self._exact_head, self._exact[: self._size])

    def take_large(self) -> None:
        """The frame that :meth:`peek_large` gave has been taken, and its payload belongs to whoever did."""
        self._exact = None
        self._earnest = 0
        self.is_owned = True

    def _next_exact(self) -> Frame | None:
        if self._filled < self._size:
            return None
        frame = self.peek_large()
        self.take_large()
        return frame

    # -- what is under way

    @property
    def has_large(self) -> bool:
        """Whether the next frame is a large one, in a buffer of its own."""
        return self._exact is not None

    @property
    def is_inside_frame(self) -> bool:
        """Whether bytes of a frame are here that have not been taken."""
        return self._exact is not None or self._pos < self._end

    def wanted(self) -> int:
        """How many bytes would complete the frame that is being read; 0 when that is not known."""
        if self._exact is not None:
            return self._size - self._filled
        have = self._end - self._pos
        if have < LENGTH_SIZE:
            return 0
        length = int.from_bytes(self._data[self._pos : self._pos + LENGTH_SIZE])
        return max(0, LENGTH_SIZE + length - have) if HEADER_SIZE <= length <= HEADER_SIZE + self.limit else 0

    def describe_partial(self) -> str:
        """How much of the frame that is being read has come, for an error message."""
        have = PREFIX_SIZE + self._filled if self._exact is not None else self._end - self._pos
        wanted = self.wanted()
        return f"{have} of {have + wanted} bytes" if wanted else f"{have} bytes"
