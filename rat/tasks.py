"""The tasks that handlers run in: one of its own for each, or one that serves again because nobody has seen it.

A handler that never waits needs a task for what it may ask of it (``asyncio.timeout``, TaskGroup, ``current_task``),
and making one costs more than most handlers do.  So a task stands ready, and a handler takes its first step as that
task, but is called like any function.  If it waits, the task goes on with it and is its own; if it does not, the next
handler has the same task, as long as nobody can tell: no reference to it or its context was kept, no callback or
attribute added, no context variable set.
"""

from __future__ import annotations

import asyncio
import sys
from abc import abstractmethod
from asyncio.tasks import _enter_task, _leave_task, _register_task, _unregister_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from gc import get_referents
from itertools import count, repeat
from types import CoroutineType, coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import getweakrefcount

from rat.compiled import compiled

__all__ = ["EAGER", "Begun", "StandingTask", "first_step", "raise_from_loop", "spawn"]

T = TypeVar("T")
Work = Coroutine[Any, Any, None]

EAGER: Final = sys.version_info >= (3, 12)
"""``spawn`` takes the first step of a task when it is made, not in the loop's next turn."""
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


def _raise(error: BaseException) -> None:
    raise error


def raise_from_loop(loop: asyncio.AbstractEventLoop, error: BaseException) -> None:
    """Have *error*, which ends the process, come out of the loop's next turn.

    uvloop keeps to itself what comes out of a transport's callback, where handlers take their first step.
    """
    loop.call_soon(_raise, error)


def _holders(task: asyncio.Task[Any], context: Context) -> tuple[int, int, int]:
    """How many hold *task*, how many do so weakly, and how many hold *context*."""
    return _references(task), getweakrefcount(task), _references(context)


def _bears_marks(task: Any, context: Context, base: Context) -> bool:
    """Somebody has left something in *task*, whose context was *base* and is *context*: the next work would find it."""
    return bool(
        task._callbacks
        or task.get_name() is not _NAME
        or task.cancelling()
        # A task of asyncio has a dict when an attribute was set, and does not show it.
        or any(type(held) is dict for held in get_referents(task))
        or ((context or base) and not _is_same(context, base))
    )


def _is_same(context: Context, base: Context) -> bool:
    """The very same values; equal ones might be lists that one work has and the next one must not see."""
    return len(context) == len(base) and all(
        variable in base and base[variable] is context[variable] for variable in context
    )


def _rest(work: Coroutine[Any, Any, T], awaited: object) -> Generator[Any, Any, T]:
    """What is left of *work*, which waits for *awaited*."""
    while True:
        try:
            yield awaited
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:
            thrown = error
        else:
            result: T = yield from work.__await__()
            return result
        # Thrown from here, not from where it was caught: it is not the context of what *work* raises later.
        try:
            awaited = work.throw(thrown)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            del thrown


class Begun:
    """The rest of a coroutine that has taken its first step and waits, to be awaited in the task of that step."""

    __slots__ = ("_awaited", "_work")

    def __init__(self, work: Coroutine[Any, Any, Any], awaited: object) -> None:
        self._work = work
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, Any]:
        return _rest(self._work, self._awaited)


def reference_first_step(work: Any) -> Any:
    """What *work* gives when it does not wait, else its rest; *work* itself if it is no coroutine.

    Raises what it raises.
    """
    if type(work) is not CoroutineType:
        return work
    try:
        awaited = work.send(None)
    except StopIteration as stop:
        return stop.value
    return Begun(work, awaited)


class _Turn:
    """What a standing task waits for, and what it is given then: a future by asyncio's protocol for those of others.

    Who ends the wait steps the task at once; a future of asyncio would have the loop do so later.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_loop",
        "_seat",
        "add_done_callback",
        "result",
        "waits",
        "wake",
        "work",
    )

    wake: Callable[[Any], object]
    result: Callable[[], object]
    add_done_callback: Callable[..., object]

    def __init__(self, loop: asyncio.AbstractEventLoop, seat: Seat) -> None:
        self._loop = loop
        self._seat = seat
        self._asyncio_future_blocking = False
        self.work: Work | None = None
        self.waits = False
        """The task stands ready."""
        self.result = _nothing
        self.add_done_callback = self._first_callback

    def _first_callback(self, wake: Callable[[Any], object], *, context: Context) -> None:
        self.wake = wake
        # The callback of later waits would do the same as this one, and is not kept.
        self.add_done_callback = _ignore

    def cancel(self, msg: object = None) -> bool:
        seat = self._seat
        if seat.in_use and seat._turn is self:
            seat.cancellation = (msg,)
        elif self.waits:
            self.waits = False
            self.result = self._raise
            self._loop.call_soon(self.wake, self)
        return True

    def _raise(self) -> None:
        raise asyncio.CancelledError


@coroutine
def _work_of(turn: _Turn) -> Generator[Any, Any, None]:
    """What a standing task does in the end; a generator, so that the wait makes no object."""
    turn._asyncio_future_blocking = turn.waits = True
    yield turn
    turn.waits = False
    if turn.work is not None:
        yield from turn.work


async def _stand_by(turn: _Turn) -> None:
    await _work_of(turn)


class ReferenceSeat:
    """The half of a standing task that every use of it goes through, in plain Python; ``rat._tasks.Seat`` in C.

    A subclass provides ``stand``, which makes the task, and ``replace``, for one that may not be used again.
    """

    __slots__ = (
        "_base",
        "_context",
        "_held_by",
        "_is_taken",
        "_loop",
        "_name",
        "_task",
        "_turn",
        "cancellation",
        "in_use",
    )

    _turn: _Turn
    _context: Context
    _held_by: tuple[int, int, int]

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context, name: str) -> None:
        """*context*: what the context of each use is equal to when it begins; *name*: the task's own, by identity."""
        self._loop = loop
        self._base = context
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self._is_taken = False
        self.in_use = False
        """Something is being called as the task."""
        self.cancellation: tuple[object] | None = None
        """Who was called has cancelled the task, with this message."""

    def call(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """Call *function* as the task.  ``go_on`` or ``put_back`` has to follow at once, whatever it raises.

        NotImplemented when no task stands ready; one can soon.  What is called before anything has followed is called
        as the same task.
        """
        loop, task = self._loop, self._task
        if task is None:
            self.stand()
            return NotImplemented
        # Nothing can be called as one task inside of another.
        if not self._turn.waits or _current_task(loop) is not None:
            return NotImplemented
        if not self._is_taken:
            self._held_by = _holders(task, self._context)
            self._is_taken = True
        _enter_task(loop, task)
        self.in_use = True
        try:
            return self._context.run(function, *arguments)
        finally:
            self.in_use = False
            _leave_task(loop, task)

    def put_back(self) -> None:
        """What was called is over, and left no work.  Nothing, if nothing was called."""
        if not self._is_taken:
            return
        task = self._task
        seen = (
            task is None
            or _holders(task, self._context) != self._held_by
            or self.cancellation is not None
            or _bears_marks(task, self._context, self._base)
        )
        self._is_taken = False
        if seen:
            self.replace()

    @abstractmethod
    def stand(self) -> None: ...

    @abstractmethod
    def replace(self) -> None: ...


_native: Final = compiled("rat._tasks", "RAT_TASKS")
implementation: Final = "reference" if _native is None else "native"
"""Which Seat and ``first_step`` are used; the environment variable ``RAT_TASKS`` decides for those who want to."""
if TYPE_CHECKING or _native is None:
    Seat = ReferenceSeat
    first_step = reference_first_step
else:
    Seat = _native.Seat
    first_step = _native.first_step


class StandingTask(Seat):
    """A task as which functions are called, one after the other, until one of them leaves work that it goes on with.

    Whatever could tell that it was used before is looked for after each; a task that was seen is not used again, and
    ends as if its work were over.  Until it has work to go on with it is not among ``asyncio.all_tasks``.  Belongs to
    one loop.
    """

    __slots__ = ()

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        """*context*: what the context of each use is equal to when it begins."""
        super().__init__(loop, context, _NAME)

    def stand(self) -> None:
        """Make a task that will stand ready soon."""
        self.cancellation = None
        self._is_taken = False
        self._turn = turn = _Turn(self._loop, self)
        self._context = self._base.copy()
        self._task = task = asyncio.Task(_stand_by(turn), loop=self._loop, name=_NAME, context=self._context)
        # Who waits for all tasks of the loop must not wait for one that has nothing to do.
        _unregister_task(task)
        setattr(task, _LOG_DESTROYED, False)

    def step(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Take the first step of *work* as the task; what it gives, or raises.  ``go_on`` follows a Begun at once.

        NotImplemented when no task stands ready, and no step was taken.
        """
        result = None
        try:
            result = self.call(first_step, work)
        finally:
            if type(result) is not Begun:
                self.put_back()
        return result

    def go_on(self, work: Work) -> asyncio.Task[None] | None:
        """Give *work* to the task for good, which takes a step of it at once; None when it was the last."""
        task = self._task
        if task is None:
            raise RuntimeError("no task stands ready")
        turn, cancellation = self._turn, self.cancellation
        turn.work = work
        try:
            self._context.run(turn.wake, turn)
        finally:
            # SystemExit and KeyboardInterrupt end the task, and leave its step as well.
            self.stand()
        if task.done():
            return None
        _register_task(task)
        setattr(task, _LOG_DESTROYED, True)
        if cancellation is not None and task.cancelling():
            # While it was called, when nothing could be thrown into it.
            task.uncancel()
            task.cancel(*cancellation)
        return task

    def replace(self) -> None:
        """End the task, which was seen, and make another."""
        turn, context = self._turn, self._context
        self.stand()
        context.run(turn.wake, turn)

    async def close(self) -> None:
        """End the task that stands ready, if there is one."""
        task, self._task = self._task, None
        if task is not None and task.cancel():
            await asyncio.wait((task,))
