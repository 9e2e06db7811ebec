"""What this side of a connection holds for the peer: credit that is given back, and the bound of what nobody reads.

Knows no socket and no readers; they say what they have used.
"""

from __future__ import annotations

from typing import Final

from rat.codec.frame import Flag, Kind
from rat.config import FrameLimits
from rat.frames import events
from rat.frames.holding import Holding
from rat.frames.pieces import Pieces
from rat.frames.sending import FrameSender

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
        if stream is None:
            return
        grown = sum(other.grown for other in self._calls.values() if other is not None)
        amount = stream.grow(self._limits.growth - grown)
        if amount:
            self._writer.frame(Kind.CREDIT, 0, stream_id, amount.to_bytes(4))

    # -- the bound

    def _held(self) -> Holding:
        if self._holding is None:
            limits = self._limits
            self._holding = Holding(max(limits.held, limits.assembled, limits.payload))
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
