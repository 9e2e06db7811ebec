"""What comes on the streams of a connection, and is held until it is used: credit, and the bound of what nobody reads.

Knows no socket and no readers; they say what they have used.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Final

from rat.codec.frame import Flag, Kind
from rat.config import FrameLimits
from rat.errors import RemoteProtocolError
from rat.frames import events
from rat.frames.holding import Holding, most_held
from rat.frames.pieces import Pieces
from rat.frames.sending import FrameSender
from rat.frames.streams import MAX_CREDIT, Stream
from rat.frames.tables import CALLEE_SENDS, CALLER_SENDS, StreamState

__all__ = ["FrameHolder", "room_made"]

_SHARED: Final = int(Flag.SHARED)


def room_made(over: events.Exhausted, event: events.Item | events.Data) -> events.Exhausted:
    """*over* has made room for *event*, or was for the same call."""
    if over.stream_id != event.stream_id:
        over.event = event
    return over


class FrameHolder(FrameSender):
    """What has come and was not used yet.  A base of :class:`rat.frames.engine.FramesEngine`."""

    __slots__ = ("_holding",)

    def __init__(self, limits: FrameLimits, *, is_client: bool) -> None:
        super().__init__(limits, is_client=is_client)
        self._holding: Holding | None = None
        """Made when something is to be held: most connections hold nothing."""

    @property
    def unread(self) -> int:
        """Bytes that the peer has sent and this side holds, as ``FrameLimits.held`` counts them."""
        return 0 if self._holding is None else self._holding.total(self._calls.keys())

    def consume(self, stream_id: int, size: int, length: int = 0) -> None:
        """What an Item or Data event of *size* brought has been used: the peer may send as much again.

        *length*: the event's, where that is more.
        """
        if self._holding is not None:
            self._holding.take(stream_id, length or size)
        stream = self._calls.get(stream_id)
        if stream is None or not size:
            return
        amount = stream.consume(size)
        if amount:
            self._writer.frame(Kind.CREDIT, 0, stream_id, amount.to_bytes(4))

    def let_go(self, stream_id: int) -> None:
        """Nobody will use what Item and Data events of the call have brought.  No credit is given back for it."""
        if self._holding is not None:
            self._holding.let_go(stream_id)

    def starve(self, stream_id: int) -> None:
        """The reader of the call's items has taken all that has come, and waits: the peer may get a larger window."""
        stream = self._calls.get(stream_id)
        if stream is None or not stream.was_last:
            return
        grown = sum(other.grown for other in self._calls.values() if other is not None)
        amount = stream.grow(self._limits.growth - grown)
        if amount:
            self._writer.frame(Kind.CREDIT, 0, stream_id, amount.to_bytes(4))

    # -- the bound

    def _held(self) -> Holding:
        if self._holding is None:
            self._holding = Holding(most_held(self._limits))
        return self._holding

    def _hold(self, stream_id: int, size: int) -> events.Exhausted | None:
        """An item or data that passes the limit is held, unless the call that is over for it is its own."""
        over = self._make_room(stream_id, size)
        if over is None or over.stream_id != stream_id:
            self._held().add(stream_id, size)
        return over

    def _hold_arguments(self, stream_id: int, size: int) -> events.Exhausted | None:
        """Arguments of *size* bytes are held until their call is over; unless that is refused, and answered."""
        holding = self._holding or self._held()
        if holding.add_arguments(stream_id, size):
            return None
        over = self._make_room(stream_id, size)
        if over is None or over.stream_id != stream_id:
            holding.add_arguments(stream_id, size)
        else:
            self._error(events.Error(stream_id, "exhausted", over.reason))
        return over

    def _hold_pieces(self, pieces: Pieces, kind: Kind, flags: int, stream_id: int) -> events.Exhausted | None:
        """A part of a value has come: another call makes room for it, or it is not kept.

        A result is: who made the call waits for it.  So is what the tables have to follow.
        """
        if kind is Kind.RESULT or pieces.is_dropped or self._held().has_room(pieces.size):
            return None
        if kind is Kind.ITEM and stream_id not in self._calls:
            return None
        over = self._make_room(stream_id, pieces.size)
        if over is None or over.stream_id != stream_id:
            return over
        if not flags & _SHARED:
            pieces.drop()
        # A call is answered when its id can be judged: with its last piece.
        return over if kind is Kind.ITEM else None

    def _make_room(self, stream_id: int, size: int) -> events.Exhausted | None:
        """End the call that has to go so that *size* bytes more of *stream_id* can be held; it may be that itself."""
        holding, calls = self._held(), self._calls
        going = holding.give_way(stream_id, size, calls.keys())
        if going is None:
            return None
        total, share = holding.total(calls.keys()) + size, holding.unread(going) + (size if going == stream_id else 0)
        reason = f"{total} bytes would be held unread, {share} of them of this call, limit {holding.limit}"
        if going in calls:
            if going & 1 == self._parity:
                self._error(events.Error(going, "exhausted", reason))
            else:
                self._writer.frame(Kind.CANCEL, 0, going)
            del calls[going]
            self.let_go(going)
        return events.Exhausted(going, reason)

    # -- what comes on a stream

    @abstractmethod
    def _refuse(self, code: str, message: str) -> RemoteProtocolError:
        """The peer broke a rule: say so once, read no more.  Returns what is to be raised."""

    @abstractmethod
    def _decode(self, kind: Kind, flags: int, stream_id: int, payload: bytes | memoryview, is_owned: bool) -> Any:
        """The value that *payload* holds."""

    def _step(self, kind: Kind, stream_id: int) -> Stream | None:
        """The call that a frame of the peer belongs to, moved on; None if it is over: the frame was under way."""
        is_remote = stream_id & 1 == self._parity
        if stream_id not in self._calls:
            if stream_id > (self._last_remote if is_remote else self._last_local):
                raise self._refuse("protocol", f"{kind.name} frame on stream {stream_id}, which was never opened")
            return None
        stream = self._stream(stream_id)
        becomes = (CALLER_SENDS if is_remote else CALLEE_SENDS)[stream.state].get(kind)
        if becomes is None:
            raise self._refuse("protocol", f"{kind.name} frame on stream {stream_id}, and {stream.state.value}"
                               if kind in (Kind.ITEM, Kind.DATA, Kind.END)
                               else f"{kind.name} frame on stream {stream_id} from the wrong side")  # fmt: skip
        if becomes is StreamState.OVER:
            del self._calls[stream_id]
        stream.state = becomes
        return stream

    def _receive_value(
        self, kind: Kind, flags: int, stream_id: int, payload: bytes | memoryview, is_owned: bool
    ) -> events.Event | None:
        stream = self._step(kind, stream_id)
        size, length, over = 0, len(payload), None
        if kind is Kind.ITEM and stream is not None:
            size = stream.receive_value(length)
            if size < 0:
                raise self._overrun(kind, stream_id, length, stream)
            if not (self._holding or self._held()).add(stream_id, length):
                over = self._hold(stream_id, length)
                if over is not None and over.stream_id == stream_id and not flags & _SHARED:
                    return over
        # Decoded also when nobody wants it any more: the tables have to follow.
        value = self._decode(kind, flags, stream_id, payload, is_owned)
        if stream is None:
            return None
        if kind is Kind.RESULT:
            return events.Result(stream_id, value)
        item = events.Item(stream_id, value, size, length)
        return item if over is None else room_made(over, item)

    def _receive_blob(self, stream_id: int, payload: bytes | memoryview, is_owned: bool) -> events.Event | None:
        if not payload:
            raise self._refuse("protocol", f"DATA frame on stream {stream_id} without data")
        stream = self._step(Kind.DATA, stream_id)
        if stream is None:
            return None
        size = stream.receive_data(len(payload))
        if size < 0:
            raise self._overrun(Kind.DATA, stream_id, len(payload), stream)
        over = None if (self._holding or self._held()).add(stream_id, size) else self._hold(stream_id, size)
        data = events.Data(stream_id, payload if is_owned else bytes(payload), size)
        return data if over is None else room_made(over, data)

    def _overrun(self, kind: Kind, stream_id: int, size: int, stream: Stream) -> RemoteProtocolError:
        return self._refuse("credit", f"{kind.name} frame of {size} bytes on stream {stream_id}, credit "
                            f"{stream.receive_credit}")  # fmt: skip

    def _receive_credit(self, stream_id: int, amount: int) -> events.Event | None:
        stream = self._step(Kind.CREDIT, stream_id)
        if stream is None:
            return None
        if amount == 0 or stream.send_credit + amount > MAX_CREDIT:
            raise self._refuse("credit", f"CREDIT of {amount} bytes on stream {stream_id}, which has "
                               f"{stream.send_credit} and may have {MAX_CREDIT}")  # fmt: skip
        stream.send_credit += amount
        return events.Credit(stream_id, amount)
