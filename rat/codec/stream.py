"""Values larger than memory, written and read piece by piece (docs/wire-format.md, section 12).

Sans-I/O: the encoder's methods give the bytes to send next, the decoder takes bytes as they come.  Knows no file and
no socket.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, NamedTuple

from rat.codec import Decoder, Encoder, encode
from rat.codec.reader import ReadTables
from rat.codec.scalar_reader import Buffer, Malformed, ScalarReader, Truncated
from rat.codec.scalar_writer import varint
from rat.codec.scan import Scanner
from rat.codec.values import VIEW_FROM, Tag, check_max_depth
from rat.codec.writer import Default
from rat.errors import CodecError, LocalProtocolError
from rat.events import CLOSED, NEED_DATA, Signal

__all__ = ["Piece", "PieceKind", "StreamDecoder", "StreamEncoder"]

MAX_OPEN: Final = 8
"""How deep open lists and dicts may nest in a stream."""


class Position(enum.Enum):
    """What may come next."""

    TOP = "a value, at the top"
    ITEM = "an item of an open list, or its end"
    KEY = "a key of an open dict, or its end"
    VALUE = "the value of a key"
    CHUNK = "a chunk of open bytes, or their end"


TRANSITIONS: Final = {
    # position          sees      becomes
    (Position.TOP, "value"): Position.TOP,
    (Position.ITEM, "value"): Position.ITEM,
    (Position.ITEM, "end"): None,  # what the container around it becomes when it sees a value
    (Position.KEY, "key"): Position.VALUE,
    (Position.KEY, "end"): None,
    (Position.VALUE, "value"): Position.KEY,
    (Position.CHUNK, "chunk"): Position.CHUNK,
    (Position.CHUNK, "end"): None,
}


class _Place:
    """Where a stream stands: the position, and those of the containers around it."""

    __slots__ = ("_around", "position")

    def __init__(self) -> None:
        self.position = Position.TOP
        self._around: list[Position] = []

    def move(self, step: str) -> None:
        """Raises LocalProtocolError where *step* has no place."""
        try:
            becomes = TRANSITIONS[self.position, step]
        except KeyError:
            raise LocalProtocolError(f"{step} where only {self.position.value} can stand") from None
        if becomes is not None:
            self.position = becomes
        else:
            self.position = self._around.pop()
            self.position = TRANSITIONS[self.position, "value"] or self.position

    def enter(self, inner: Position) -> None:
        if (self.position, "value") not in TRANSITIONS:
            raise LocalProtocolError(f"value where only {self.position.value} can stand")
        if len(self._around) >= MAX_OPEN:
            raise LocalProtocolError(f"open containers nested deeper than {MAX_OPEN} levels")
        self._around.append(self.position)
        self.position = inner

    @property
    def is_full(self) -> bool:
        return len(self._around) >= MAX_OPEN


class StreamEncoder:
    """Writes values of any size: every method gives the bytes that come next on the wire.

    Values within one open container share their keys and shapes.  An item may be *max_depth* - 8 levels deep, so that
    what is written can be decoded with *max_depth*.  Raises LocalProtocolError for a piece that has no place, and
    CodecError for a value without a form; both change nothing.
    """

    def __init__(self, *, default: Default | None = None, max_depth: int = 64) -> None:
        check_max_depth(max_depth)
        self._default = default
        self._max_depth = max_depth
        self._place = _Place()
        self._encoder = self._fresh()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is open: the bytes so far are whole values."""
        return self._place.position is Position.TOP

    def value(self, obj: Any) -> bytes:
        """A whole value: at the top, as an item, or under the key before it."""
        if (self._place.position, "value") not in TRANSITIONS:
            raise LocalProtocolError(f"value where only {self._place.position.value} can stand")
        if self.is_complete:
            return encode(obj, default=self._default, max_depth=self._max_depth)
        content = self._encoder.encode(obj)
        self._place.move("value")
        return content

    def begin_list(self) -> bytes:
        """Open a list: items follow, then ``end``."""
        return self._begin(Position.ITEM, Tag.OPEN_LIST)

    def begin_dict(self) -> bytes:
        """Open a dict: keys and values follow, then ``end``."""
        return self._begin(Position.KEY, Tag.OPEN_DICT)

    def begin_bytes(self) -> bytes:
        """Open bytes: pieces follow, then ``end``."""
        return self._begin(Position.CHUNK, Tag.OPEN_BYTES)

    def key(self, name: str) -> bytes:
        """The next key of the open dict; its value follows."""
        if type(name) is not str:
            raise TypeError(f"key of type {type(name).__name__}, where only str can stand")
        content = encode(name)
        self._place.move("key")
        return content

    def chunk(self, data: Buffer) -> list[Buffer]:
        """The next bytes of the open blob, *data* itself among them; empty data gives nothing."""
        self._place.move("chunk")
        content = data if isinstance(data, bytes) else memoryview(data).cast("B")
        return [varint(len(content)), content] if len(content) else []

    def end(self) -> bytes:
        """The end of the innermost open container."""
        is_bytes = self._place.position is Position.CHUNK
        self._place.move("end")
        return b"\x00" if is_bytes else bytes((Tag.CLOSE,))

    def items(self, values: Iterable[Any], *, size: int = 65536) -> Iterator[bytes]:
        """The items of the open list, *size* bytes and more at a time."""
        content = bytearray()
        for value in values:
            content += self.value(value)
            if len(content) >= size:
                yield bytes(content)
                content.clear()
        if content:
            yield bytes(content)

    def _begin(self, inner: Position, tag: int) -> bytes:
        if self.is_complete:
            self._encoder = self._fresh()
        self._place.enter(inner)
        return bytes((tag,))

    def _fresh(self) -> Encoder:
        return Encoder(default=self._default, max_depth=max(0, self._max_depth - MAX_OPEN))


class PieceKind(enum.Enum):
    """What a piece of a stream is."""

    VALUE = "a whole value"
    LIST = "an open list begins"
    DICT = "an open dict begins"
    BYTES = "a blob begins"
    KEY = "the key of what comes next"
    CHUNK = "bytes of the blob"
    END = "the end of what began last"


_OPENING: Final = {
    Tag.OPEN_LIST: (PieceKind.LIST, Position.ITEM),
    Tag.OPEN_DICT: (PieceKind.DICT, Position.KEY),
    Tag.OPEN_BYTES: (PieceKind.BYTES, Position.CHUNK),
}


class Piece(NamedTuple):
    """*value* is the value, the key, or the bytes of a chunk; None for the other kinds."""

    kind: PieceKind
    value: Any = None


class StreamDecoder:
    """Reads a stream of values: feed it bytes as they come, and pull pieces.

    Open lists and dicts come piece by piece, and so do bytes of *chunk_from* and more; anything else comes whole, up
    to *max_value* bytes of wire.  *max_depth* and *max_items* go for each value that comes whole.  After a CodecError
    (its offset counts from the first byte fed) the decoder gives nothing more.
    """

    def __init__(
        self,
        *,
        max_value: int = 16 * 1024 * 1024,
        max_depth: int = 64,
        max_items: int | None = None,
        chunk_from: int = VIEW_FROM,
    ) -> None:
        check_max_depth(max_depth)
        self._max_value = max_value
        self._max_depth = max_depth
        self._max_items = max_items
        self._chunk_from = chunk_from
        self._place = _Place()
        self._buffer = bytearray()
        self._offset = 0  # of the buffer's first byte in the stream
        self._is_ended = False
        self._left = 0  # bytes of the chunk that is being read
        self._is_sized = False  # the blob ends with its only chunk
        self._failure: CodecError | None = None
        self._renew()

    def receive_data(self, data: Buffer) -> None:
        """The next bytes of the stream.  Raises LocalProtocolError after `receive_eof`."""
        if self._is_ended:
            raise LocalProtocolError("data after the end of the stream")
        self._buffer += data

    def receive_eof(self) -> None:
        """No more bytes will come."""
        self._is_ended = True

    def next_event(self) -> Piece | Signal:
        """The next piece; NEED_DATA; or CLOSED at the end of a stream of whole values.  Raises CodecError with the
        offset in the stream.
        """
        if self._failure is not None:
            raise self._failure
        try:
            piece = self._chunk() if self._place.position is Position.CHUNK else self._piece()
        except CodecError as error:
            self._failure = CodecError(error.message, offset=self._offset + (error.offset or 0))
            raise self._failure from None
        if piece is not NEED_DATA or not self._is_ended:
            return piece
        if self._buffer or self._place.position is not Position.TOP:
            self._failure = CodecError("the stream ends inside a value", offset=self._offset + len(self._buffer))
            raise self._failure
        return CLOSED

    def _renew(self) -> None:
        """Another value begins at the top: nothing is known of keys and shapes."""
        self._tables = ReadTables()
        self._decoder = Decoder(max_depth=self._max_depth, max_items=self._max_items)
        self._scanner: Scanner | None = None

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._offset += count

    def _piece(self) -> Piece | Literal[Signal.NEED_DATA]:
        if not self._buffer:
            return NEED_DATA
        tag = self._buffer[0]
        position = self._place.position
        if tag == Tag.RESET and position is Position.TOP and self._scanner is None:
            if len(self._buffer) < 2:
                return NEED_DATA
            if self._buffer[1] == Tag.RESET:
                raise CodecError("reset after a reset", offset=1)
            self._drop(1)
            tag = self._buffer[0]
        if tag == Tag.CLOSE and position in (Position.ITEM, Position.KEY):
            self._drop(1)
            return self._end()
        if position is Position.KEY:
            if tag != Tag.STR and not Tag.ASCII <= tag < Tag.SMALL_INT:
                raise CodecError(f"key under tag {tag}, where only str can stand", offset=0)
        elif tag in _OPENING:
            kind, inner = _OPENING[tag]
            return self._begin(kind, inner, 1)
        elif tag == Tag.BYTES and (head := self._large_bytes()) is not None:
            size, length = head
            self._left, self._is_sized = length, True
            return self._begin(PieceKind.BYTES, Position.CHUNK, size)
        return self._whole()

    def _begin(self, kind: PieceKind, inner: Position, size: int) -> Piece:
        if self._place.is_full:
            raise CodecError(f"open containers nested deeper than {MAX_OPEN} levels", offset=0)
        if self._place.position is Position.TOP:
            self._renew()
        self._scanner = None
        self._place.enter(inner)
        self._drop(size)
        return Piece(kind)

    def _end(self) -> Piece:
        self._place.move("end")
        return Piece(PieceKind.END)

    def _whole(self) -> Piece | Literal[Signal.NEED_DATA]:
        """A value that is given as one."""
        position = self._place.position
        if self._scanner is None:
            if position is Position.TOP:
                self._renew()
            self._scanner = Scanner(self._tables)
        scanner = self._scanner
        if len(self._buffer) < scanner.wanted:
            return NEED_DATA
        is_whole = scanner.run(self._buffer, len(self._buffer))
        size = scanner.pos if is_whole else max(scanner.wanted, len(self._buffer))
        if size > self._max_value:
            raise CodecError(f"value of {size} bytes and more, limit {self._max_value}", offset=0)
        if not is_whole:
            return NEED_DATA
        self._scanner = None
        value = self._decoder.decode(bytes(memoryview(self._buffer)[: scanner.pos]))
        self._drop(scanner.pos)
        self._place.move("key" if position is Position.KEY else "value")
        return Piece(PieceKind.KEY if position is Position.KEY else PieceKind.VALUE, value)

    def _large_bytes(self) -> tuple[int, int] | None:
        """Size of the head and length of the bytes, if they are to come in chunks."""
        try:
            head = self._varint(1)
        except CodecError:
            return None  # the scanner says so
        return head if head is not None and head[1] >= self._chunk_from else None

    def _varint(self, pos: int) -> tuple[int, int] | None:
        """Where the varint at *pos* of the buffer ends, and what it says; None if it has not come whole."""
        part = ScalarReader(bytes(memoryview(self._buffer)[: pos + 9]), pos, zero_copy=False)
        try:
            number = part.varint()
        except Truncated:
            return None
        except Malformed as error:
            raise CodecError(str(error), offset=pos) from None
        return part.pos, number

    def _chunk(self) -> Piece | Literal[Signal.NEED_DATA]:
        while True:
            if self._left:
                if not self._buffer:
                    return NEED_DATA
                content = bytes(memoryview(self._buffer)[: self._left])
                self._left -= len(content)
                self._drop(len(content))
                return Piece(PieceKind.CHUNK, content)
            if self._is_sized:
                self._is_sized = False
                return self._end()
            head = self._varint(0)
            if head is None:
                return NEED_DATA
            size, self._left = head
            self._drop(size)
            if self._left == 0:
                return self._end()
