"""Event streams as bytes, with comments in the silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from rat.stream.heartbeat import EventBytes, Heartbeat, event_bytes
from rat.stream.sse import HEARTBEAT, Event
from tests.support.timers import FakeTimers

timers: FakeTimers


@pytest.fixture(autouse=True)
def _time() -> Iterator[None]:
    global timers
    timers = FakeTimers()
    yield
    assert timers.pending == 0, "a timer was left behind"


@pytest.fixture(autouse=True)
async def _tasks() -> AsyncIterator[None]:
    yield
    await turn()
    assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Source:
    """Gives what a test puts in; remembers how it was used."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event | BaseException] = asyncio.Queue()
        self.asked = 0
        self.closed = 0
        self.tasks: set[object] = set()

    def __aiter__(self) -> Source:
        return self

    async def __anext__(self) -> Event:
        self.asked += 1
        self.tasks.add(asyncio.current_task())
        event = await self.queue.get()
        if isinstance(event, BaseException):
            raise event
        return event

    async def aclose(self) -> None:
        self.tasks.add(asyncio.current_task())
        self.closed += 1


def stream(source: Source, *, heartbeat: float | None = 15.0, retry: float | None = None) -> EventBytes:
    return event_bytes(source, heartbeat=heartbeat, retry=retry, clock=timers)


async def test_events_then_the_end() -> None:
    source = Source()
    for event in ("a", {"b": 1}, StopAsyncIteration()):
        source.queue.put_nowait(event)
    assert [piece async for piece in stream(source, retry=0.5)] == [
        b"retry: 500\n\n",
        b"data: a\n\n",
        b'data: {"b":1}\n\n',
    ]
    assert source.closed == 1
    assert len(source.tasks) == 1


async def test_an_event_is_asked_for_only_when_a_reader_waits() -> None:
    source = Source()
    for event in "abc":
        source.queue.put_nowait(event)
    pieces = stream(source)
    await turn()
    assert source.asked == 0
    for asked in (1, 2, 3):
        await anext(pieces)
        await turn()
        assert source.asked == asked
    await pieces.aclose()


async def test_silence_is_broken_by_comments() -> None:
    source = Source()
    pieces = stream(source)
    for _ in range(3):
        waiting = asyncio.ensure_future(anext(pieces))
        await turn()
        timers.advance(14.9)
        await turn()
        assert not waiting.done()
        timers.advance(0.2)
        assert await waiting == HEARTBEAT
    assert source.asked == 1, "the source was left alone in its step"
    source.queue.put_nowait("a")
    assert await anext(pieces) == b"data: a\n\n"
    await pieces.aclose()


async def test_an_event_puts_the_comment_off() -> None:
    source = Source()
    pieces = stream(source)
    waiting = asyncio.ensure_future(anext(pieces))
    await turn()
    timers.advance(10)
    source.queue.put_nowait("a")
    assert await waiting == b"data: a\n\n"
    waiting = asyncio.ensure_future(anext(pieces))
    await turn()
    timers.advance(14)
    await turn()
    assert not waiting.done()
    timers.advance(1)
    assert await waiting == HEARTBEAT
    await pieces.aclose()


async def test_a_busy_reader_gets_no_comment() -> None:
    source = Source()
    source.queue.put_nowait("a")
    pieces = stream(source)
    assert await anext(pieces) == b"data: a\n\n"
    timers.advance(100)
    source.queue.put_nowait("b")
    assert await anext(pieces) == b"data: b\n\n"
    await pieces.aclose()


async def test_an_event_that_meets_a_comment_waits_for_it() -> None:
    source = Source()
    pieces = stream(source)
    waiting = asyncio.ensure_future(anext(pieces))
    await turn()
    source.queue.put_nowait("a")
    timers.advance(15)
    first = await waiting
    assert {first, await anext(pieces)} == {HEARTBEAT, b"data: a\n\n"}
    await pieces.aclose()


@pytest.mark.parametrize("heartbeat", [None, 0])
async def test_no_heartbeat(heartbeat: float | None) -> None:
    source = Source()
    pieces = stream(source, heartbeat=heartbeat)
    waiting = asyncio.ensure_future(anext(pieces))
    await turn()
    assert timers.pending == 0
    source.queue.put_nowait("a")
    assert await waiting == b"data: a\n\n"
    await pieces.aclose()


async def test_a_cancelled_reader_loses_nothing() -> None:
    source = Source()
    pieces = stream(source)
    for late in (False, True):
        waiting = asyncio.ensure_future(anext(pieces))
        await turn()
        if late:
            source.queue.put_nowait("b")
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        if not late:
            source.queue.put_nowait("a")
            assert await anext(pieces) == b"data: a\n\n"
        else:
            assert await anext(pieces) == b"data: b\n\n"
    await pieces.aclose()


@pytest.mark.parametrize("error", [OSError("db"), TypeError("x"), asyncio.CancelledError()], ids=repr)
async def test_an_error_of_the_source_is_raised_and_the_source_closed(error: BaseException) -> None:
    source = Source()
    source.queue.put_nowait("a")
    source.queue.put_nowait(error)
    pieces = stream(source)
    assert await anext(pieces) == b"data: a\n\n"
    with pytest.raises(type(error)):
        await anext(pieces)
    with pytest.raises(StopAsyncIteration):
        await anext(pieces)
    assert source.closed == 1


async def test_an_event_that_cannot_be_sent_is_an_error() -> None:
    source = Source()
    source.queue.put_nowait([{1}])
    with pytest.raises(TypeError, match="is no JSON"):
        await anext(stream(source))
    assert source.closed == 1


async def test_never_started_is_closed() -> None:
    source = Source()
    pieces = stream(source)
    await pieces.aclose()
    await pieces.aclose()
    assert (source.asked, source.closed) == (0, 1)
    assert [piece async for piece in pieces] == []


async def test_aclose_ends_a_waiting_reader() -> None:
    source = Source()
    pieces = stream(source)
    waiting = asyncio.ensure_future(anext(pieces))
    await turn()
    with pytest.raises(RuntimeError, match="another task"):
        await anext(pieces)
    await pieces.aclose()
    assert source.closed == 1
    with pytest.raises((StopAsyncIteration, asyncio.CancelledError)):
        await waiting


async def test_a_generator_with_a_timeout_across_its_yields() -> None:
    log: list[str] = []

    async def timed() -> AsyncIterator[Event]:
        try:
            async with asyncio.timeout(60):
                yield "a"
                await asyncio.sleep(0)
                yield "b"
        finally:
            log.append("closed")

    assert [piece async for piece in event_bytes(timed(), clock=timers)] == [b"data: a\n\n", b"data: b\n\n"]
    pieces = event_bytes(timed(), clock=timers)
    assert await anext(pieces) == b"data: a\n\n"
    await pieces.aclose()
    assert log == ["closed", "closed"]


async def test_aclose_raises_what_closing_raised() -> None:
    async def bad() -> AsyncIterator[Event]:
        try:
            yield "a"
        finally:
            raise OSError("cannot close")

    pieces = event_bytes(bad(), clock=timers)
    await anext(pieces)
    with pytest.raises(OSError, match="cannot close"):
        await pieces.aclose()


def test_a_heartbeat_comes_after_each_silence_and_has_one_timer() -> None:
    beats: list[float] = []
    heartbeat = Heartbeat(timers, 15.0, lambda: beats.append(timers.now - 1000.0))
    for _ in range(10):
        timers.advance(10.0)
        heartbeat.touch()
        assert timers.pending == 1
    assert beats == []
    timers.advance(14.5)
    assert beats == []
    for due in (115.0, 130.0, 145.0):
        timers.advance(15.0)
        assert beats[-1] == due
    heartbeat.stop()
    timers.advance(100.0)
    assert len(beats) == 3


async def test_who_takes_the_events_over_has_the_source_itself() -> None:
    source = Source()
    pieces = stream(source, retry=2)
    assert pieces.take_over() == (b"retry: 2000\n\n", source)
    with pytest.raises(RuntimeError, match="being read, or was closed"):
        pieces.take_over()
    with pytest.raises(StopAsyncIteration):
        await anext(pieces)
    await pieces.aclose()
    assert (source.asked, source.closed) == (0, 0)


async def test_events_that_are_being_read_cannot_be_taken_over() -> None:
    source = Source()
    source.queue.put_nowait("a")
    pieces = stream(source)
    assert await anext(pieces) == b"data: a\n\n"
    with pytest.raises(RuntimeError, match="being read, or was closed"):
        pieces.take_over()
    await pieces.aclose()
    assert source.closed == 1
