"""The client's side of one frames connection: calls out, answers in."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any, ClassVar

from rat.config import FrameLimits
from rat.errors import CallError, ConnectionLost, RemoteProtocolError
from rat.frames import events
from rat.frames.sending import PeerFull
from rat.frames.straight import StraightFramesEngine
from rat.frames.tables import ConnectionState
from rat.peer import Link, Peer

__all__ = ["ClientPeer"]

_HIGH_WATER = 256 * 1024
_LOW_WATER = 64 * 1024


class _Place:
    """A call's place in the line of those whose arguments, of *size* bytes, wait for room at the server."""

    __slots__ = ("_waiter", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def go_on(self) -> None:
        """There is room, or none will come."""
        if not self._waiter.done():
            self._waiter.set_result(None)

    async def free(self) -> None:
        """Wait for :meth:`go_on`."""
        await self._waiter


class ClientPeer(Peer):
    """One connection to a server, once :meth:`introduced`.

    Reading never stops while this side has unsent bytes, or two full sides would wait for each other.  What a server
    can have it write meanwhile is bounded: answers to PING.
    """

    __slots__ = ("_answers", "_deadline_handle", "_deadlines", "_goners", "_introduction", "_limits", "_lost",
                 "_pings", "_places", "_pongs", "_waiting", "_why")  # fmt: skip

    reads_when_full: ClassVar[bool] = True

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: FrameLimits,
        *,
        features: frozenset[str],
        profile: events.Profile,
    ) -> None:
        engine = StraightFramesEngine(limits, is_client=True, features=features, profile=profile)
        super().__init__(loop, engine, high_water=_HIGH_WATER, low_water=_LOW_WATER)
        self._limits = limits
        self._pongs = 0
        """Answers to PING that the transport has had room for."""
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._introduction: asyncio.Future[None] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()
        self._goners: list[Callable[[Any], None]] = []
        self._pings: list[asyncio.Future[None]] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._places: list[_Place] = []
        """Calls whose arguments wait for room at the server, in the order in which they are made."""
        self._why: Exception | None = None
        # One timer for all deadlines; they mostly come in the order in which they end.
        self._deadlines: list[tuple[float, int]] = []
        self._deadline_handle: asyncio.TimerHandle | None = None

    # -- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server has accepted: HELLO."""
        super().connection_made(transport)
        self.flush()

    async def introduced(self) -> None:
        """Wait for the server's HELLO.  Raises ConnectionLost, or RemoteProtocolError for one that does not fit."""
        await self._introduction

    def flush(self) -> None:
        """Write what the engine has gathered; the end of a server that asks for answers and reads none."""
        super().flush()
        if not self.flow.write_paused:
            self._pongs = self.engine.pongs
        elif self.engine.pongs - self._pongs > self._limits.pongs and not self.is_lost:
            self._why = ConnectionLost(f"the server has sent more than {self._limits.pongs:,} PINGs and reads nothing")
            self.abort()

    def hello_received(self, hello: events.Hello) -> None:
        """The server has answered."""
        if not self._introduction.done():
            self._introduction.set_result(None)

    def refused(self, error: RemoteProtocolError) -> None:
        """The server broke the rules."""
        self._why = error
        super().refused(error)

    def goaway_received(self, goaway: events.Goaway) -> None:
        """No new calls; those above *last* were not begun."""
        if goaway.code != "drain":
            self._why = ConnectionLost(f"the server refused this side: {goaway.message}")
        self.finish()

    def finish(self) -> None:
        """No new calls; and a server that sends no more will not answer those in flight either: they fail."""
        super().finish()
        if self.engine.state is ConnectionState.CLOSED:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Every call in flight has lost its answer."""
        super().connection_lost(exc)
        error = self.lost_error()
        if not self._introduction.done():
            self._introduction.set_exception(self._why or error)
            self._introduction.exception()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)
        self._answers.clear()
        for ping in self._pings:
            if not ping.done():
                ping.set_exception(error)
        self._pings.clear()
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        for place in self._places:
            place.go_on()
        if self._deadline_handle is not None:
            self._deadline_handle.cancel()
        if not self._lost.done():
            self._lost.set_result(None)
        for goner in self._goners:
            goner(self)

    def lost_error(self) -> Exception:
        """What readers and callers get."""
        if isinstance(self._why, ConnectionLost):
            return self._why
        return ConnectionLost(f"the connection was lost: {self._why}" if self._why else "the connection was lost")

    async def gone(self) -> None:
        """Wait until the connection is closed."""
        await asyncio.shield(self._lost)

    def on_gone(self, callback: Callable[[Any], None]) -> None:
        """Call *callback* with this connection when it is closed."""
        if self._lost.done():
            callback(self)
        else:
            self._goners.append(callback)

    @property
    def takes_calls(self) -> bool:
        """Whether a call can be made on it."""
        return self.link is Link.OPEN and self.has_hello and self.engine.peer_goaway is None

    # -- calls

    async def room(self) -> None:
        """Wait until the transport takes bytes, and the server another call.  Raises ConnectionLost."""
        while True:
            await self.writable()
            if not self.takes_calls:
                raise self.lost_error()
            if self.engine.has_room:
                return
            waiter = self.loop.create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            finally:
                self._waiting.remove(waiter)

    def _make_room(self) -> None:
        """A call is over: whoever has waited longest may make one."""
        if self._places:
            self._next_place()
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
                return

    def _next_place(self) -> None:
        """Let the first call that waits for room at the server go on, if there is some."""
        if self._places and (not self.takes_calls or self.engine.takes(self._places[0].size)):
            self._places[0].go_on()

    def begin(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: dict[str, Any] | None,
        *,
        is_open: bool,
        waits: bool = False,
    ) -> tuple[int, asyncio.Future[Any]]:
        """Send a call: its stream id, and the future of its answer.  Raises PeerFull as the engine's ``call`` does."""
        engine = self.engine
        stream_id = engine.open_stream()
        engine.call(events.Call(stream_id, name, list(args), kwargs or None, options, is_open), waits=waits)
        answer = self._answers[stream_id] = self.loop.create_future()
        if self._flush_handle is None:
            self._flush_handle = self.loop.call_soon(self._flush_at_end_of_turn)
        return stream_id, answer

    async def place(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: dict[str, Any] | None,
        timeout: float | None,
        *,
        is_open: bool,
    ) -> tuple[int, asyncio.Future[Any]]:
        """As :meth:`begin`, when the server takes the call; it fails *timeout* seconds from now if it is not answered.

        Raises CallError ``deadline`` if there was no room for its arguments until then; ConnectionLost.
        """
        if self.flow.write_paused or not self.engine.has_room or self.link is not Link.OPEN:
            await self.room()
        place = None
        try:
            try:
                begun = self.begin(name, args, kwargs, options, is_open=is_open, waits=bool(self._places))
            except PeerFull as full:
                place = _Place(full.size)
                # Other calls with counted arguments go behind it, until it has been made or given up.
                self._places.append(place)
                timeout = await self._room_for(place, timeout)
                begun = self.begin(name, args, kwargs, options, is_open=is_open)
        finally:
            if place is not None:
                self._places.remove(place)
                self._next_place()
        if timeout is not None:
            self.limit(begun[0], timeout)
        return begun

    async def _room_for(self, place: _Place, timeout: float | None) -> float | None:
        """Wait until *place* is the first and the server has room for its arguments: what is left of *timeout*."""
        self._next_place()
        try:
            async with asyncio.timeout(timeout) as limit:
                await place.free()
                await self.room()
                # Calls go in the order of their places, so that nobody has taken the room meanwhile.
        except TimeoutError:
            raise CallError("deadline", f"no room for {place.size} bytes of arguments within {timeout:g} s") from None
        when = limit.when()
        return None if when is None else max(0.0, when - self.loop.time())

    async def call(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: dict[str, Any] | None,
        timeout: float | None,
    ) -> Any:
        """The result of a call; cancelled at the server when the caller is cancelled."""
        stream_id, answer = await self.place(name, args, kwargs, options, timeout, is_open=False)
        try:
            return await answer
        except asyncio.CancelledError:
            self.abandon(stream_id)
            raise
        finally:
            # It holds what it raised, whose traceback holds this frame.
            del answer

    def abandon(self, stream_id: int) -> None:
        """Nobody waits for the answer any more: tell the server."""
        self._answers.pop(stream_id, None)
        self.let_go(stream_id)
        if self.link is not Link.LOST and self.engine.is_live(stream_id):
            self.engine.cancel(stream_id)
            self.flush_soon()
            self._make_room()
            self.close_if_finished()

    def result_received(self, result: events.Result) -> None:
        """An answer."""
        answer = self._answers.pop(result.stream_id, None)
        if answer is not None and not answer.done():
            answer.set_result(result.value)
        if self.inboxes:
            self.forget(result.stream_id)
        if self._waiting or self._places:
            self._make_room()
        if self.link is Link.FINISHING:
            self.close_if_finished()

    def end_received(self, end: events.End) -> None:
        """A stream is whole: its result is None."""
        self.result_received(events.Result(end.stream_id, None))

    def error_received(self, error: events.Error) -> None:
        """A call has failed."""
        self._fail(error.stream_id, CallError(error.code, error.message, error.detail))

    def cancel_received(self, cancel: events.Cancel) -> None:
        """The server has given a call up."""
        self._fail(cancel.stream_id, CallError("cancelled", "the server cancelled the call"))

    def _fail(self, stream_id: int, error: Exception) -> None:
        answer = self._answers.pop(stream_id, None)
        if answer is not None and not answer.done():
            answer.set_exception(error)
            if stream_id in self.inboxes:
                answer.exception()  # the reader of the stream gets it as well
        self.forget(stream_id, error)
        self._make_room()
        self.close_if_finished()

    def given_up(self, stream_id: int, error: CallError) -> None:
        """Nobody reads what the server sends on one of this side's calls."""
        self.let_go(stream_id, error)
        self._fail(stream_id, error)

    # -- deadlines

    def limit(self, stream_id: int, seconds: float) -> None:
        """Fail the call with code ``deadline`` when it is not answered within *seconds*."""
        when = self.loop.time() + seconds
        heapq.heappush(self._deadlines, (when, stream_id))
        if self._deadlines[0][0] == when:
            self._arm()

    def _arm(self) -> None:
        if self._deadline_handle is not None:
            self._deadline_handle.cancel()
        self._deadline_handle = self.loop.call_at(self._deadlines[0][0], self._sweep) if self._deadlines else None

    def _sweep(self) -> None:
        now = self.loop.time()
        while self._deadlines and (self._deadlines[0][0] <= now or self._deadlines[0][1] not in self._answers):
            stream_id = heapq.heappop(self._deadlines)[1]
            if stream_id in self._answers:
                error = CallError("deadline", "the call was not answered before its deadline")
                self._fail(stream_id, error)
                self.abandon(stream_id)
        self._arm()

    # -- is anybody there

    async def ping(self) -> float:
        """Seconds to the server and back."""
        begun = self.loop.time()
        pong: asyncio.Future[None] = self.loop.create_future()
        self._pings.append(pong)
        self.engine.ping(b"rat ping")
        self.flush_soon()
        await pong
        return self.loop.time() - begun

    def pong_received(self, pong: events.Pong) -> None:
        """The oldest ping is answered."""
        if self._pings:
            waiting = self._pings.pop(0)
            if not waiting.done():
                waiting.set_result(None)
