"""The handlers of one connection's calls that are coroutines or streams, in tasks.

A task costs more than a small call.  So the calls that one read brings share one as long as their handlers do not wait:
each is awaited in a real task, and the next one after it in the same, if the task is as it was before.  A handler that
waits has the task for itself from then on, and those behind it get another.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterator
from contextvars import copy_context
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from rat.frames.lane import VALUE_TYPES
from rat.peer import HOLD, StreamOver
from rat.stream.blob import Blob
from rat.stream.iterators import threaded
from rat.tasks import EAGER, bears_marks, holders, spawn

if TYPE_CHECKING:
    from rat.frames_protocol import FramesProtocol

__all__ = ["CallTasks"]

log = logging.getLogger("rat.server")

_ASK_AGAIN: Final = 64
"""After so many calls with tasks of their own a procedure whose handler waited is taken for one that may not."""
Job = tuple[int, str, Any]
"""Stream id, name, and what the handler has given so far."""


class CallTasks:
    """What is under way on one connection, for as long as it is.

    Not safe across threads.  A job ends with a result, an error or the end of its stream, or is cancelled.
    """

    __slots__ = ("_late", "_owner", "_ready", "_streaming", "_turn", "_working_on", "deadlines", "tasks")

    def __init__(self, owner: FramesProtocol) -> None:
        self._owner = owner
        self._ready: deque[Job] = deque()
        self._turn = 0
        """Odd: a task is about to work on what is ready.  Another number than before: it has waited, or has ended."""
        self._working_on: Job
        self.tasks: dict[int, asyncio.Task[None]] = {}
        """Of each call whose handler has begun, by stream id."""
        self.deadlines: dict[int, float] = {}
        # Dicts for sets: an empty one is a third as large.
        self._late: dict[int, None] = {}
        self._streaming: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self.tasks) + len(self._ready)

    # -- beginning

    @property
    def queue(self) -> Callable[[Job], None]:
        """Takes the calls whose handlers gave something that is no value.  :meth:`start` has to follow in this turn."""
        return self._add if self._owner.service.waits else self._ready.append

    def _add(self, job: Job) -> None:
        waits = self._owner.service.waits
        left = waits.get(job[1])
        if left is None:
            self._ready.append(job)
            return
        if left > 1:
            waits[job[1]] = left - 1
        else:
            del waits[job[1]]
        self._alone(job)

    def _alone(self, job: Job) -> None:
        task = self._spawn(deque((job,)), -1)
        if not task.done():
            self.tasks[job[0]] = task

    def _spawn(self, jobs: deque[Job], turn: int) -> asyncio.Task[None]:
        service = self._owner.service
        return spawn(service.loop, service.context, self._work(jobs, turn))

    def start(self) -> None:
        """See to it that what was queued is begun: at once where tasks are eager, else when the loop comes to it."""
        while self._ready and not self._turn & 1:
            self._turn += 1
            task = self._spawn(self._ready, self._turn)
            if not EAGER:
                self._owner.loop.call_soon(self._look_after, task)
                return
            self._turn += 1
            self._separate(task)

    def _look_after(self, task: asyncio.Task[None]) -> None:
        """*task* has taken its first step: what it has not come to gets another."""
        self._turn += 1
        self._separate(task)
        self._owner.flush()
        self.start()

    def _separate(self, task: asyncio.Task[None]) -> None:
        """*task* has taken its first step.

        If it waits in a handler, it is that call's; and of those behind it, calls of that procedure get tasks of their
        own.
        """
        if task.done():
            return
        stream_id, name, _ = self._working_on
        self.tasks[stream_id] = task
        if not self._ready:
            return
        self._owner.service.waits[name] = _ASK_AGAIN
        for _ in range(len(self._ready)):
            job = self._ready.popleft()
            if job[1] == name:
                self._alone(job)
            else:
                self._ready.append(job)

    # -- working

    async def _work(self, jobs: deque[Job], turn: int) -> None:
        """Work on *jobs* one after the other, until one of them has waited, or has left a trace in this task.

        A trace is somebody who still holds the task, or something that the next one would find in it.
        """
        task: Any = asyncio.current_task()
        owner, deadlines, streaming = self._owner, self.deadlines, self._streaming
        flow, inboxes, answer = owner.flow, owner.inboxes, owner.engine.answer
        clean, before = copy_context(), holders(task)
        while jobs:
            self._working_on = job = jobs.popleft()
            stream_id, name, result = job
            try:
                while type(result) is CoroutineType:
                    result = await result
                if type(result) in VALUE_TYPES and not flow.write_paused:
                    if answer(stream_id, result) >= HOLD:
                        owner.flush()
                else:
                    await self._send(stream_id, result)
            except asyncio.CancelledError:
                self._cancelled(stream_id)
            except StreamOver:
                log.debug("call %s of %s was over before its stream was", name, owner.client)
            except Exception as error:
                owner.fail(name, stream_id, error)
            finally:
                if deadlines or streaming or inboxes:
                    self._over(stream_id)
            if self._turn != turn:
                self.tasks.pop(stream_id, None)
                owner.flush_soon()
                break
            if not jobs or holders(task) != before or bears_marks(task, copy_context(), clean):
                break
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
        self._streaming.pop(stream_id, None)
        self._owner.forget(stream_id)

    def _cancelled(self, stream_id: int) -> None:
        """A call is given up: because the caller wants no more, its time is over, or the connection ends."""
        owner = self._owner
        is_late = self._late.pop(stream_id, stream_id) is None
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
            return
        for job in self._ready:
            if job[0] == stream_id:
                self._ready.remove(job)
                if type(job[2]) is CoroutineType:
                    job[2].close()
                self._cancelled(stream_id)
                self._over(stream_id)
                self._owner.close_if_finished()
                return

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
        for stream_id in (*self.tasks, *(job[0] for job in self._ready)):
            self.cancel(stream_id)

    def check(self, now: float) -> None:
        """Cancel the calls whose time is over at *now*."""
        for stream_id, deadline in tuple(self.deadlines.items()):
            if now >= deadline:
                del self.deadlines[stream_id]
                self._late[stream_id] = None
                self.cancel(stream_id)
