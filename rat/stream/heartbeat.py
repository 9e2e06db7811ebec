"""A stream of events as bytes, with a comment whenever it has been silent for some time.

Who reads the bytes has the events pulled by one task of their own for as long as the stream lasts: a heartbeat must not
disturb a source that is in the middle of a step, and a generator that holds a timeout or a task group across its yields
must be stepped by one task.  Who can send a heartbeat at any time takes the events over, and needs no such task.  Knows
no connection; time comes from the loop, or from whatever else has its two verbs.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Final, Protocol

from rat.stream.sse import HEARTBEAT, Event, close_source, encode_event, retry_field

__all__ = ["HEARTBEAT_AFTER", "EventBytes", "Heartbeat", "Timers", "event_bytes"]

HEARTBEAT_AFTER: Final = 15.0
"""Seconds of silence, where nothing else is said."""


class _State(enum.Enum):
    IDLE = "no event was asked for"
    RUNNING = "the source's task runs"
    ENDED = "the source is at its end, failed or closed"


class Cancellable(Protocol):
    """A timer that was set."""

    def cancel(self) -> Any: ...


class Timers(Protocol):
    """Time as an event loop gives it, in seconds."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Cancellable: ...


class Heartbeat:
    """Calls *beat* whenever *seconds* have passed since the last ``touch``, and since the last call."""

    __slots__ = ("_beat", "_clock", "_due", "_seconds", "_timer")

    def __init__(self, clock: Timers, seconds: float, beat: Callable[[], object]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._beat = beat
        self._due = clock.time() + seconds
        self._timer = clock.call_later(seconds, self._look)

    def touch(self) -> None:
        """Something else was sent."""
        self._due = self._clock.time() + self._seconds

    def stop(self) -> None:
        """Call it no more."""
        self._timer.cancel()

    def _look(self) -> None:
        # One timer for each silence, not for each event.
        left = self._due - self._clock.time()
        if left <= 0:
            self._beat()
            self.touch()
            left = self._seconds
        self._timer = self._clock.call_later(left, self._look)


def event_bytes(
    events: AsyncIterable[Event],
    *,
    heartbeat: float | None = HEARTBEAT_AFTER,
    retry: float | None = None,
    clock: Timers | None = None,
) -> EventBytes:
    """*events* as an async iterator of bytes, one piece for each event; see :class:`EventBytes`."""
    return EventBytes(events, heartbeat=heartbeat, retry=retry, clock=clock)


class EventBytes(AsyncIterator[bytes]):
    """The bytes of a stream of events.

    After *heartbeat* seconds in which a reader waited and nothing came, a comment is sent (None or 0: never).  *retry*
    seconds are announced first, when given.  The source is asked for an event only when a reader waits for one.  One
    task may iterate at a time; a cancelled ``__anext__`` has consumed nothing.  Close it with ``aclose``, which closes
    the source, in the task that ran it, also if it was never started.
    """

    __slots__ = (
        "_clock",
        "_demand",
        "_due",
        "_error",
        "_events",
        "_iterator",
        "_piece",
        "_retry",
        "_state",
        "_task",
        "_timer",
        "_waiter",
        "heartbeat",
    )

    def __init__(
        self,
        events: AsyncIterable[Event],
        *,
        heartbeat: float | None = HEARTBEAT_AFTER,
        retry: float | None = None,
        clock: Timers | None = None,
    ) -> None:
        self._events = events
        self.heartbeat = heartbeat or None
        self._retry = retry_field(retry) + b"\n" if retry is not None else None
        self._clock = clock
        self._state = _State.IDLE
        self._iterator: AsyncIterator[Event] | None = None
        self._task: asyncio.Task[None] | None = None
        self._demand: asyncio.Future[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._piece: bytes | None = None
        self._error: BaseException | None = None
        self._timer: Cancellable | None = None
        self._due = 0.0

    def __aiter__(self) -> EventBytes:
        return self

    async def __anext__(self) -> bytes:
        if self._retry is not None:
            piece, self._retry = self._retry, None
            return piece
        if self._piece is None:
            if self._waiter is not None:
                raise RuntimeError("another task reads this stream of events already")
            await self._next_piece()
        taken, self._piece = self._piece, None
        if taken is None:
            error = self._error
            self._error = None
            raise error or StopAsyncIteration
        return taken

    def take_over(self) -> tuple[bytes, AsyncIterable[Event]]:
        """What stands before the first event, and the source, for who will iterate and close it.

        Raises RuntimeError when an event has been asked for, or the stream was closed.
        """
        if self._state is not _State.IDLE:
            raise RuntimeError("the stream of events is being read, or was closed")
        self._state = _State.ENDED
        opening, self._retry = self._retry or b"", None
        return opening, self._events

    async def aclose(self) -> None:
        """Stop the source where it waits, and close it.  Raises what that raised."""
        self._retry = self._piece = None
        self._disarm()
        if self._state is _State.IDLE:
            self._state = _State.ENDED
            await close_source(self._events)
        elif self._task is not None and self._task is not asyncio.current_task():
            if self._state is _State.RUNNING:
                self._task.cancel()
                await asyncio.wait([self._task])
            error = self._error
            self._error = None
            if error is not None and not isinstance(error, asyncio.CancelledError):
                raise error

    # -- the reader

    async def _next_piece(self) -> None:
        """Until there is a piece or the source has ended."""
        loop = asyncio.get_running_loop()
        if self._state is _State.ENDED:
            return
        if self._state is _State.IDLE:
            self._state = _State.RUNNING
            # Not by the loop's task factory: one that is eager would bring the first event before it is waited for.
            self._task = asyncio.Task(self._run(), loop=loop)
        elif self._demand is not None and not self._demand.done():
            self._demand.set_result(None)
        clock = self._clock or loop
        if self.heartbeat is not None:
            self._due = clock.time() + self.heartbeat
            if self._timer is None:
                self._timer = clock.call_later(self.heartbeat, self._beat)
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _beat(self) -> None:
        self._timer = None
        if self._waiter is None or self.heartbeat is None:
            # The reader is busy sending; its next wait sets the timer again.
            return
        clock = self._clock or self._waiter.get_loop()
        left = self._due - clock.time()
        if left > 0:
            self._timer = clock.call_later(left, self._beat)
        elif not self._waiter.done():
            self._piece = HEARTBEAT
            self._waiter.set_result(None)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the source's task

    async def _run(self) -> None:
        try:
            try:
                self._iterator = aiter(self._events)
                async for event in self._iterator:
                    await self._hand_over(encode_event(event))
            finally:
                await close_source(self._events, self._iterator)
        except BaseException as error:
            # Whatever it was, the reader gets it: an end without a word would look like the end of the stream.
            self._error = error
        finally:
            self._state = _State.ENDED
            self._disarm()
            self._wake()

    async def _hand_over(self, piece: bytes) -> None:
        """Give *piece* to the reader, and return when the next one is wanted."""
        loop = asyncio.get_running_loop()
        while self._piece is not None:
            # A heartbeat has been set and not yet taken.
            self._demand = loop.create_future()
            await self._demand
        self._demand = loop.create_future()
        self._piece = piece
        self._wake()
        await self._demand

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
