"""The fast lane of the frames engine: small whole calls answered where they lie, without an event for each.

Knows functions by name, and nothing of who wrote them.  It takes a strict subset of what the engine takes and writes
the same bytes; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from rat.codec.frame import Kind
from rat.codec.framing import Calls, pack_value
from rat.errors import CodecError
from rat.frames import events
from rat.frames.straight import StraightFramesEngine
from rat.frames.tables import ConnectionState

__all__ = ["VALUE_TYPES", "FastFramesEngine"]

VALUE_TYPES: Final = frozenset((dict, list, str, int, float, bool, type(None), bytes, bytearray, memoryview, tuple))
"""Types of results that are values beyond doubt."""
_DIRECT: Final = VALUE_TYPES - {bytes, bytearray, memoryview}
_SMALL: Final = 4096
"""Longest frame that the lane takes, in bytes after its length."""
_HOLD: Final = 64 * 1024
"""Bytes of results after which the lane stops, so that they can be written."""


class FastFramesEngine(StraightFramesEngine):
    """The frames engine with its fast lane."""

    __slots__ = ()

    def answer_calls(
        self,
        functions: dict[str, Callable[..., Any]],
        later: dict[str, Callable[..., Any]],
        new_request: Callable[[tuple[Any, int, str]], Any],
        owner: Any,
        new_context: Callable[[], Any],
        begin: Callable[[int, str, Any, BaseException | None], None],
        step: Callable[[str, Any], Any],
    ) -> tuple[int, events.Call | None]:
        """Answer the calls that are next, as far as they are plain.

        Each function gets what *new_request* makes of *owner*, stream id and name, and the arguments, in a context of
        its own.  Where that gives no value yet, or an exception, *begin* is called with stream id, name, result and
        exception.  A function of *later* does nothing before *step* is called with name and what it gave: it needs no
        context, and the result is that of *step*.  Returns how many calls were taken, and one more that is for others
        to answer, if there is one.  Whatever else is next is left to ``next_event``.  Raises RemoteProtocolError as
        that does.
        """
        reader, writer, calls, limit = self.reader, self._writer, self._calls, self._limits.streams
        if writer.direct < 0 or not self._fast or self.state is not ConnectionState.OPEN:
            return 0, None
        if len(calls) >= limit or not (data := reader.whole_small(_SMALL)):
            return 0, None
        codec, flags = self._codec, self._codec.flags
        came, decode = codec.lane(_SMALL)
        word, encode, out, room = Kind.RESULT << 24 | flags << 16, codec.encode, writer.out, writer.direct
        incoming = Calls(data, decode, Kind.CALL << 24 | came << 16, self._last_remote, self._parity, _SMALL)
        count, held = 0, 0
        left: events.Call | None = None
        for stream_id, name, args in incoming:
            function, is_later = functions.get(name), False
            if function is None:
                self._last_remote = stream_id
                if isinstance(args, CodecError):
                    raise self._refuse("value", f"CALL frame on stream {stream_id}: {args}")
                function, is_later = later.get(name), True
                if function is None:
                    left = self._opened(0, stream_id, args if name is None else [name, args])
                    if left is None:
                        continue
                    break
            count += 1
            problem: BaseException | None = None
            result: Any = None
            try:
                if is_later:
                    # It may send items, and with them what has been gathered.
                    calls[stream_id] = None
                    result = step(name, function(new_request((owner, stream_id, name)), *args))
                    if writer.out is not out:
                        out, held = writer.out, 0
                elif len(args) == 1:
                    result = new_context().run(function, new_request((owner, stream_id, name)), args[0])
                else:
                    result = new_context().run(function, new_request((owner, stream_id, name)), *args)
                if type(result) in _DIRECT:
                    message = encode(result)
                    size = len(message)
                    if size <= room:
                        out.append(pack_value(word, stream_id, message))
                    else:
                        self._value(Kind.RESULT, flags, stream_id, (message,))
                    if is_later:
                        del calls[stream_id]
                    held += size
                    if held >= _HOLD:
                        break
                    continue
            except BaseException as error:
                problem = error
            if not is_later:
                calls[stream_id] = None
                self._last_remote = stream_id
            begin(stream_id, name, result, problem)
            # Its traceback holds this frame.
            problem = None
            if writer.out is not out:
                out, held = writer.out, 0
            # What *begin* has sent may be large, bytes above all.
            if len(calls) >= limit or writer.held + held >= _HOLD:
                break
        reader.skip(incoming.position)
        writer.held += held
        self._last_remote = incoming.last
        return count, left
