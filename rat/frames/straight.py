"""The straight way of one large frame that is all that has come: a blob of a stream, or a call with a blob.

Knows functions, and nothing of who wrote them.  It takes a strict subset of what the engine takes, to the same end and
with the same bytes; a test compares the two.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from rat.codec.frame import CHECKSUM_SIZE, Flag, Kind, pack_header
from rat.codec.framing import crc32
from rat.errors import CodecError
from rat.events import Buffer
from rat.frames import events
from rat.frames.engine import FramesEngine
from rat.frames.reader import Frame
from rat.frames.tables import ConnectionState, StreamState
from rat.frames.values import BYTES

__all__ = ["StraightFramesEngine"]

_CHECKSUM: Final = int(Flag.CHECKSUM)
_DATA: Final = Kind.DATA << 24
_SUMMED: Final = _DATA | _CHECKSUM << 16
_RESULT: Final = int(Kind.RESULT)
_pack_head: Final = struct.Struct(">II").pack


class StraightFramesEngine(FramesEngine):
    """The frames engine with a straight way for large frames, each of which the reader has said to be ALONE."""

    __slots__ = ()

    def take_blob(self, frame: Frame) -> tuple[int, Buffer] | None:
        """Stream id and bytes of a DATA frame.  None, and nothing was done, if anything is to be said of it."""
        word, stream_id, data = frame
        stream = self._calls.get(stream_id)
        if stream is None or self.state is not ConnectionState.OPEN or self._pieces is not None:
            return None
        # Who answers sends until the answer ends, who calls until END.
        if stream.state is not StreamState.OPEN and stream_id & 1 == self._parity:
            return None
        if word == _DATA:
            size = len(data)
            if size > stream.receive_credit:
                return None
        elif word == _SUMMED and not self._strange & _CHECKSUM:
            size = len(data) - CHECKSUM_SIZE
            if size > stream.receive_credit:
                return None
            content = data[:size]
            if crc32(content, crc32(_pack_head(word, stream_id))) != int.from_bytes(data[size:]):
                return None
            data = content
        else:
            return None
        if not (self._holding or self._held()).add(stream_id, size):
            return None
        stream.receive_data(size)
        self.reader.take_large()
        return stream_id, data

    def answer_large(
        self,
        frame: Frame,
        functions: dict[str, Callable[..., Any]],
        new_request: Callable[[tuple[Any, int, str]], Any],
        owner: Any,
        new_context: Callable[[], Any],
        begin: Callable[[int, str, Any, BaseException | None], None],
    ) -> tuple[int, events.Call | None]:
        """Answer the call that *frame* is: how many calls were, and the one that is left for others to answer.

        -1, and nothing was done, if it is not plain.  Its function gets what *new_request* makes of *owner*, stream id
        and name, and the arguments, in a context of its own.  Where that gives no bytes, or an exception, *begin* is
        called with stream id, name, result and exception.
        """
        word, stream_id, payload = frame
        if self._fast.get(word) != 0 or stream_id <= self._last_remote or stream_id & 1 != self._parity:
            return -1, None
        calls, size = self._calls, len(payload)
        holding = self._holding or self._held()
        if self.state is not ConnectionState.OPEN or len(calls) >= self._limits.streams or not holding.has_room(size):
            return -1, None
        try:
            value = self._codec.decode_owned(payload)
        except CodecError:
            return -1, None
        self.reader.take_large()
        self._last_remote = stream_id
        if type(value) is not list or len(value) != 2 or type(value[1]) is not list:
            function = None
        else:
            name, args = value
            function = functions.get(name) if type(name) is str else None
        if function is None:
            holding.add_arguments(stream_id, size)
            return 0, self._opened(0, stream_id, value)
        problem: BaseException | None = None
        result: Any = None
        try:
            result = new_context().run(function, new_request((owner, stream_id, name)), *args)
            if type(result) in BYTES:
                segments, writer = self._codec.segments(result), self._writer
                length = sum(map(len, segments))
                # As large as may go without pieces, checksum or compression.
                if length <= writer.direct:
                    writer.out += (pack_header(_RESULT, 0, stream_id, length), *segments)
                    writer.held += length
                    return 1, None
        except BaseException as error:
            problem = error
        calls[stream_id] = None
        holding.add_arguments(stream_id, size)
        begin(stream_id, name, result, problem)
        # Its traceback holds this frame.
        problem = None
        return 1, None
