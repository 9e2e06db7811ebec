"""The fast lane of the frames engine: small whole calls answered where they lie, without an event for each.

Knows functions by name, and nothing of who wrote them.  It takes a strict subset of what the engine takes and writes
the same bytes; a test compares the two.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from rat.codec.frame import HEADER_SIZE, LENGTH_SIZE, PREFIX_SIZE, Kind
from rat.errors import CodecError
from rat.frames import events
from rat.frames.engine import FramesEngine
from rat.frames.tables import ConnectionState

__all__ = ["VALUE_TYPES", "FastFramesEngine"]

VALUE_TYPES: Final = frozenset((dict, list, str, int, float, bool, type(None), bytes, bytearray, memoryview, tuple))
"""Types of results that are values beyond doubt."""
_DIRECT: Final = VALUE_TYPES - {bytes, bytearray, memoryview}
_SMALL: Final = 4096
"""Longest frame that the lane takes, in bytes after its length."""
_HOLD: Final = 64 * 1024
"""Bytes of results after which the lane stops, so that they can be written."""
_NUMBERS: Final = struct.Struct(">III")


class FastFramesEngine(FramesEngine):
    """The frames engine with its fast lane."""

    __slots__ = ()

    def answer_calls(
        self,
        functions: dict[str, Callable[..., Any]],
        new_request: Callable[[tuple[Any, int, str]], Any],
        owner: Any,
        new_context: Callable[[], Any],
        begin: Callable[[int, str, Any, Exception | None], None],
    ) -> tuple[int, events.Call | None]:
        """Answer the calls that are next, as far as they are plain.

        Each function gets what *new_request* makes of *owner*, stream id and name, and the arguments, in a context of
        its own.  Where that gives no value yet, or an exception, *begin* is called with stream id, name, result and
        exception.  Returns how many calls were taken, and one more that is for others to answer, if there is one.
        Whatever else is next is left to ``next_event``.  Raises RemoteProtocolError as that does.
        """
        reader, writer, calls, limit = self._reader, self._writer, self._calls, self._limits.streams
        if writer.direct < 0 or not self._fast or self.state is not ConnectionState.OPEN:
            return 0, None
        if len(calls) >= limit or not (data := reader.whole_small(_SMALL)):
            return 0, None
        codec = self._codec
        flags, decode = codec.lane(_SMALL)
        word, head, encode = Kind.CALL << 24 | flags << 16, Kind.RESULT << 24 | codec.flags << 16, codec.encode
        unpack, pack, out, direct = _NUMBERS.unpack_from, _NUMBERS.pack, writer.out, writer.direct
        last, parity = self._last_remote, self._parity
        pos, count, held, end = 0, 0, 0, len(data)
        left: events.Call | None = None
        while end - pos >= PREFIX_SIZE and held < _HOLD:
            length, came, stream_id = unpack(data, pos)
            stop = pos + LENGTH_SIZE + length
            if came != word or stop > end or not HEADER_SIZE <= length <= _SMALL:
                break
            if stream_id <= last or stream_id & 1 != parity:
                break
            try:
                value = decode(data[pos + PREFIX_SIZE : stop])
            except CodecError as error:
                self._last_remote = stream_id
                raise self._refuse("value", f"CALL frame on stream {stream_id}: {error}") from None
            last, pos, function = stream_id, stop, None
            if type(value) is list and len(value) == 2:
                name, args = value
                if type(name) is str and type(args) is list:
                    function = functions.get(name)
            if function is None:
                self._last_remote = last
                left = self._opened(0, stream_id, value)
                if left is None:
                    continue
                break
            count += 1
            problem: Exception | None = None
            result: Any = None
            try:
                if len(args) == 1:
                    result = new_context().run(function, new_request((owner, stream_id, name)), args[0])
                else:
                    result = new_context().run(function, new_request((owner, stream_id, name)), *args)
                if type(result) in _DIRECT:
                    message = encode(result)
                    size = len(message)
                    if size <= direct:
                        out += (pack(size + HEADER_SIZE, head, stream_id), message)
                    else:
                        self._value(Kind.RESULT, codec.flags, stream_id, (message,))
                    held += size
                    continue
            except Exception as error:
                problem = error
            calls[stream_id] = None
            self._last_remote = last
            begin(stream_id, name, result, problem)
            out = writer.out
            if len(calls) >= limit:
                break
        reader.skip(pos)
        writer.held += held
        self._last_remote = last
        return count, left
