"""The tasks that handlers run in: one of its own for each, or one that serves again because nobody has seen it.

A handler that never waits needs a task for what it may ask of it (``asyncio.timeout``, TaskGroup, ``current_task``),
and making one costs more than most handlers do.  So a task that is through with a handler stands ready for the next
one, as long as nobody can tell: no reference to it was kept, no callback added, no context variable set.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.tasks import _register_task, _unregister_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from itertools import count, repeat
from types import coroutine
from typing import Any, Final
from weakref import getweakrefcount

__all__ = ["EAGER", "StandingTask", "bears_marks", "holders", "spawn"]

Work = Coroutine[Any, Any, None]

EAGER: Final = sys.version_info >= (3, 12)
"""``spawn`` takes the first step of a task when it is made, not in the loop's next turn."""
REUSES: Final = not EAGER
"""A task stands ready.  An eager one costs less than that does (bench/cases.py: 44,500 instructions against 47,200 on
3.13, where 3.11 takes 45,200 against 60,000)."""

_NAME: Final = "rat-handler"
_LOG_DESTROYED: Final = "_log_destroy_pending"
"""The attribute of a task that has asyncio complain when it is lost while it waits."""
_numbers = count()
_references: Final[Callable[[object], int]] = getattr(sys, "getrefcount", lambda _: next(_numbers))
"""How many hold an object; where that cannot be told, another number each time."""
# Functions that do nothing, and cost less than a frame of Python would.
_nothing: Final = repeat(None).__next__
_ignore: Final = "".format

if sys.version_info >= (3, 12):
    _current_task: Final = asyncio.current_task
else:
    from asyncio.tasks import _current_tasks  # type: ignore[attr-defined]

    # asyncio.current_task is written in Python there.
    _current_task: Final = _current_tasks.get

if sys.version_info >= (3, 12):

    def spawn(loop: asyncio.AbstractEventLoop, context: Context, work: Work) -> asyncio.Task[None]:
        """A task of its own for *work*, in a context that nothing else has touched."""
        return asyncio.Task(work, loop=loop, name=_NAME, context=context.copy(), eager_start=True)
else:

    def spawn(loop: asyncio.AbstractEventLoop, context: Context, work: Work) -> asyncio.Task[None]:
        """A task of its own for *work*, in a context that nothing else has touched."""
        return asyncio.Task(work, loop=loop, name=_NAME, context=context.copy())


def holders(task: asyncio.Task[Any]) -> tuple[int, int]:
    """How many hold *task*, and how many do so weakly.  To be called from one and the same place before and after."""
    return _references(task), getweakrefcount(task)


def bears_marks(task: Any, context: Context, base: Context) -> bool:
    """Somebody has left something in *task*, whose context was *base* and is *context*: the next work would find it."""
    return bool(
        task._callbacks
        or task.get_name() is not _NAME
        or task.cancelling()
        or ((context or base) and not _is_same(context, base))
    )


def _is_same(context: Context, base: Context) -> bool:
    """The very same values; equal ones might be lists that one work has and the next one must not see."""
    return len(context) == len(base) and all(
        variable in base and base[variable] is context[variable] for variable in context
    )


class _Turn:
    """What a standing task waits for, and what it is given then: a future by asyncio's protocol for those of others.

    Who ends the wait steps the task at once; a future of asyncio would have the loop do so later.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_loop",
        "add_done_callback",
        "cancelled",
        "left",
        "result",
        "waits",
        "wake",
        "work",
    )

    wake: Callable[[Any], object]
    result: Callable[[], object]
    add_done_callback: Callable[..., object]

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asyncio_future_blocking = False
        self.work: Work | None = None
        self.waits = False
        """The task stands ready."""
        self.left = False
        """The task is its work's own, and ends with it."""
        self.cancelled = False
        self.result = _nothing
        self.add_done_callback = self._first_callback

    def _first_callback(self, wake: Callable[[Any], object], *, context: Context) -> None:
        self.wake = wake
        # The callbacks of later waits would do the same as this one, and are not kept.
        self.add_done_callback = _ignore

    def cancel(self, msg: object = None) -> bool:
        if not self.cancelled:
            self.cancelled = True
            self.result = self._raise
            self._loop.call_soon(self.wake, self)
        return True

    def _raise(self) -> None:
        raise asyncio.CancelledError


@coroutine
def _rounds(turn: _Turn) -> Generator[Any, Any, None]:
    """The work of a standing task, one after the other; a generator, so that a wait makes no object."""
    while not turn.left:
        turn._asyncio_future_blocking = turn.waits = True
        yield turn
        turn.waits = False
        work, turn.work = turn.work, None
        if work is None:
            return
        yield from work


async def _stand_by(turn: _Turn) -> None:
    await _rounds(turn)


class StandingTask:
    """A task that takes its first step with a work at once, and the next work after one that has not waited.

    Whatever could tell that it had another work before is looked for after each; a task that was seen is not used
    again, and ends with its work as it should.  Until its work waits it is not among ``asyncio.all_tasks``.  Belongs to
    one loop.
    """

    __slots__ = ("_context", "_loop", "_task", "_turn", "_work_context")

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        """*context*: what the context of each work is equal to when it begins."""
        self._loop = loop
        self._context = context
        self._task: asyncio.Task[None] | None = None

    _turn: _Turn
    _work_context: Context

    def stand(self) -> None:
        """Make a task that will stand ready soon."""
        if REUSES:
            self._turn = turn = _Turn(self._loop)
            self._work_context = self._context.copy()
            self._task = task = asyncio.Task(_stand_by(turn), loop=self._loop, name=_NAME, context=self._work_context)
            # Who waits for all tasks of the loop must not wait for one that has nothing to do.
            _unregister_task(task)
            setattr(task, _LOG_DESTROYED, False)

    def is_ready(self) -> bool:
        """``run`` may be called.  If not, it can be soon."""
        if self._task is None or self._turn.cancelled:
            self.stand()
            return False
        # A step cannot be taken inside of another task's.
        return self._turn.waits and _current_task(self._loop) is None

    def run(self, work: Work) -> asyncio.Task[None] | None:
        """Take the first step of *work*.  None when it is over, else the task that goes on with it, now its own."""
        task, turn, context = self._task, self._turn, self._work_context
        assert task is not None
        references, weak_references = _references(task), getweakrefcount(task)
        turn.work = work
        try:
            context.run(turn.wake, turn)
        except BaseException:
            # SystemExit and KeyboardInterrupt end the task, and leave its step as well.
            self._task = None
            raise
        if not turn.waits:
            turn.left = True
            self.stand()
            if task.done():
                return None
            _register_task(task)
            setattr(task, _LOG_DESTROYED, True)
            return task
        if (
            _references(task) != references
            or getweakrefcount(task) != weak_references
            or bears_marks(task, context, self._context)
        ):
            self._task = None
            if not turn.cancelled:
                # One that was cancelled is about to be woken.
                context.run(turn.wake, turn)
        return None

    async def close(self) -> None:
        """End the task that stands ready, if there is one."""
        task, self._task = self._task, None
        if task is not None and task.cancel():
            await asyncio.wait((task,))
