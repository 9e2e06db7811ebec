"""The codec in plain Python: the specification (docs/wire-format.md) that runs.

`rat.codec.native` has the same names with the same meaning, to the byte.  Knows no socket and no file.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Any

from rat.codec.reader import Reader, ReadTables
from rat.codec.scalar_reader import Buffer
from rat.codec.scalar_writer import Refusal
from rat.codec.values import Profile, Tag, check_max_depth, check_profile
from rat.codec.writer import Default, Tables, Writer
from rat.errors import CodecError

__all__ = [
    "Decoder",
    "Encoder",
    "decode",
    "decode_batch",
    "encode",
    "encode_batch",
    "encode_into",
    "encode_segments",
]


def encode(obj: Any, /, *, profile: Profile = "full", default: Default | None = None, max_depth: int = 64) -> bytes:
    """The message of *obj*.

    *default* is asked for a replacement of what has no form.  Raises CodecError with the path of the value that
    cannot be said.
    """
    return bytes(_written(obj, profile, default, max_depth, None).out)


def decode(
    data: Buffer,
    /,
    *,
    profile: Profile = "full",
    zero_copy: bool = False,
    max_depth: int = 64,
    max_items: int | None = None,
) -> Any:
    """The value of one whole message.

    With *zero_copy*, bytes of 32 KiB and more and all typed arrays are memoryviews of *data*.  *max_items* bounds the
    items of all containers together.  Raises CodecError with the offset of what cannot be read.
    """
    check_profile(profile)
    check_max_depth(max_depth)
    return Reader(
        data, ReadTables(), profile=profile, zero_copy=zero_copy, max_depth=max_depth, max_items=max_items
    ).read_message()


def encode_segments(
    obj: Any,
    /,
    *,
    threshold: int = 32768,
    profile: Profile = "full",
    default: Default | None = None,
    max_depth: int = 64,
) -> list[bytes | memoryview]:
    """The message of *obj* as a list of buffers: joined, they are what `encode` gives.

    Payloads (bytes, bytearray, typed arrays) of *threshold* bytes and more are the caller's own memory and must not
    change until the segments are sent.
    """
    if index(threshold) < 1:
        raise ValueError(f"threshold is {threshold}, and must be at least 1")
    return _segments(_written(obj, profile, default, max_depth, threshold))


def encode_into(
    obj: Any,
    buffer: bytearray | memoryview,
    /,
    offset: int = 0,
    *,
    profile: Profile = "full",
    default: Default | None = None,
    max_depth: int = 64,
) -> int:
    """Write the message of *obj* into *buffer* from *offset* on; the number of bytes written.

    Raises BufferError with the needed size when it does not fit, CodecError as `encode` does; *buffer* is unchanged
    then.
    """
    return _copy_into(_written(obj, profile, default, max_depth, None).out, buffer, offset)


class Encoder:
    """One direction of a connection: messages that share their keys and shapes.

    The other side decodes them in order, all of them, with one `Decoder`.  A refused value leaves the tables as they
    were.
    """

    def __init__(self, *, default: Default | None = None, max_depth: int = 64) -> None:
        check_max_depth(max_depth)
        self._default = default
        self._max_depth = max_depth
        self._tables = Tables()
        self._is_reset = False

    def encode(self, obj: Any, /) -> bytes:
        """The next message.  Raises CodecError with the path."""
        return bytes(self._write(obj, None, "$").out)

    def encode_segments(self, obj: Any, /, *, threshold: int = 32768) -> list[bytes | memoryview]:
        """The next message as a list of buffers, as `encode_segments` cuts it."""
        if index(threshold) < 1:
            raise ValueError(f"threshold is {threshold}, and must be at least 1")
        return _segments(self._write(obj, threshold, "$"))

    def encode_into(self, obj: Any, buffer: bytearray | memoryview, /, offset: int = 0) -> int:
        """The next message into *buffer*, as `encode_into` does it; when it does not fit, it counts as not encoded."""
        keys, shapes, is_reset = len(self._tables.keys), len(self._tables.shapes), self._is_reset
        try:
            return _copy_into(self._write(obj, None, "$").out, buffer, offset)
        except (BufferError, TypeError, ValueError):
            self._tables.cut(keys, shapes)
            self._is_reset = is_reset
            raise

    def reset(self) -> None:
        """Forget all keys and shapes; the next message tells the decoder to do so."""
        self._tables = Tables()
        self._is_reset = True

    def _write(self, obj: Any, threshold: int | None, root: str) -> Writer:
        tables = self._tables
        keys, shapes = len(tables.keys), len(tables.shapes)
        writer = Writer(tables, default=self._default, max_depth=self._max_depth, threshold=threshold)
        if self._is_reset:
            writer.out.append(Tag.RESET)
        try:
            writer.write(obj)
        except BaseException as error:
            tables.cut(keys, shapes)
            if isinstance(error, Refusal):
                raise error.located(root) from None
            raise
        self._is_reset = False
        return writer


class Decoder:
    """The other end of an `Encoder`.

    After a refused message it has lost the thread: it refuses everything up to a message that begins with a reset, or
    its own `reset`.
    """

    def __init__(self, *, zero_copy: bool = False, max_depth: int = 64, max_items: int | None = None) -> None:
        check_max_depth(max_depth)
        self._zero_copy = zero_copy
        self._max_depth = max_depth
        self._max_items = None if max_items is None else index(max_items)
        self._tables = ReadTables()
        self._is_lost = False

    def decode(self, data: Buffer, /) -> Any:
        """The value of the next message.  Raises CodecError with the offset."""
        if self._is_lost and memoryview(data).cast("B")[:1] != bytes((Tag.RESET,)):
            raise CodecError("message after a refused one, without a reset", offset=0)
        self._is_lost = True
        value = Reader(
            data,
            self._tables,
            zero_copy=self._zero_copy,
            max_depth=self._max_depth,
            max_items=self._max_items,
        ).read_message()
        self._is_lost = False
        return value

    def reset(self) -> None:
        """Forget all keys and shapes, and the refusal."""
        self._tables = ReadTables()
        self._is_lost = False


def encode_batch(objs: Iterable[Any], /, *, default: Default | None = None, max_depth: int = 64) -> list[bytes]:
    """The messages of *objs*, which share their keys and shapes: for `decode_batch`, whole and in order.

    Raises CodecError whose path begins with the number of the bad item (``$[3].name``); nothing is left out.
    """
    encoder = Encoder(default=default, max_depth=max_depth)
    return [bytes(encoder._write(obj, None, f"$[{number}]").out) for number, obj in enumerate(objs)]


def decode_batch(
    messages: Iterable[Buffer],
    /,
    *,
    zero_copy: bool = False,
    max_depth: int = 64,
    max_items: int | None = None,
) -> list[Any]:
    """The values of the messages of one `encode_batch`; *max_items* goes for each.

    Raises CodecError that names the number of the bad message, with the offset in it.
    """
    decoder = Decoder(zero_copy=zero_copy, max_depth=max_depth, max_items=max_items)
    values = []
    for number, message in enumerate(messages):
        try:
            values.append(decoder.decode(message))
        except CodecError as error:
            raise CodecError(f"message {number}: {error.message}", offset=error.offset) from None
    return values


def _written(obj: Any, profile: Profile, default: Default | None, max_depth: int, threshold: int | None) -> Writer:
    check_profile(profile)
    check_max_depth(max_depth)
    writer = Writer(Tables(), profile=profile, default=default, max_depth=max_depth, threshold=threshold)
    try:
        writer.write(obj)
    except Refusal as refusal:
        raise refusal.located() from None
    return writer


def _segments(writer: Writer) -> list[bytes | memoryview]:
    segments: list[bytes | memoryview] = []
    done = 0
    out = bytes(writer.out)
    for position, payload in writer.payloads:
        if position > done:
            segments.append(out[done:position])
        segments.append(payload)
        done = position
    if done < len(out):
        segments.append(out[done:])
    return segments


def _copy_into(message: bytearray, buffer: bytearray | memoryview, offset: int) -> int:
    view = memoryview(buffer).cast("B")
    if view.readonly:
        raise BufferError("buffer is read-only")
    if not 0 <= index(offset) <= len(view):
        raise ValueError(f"offset is {offset}, and may be 0 to {len(view)}")
    needed = len(message)
    if needed > len(view) - offset:
        raise BufferError(f"message of {needed} bytes, {len(view) - offset} bytes of room")
    view[offset : offset + needed] = message
    return needed
