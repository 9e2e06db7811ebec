"""Calls whose handlers are coroutines: they share a task as long as nothing tells them apart."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import pytest

from rat import Rat
from rat.client import connect
from rat.codec.frame import Kind, pack_frame
from rat.config import FrameLimits
from rat.errors import CallError
from rat.frames_protocol import FramesProtocol
from rat.procedures import CallRequest, begins_later
from tests.frames.support import call_frame, kinds
from tests.shell.test_frames import both, raw, wait_for
from tests.support.serving import SteppedClock, serving

COUNT = 40
WHO: ContextVar[list[int]] = ContextVar("WHO")


def make_app() -> Rat:
    app = Rat()
    app.state.log = []
    app.state.tasks = []

    @app.call("task")
    async def task_of(request: CallRequest, number: int) -> int:
        return id(asyncio.current_task())

    @app.call("variable")
    async def variable(request: CallRequest, number: int) -> Any:
        before = WHO.get([])
        WHO.set([*before, number])
        return before

    @app.call("keep")
    async def keep(request: CallRequest, number: int) -> int:
        app.state.tasks.append(asyncio.current_task())
        return number

    @app.call("cancel myself")
    async def cancel_myself(request: CallRequest, number: int) -> int:
        task = asyncio.current_task()
        assert task is not None
        if number % 3 == 0:
            task.cancel()
        return number

    @app.call("meet")
    async def meet(request: CallRequest, number: int) -> int:
        app.state.log.append(number)
        if len(app.state.log) == COUNT:
            app.state.everybody.set()
        await app.state.everybody.wait()
        return number

    @app.call("odd ones wait")
    async def odd_ones_wait(request: CallRequest, number: int) -> int:
        WHO.set([number])
        if number % 2:
            await asyncio.sleep(0)
        if number % 10 == 7:
            raise CallError("seven", "as agreed")
        assert WHO.get() == [number]
        return number

    @app.call("structured")
    async def structured(request: CallRequest, number: int) -> int:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            if number % 4 == 0:
                group.create_task(asyncio.sleep(0))
        try:
            async with asyncio.timeout(0 if number % 5 == 0 else 10):
                await asyncio.sleep(0 if number % 5 else 10)
        except TimeoutError:
            return -number
        return number

    @app.call("items")
    async def items(request: CallRequest, number: int) -> AsyncIterator[int]:
        for item in range(number):
            yield item

    @app.call("forever")
    async def forever(request: CallRequest) -> None:
        app.state.log.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            app.state.log.append("ended")

    return app


async def all_at_once(client: Any, name: str) -> list[Any]:
    return await asyncio.gather(*(client.call(name, number) for number in range(COUNT)), return_exceptions=True)


async def test_calls_that_do_not_wait_need_few_tasks() -> None:
    async with both(make_app()) as (_, client):
        assert len(set(await all_at_once(client, "task"))) < COUNT // 4


async def test_no_call_sees_what_another_has_set() -> None:
    async with both(make_app()) as (_, client):
        assert await all_at_once(client, "variable") == [[]] * COUNT


async def test_a_task_that_somebody_holds_is_nobody_elses() -> None:
    app = make_app()
    async with both(app) as (_, client):
        assert await all_at_once(client, "keep") == list(range(COUNT))
        assert len(set(app.state.tasks)) == COUNT
        for task in app.state.tasks:
            task.cancel()
        assert await client.call("keep", 1) == 1


async def test_a_task_that_was_cancelled_is_nobody_elses() -> None:
    async with both(make_app()) as (_, client):
        calls = [client.call(name, 3) for name in ("cancel myself", "odd ones wait")]
        assert await asyncio.gather(*calls, return_exceptions=True) == [3, 3]
        assert await all_at_once(client, "cancel myself") == list(range(COUNT))


async def test_handlers_that_wait_wait_together() -> None:
    app = make_app()
    app.state.everybody = asyncio.Event()
    async with both(app) as (server, client), asyncio.timeout(5):
        assert await all_at_once(client, "meet") == list(range(COUNT))
        assert server.service.waits["meet"] > 0
        # Asked again at some time whether it still waits: it does not, since everybody has come.
        for _ in range(4):
            assert await all_at_once(client, "meet") == list(range(COUNT))
        assert "meet" not in server.service.waits


async def test_some_wait_and_some_fail_and_each_has_its_answer() -> None:
    async with both(make_app()) as (_, client), asyncio.timeout(5):
        for _ in range(5):
            answers = await all_at_once(client, "odd ones wait")
            for number, answer in enumerate(answers):
                if number % 10 == 7:
                    assert isinstance(answer, CallError)
                    assert answer.code == "seven"
                else:
                    assert answer == number


async def test_timeouts_and_groups_work_as_in_any_task() -> None:
    async with both(make_app()) as (_, client), asyncio.timeout(5):
        for _ in range(3):
            expected = [-number if number % 5 == 0 else number for number in range(COUNT)]
            assert await all_at_once(client, "structured") == expected


async def test_streams_begin_behind_one_another() -> None:
    async def collect(client: Any, number: int) -> list[int]:
        return [item async for item in client.stream("items", number)]

    async with both(make_app()) as (_, client), asyncio.timeout(5):
        answers = await asyncio.gather(*(collect(client, number) for number in range(COUNT)))
        assert answers == [list(range(number)) for number in range(COUNT)]


async def test_a_call_that_is_cancelled_before_it_begins_does_not_disturb_those_beside_it() -> None:
    app = make_app()
    async with serving(app) as server, asyncio.timeout(5):
        async with raw(server) as peer:
            await peer.hello()
            calls = [call_frame(number, "task", number) for number in (1, 3)]
            cancelled = call_frame(5, "forever") + pack_frame(Kind.CANCEL, 0, 5)
            peer.writer.write(b"".join((*calls, cancelled, call_frame(7, "task", 7), call_frame(9, "nothing"))))
            peer.writer.write_eof()
            assert sorted(kinds(await peer.rest())) == [Kind.RESULT] * 3 + [Kind.ERROR]
        assert app.state.log in ([], ["begun", "ended"])
        assert server.service.counters.handler_errors == 0


@pytest.mark.parametrize("quick", [0, 5])
async def test_a_caller_that_leaves_ends_what_has_begun_and_what_has_not(quick: int) -> None:
    app = make_app()
    async with serving(app) as server, asyncio.timeout(5):
        before = len(asyncio.all_tasks())
        async with raw(server) as peer:
            await peer.hello()
            calls = [call_frame(1 + 2 * number, "task", 1) for number in range(quick)]
            peer.writer.write(b"".join((*calls, call_frame(101, "forever"), call_frame(103, "forever"))))
            await wait_for(app, "begun")
        await wait_for(app, "ended")
        while len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0)
        assert app.state.log.count("begun") == app.state.log.count("ended")


async def test_results_that_are_large_are_written_before_all_are_there() -> None:
    app = make_app()

    @app.call("large")
    async def large(request: CallRequest, number: int) -> bytes:
        return bytes([number]) * 100_000

    async with both(app) as (_, client), asyncio.timeout(10):
        assert await all_at_once(client, "large") == [bytes([number]) * 100_000 for number in range(COUNT)]


def test_which_handlers_begin_later() -> None:
    async def coroutine(request: Any) -> None: ...

    async def items(request: Any) -> AsyncIterator[int]:
        yield 1

    class Handler:
        async def method(self, request: Any) -> None: ...

        async def __call__(self, request: Any) -> None: ...

    def plain(request: Any) -> None: ...

    assert [begins_later(handler) for handler in (coroutine, items, Handler().method)] == [True, True, True]
    assert [begins_later(handler) for handler in (plain, lambda request: coroutine(request), Handler())] == [False] * 3


@pytest.mark.parametrize("waits", [False, True])
async def test_a_handler_that_is_cancelled_by_what_it_awaits_answers_so(waits: bool) -> None:
    app = make_app()

    @app.call("awaits what is cancelled")
    async def awaits(request: CallRequest) -> None:
        if waits:
            await asyncio.sleep(0)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async with both(app) as (server, client), asyncio.timeout(5):
        for _ in range(2):
            with pytest.raises(CallError, match="cancelled by the server"):
                await client.call("awaits what is cancelled")
        assert await client.call("keep", 1) == 1
        assert server.service.counters.handler_errors == 0


@pytest.mark.parametrize("name", ["exit", "plain", "stream"])
async def test_a_handler_that_ends_the_process_does_so_from_the_loop(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()

    @app.call("exit")
    async def leave(request: CallRequest) -> None:
        raise SystemExit(3)

    @app.call("plain")
    def leave_at_once(request: CallRequest) -> None:
        raise SystemExit(3)

    @app.call("stream")
    async def stream(request: CallRequest) -> AsyncIterator[int]:
        if request.name == "stream":
            raise SystemExit(3)
        yield 1

    async with both(app) as (_, client), asyncio.timeout(5):
        left: list[BaseException] = []
        monkeypatch.setattr("rat.tasks._raise", left.append)
        answer = anext(client.stream(name)) if name == "stream" else client.call(name)
        with pytest.raises(CallError, match="cancelled by the server"):
            await answer
        assert [type(error) for error in left] == [SystemExit]
        assert await client.call("keep", 1) == 1


async def test_a_handler_that_sends_items_before_it_answers() -> None:
    app = make_app()

    @app.call("counts")
    async def counts(request: CallRequest, number: int) -> str:
        for item in range(number):
            await request.send(item)
        return "done"

    async with serving(app) as server, raw(server) as peer, asyncio.timeout(5):
        await peer.hello()
        peer.writer.write(b"".join(call_frame(1 + 2 * number, "counts", number) for number in range(3)))
        peer.writer.write_eof()
        assert kinds(await peer.rest()) == [
            *[Kind.RESULT, Kind.ITEM, Kind.RESULT],
            *[Kind.ITEM, Kind.ITEM, Kind.RESULT],
        ]


async def test_items_that_are_sent_before_a_handler_waits_count() -> None:
    app = make_app()

    @app.call("more than the window")
    async def more(request: CallRequest) -> str:
        for _ in range(300):
            await request.send("x" * 1000)
        return "done"

    async with both(app) as (_, client), asyncio.timeout(5):
        seen = 0
        async for item in client.stream("more than the window"):
            seen += len(item)
            await asyncio.sleep(0)
        assert seen == 300_000


@pytest.mark.parametrize("waits", [False, True])
async def test_whatever_a_handler_raises_and_whatever_it_gives_the_caller_is_told(waits: bool) -> None:
    app = make_app()

    class Unusual(BaseException):
        pass

    @app.call("raises")
    async def raises(request: CallRequest) -> None:
        if waits:
            await asyncio.sleep(0)
        raise Unusual

    @app.call("too large")
    async def too_large(request: CallRequest) -> str:
        if waits:
            await asyncio.sleep(0)
        return "x" * 60_000

    limits = FrameLimits(payload=50_000, assembled=50_000)
    async with serving(app) as server, connect(f"rat://127.0.0.1:{server.port}", limits=limits) as client:
        async with asyncio.timeout(5):
            for name in ("raises", "too large"):
                with pytest.raises(CallError, match="internal"):
                    await client.call(name)
        assert server.service.counters.handler_errors == 2


async def test_what_is_raised_is_not_kept() -> None:
    app = make_app()
    raised: list[weakref.ref[BaseException]] = []

    @app.call("fails")
    async def fails(request: CallRequest) -> None:
        error = CallError("expected", "as agreed")
        raised.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    async with both(app) as (_, client), asyncio.timeout(5):
        gc.disable()
        try:
            try:
                await client.call("fails")
            except CallError as error:
                raised.append(weakref.ref(error))
            await asyncio.sleep(0)
            assert [ref() for ref in raised] == [None, None]
        finally:
            gc.enable()


async def test_a_handler_that_gives_its_connection_up_in_its_first_step() -> None:
    app = make_app()

    @app.call("abort")
    async def abort(request: CallRequest) -> str:
        [connection] = app.state.server.service.connections
        connection.abort()
        return "nobody reads this"

    async with serving(app) as server, raw(server) as peer, asyncio.timeout(5):
        app.state.server = server
        await peer.hello()
        peer.writer.write(b"".join(call_frame(1 + 2 * number, "abort") for number in range(3)))
        with suppress(ConnectionResetError):
            assert await peer.reader.read() == b""
        assert server.service.counters.handler_errors == 0


async def test_of_a_call_that_answers_though_its_time_is_over_nothing_is_kept() -> None:
    app, clock = make_app(), SteppedClock()

    @app.call("stubborn")
    async def stubborn(request: CallRequest) -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.get_running_loop().create_future()
        return "all the same"

    async with both(app, clock=clock) as (server, client), asyncio.timeout(5):
        peer = await client.connected()
        # Another call is at work all the time: the record of them stays.
        peer.begin("stubborn", (), {}, None, is_open=False)
        _, answer = peer.begin("stubborn", (), {}, {"deadline": 5}, is_open=False)
        await client.ping()
        clock.time += 6
        server.sweep()
        assert await answer == "all the same"
        [connection] = server.service.connections
        assert isinstance(connection, FramesProtocol)
        assert connection._work is not None
        assert (len(connection._work), connection._work._late) == (1, {})
