"""The half of a frames connection that hears: what each event of the peer means for whoever waits for it here.

Knows no transport but through its flow.  What a call means is for the classes above.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, ClassVar

from rat.codec.frame import Kind
from rat.errors import CallError, ConnectionLost, RemoteProtocolError
from rat.events import Buffer
from rat.flow import Flow
from rat.frames import events
from rat.frames.reader import Frame
from rat.frames.straight import StraightFramesEngine
from rat.peer_sender import PeerSender

__all__ = ["PeerReceiver"]

log = logging.getLogger("rat.frames")


class PeerReceiver(PeerSender):
    """What is heard on one connection.  Not safe across threads."""

    __slots__ = ("_frame_since",)

    _DISPATCH: ClassVar[dict[type[Any], Callable[[Any, Any], None]]]
    reads_when_full: ClassVar[bool] = False
    """Whether reading goes on while the transport is full of what this side has written."""

    def __init__(self, loop: asyncio.AbstractEventLoop, engine: StraightFramesEngine, flow: Flow) -> None:
        super().__init__(loop, engine, flow)
        self._frame_since: float | None = None
        """Since when a part of a frame has been here, and nothing else."""

    # -- what the two sides do for themselves

    def now(self) -> float:
        """Monotonic seconds; may be coarse."""
        return self.loop.time()

    def lost_error(self) -> Exception:
        """What readers of unfinished streams get when the connection is gone."""
        return ConnectionLost()

    def hello_received(self, hello: events.Hello) -> None:
        """The peer has introduced itself."""

    def call_received(self, call: events.Call) -> None:
        """The peer calls."""
        self.engine.error(call.stream_id, "not_found", "this side answers no calls")

    def fast_lane(self) -> bool:
        """Answer calls without events for them; whether there were any."""
        return False

    def result_received(self, result: events.Result) -> None:
        """An answer to a call of this side."""

    def error_received(self, error: events.Error) -> None:
        """A call of this side has failed."""

    def cancel_received(self, cancel: events.Cancel) -> None:
        """The peer wants no more of a call."""

    def end_received(self, end: events.End) -> None:
        """The peer has sent all of its part of a stream."""
        inbox = self.inboxes.get(end.stream_id)
        if inbox is not None:
            inbox.end()

    def goaway_received(self, goaway: events.Goaway) -> None:
        """The peer takes no new calls."""

    def refused(self, error: RemoteProtocolError) -> None:
        """The peer broke the rules; the connection is being closed."""
        log.debug("frames connection refused: %s", error)

    # -- events

    def large_came(self) -> bool:
        """Take a large frame that is all that has come, straight; False, and nothing was done, if it is not plain."""
        flow = self.flow
        if flow.reasons or (flow.write_paused and not self.reads_when_full):
            return False
        frame = self.engine.reader.peek_large()
        kind = frame[0] >> 24
        if kind == Kind.DATA:
            blob = self.engine.take_blob(frame)
            if blob is None:
                return False
            self._blob_received(*blob)
        elif kind != Kind.CALL or not self.answer_large(frame):
            return False
        self._frame_since = None
        # So that the memory is free when the next frame is read into it.
        del frame
        self.flush()
        return True

    def answer_large(self, frame: Frame) -> bool:
        """Answer a large call without an event for it; whether that was done."""
        return False

    def _item_received(self, item: events.Item) -> None:
        inbox = self.inboxes.get(item.stream_id)
        if inbox is not None:
            inbox.feed(item.value, item.size, item.length)
        else:
            self.engine.let_go(item.stream_id)

    def _data_received(self, data: events.Data) -> None:
        self._blob_received(data.stream_id, data.data)

    def _blob_received(self, stream_id: int, data: Buffer) -> None:
        inbox = self.inboxes.get(stream_id)
        if inbox is not None:
            size = len(data)
            inbox.feed(data, size, size)
        else:
            self.engine.let_go(stream_id)

    def _exhausted(self, exhausted: events.Exhausted) -> None:
        self.given_up(exhausted.stream_id, CallError("exhausted", exhausted.reason))
        event = exhausted.event
        if event is not None:
            self._DISPATCH[type(event)](self, event)

    def given_up(self, stream_id: int, error: CallError) -> None:
        """A call had too much unread: it is over, and the peer knows."""
        self.let_go(stream_id, error)

    def _credit_received(self, credit: events.Credit) -> None:
        if self.engine.credit_of(credit.stream_id) > 0:
            self._waiters.wake(credit.stream_id)

    def pong_received(self, pong: events.Pong) -> None:
        """The answer to a ping; any other byte of the peer shows as well that it is there."""


PeerReceiver._DISPATCH = {
    events.Call: lambda peer, event: peer.call_received(event),
    events.Hello: lambda peer, event: peer.hello_received(event),
    events.Result: lambda peer, event: peer.result_received(event),
    events.Error: lambda peer, event: peer.error_received(event),
    events.Cancel: lambda peer, event: peer.cancel_received(event),
    events.End: lambda peer, event: peer.end_received(event),
    events.Goaway: lambda peer, event: peer.goaway_received(event),
    events.Item: PeerReceiver._item_received,
    events.Data: PeerReceiver._data_received,
    events.Credit: PeerReceiver._credit_received,
    events.Exhausted: PeerReceiver._exhausted,
    events.Pong: lambda peer, event: peer.pong_received(event),
}
