"""The half of a frames connection that speaks: one write for each turn, credit and room that are waited for.

Knows no transport but through its flow, and nothing of why the connection ends.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from rat.errors import LocalProtocolError
from rat.events import Buffer
from rat.flow import Flow
from rat.frames.straight import StraightFramesEngine
from rat.stream.inbox import Inbox
from rat.stream.waiters import Waiters

__all__ = ["HOLD", "WRITABLE", "PeerSender", "StreamOver"]

HOLD: Final = 64 * 1024
"""Bytes of answers after which they are written before the next event is taken."""
WRITABLE: Final = 0
"""What writers wait for; any other key is a stream whose credit is waited for."""
_JOIN_BELOW: Final = 64 * 1024


class StreamOver(LocalProtocolError):
    """The other side has ended the call; nothing more can be sent on it."""


class PeerSender:
    """What is said on one connection, and what waits to be said.

    Not safe across threads.  Who waits for credit or room gets StreamOver when the call or the connection is over.
    """

    __slots__ = ("_flush_handle", "_waiters", "engine", "flow", "inboxes", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, engine: StraightFramesEngine, flow: Flow) -> None:
        self.loop = loop
        self.engine = engine
        self.flow = flow
        self.inboxes: dict[int, Inbox] = {}
        """What the peer sends on the calls that it goes on with."""
        self._waiters = Waiters()
        self._flush_handle: asyncio.Handle | None = None

    def flush(self) -> None:
        """Write what the engine has gathered."""
        engine = self.engine
        if not engine.has_output:
            return
        held, flow = engine.held, self.flow
        out = engine.take()
        if held < _JOIN_BELOW:
            flow.hold(b"".join(out))
            flow.flush()
        else:
            flow.write_through(out)

    def flush_soon(self) -> None:
        """Write what the engine has gathered when the loop's turn ends: one write for all who ask in it."""
        if self._flush_handle is None and not self.flow.lost:
            self._flush_handle = self.loop.call_soon(self._flush_at_end_of_turn)

    def _flush_at_end_of_turn(self) -> None:
        self._flush_handle = None
        self.flush()

    def open_inbox(self, stream_id: int) -> Inbox:
        """Where the items that the peer sends on the call will lie."""

        def taken(size: int, length: int) -> None:
            self.engine.consume(stream_id, size, length)
            if self.engine.has_output:
                self.flush_soon()

        def empty() -> None:
            self.engine.starve(stream_id)
            if self.engine.has_output:
                self.flush_soon()

        inbox = self.inboxes[stream_id] = Inbox(taken, empty)
        return inbox

    def send_at_once(self, stream_id: int, value: Any) -> bool:
        """Send one item, if nothing speaks against it; False: :meth:`send_item` knows what does."""
        engine = self.engine
        if self.flow.write_paused or engine.held >= HOLD or not engine.is_live(stream_id) or self.flow.lost:
            return False
        if not engine.item(stream_id, value):
            return False
        if self._flush_handle is None:
            self.flush_soon()
        return True

    async def send_item(self, stream_id: int, value: Any) -> None:
        """Send one item; waits for credit and for room in the transport.  Raises StreamOver when the call has ended."""
        while True:
            if not self.engine.is_live(stream_id) or self.flow.lost:
                raise StreamOver(f"call {stream_id} is over")
            if self.engine.item(stream_id, value):
                break
            await self._credit(stream_id)
        if self.engine.held >= HOLD:
            self.flush()
        else:
            self.flush_soon()
        if self.flow.write_paused:
            await self.writable()

    async def send_data(self, stream_id: int, data: Buffer) -> None:
        """Send bytes of a blob; waits as :meth:`send_item` does.  *data* may not be changed until the peer has it."""
        rest = memoryview(data).cast("B")
        while len(rest):
            if not self.engine.is_live(stream_id) or self.flow.lost:
                raise StreamOver(f"call {stream_id} is over")
            taken = self.engine.data(stream_id, rest)
            rest = rest[taken:]
            if self.flow.write_paused:
                self.flush()
                await self.writable()
            elif len(rest):
                await self._credit(stream_id)
        if self.engine.held >= HOLD:
            self.flush()
        else:
            self.flush_soon()

    async def _credit(self, stream_id: int) -> None:
        self.flush()
        await self._waiters.wait(stream_id)

    async def writable(self) -> None:
        """Wait until the transport takes bytes again, or is gone."""
        while self.flow.write_paused and not self.flow.lost:
            await self._waiters.wait(WRITABLE)

    def let_go(self, stream_id: int, error: Exception | None = None) -> None:
        """The call is over, and nobody is to read on: what was not read is let go, its reader gets *error*.

        Without *error* the reader gets StreamOver if there was something, else the end.
        """
        inbox = self.inboxes.get(stream_id)
        if inbox is not None:
            self.drop(stream_id, inbox, error)
        self.forget(stream_id)

    def drop(self, stream_id: int, inbox: Inbox, error: Exception | None = None) -> None:
        """As :meth:`let_go`, for the inbox of a call that may have been over for long."""
        if inbox or error is not None:
            inbox.drop(error or StreamOver(f"call {stream_id} is over"))
            self.engine.let_go(stream_id)

    def forget(self, stream_id: int, error: Exception | None = None) -> None:
        """The call is over: its reader gets what has come, then *error* or the end; its writer StreamOver."""
        inbox = self.inboxes.pop(stream_id, None)
        if inbox is not None:
            if error is not None:
                inbox.fail(error)
            else:
                inbox.end()
        self._waiters.wake(stream_id)
