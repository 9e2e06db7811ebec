"""The handlers of one connection's calls that wait, each in a task of its own.

A task costs more than a small call.  So a handler takes its first step as the task that stands ready, which goes on
with it if it waits (:class:`rat.tasks.StandingTask`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Iterator
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from rat.frames.lane import VALUE_TYPES
from rat.peer import HOLD, StreamOver
from rat.stream.blob import Blob
from rat.stream.iterators import threaded
from rat.tasks import Begun, spawn

if TYPE_CHECKING:
    from rat.frames_protocol import FramesProtocol

__all__ = ["CallTasks"]

log = logging.getLogger("rat.server")

_ASK_AGAIN: Final = 64
"""After so many calls with tasks of their own a procedure whose handler waited is taken for one that may not."""


async def _all_of(rest: Begun) -> None:
    await rest


class CallTasks:
    """What is under way on one connection, for as long as it is.

    Not safe across threads.  A call ends with a result, an error or the end of its stream, or is cancelled.
    """

    __slots__ = ("_late", "_owner", "_streaming", "deadlines", "tasks")

    def __init__(self, owner: FramesProtocol) -> None:
        self._owner = owner
        self.tasks: dict[int, asyncio.Task[None]] = {}
        """Of each call whose handler waits, by stream id."""
        self.deadlines: dict[int, float] = {}
        # Dicts for sets: an empty one is a third as large.
        self._late: dict[int, None] = {}
        self._streaming: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self.tasks)

    # -- beginning

    def begin(self, stream_id: int, name: str, result: Any) -> None:
        """See to it that the call is answered, whose handler has given *result* so far: now, as far as nobody waits.

        A Begun has just come from the task that stands ready, which goes on with it.
        """
        service = self._owner.service
        standing, waits = service.standing_task, service.waits
        work = self._work(stream_id, name, result)
        if type(result) is Begun:
            task = standing.go_on(work)
        elif name not in waits and (rest := standing.step(work)) is not NotImplemented:
            task = standing.go_on(_all_of(rest)) if type(rest) is Begun else None
        else:
            task = spawn(service.loop, service.context, work)
            left = waits.pop(name, 0)
            if left > 1:
                waits[name] = left - 1
            if not task.done():
                self.tasks[stream_id] = task
            return
        if task is not None:
            self.tasks[stream_id] = task
            waits[name] = _ASK_AGAIN

    async def _work(self, stream_id: int, name: str, result: Any) -> None:
        owner = self._owner
        try:
            while type(result) is CoroutineType or type(result) is Begun:
                result = await result
            if type(result) in VALUE_TYPES and not owner.flow.write_paused:
                if owner.engine.answer(stream_id, result) >= HOLD:
                    owner.flush()
            else:
                await self._send(stream_id, result)
        except asyncio.CancelledError:
            self._cancelled(stream_id)
        except StreamOver:
            log.debug("call %s of %s was over before its stream was", name, owner.client)
        except GeneratorExit:
            # The loop is gone, and nobody runs this any more.
            raise
        except BaseException as error:
            owner.fail(name, stream_id, error)
        finally:
            self.tasks.pop(stream_id, None)
            self._over(stream_id)
        owner.flush_soon()
        owner.close_if_finished()

    async def _send(self, stream_id: int, result: Any) -> None:
        """Send what a handler gave in the end: a value, or all that a stream holds."""
        owner = self._owner
        engine = owner.engine
        if type(result) in VALUE_TYPES:
            await owner.writable()
            engine.answer(stream_id, result)
            return
        if not isinstance(result, Blob | AsyncIterable | Iterator):
            engine.answer(stream_id, result)
            return
        self._streaming[stream_id] = None
        is_blob = isinstance(result, Blob)
        source: AsyncIterable[Any] = result if isinstance(result, AsyncIterable | Blob) else threaded(result)
        items: Any = aiter(source)
        try:
            async for item in items:
                if is_blob:
                    await owner.send_data(stream_id, item)
                elif not owner.send_at_once(stream_id, item):
                    await owner.send_item(stream_id, item)
                    await asyncio.sleep(0)  # a producer that never waits gives way to others
        finally:
            if hasattr(items, "aclose"):
                await items.aclose()
        engine.end(stream_id)

    # -- the end

    def _over(self, stream_id: int) -> None:
        self.deadlines.pop(stream_id, None)
        self._late.pop(stream_id, None)
        self._streaming.pop(stream_id, None)
        self._owner.let_go(stream_id)

    def _cancelled(self, stream_id: int) -> None:
        """A call is given up: because the caller wants no more, its time is over, or the connection ends."""
        owner = self._owner
        is_late = stream_id in self._late
        if owner.is_lost or not owner.engine.is_live(stream_id):
            return
        if is_late:
            owner.service.counters.request_timeouts += 1
            owner.engine.error(stream_id, "deadline", "the call was not answered before its deadline")
        else:
            owner.engine.error(stream_id, "cancelled", "the call was cancelled by the server")

    def cancel(self, stream_id: int) -> None:
        """Cancel the handler of a call, if one is at work: in a turn of the loop in which it has surely begun."""
        task = self.tasks.get(stream_id)
        if task is not None:
            self._owner.loop.call_soon(self._cancel, stream_id, task)

    def _cancel(self, stream_id: int, task: asyncio.Task[None]) -> None:
        if self.tasks.get(stream_id) is task:
            task.cancel()

    def cancel_streams(self) -> None:
        """Cancel those that are sending items or data: they may never end."""
        for stream_id in self._streaming:
            self.cancel(stream_id)

    def cancel_all(self) -> None:
        """The connection is over."""
        for task in self.tasks.values():
            self._owner.service.watch(task)
        for stream_id in self.tasks:
            self.cancel(stream_id)

    def check(self, now: float) -> None:
        """Cancel the calls whose time is over at *now*."""
        for stream_id, deadline in tuple(self.deadlines.items()):
            if now >= deadline:
                del self.deadlines[stream_id]
                self._late[stream_id] = None
                self.cancel(stream_id)
