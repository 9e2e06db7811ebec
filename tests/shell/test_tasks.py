"""A task that serves again is one of its own to everybody who looks."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import importlib.util
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from rat import tasks as ours
from tests.support.allocations import can_fail, refusals_of
from tests.support.references import in_plain_python

VARIABLE: contextvars.ContextVar[Any] = contextvars.ContextVar("VARIABLE")
BASE: contextvars.ContextVar[list[int]] = contextvars.ContextVar("BASE")

Work = Coroutine[Any, Any, None]

REFERENCE = in_plain_python("rat.tasks", "RAT_TASKS")
assert REFERENCE.implementation == "reference"


async def all_of(rest: Any) -> None:
    await rest


class Stand:
    """A standing task whose works are run as the loop would run them: from a callback, not from a task."""

    def __init__(self, tasks: ModuleType) -> None:
        self.tasks = tasks
        self.loop = asyncio.get_running_loop()
        self.standing = tasks.StandingTask(self.loop, contextvars.copy_context())

    async def call(self, function: Callable[[], Any]) -> Any:
        """What *function* gives, called from the loop."""
        result: asyncio.Future[Any] = self.loop.create_future()

        def call() -> None:
            try:
                result.set_result(function())
            except Exception as error:
                result.set_exception(error)

        self.loop.call_soon(call)
        return await result

    async def run(self, work: Callable[[], Work]) -> asyncio.Task[None] | None:
        """The task that goes on with *work*, if it does."""
        while await self.call(lambda: self.standing.call(int)) is NotImplemented:
            await asyncio.sleep(0)
        return await self.call(lambda: self.step(work()))  # type: ignore[no-any-return]

    def step(self, work: Work) -> asyncio.Task[None] | None:
        """As an exchange does."""
        rest = None
        try:
            rest = self.standing.call(self.tasks.first_step, work)
        except asyncio.CancelledError:
            pass
        finally:
            if type(rest) is not self.tasks.Begun:
                self.standing.put_back()
        return self.standing.go_on(all_of(rest)) if type(rest) is self.tasks.Begun else None


@pytest.fixture(params=["built", "reference"])
def tasks(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == "reference":
        return REFERENCE
    if ours.implementation != "native":
        pytest.skip("rat._tasks is not built, or not wanted")
    return ours


@pytest.fixture
async def stand(tasks: ModuleType) -> Any:
    stand = Stand(tasks)
    yield stand
    await stand.standing.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def identity(seen: list[int]) -> None:
    """Notes which task it runs in, and keeps nothing of it."""
    task = asyncio.current_task()
    assert task is not None
    seen.append(id(task))


async def test_work_that_does_not_wait_shares_a_task(stand: Stand) -> None:
    seen: list[int] = []
    for _ in range(5):
        assert await stand.run(lambda: identity(seen)) is None
    assert len(set(seen)) == 1


KEPT: list[Any] = []


async def keeps_it() -> None:
    KEPT.append(asyncio.current_task())


async def keeps_a_weak_reference() -> None:
    KEPT.append(weakref.WeakKeyDictionary({asyncio.current_task(): 1}))


async def adds_a_callback() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.add_done_callback(lambda task: KEPT.append("called"))


async def names_it() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.set_name("mine")


async def gives_it_an_attribute() -> None:
    asyncio.current_task().request = "mine"  # type: ignore[union-attr]


async def sets_a_variable() -> None:
    VARIABLE.set(1)


async def changes_a_variable() -> None:
    BASE.set(list(BASE.get()))


MARKS: list[Callable[[], Work]] = [
    keeps_it,
    keeps_a_weak_reference,
    adds_a_callback,
    names_it,
    gives_it_an_attribute,
    sets_a_variable,
    changes_a_variable,
]

if sys.version_info >= (3, 12):

    async def keeps_its_context() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(VARIABLE.set, 1, context=task.get_context())

    MARKS.append(keeps_its_context)


@pytest.mark.parametrize("work", MARKS, ids=lambda work: work.__name__)
async def test_a_task_that_was_seen_is_not_used_again(work: Callable[[], Work], tasks: ModuleType) -> None:
    KEPT.clear()
    BASE.set([1])
    stand = Stand(tasks)
    assert await stand.run(lambda: identity([])) is None
    ended = stand.standing._task
    assert await stand.run(lambda: identity([])) is None
    assert stand.standing._task is ended
    assert await stand.run(work) is None
    await asyncio.sleep(0)
    assert ended.done()
    assert not ended.cancelled()
    assert ended.exception() is None
    if work is adds_a_callback:
        assert KEPT == ["called"]

    async def second() -> None:
        current = asyncio.current_task()
        assert current is not ended
        assert current is not None
        assert current.get_name() != "mine"
        assert not hasattr(current, "request")
        assert VARIABLE.get("unset") == "unset"
        assert BASE.get() == [1]

    checked: list[BaseException | None] = []

    async def check() -> None:
        try:
            await second()
            checked.append(None)
        except AssertionError as error:
            checked.append(error)

    assert await stand.run(check) is None
    assert checked == [None]
    KEPT.clear()
    await stand.standing.close()


async def test_work_that_waits_has_the_task_for_itself(stand: Stand) -> None:
    gate = asyncio.Event()
    seen: list[int] = []

    async def waits() -> None:
        VARIABLE.set("mine")
        await identity(seen)
        await gate.wait()
        await identity(seen)
        assert VARIABLE.get() == "mine"

    task = await stand.run(waits)
    assert task is not None
    assert not task.done()
    assert await stand.run(lambda: identity(seen)) is None
    gate.set()
    await task
    first, other, second = seen
    assert first == second == id(task)
    assert other != first


async def test_work_that_waits_can_be_cancelled(stand: Stand) -> None:
    cleaned = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    task = await stand.run(waits)
    assert task is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [True]


async def test_what_asyncio_asks_of_a_task(stand: Stand) -> None:
    done: list[str] = []

    async def structured() -> None:
        async with asyncio.timeout(10):
            done.append("timeout")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.sleep(10)
        async with asyncio.TaskGroup() as group:
            group.create_task(identity([]))
        done.append("group")

    for _ in range(2):
        task = await stand.run(structured)
        assert task is not None
        await task
    assert done == ["timeout", "group"] * 2


@pytest.mark.parametrize("uncancels", [False, True])
async def test_work_that_cancels_its_own_task(stand: Stand, uncancels: bool) -> None:
    reported: list[dict[str, Any]] = []
    stand.loop.set_exception_handler(lambda loop, context: reported.append(context))

    async def cancels() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if uncancels:
            task.uncancel()

    assert await stand.run(cancels) is None
    seen: list[int] = []
    assert await stand.run(lambda: identity(seen)) is None
    assert len(seen) == 1
    assert not reported


async def test_work_that_ends_the_process_leaves_no_dead_task_behind(stand: Stand) -> None:
    stand.loop.set_exception_handler(lambda loop, context: None)

    async def exits() -> None:
        raise SystemExit(3)

    def run() -> object:
        try:
            return stand.step(exits())
        except SystemExit as error:
            return error.code

    assert await stand.run(lambda: identity([])) is None
    assert await stand.call(run) == 3
    seen: list[int] = []
    assert await asyncio.wait_for(stand.run(lambda: identity(seen)), 5) is None
    assert len(seen) == 1


@pytest.mark.parametrize("error", [ValueError("no"), GeneratorExit()], ids=["error", "exit"])
async def test_what_work_raises_comes_out_and_the_next_work_is_served(stand: Stand, error: BaseException) -> None:
    seen: list[int] = []

    async def fails() -> None:
        await identity(seen)
        raise error

    def run() -> object:
        try:
            return stand.step(fails())
        except BaseException as raised:
            return raised is error

    assert await stand.run(lambda: identity(seen)) is None
    assert await stand.call(run) is True
    assert await stand.run(lambda: identity(seen)) is None
    assert len(seen) == 3
    error.__traceback__ = None


async def test_work_that_cancels_its_own_task_and_waits_is_cancelled_where_it_waits(stand: Stand) -> None:
    inner: asyncio.Future[None] = stand.loop.create_future()
    seen: list[object] = []

    async def cancels() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("enough")
        seen.append(task.cancelling())
        try:
            await inner
        except asyncio.CancelledError as error:
            seen.append(error.args)
            raise

    task = await stand.run(cancels)
    assert task is not None
    with pytest.raises(asyncio.CancelledError):
        await task
    assert inner.cancelled()
    assert seen == [1, ("enough",)]
    assert task.cancelled()
    assert task.cancelling() == 1


async def test_work_that_takes_its_cancellation_back_goes_on(stand: Stand) -> None:
    seen: list[object] = []

    async def cancels() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            seen.append(task.uncancel())
        await asyncio.sleep(0)
        seen.append("through")

    task = await stand.run(cancels)
    assert task is not None
    await task
    assert seen == [0, "through"]


async def test_what_work_waits_for_may_fail_more_than_once(stand: Stand) -> None:
    first, second, third = (stand.loop.create_future() for _ in range(3))
    seen: list[object] = []

    async def persists() -> None:
        for future in (first, second, third):
            try:
                seen.append(await future)
            except ValueError as error:
                seen.append(str(error))

    task = await stand.run(persists)
    assert task is not None
    for future in (first, second):
        future.set_exception(ValueError("again"))
        await asyncio.sleep(0)
    third.set_result("at last")
    await task
    assert seen == ["again", "again", "at last"]


async def test_what_work_has_caught_is_not_the_context_of_what_it_raises_later(stand: Stand) -> None:
    future = stand.loop.create_future()
    seen: list[BaseException | None] = []

    async def fails() -> None:
        with suppress(LookupError):
            await future
        try:
            raise ValueError("its own")
        except ValueError as error:
            seen.append(error.__context__)

    task = await stand.run(fails)
    assert task is not None
    future.set_exception(LookupError("caught"))
    await task
    assert seen == [None]


async def test_work_whose_loop_goes_away_is_closed(tasks: ModuleType) -> None:
    closed = []

    async def waits() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            closed.append(True)

    rest = tasks.first_step(waits())
    assert isinstance(rest, tasks.Begun)
    going_on = all_of(rest)
    going_on.send(None)
    going_on.close()
    assert closed == [True]


async def test_not_ready_inside_of_a_task(stand: Stand) -> None:
    assert await stand.run(lambda: identity([])) is None
    assert await stand.call(lambda: stand.standing.call(int)) == 0
    assert stand.standing.call(int) is NotImplemented
    await stand.call(stand.standing.put_back)


async def test_who_waits_for_all_tasks_waits_for_those_with_work(stand: Stand) -> None:
    gate = asyncio.Event()

    async def waits() -> None:
        await gate.wait()

    def others() -> set[asyncio.Task[Any]]:
        current = asyncio.current_task()
        return {task for task in asyncio.all_tasks() if task is not current}

    assert await stand.run(lambda: identity([])) is None
    assert others() == set()
    task = await stand.run(waits)
    assert task is not None
    assert others() == {task}
    gate.set()
    await asyncio.gather(*others())
    assert others() == set()


async def test_closed_before_it_was_used(tasks: ModuleType) -> None:
    await tasks.StandingTask(asyncio.get_running_loop(), contextvars.copy_context()).close()
    assert len(asyncio.all_tasks()) == 1


async def test_what_is_called_gets_its_arguments_and_what_it_raises_comes_out(stand: Stand) -> None:
    def function(*arguments: object) -> object:
        assert asyncio.current_task() is not None
        if not arguments:
            raise LookupError("nothing")
        return arguments

    assert await stand.run(lambda: identity([])) is None
    for arguments in ((1,), (1, 2, 3)):
        assert await stand.call(lambda arguments=arguments: stand.standing.call(function, *arguments)) == arguments  # type: ignore[misc]
        await stand.call(stand.standing.put_back)
    with pytest.raises(LookupError, match="nothing"):
        await stand.call(lambda: stand.standing.call(function))
    await stand.call(stand.standing.put_back)


async def test_nothing_is_called_as_a_task_that_is_not_there(tasks: ModuleType) -> None:
    standing = tasks.StandingTask(asyncio.get_running_loop(), contextvars.copy_context())
    standing.put_back()
    with pytest.raises(RuntimeError, match="no task stands ready"):
        standing.go_on(None)
    assert standing.call(print) is NotImplemented
    assert standing.call(print) is NotImplemented
    await standing.close()


@pytest.mark.parametrize("first", [True, False])
async def test_what_is_called_before_the_task_is_put_back_is_one_use(stand: Stand, first: bool) -> None:
    assert await stand.run(lambda: identity([])) is None
    used = stand.standing._task

    def use(keeps: bool) -> None:
        KEPT.clear()
        for keeps_it in (keeps and first, keeps and not first):
            stand.standing.call(lambda it: KEPT.append(asyncio.current_task() if it else None), keeps_it)
        stand.standing.put_back()

    await stand.call(lambda: use(False))
    assert stand.standing._task is used
    await stand.call(lambda: use(True))
    assert stand.standing._task is not used
    assert used in KEPT
    KEPT.clear()


async def test_an_empty_base_is_seen_to_be_filled(tasks: ModuleType) -> None:
    stand = Stand(tasks)
    stand.standing = tasks.StandingTask(stand.loop, contextvars.Context())
    seen: list[int] = []
    assert await stand.run(lambda: identity(seen)) is None
    assert await stand.run(lambda: identity(seen)) is None
    assert await stand.run(sets_a_variable) is None

    async def looks() -> None:
        assert VARIABLE.get("unset") == "unset"
        await identity(seen)

    assert await stand.run(looks) is None
    assert len(seen) == 3
    assert len(set(seen[:2])) == 1
    await stand.standing.close()


async def test_many_uses_leave_nothing_behind(stand: Stand) -> None:
    async def waits() -> None:
        await asyncio.sleep(0)

    async def both() -> None:
        for _ in range(50):
            assert await stand.run(lambda: identity([])) is None
            task = await stand.run(waits)
            assert task is not None
            await task

    await both()
    gc.collect()
    before = len(gc.get_objects())
    await both()
    gc.collect()
    assert len(gc.get_objects()) - before < 20


def chosen(wanted: str, program: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "RAT_TASKS": wanted}
    program += "; from rat import tasks; print(tasks.implementation)"
    return subprocess.run(
        [sys.executable, "-c", program.strip("; ")], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(importlib.util.find_spec("rat._tasks") is None, reason="rat._tasks is not built")
def test_which_one_is_used_can_be_chosen() -> None:
    hidden = "import sys; sys.modules['rat._tasks'] = None"
    assert chosen("").stdout == "native\n"
    assert chosen("", hidden).stdout == "reference\n"
    assert "RAT_TASKS is 'native', and rat._tasks is not built" in chosen("native", hidden).stderr
    assert "RAT_TASKS is 'fast', and may be 'native' or 'reference'" in chosen("fast").stderr


@pytest.mark.skipif(ours.implementation != "native", reason="in Python it is an AttributeError")
def test_a_seat_that_lacks_a_part_asks_for_a_task() -> None:
    class Bare(ours.Seat):
        stood = 0

        def stand(self) -> None:
            self.stood += 1

        def replace(self) -> None: ...

    bare: Any = Bare.__new__(Bare)
    assert bare.call(len, ()) is NotImplemented
    bare._task, bare._context, bare._turn = object(), contextvars.copy_context(), SimpleNamespace(waits=True)
    assert bare.call(len, ()) is NotImplemented
    assert bare.stood == 2


SWEEP = """
import asyncio, contextvars, faulthandler
faulthandler.enable()
from rat import _tasks, tasks
from tests.support.allocations import refusals

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")
VARIABLE.set("before")
base = contextvars.copy_context()
loop = asyncio.new_event_loop()

class Standing(tasks.StandingTask):
    replaced = 0

    def replace(self):
        self.replaced += 1

async def returns():
    return 1

def raises(standing):
    try:
        standing.call(len, 1)
    except TypeError:
        return True

def operations(standing):
    yield lambda: standing.call(max, 1, 2)
    yield lambda: raises(standing)
    yield lambda: standing.call(max, 1, 2) and (standing.put_back() or True)
    yield lambda: tasks.first_step(returns())
    yield lambda: tasks.first_step(asyncio.sleep(0))
    yield lambda: _tasks.Seat(loop, base, "name")

def sweep(standing):
    task = standing._task
    for operation in operations(standing):
        print(refusals(lambda: operation))
        assert asyncio.current_task(loop) is None
    assert standing._task is task and not standing.replaced
    standing.call(VARIABLE.set, "after")
    standing.put_back()
    assert standing.replaced == 1

standing = Standing(loop, base)
standing.stand()
loop.run_until_complete(asyncio.sleep(0))
sweep(standing)
loop.run_until_complete(standing.close())
"""


@can_fail
@pytest.mark.skipif(importlib.util.find_spec("rat._tasks") is None, reason="rat._tasks is not built")
def test_every_allocation_may_fail() -> None:
    assert len(refusals_of(SWEEP, RAT_TASKS="native", PYTHONWARNINGS="ignore")) == 6
