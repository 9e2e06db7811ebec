"""One side of a frames connection over a transport: what server and client have in common.

Owns reading into the slab, and what both sides do when the other is silent, slow or gone.  The half that speaks is
:class:`rat.peer_sender.PeerSender`, the half that hears :class:`rat.peer_receiver.PeerReceiver`; what a call means is
for the two classes above them.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import threading
from typing import cast

from rat.errors import RemoteProtocolError
from rat.events import PAUSED, Signal
from rat.flow import Flow
from rat.frames import events
from rat.frames.reader import ALONE, EXACT_FROM
from rat.frames.straight import StraightFramesEngine
from rat.frames.tables import ConnectionState
from rat.peer_receiver import PeerReceiver
from rat.peer_sender import HOLD, WRITABLE, StreamOver

__all__ = ["HOLD", "Link", "Peer", "StreamOver"]

log = logging.getLogger("rat.frames")

_SLAB = 2 * EXACT_FROM
_WAKE_FROM = 128 * 1024
_WAKE_AT_MOST = 1024 * 1024
"""So much of a large frame, at most, is waited for before the socket is read again.  A quick reader finds a packet or
two of 64 KiB each time, and every one of them wakes the loop (bench: blobs)."""
_TURN = 256
"""Events after which other connections have their turn: thousands of small frames may come in one read, and uvloop goes
on reading up to 32 times."""
_LANE = 128
"""As many events as one run of the fast lane counts for."""
_LINGER = 1024 * 1024
"""Most bytes that are read and thrown away while lingering."""
_threads = threading.local()


def _slab() -> memoryview:
    """The slab of this thread: every connection of its loop reads into it, since no frame stays there."""
    slab: memoryview | None = getattr(_threads, "slab", None)
    if slab is None:
        slab = _threads.slab = memoryview(bytearray(_SLAB))
    return slab


class Link(enum.Enum):
    """What this side still does with the connection."""

    OPEN = "calls are made and answered"
    FINISHING = "no new calls: it closes when the last one is over"
    LINGERING = "the last words are out; what still comes is thrown away so that they can be read"
    CLOSING = "what is unsent is being sent"
    LOST = "the transport is gone"


TRANSITIONS = {
    # link             sees                          becomes
    (Link.OPEN, "drain"): Link.FINISHING,
    (Link.OPEN, "end of stream"): Link.FINISHING,
    (Link.OPEN, "protocol error"): Link.LINGERING,
    (Link.OPEN, "deadline"): Link.LINGERING,
    (Link.FINISHING, "last call over"): Link.CLOSING,
    (Link.FINISHING, "protocol error"): Link.LINGERING,
    (Link.FINISHING, "deadline"): Link.LINGERING,
    (Link.LINGERING, "end of stream"): Link.CLOSING,
    (Link.LINGERING, "deadline"): Link.CLOSING,
    (Link.LINGERING, "connection lost"): Link.LOST,
    (Link.OPEN, "connection lost"): Link.LOST,
    (Link.FINISHING, "connection lost"): Link.LOST,
    (Link.CLOSING, "connection lost"): Link.LOST,
}


class Peer(PeerReceiver, asyncio.BufferedProtocol):
    """A transport's callbacks on one side, the frames engine's verbs on the other.

    Not safe across threads.  After :meth:`connection_lost` every inbox fails, and who waits for credit gets StreamOver.
    """

    __slots__ = ("_linger_left", "_progress", "_progress_since", "_slab", "_turn_handle",
                 "linger_since", "link", "touched", "transport")  # fmt: skip

    transport: asyncio.Transport

    def __init__(
        self, loop: asyncio.AbstractEventLoop, engine: StraightFramesEngine, *, high_water: int, low_water: int
    ) -> None:
        super().__init__(loop, engine, Flow(loop, high_water=high_water, low_water=low_water))
        self.link = Link.OPEN
        self.touched = 0.0
        """When the peer was last heard."""
        self._slab = _slab()
        self._turn_handle: asyncio.Handle | None = None
        self._frame_since: float | None = None
        self._linger_left = _LINGER
        self.linger_since = 0.0
        self._progress = 0
        self._progress_since = 0.0

    # -- the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self.transport = cast(asyncio.Transport, transport)
        self.flow.connection_made(self.transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read to: the slab, or what is missing of a large frame."""
        return self.engine.reader.get_buffer(self._slab)

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes of the peer are there."""
        if self.link is Link.LINGERING:
            self._linger_left -= nbytes
            if self._linger_left < 0:
                self.abort()
            return
        self.touched = self.now()
        # A large frame comes in many reads, and all but the last give nothing to do.
        reader, flow = self.engine.reader, self.flow
        came = reader.buffer_updated(self._slab, nbytes)
        wakes_at = 1
        if not came and (missing := reader.wanted()) >= _WAKE_FROM:
            wakes_at = missing if missing < _WAKE_AT_MOST else _WAKE_AT_MOST
        if wakes_at != flow.wakes_at:
            flow.wake_at(wakes_at)
        if came:
            if came != ALONE or not self.large_came():
                self.pump()
        elif self._frame_since is None:
            self._frame_since = self.touched

    def _give_way(self) -> None:
        """Go on with this connection in the loop's next turn."""
        self.flow.pause("turn")
        if self._turn_handle is None:
            self._turn_handle = self.loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turn_handle = None
        if self.link is Link.OPEN or self.link is Link.FINISHING:
            self.pump()
            if self._turn_handle is None:
                self.flow.resume("turn")

    def eof_received(self) -> bool:
        """The peer will send no more; what it is owed is still sent."""
        if self.link is Link.LINGERING:
            self.close()
            return True
        self.engine.receive_eof()
        self.pump()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self.link = Link.LOST
        self.flow.connection_lost()
        for handle in (self._flush_handle, self._turn_handle):
            if handle is not None:
                handle.cancel()
        self._flush_handle = self._turn_handle = None
        for inbox in self.inboxes.values():
            inbox.fail(self.lost_error())
        self.inboxes.clear()
        self._waiters.wake_all()

    def pause_writing(self) -> None:
        """The transport is full."""
        self.flow.write_paused = True

    def resume_writing(self) -> None:
        """The transport takes bytes again."""
        self.flow.resume_writing()
        self._waiters.wake(WRITABLE)
        if "output" in self.flow.reasons:
            self.pump()

    # -- events

    def pump(self) -> None:
        """Take events of the engine, and write what they gave rise to, once."""
        engine, flow = self.engine, self.flow
        next_event, fast_lane, dispatch = engine.next_event, self.fast_lane, self._DISPATCH
        taken = 0
        try:
            while True:
                if taken >= _TURN:
                    self._give_way()
                    break
                if flow.write_paused and not self.reads_when_full:
                    flow.pause("output")
                    break
                if fast_lane():
                    taken += _LANE
                    if engine.held >= HOLD:
                        self.flush()
                    elif engine.is_drained and not flow.reasons:
                        break
                    continue
                event = next_event()
                kind = event.__class__
                if kind is Signal:
                    if event is PAUSED:
                        self._give_way()
                        break
                    flow.resume("output")
                    if event is Signal.CLOSED:
                        self.finish()
                    break
                taken += 1
                if kind is events.Call:
                    self.call_received(cast(events.Call, event))
                else:
                    dispatch[kind](self, event)
                if engine.held >= HOLD:
                    # Nothing holds what came any more: the next large frame may be read into the same memory.
                    del event
                    self.flush()
                    if engine.is_drained and not flow.reasons:
                        break
        except RemoteProtocolError as error:
            self.refused(error)
            self.linger()
        finally:
            engine.reader.release()
            if not engine.is_inside_frame:
                self._frame_since = None
            elif taken or self._frame_since is None:
                self._frame_since = self.now()
            self.flush()

    # -- the end

    @property
    def is_lost(self) -> bool:
        """The transport is gone."""
        return self.link is Link.LOST

    def finish(self) -> None:
        """Close when the last call is over: at once, if there is none."""
        if self.link is Link.OPEN:
            self.link = Link.FINISHING
        self.close_if_finished()

    def close_if_finished(self) -> None:
        """Close if that is all that is left to do."""
        if self.link is Link.FINISHING and not self.engine.calls_in_flight:
            self.close()

    def linger(self) -> None:
        """Write what is unsent, then close once the peer has, as RFC 9112, section 9.6 has it for HTTP.

        Closed at once, the connection would be reset by what the peer still sends, and the last words with it.
        """
        if self.link is Link.OPEN or self.link is Link.FINISHING:
            self.flush()
            if self.engine.is_at_end or not self.flow.write_eof():
                self.close()
                return
            self.link = Link.LINGERING
            self.linger_since = self.now()
            self.flow.resume_all()

    def close(self) -> None:
        """Write what is unsent, then close."""
        if self.link is not Link.CLOSING and self.link is not Link.LOST:
            self.link = Link.CLOSING
            self.flush()
            self.transport.close()

    def abort(self) -> None:
        """Close now, losing what is unsent."""
        if self.link is not Link.LOST:
            self.link = Link.CLOSING
            self.transport.abort()

    # -- deadlines

    def stalled_writing(self, now: float, limit: float) -> bool:
        """Whether the peer has taken nothing of what waits for it for *limit* seconds."""
        if not self.transport.get_write_buffer_size():
            self._progress_since = now
            return False
        progress = self.flow.progress()
        if progress != self._progress:
            self._progress = progress
            self._progress_since = now
        if now - self._progress_since < limit:
            return False
        self._progress_since = now
        return True

    def stalled_reading(self, now: float, limit: float) -> bool:
        """Whether a frame has been incomplete for *limit* seconds."""
        return self._frame_since is not None and not self.flow.reasons and now - self._frame_since >= limit

    @property
    def has_hello(self) -> bool:
        """Whether the peer has introduced itself."""
        return self.engine.state is not ConnectionState.HELLO
