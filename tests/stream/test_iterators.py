"""Synchronous iterators on a worker thread."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import io
import logging
import threading
from collections.abc import Iterator

import pytest

from rat.stream.iterators import threaded

user: contextvars.ContextVar[str] = contextvars.ContextVar("user")


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "rat-iterator"]


@pytest.fixture(autouse=True)
def _leaves_no_thread() -> Iterator[None]:
    yield
    for thread in workers():
        thread.join(5)
    assert workers() == []


class Source:
    """Counts what was made of it, and on which thread it was closed."""

    def __init__(self, count: int, error: BaseException | None = None) -> None:
        self.count = count
        self.error = error
        self.made = 0
        self.threads: set[str] = set()
        self.closed: list[str] = []

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.threads.add(threading.current_thread().name)
        if self.made == self.count:
            raise self.error or StopIteration
        self.made += 1
        return self.made

    def close(self) -> None:
        self.closed.append(threading.current_thread().name)


@pytest.mark.parametrize("depth", [1, 4, 100])
@pytest.mark.parametrize("count", [0, 1, 5, 300])
async def test_all_items_come_in_order(count: int, depth: int) -> None:
    source = Source(count)
    assert [item async for item in threaded(source, depth=depth)] == list(range(1, count + 1))
    assert source.threads == {"rat-iterator"}
    assert source.closed == ["rat-iterator"]
    assert workers() == []


async def test_the_source_runs_at_most_depth_items_ahead() -> None:
    source = Source(100)
    items = threaded(source, depth=3)
    for taken in range(1, 6):
        assert await anext(items) == taken
        assert source.made <= taken + 3
    await items.aclose()
    assert source.made <= 8
    assert source.closed == ["rat-iterator"]
    assert [item async for item in items] == []


async def test_an_error_comes_after_the_items() -> None:
    items = threaded(Source(2, OSError("disk")))
    assert [await anext(items), await anext(items)] == [1, 2]
    with pytest.raises(OSError, match="disk"):
        await anext(items)
    with pytest.raises(StopAsyncIteration):
        await anext(items)


async def test_a_raised_stop_async_iteration_is_no_end() -> None:
    with pytest.raises(RuntimeError, match="the iterable raised StopAsyncIteration"):
        [item async for item in threaded(Source(0, StopAsyncIteration()))]


async def test_an_iterable_that_is_none_fails_when_iterated() -> None:
    with pytest.raises(TypeError, match="not iterable"):
        await anext(threaded(7))  # type: ignore[arg-type]


async def test_a_generator_closes_on_its_thread_when_left_early() -> None:
    seen: list[str] = []

    def numbers() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            seen.append(threading.current_thread().name)

    items = threaded(numbers(), depth=1)
    assert await anext(items) == 1
    await items.aclose()
    await items.aclose()
    assert seen == ["rat-iterator"]


async def test_never_started_and_closed() -> None:
    source = Source(3)
    items = threaded(source)
    assert workers() == []
    await items.aclose()
    assert (source.made, source.closed) == (0, ["rat-iterator"])
    plain = threaded([1, 2])
    await plain.aclose()
    assert [item async for item in plain] == []


async def test_abandoned_without_aclose() -> None:
    source = Source(100)
    items = threaded(source, depth=2)
    assert await anext(items) == 1
    thread = workers()[0]
    del items
    gc.collect()
    thread.join(5)
    assert source.closed == ["rat-iterator"]


async def test_abandoned_and_failing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Bad(Source):
        def close(self) -> None:
            raise OSError("cannot close")

    items = threaded(Bad(100), depth=1)
    assert await anext(items) == 1
    thread = workers()[0]
    with caplog.at_level(logging.ERROR, "rat.stream"):
        del items
        gc.collect()
        thread.join(5)
    assert [record.getMessage() for record in caplog.records] == ["an abandoned iterator failed"]


async def test_aclose_raises_what_closing_raised() -> None:
    class Bad(Source):
        def close(self) -> None:
            raise OSError("cannot close")

    items = threaded(Bad(100), depth=1)
    assert await anext(items) == 1
    with pytest.raises(OSError, match="cannot close"):
        await items.aclose()


async def test_a_cancelled_anext_has_consumed_nothing() -> None:
    gate = threading.Event()

    def gated() -> Iterator[int]:
        gate.wait(5)
        yield 1
        yield 2

    items = threaded(gated())
    task = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    assert [item async for item in items] == [1, 2]


async def test_one_reader_at_a_time() -> None:
    gate = threading.Event()

    def gated() -> Iterator[int]:
        gate.wait(5)
        yield 1

    items = threaded(gated())
    task = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another task waits"):
        await anext(items)
    gate.set()
    assert await task == 1
    await items.aclose()


async def test_one_context_for_all_steps() -> None:
    user.set("ada")

    def names() -> Iterator[str]:
        yield user.get()
        user.set("grace")
        yield user.get()

    assert [name async for name in threaded(names())] == ["ada", "grace"]
    assert user.get() == "ada"


async def test_a_file_is_closed() -> None:
    file = io.BytesIO(b"a\nb\n")
    assert [line async for line in threaded(file)] == [b"a\n", b"b\n"]
    assert file.closed


def test_a_closed_loop_lets_the_thread_go() -> None:
    gate = threading.Event()
    source = Source(3)

    def gated() -> Iterator[int]:
        gate.wait(5)
        yield from source

    items = threaded(gated())

    async def begin() -> None:
        task = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(begin())
    thread = workers()[0]
    gate.set()
    thread.join(5)
    assert not thread.is_alive()


def test_depth_is_positive() -> None:
    with pytest.raises(ValueError, match="depth is 0, and must be at least 1"):
        threaded([], depth=0)
