"""The half of the frames engine that speaks: calls, answers, items and blobs to frames.

Knows no socket.  Every method gathers bytes; :meth:`FrameSender.take` hands them over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rat.codec.frame import MAX_STREAM_ID, Flag, Kind
from rat.codec.framing import pack_value
from rat.config import FrameLimits
from rat.errors import CodecError, LocalProtocolError
from rat.events import Buffer
from rat.frames import events
from rat.frames.holding import COUNTED_CALL, Holding
from rat.frames.payloads import call_to_value, error_to_value, pack_goaway
from rat.frames.streams import Stream
from rat.frames.tables import CALLEE_SENDS, CALLER_SENDS, ConnectionState, StreamState
from rat.frames.values import BLOBS, Values
from rat.frames.writer import FrameWriter

__all__ = ["FrameSender", "PeerFull"]

_OPEN: Final = int(Flag.OPEN)
_SHARED: Final = int(Flag.SHARED)
_ITEM: Final = Kind.ITEM << 24
_RESULT: Final = Kind.RESULT << 24
_SPEAKING: Final = frozenset((ConnectionState.OPEN, ConnectionState.DRAINING, ConnectionState.CLOSED))
"""States in which frames may be sent: a peer that has half-closed still gets its answers."""


class PeerFull(LocalProtocolError):
    """The peer has no room for the arguments of a call, of *size* bytes, beside those of the calls in flight."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"arguments of {size} bytes, and the peer holds {limit} of all calls in flight")
        self.size = size


class FrameSender:
    """What both sides of a connection can say.  A base of :class:`rat.frames.engine.FramesEngine`.

    Values are encoded in the method that sends them: a CodecError from it means that nothing has been said, and the
    call is as it was.  LocalProtocolError: what was asked is not allowed now.
    """

    __slots__ = ("_calls", "_codec", "_last_local", "_last_remote", "_lent", "_limits", "_parity", "_writer", "agreed",
                 "peer", "peer_goaway", "state")  # fmt: skip

    agreed: events.Hello
    """The server's HELLO: its features and profile hold for both."""
    peer: events.Hello
    """What the other side has said."""
    _codec: Values

    def __init__(self, limits: FrameLimits, *, is_client: bool) -> None:
        self._limits = limits
        self._writer = FrameWriter()
        self.state = ConnectionState.HELLO
        self.peer_goaway: events.Goaway | None = None
        self._parity = 0 if is_client else 1  # of the ids that the peer gives to its calls
        self._last_local = -1 if is_client else 0
        self._last_remote = 0
        self._calls: dict[int, Stream | None] = {}
        """Every call that is not over.  None: one of the peer's that has no stream in either direction so far."""
        self._lent: Holding | None = None
        """The arguments of this side's calls that the peer holds, counted as it does.  Made for the first of them."""

    # -- what is under way

    @property
    def calls_in_flight(self) -> int:
        """Calls of either side that are not over."""
        return len(self._calls)

    @property
    def has_room(self) -> bool:
        """Whether the peer takes another call now, as far as its HELLO says."""
        return len(self._calls) < self.peer.streams

    def is_live(self, stream_id: int) -> bool:
        """Whether the call is not over."""
        return stream_id in self._calls

    def credit_of(self, stream_id: int) -> int:
        """Bytes of items and data that may be sent on the call now.

        0 when it is over, and when an item that was refused for want of credit would be refused again.
        """
        if stream_id not in self._calls:
            return 0
        stream = self._calls[stream_id]
        if stream is None:
            return self.peer.credit
        return stream.send_credit if stream.send_credit >= stream.needs else 0

    # -- what goes out

    def take(self) -> list[Buffer]:
        """Everything that has been gathered, in order, to be written."""
        return self._writer.take()

    @property
    def held(self) -> int:
        """Bytes of values that wait to be taken, more or less."""
        return self._writer.held

    @property
    def has_output(self) -> bool:
        """Whether :meth:`take` has something to give."""
        return bool(self._writer.out)

    def send(self, event: events.Event) -> list[Buffer]:
        """Say *event*, and give what is to be written by now."""
        match event:
            case events.Result():
                self.result(event.stream_id, event.value)
            case events.Item():
                if not self.item(event.stream_id, event.value):
                    raise LocalProtocolError(f"item on stream {event.stream_id} is larger than its credit")
            case events.Data():
                taken = self.data(event.stream_id, event.data)
                if taken < len(event.data):
                    raise LocalProtocolError(
                        f"data of {len(event.data)} bytes on stream {event.stream_id}, credit {taken}"
                    )
            case events.Call():
                self.call(event)
            case events.End():
                self.end(event.stream_id)
            case events.Error():
                self.error(event.stream_id, event.code, event.message, event.detail)
            case events.Cancel():
                self.cancel(event.stream_id)
            case events.Ping():
                self.ping(event.data)
            case events.Goaway():
                self.goaway(event.message)
            case _:
                raise LocalProtocolError(f"{type(event).__name__} is what the engine says by itself")
        return self.take()

    def open_stream(self) -> int:
        """The id for the next call of this side.  Raises LocalProtocolError when the peer takes no more of them now."""
        if self.state not in (ConnectionState.OPEN, ConnectionState.DRAINING):
            raise LocalProtocolError(f"no call can be made: {self.state.value}")
        if self.peer_goaway is not None:
            raise LocalProtocolError(
                f"the peer takes no new calls: {self.peer_goaway.code} {self.peer_goaway.message}".rstrip()
            )
        mine = 1 - self._parity
        if len(self._calls) >= self.peer.streams and sum(s & 1 == mine for s in self._calls) >= self.peer.streams:
            raise LocalProtocolError(f"{self.peer.streams} calls are in flight, and the peer takes no more")
        if self._last_local + 2 > MAX_STREAM_ID:
            raise LocalProtocolError("this connection has used up its stream ids")
        return self._last_local + 2

    def takes(self, size: int) -> bool:
        """Whether the peer holds arguments of *size* bytes now, beside those of this side's calls in flight.

        Always if there are none: so whoever waits for room waits for the end of a call.
        """
        lent = self._lent
        if size < COUNTED_CALL or lent is None or lent.has_room(size):
            return True
        total = lent.total(self._calls.keys())
        return not total or total + size <= lent.limit

    def call(self, call: events.Call, *, waits: bool = False) -> None:
        """Make a call.  Its id has to be what :meth:`open_stream` gives.

        Raises PeerFull, and nothing was said, for arguments that the peer has no room for now; or that have to wait in
        any case, with *waits*, because others do.
        """
        if call.stream_id != self.open_stream():
            raise LocalProtocolError(f"call with id {call.stream_id}, and the next one is {self.open_stream()}")
        codec = self._codec
        value = call_to_value(call)
        flags = _OPEN if call.is_open else 0
        segments: Sequence[Buffer]
        if codec.is_large(call.args):
            segments = codec.segments(value)
        else:
            flags |= codec.flags
            segments = (codec.encode(value),)
        size = self._fit(flags, segments)
        if size >= COUNTED_CALL:
            lent = self._lent = self._lent or Holding(max(self.peer.held, self.peer.value))
            if waits or not self.takes(size):
                if flags & _SHARED:
                    codec.forget()
                raise PeerFull(size, lent.limit)
            lent.add_arguments(call.stream_id, size)
        self._writer.value(Kind.CALL, flags, call.stream_id, segments, size)
        self._last_local = call.stream_id
        self._calls[call.stream_id] = self._new_stream(StreamState.OPEN if call.is_open else StreamState.ENDED)

    def result(self, stream_id: int, value: Any) -> None:
        """Answer a call, and end it."""
        if self.answer(stream_id, value) < 0:
            self._check(Kind.RESULT, stream_id)

    def answer(self, stream_id: int, value: Any) -> int:
        """Answer a call, and end it: how many bytes of values wait to be taken.

        -1, and nothing is said, when it is no call of the peer or is over.
        """
        calls = self._calls
        if stream_id not in calls or stream_id & 1 != self._parity or self.state not in _SPEAKING:
            return -1
        codec, writer = self._codec, self._writer
        if type(value) in BLOBS and codec.is_large(value):
            self._value(Kind.RESULT, 0, stream_id, codec.segments(value))
        else:
            message = codec.encode(value)
            size = len(message)
            if size <= writer.direct:
                writer.out.append(pack_value(_RESULT | codec.flags << 16, stream_id, message))
                writer.held += size
            else:
                self._value(Kind.RESULT, codec.flags, stream_id, (message,))
        del calls[stream_id]
        return writer.held

    def item(self, stream_id: int, value: Any) -> bool:
        """Send one item of a stream.  False when there is not enough credit: try again after a Credit event."""
        stream = self._calls.get(stream_id)
        # Who answers may send items until the answer ends; of who calls, and of anybody's first item, the tables know.
        if stream is None or stream_id & 1 != self._parity or self.state not in _SPEAKING:
            stream = self._check(Kind.ITEM, stream_id) or self._stream(stream_id)
        if stream.needs > stream.send_credit:
            return False
        codec, writer = self._codec, self._writer
        if type(value) in BLOBS and codec.is_large(value):
            flags, segments = 0, codec.segments(value)
        else:
            flags, message = codec.flags, codec.encode(value)
            size = len(message)
            if size <= writer.direct and stream.charge(size):
                writer.out.append(pack_value(_ITEM | flags << 16, stream_id, message))
                writer.held += size
                return True
            segments = (message,)
        size = self._fit(flags, segments)
        if not stream.charge(size):
            if flags:
                codec.forget()
            return False
        writer.value(Kind.ITEM, flags, stream_id, segments, size)
        return True

    def data(self, stream_id: int, data: Buffer) -> int:
        """Send bytes of a blob.  Returns how many the credit allowed; try the others again after a Credit event."""
        stream, writer = self._calls.get(stream_id), self._writer
        # As in item().
        if stream is None or stream_id & 1 != self._parity or self.state not in _SPEAKING:
            stream = self._check(Kind.DATA, stream_id) or self._stream(stream_id)
        room, taken = writer.room, len(data)
        stream.needs = 1
        if 0 < taken <= stream.send_credit and taken <= room:
            stream.send_credit -= taken
            writer.frame(Kind.DATA, 0, stream_id, data)
            return taken
        taken = min(taken, stream.send_credit)
        stream.send_credit -= taken
        view = memoryview(data)
        for start in range(0, taken, room):
            writer.frame(Kind.DATA, 0, stream_id, view[start : min(start + room, taken)])
        return taken

    def end(self, stream_id: int) -> None:
        """This side's part of the stream is whole."""
        self._move(Kind.END, stream_id)

    def cancel(self, stream_id: int) -> None:
        """Want nothing more of the call.  It is over; what the peer still sends on it is passed over."""
        self._move(Kind.CANCEL, stream_id)

    def error(self, stream_id: int, code: str, message: str, detail: Any = None) -> None:
        """The call has failed, and is over."""
        self._check(Kind.ERROR, stream_id)
        self._error(events.Error(stream_id, code, message, detail))
        del self._calls[stream_id]

    def _error(self, error: events.Error) -> None:
        payload = self._codec.encode_alone(error_to_value(error))
        if len(payload) > self._writer.room:
            payload = self._codec.encode_alone(
                error_to_value(events.Error(error.stream_id, error.code, error.message[:200]))
            )
        self._writer.frame(Kind.ERROR, 0, error.stream_id, payload)

    def ping(self, data: bytes) -> None:
        """Ask for a Pong with the same eight bytes."""
        if len(data) != 8:
            raise LocalProtocolError(f"ping of {len(data)} bytes, and it has 8")
        self._writer.frame(Kind.PING, 0, 0, data)

    def goaway(self, message: str = "") -> None:
        """Take no new calls; those that have come are finished."""
        if self.state in _SPEAKING:
            if self.state is ConnectionState.OPEN:
                self.state = ConnectionState.DRAINING
            self._writer.frame(Kind.GOAWAY, 0, 0, pack_goaway(events.Goaway(self._last_remote, "drain", message)))

    # -- the rules

    def _check(self, kind: Kind, stream_id: int) -> Stream | None:
        """Whether *kind* may be sent on the call now.  Returns its stream, if it has one already."""
        if self.state not in _SPEAKING:
            raise LocalProtocolError(f"{kind.name} cannot be sent: {self.state.value}")
        if stream_id not in self._calls:
            raise LocalProtocolError(f"{kind.name} on stream {stream_id}, which is over")
        stream = self._calls[stream_id]
        state = StreamState.ENDED if stream is None else stream.state
        if kind not in (CALLEE_SENDS if stream_id & 1 == self._parity else CALLER_SENDS)[state]:
            raise LocalProtocolError(f"{kind.name} on stream {stream_id}, and {state.value}")
        return stream

    def _move(self, kind: Kind, stream_id: int) -> None:
        stream = self._check(kind, stream_id) or self._stream(stream_id)
        stream.state = (CALLEE_SENDS if stream_id & 1 == self._parity else CALLER_SENDS)[stream.state][kind]
        if stream.state is StreamState.OVER:
            del self._calls[stream_id]
        self._writer.frame(kind, 0, stream_id)

    def _stream(self, stream_id: int) -> Stream:
        """The stream of a live call, made if it has none yet."""
        stream = self._calls[stream_id]
        if stream is None:
            stream = self._calls[stream_id] = self._new_stream(StreamState.ENDED)
        return stream

    def _new_stream(self, state: StreamState) -> Stream:
        return Stream(state, send_window=self.peer.credit, receive_window=self._limits.credit)

    def _value(self, kind: Kind, flags: int, stream_id: int, segments: Sequence[Buffer]) -> None:
        self._writer.value(kind, flags, stream_id, segments, self._fit(flags, segments))

    def _fit(self, flags: int, segments: Sequence[Buffer]) -> int:
        """The size of a message.  Raises CodecError if the peer does not take so much."""
        size = sum(map(len, segments))
        if size > self.peer.value:
            if flags & _SHARED:
                self._codec.forget()
            raise CodecError(f"value of {size} bytes, and the peer takes {self.peer.value}", path="$")
        return size
