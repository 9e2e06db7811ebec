"""Bodies that a producer pushes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rat.errors import ClientDisconnected
from rat.stream.writer import PushStream, StreamWriter, pushed


@pytest.fixture(autouse=True)
async def _tasks() -> AsyncIterator[None]:
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_small_pieces_of_one_turn_leave_together_and_large_ones_as_they_are() -> None:
    large = bytes(100_000)

    async def produce(out: StreamWriter) -> None:
        await out.write("é")
        await out.write(b"")
        await out.write(b"b")
        await asyncio.sleep(0)
        await out.write(b"c")
        await out.write(large)
        await out.write(b"d")

    pieces = [piece async for piece in pushed(produce)]
    assert [len(piece) for piece in pieces] == [3, 1, 100_000, 1]
    assert pieces[2] is large
    assert b"".join(pieces) == b"\xc3\xa9bc" + large + b"d"


async def test_the_producer_waits_above_high_water() -> None:
    written = 0

    async def produce(out: StreamWriter) -> None:
        nonlocal written
        for _ in range(100):
            await out.write(bytes(40_000))
            written += 40_000

    stream = pushed(produce, high_water=64 * 1024)
    taken = 0
    for _ in range(20):
        taken += len(await anext(stream))
        await turn()
        assert written - taken <= 64 * 1024 + 40_000
    await stream.aclose()
    assert written < 100 * 40_000


async def test_drain_waits_until_all_is_taken() -> None:
    log: list[str] = []

    async def produce(out: StreamWriter) -> None:
        await out.drain()
        log.append("nothing to wait for")
        await out.write(bytes(60_000))
        await out.write(bytes(60_000))
        await out.drain()
        log.append("drained")

    stream = pushed(produce, high_water=1_000_000)
    await anext(stream)
    await turn()
    assert log == ["nothing to wait for"]
    await anext(stream)
    await turn()
    assert log == ["nothing to wait for", "drained"]
    assert [piece async for piece in stream] == []


@pytest.mark.parametrize("error", [OSError("disk"), asyncio.CancelledError()], ids=repr)
async def test_an_error_comes_after_what_was_written(error: BaseException) -> None:
    async def produce(out: StreamWriter) -> None:
        await out.write(b"half")
        raise error

    stream = pushed(produce)
    assert await anext(stream) == b"half"
    with pytest.raises(type(error)):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_aclose_cancels_the_producer() -> None:
    log: list[str] = []

    async def produce(out: StreamWriter) -> None:
        try:
            while True:
                await out.write(bytes(100_000))
        finally:
            log.append("released")
            with pytest.raises(ClientDisconnected, match="nobody reads this stream any more"):
                await out.write(b"x")

    stream = pushed(produce)
    await anext(stream)
    await stream.aclose()
    await stream.aclose()
    assert log == ["released"]
    assert [piece async for piece in stream] == []


async def test_aclose_raises_what_the_producer_raised_on_its_way_out() -> None:
    async def produce(out: StreamWriter) -> None:
        try:
            await out.write(bytes(100_000))
            await out.drain()
        finally:
            raise OSError("cannot close")

    stream = pushed(produce, high_water=1_000_000)
    await anext(stream)
    stream_two = pushed(produce, high_water=1)
    waiting = asyncio.ensure_future(anext(stream_two))
    await turn()
    assert len(await waiting) == 100_000
    for each in (stream, stream_two):
        with pytest.raises(OSError, match="cannot close"):
            await each.aclose()


async def test_never_started() -> None:
    called: list[StreamWriter] = []

    async def produce(out: StreamWriter) -> None:
        called.append(out)

    stream = pushed(produce)
    await stream.aclose()
    assert [piece async for piece in stream] == []
    assert called == []


async def test_a_cancelled_reader_has_consumed_nothing() -> None:
    go = asyncio.Event()

    async def produce(out: StreamWriter) -> None:
        await go.wait()
        await out.write(b"a")

    stream: PushStream = pushed(produce)
    waiting = asyncio.ensure_future(anext(stream))
    await turn()
    with pytest.raises(RuntimeError, match="another task reads"):
        await anext(stream)
    go.set()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert [piece async for piece in stream] == [b"a"]


async def test_one_writer_at_a_time() -> None:
    errors: list[str] = []

    async def produce(out: StreamWriter) -> None:
        async def second() -> None:
            try:
                await out.drain()
            except RuntimeError as error:
                errors.append(str(error))

        await out.write(b"x")
        await out.drain()
        await out.write(b"y")
        await asyncio.gather(out.drain(), second())

    stream = pushed(produce)
    assert await anext(stream) == b"x"
    await turn()
    assert errors == ["another task writes to this stream already"]
    assert [piece async for piece in stream] == [b"y"]
