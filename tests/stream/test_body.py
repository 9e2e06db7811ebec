"""The content of a request between the shell and the handler."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.errors import ClientDisconnected, ContentTooLarge
from rat.stream.body import TRANSITIONS, BodyReader, BodyState


class Shell:
    """Feeds a reader from a script, as far as the reader lets it."""

    def __init__(self, pieces: list[bytes], *, limit: int | None = None, high: int = 8, low: int = 2) -> None:
        self.script = list(pieces)
        self.wanted = 0
        self.most = 0
        self.reader = BodyReader(limit=limit, high_water=high, low_water=low, on_wanted=self.pull)

    def pull(self) -> None:
        self.wanted += 1
        while self.script:
            going = self.reader.feed(self.script.pop(0))
            self.most = max(self.most, self.reader.queued)
            if not going:
                return
        if self.reader.state is BodyState.OPEN:
            self.reader.feed_eof([(b"x-sum", b"1")])


def reader(limit: int | None = None) -> BodyReader:
    return BodyReader(limit=limit, high_water=8, low_water=2)


async def test_pieces_come_as_they_were_fed() -> None:
    body = reader()
    large = bytes(100_000)
    body.feed(b"ab")
    body.feed(large)
    body.feed(b"")
    body.feed(memoryview(b"cd"))
    body.feed_eof()
    pieces = [piece async for piece in body]
    assert [len(piece) for piece in pieces] == [2, 100_000, 2]
    assert pieces[1] is large
    assert type(pieces[2]) is bytes
    assert body.queued == 0
    assert body.received == 100_004


async def test_read_hands_over_a_single_piece_without_a_copy() -> None:
    body = reader()
    piece = bytes(50_000)
    body.feed(piece)
    body.feed_eof()
    assert await body.read() is piece
    assert await body.read() == b""


@given(st.lists(st.binary(max_size=12), max_size=20), st.integers(0, 10), st.integers(0, 10))
def test_nothing_is_lost_and_the_queue_is_bounded(pieces: list[bytes], one: int, other: int) -> None:
    low, high = sorted((one, other))

    async def consume() -> tuple[Shell, bytes]:
        shell = Shell(pieces, high=high, low=low)
        return shell, await shell.reader.read()

    shell, content = asyncio.run(consume())
    assert content == b"".join(pieces)
    assert shell.most <= high + 12
    assert shell.reader.trailers == [(b"x-sum", b"1")]


async def test_wanted_is_said_before_waiting_and_at_low_water_only() -> None:
    shell = Shell([b"aaaa", b"bbbb", b"c", b"d"])
    body = shell.reader
    assert shell.wanted == 0
    assert await anext(body) == b"aaaa"
    assert shell.wanted == 1
    assert body.is_full
    assert await anext(body) == b"bbbb"
    assert shell.wanted == 2, "one byte is left, at or below low water"
    assert [piece async for piece in body] == [b"c", b"d"]


@pytest.mark.parametrize(("size", "full"), [(7, False), (8, False), (9, True)])
async def test_full_is_above_high_water(size: int, full: bool) -> None:
    body = reader()
    assert body.feed(bytes(size)) is not full
    assert body.is_full is full


async def test_a_waiting_reader_is_woken_by_a_piece_and_by_the_end() -> None:
    body = reader()
    task = asyncio.create_task(body.read())
    await asyncio.sleep(0)
    body.feed(b"ab")
    await asyncio.sleep(0)
    assert not task.done()
    body.feed_eof([(b"a", b"b")])
    assert await task == b"ab"
    assert body.trailers == [(b"a", b"b")]


@pytest.mark.parametrize(("size", "fits"), [(9, True), (10, True), (11, False)])
@pytest.mark.parametrize("step", [1, 4, 100])
async def test_the_limit(size: int, fits: bool, step: int) -> None:
    body = reader(limit=10)
    content = bytes(range(size))
    for start in range(0, size, step):
        body.feed(content[start : start + step])
    body.feed_eof()
    if fits:
        assert await body.read() == content
        return
    with pytest.raises(ContentTooLarge, match="content of 11 bytes is larger than the limit of 10 bytes") as caught:
        await body.read()
    assert caught.value.status == 413
    assert body.feed(b"more") is False
    with pytest.raises(ContentTooLarge):
        await anext(body)


async def test_read_has_a_limit_of_its_own() -> None:
    body = reader()
    body.feed(b"abcd")
    body.feed_eof()
    with pytest.raises(ContentTooLarge, match="content of 4 bytes is larger than the limit of 3 bytes"):
        await body.read(3)


async def test_a_failure_comes_after_what_came_before() -> None:
    body = reader()
    body.feed(b"ab")
    body.fail(ClientDisconnected("the client left after 2 of 5 bytes"))
    body.fail(ClientDisconnected("again"))
    assert await anext(body) == b"ab"
    for _ in range(2):
        with pytest.raises(ClientDisconnected, match="after 2 of 5"):
            await anext(body)


async def test_a_failure_wakes_a_waiting_reader() -> None:
    body = reader()
    task = asyncio.create_task(body.read())
    await asyncio.sleep(0)
    body.fail(ClientDisconnected("gone"))
    with pytest.raises(ClientDisconnected, match="gone"):
        await task


async def test_a_failure_after_the_end_is_none() -> None:
    body = reader()
    body.feed_eof()
    body.fail(ClientDisconnected("gone"))
    assert await body.read() == b""


@pytest.mark.parametrize("verb", ["anext", "read"])
async def test_a_cancelled_reader_has_consumed_nothing(verb: str) -> None:
    body = reader()
    body.feed(b"ab")
    if verb == "anext":
        assert await anext(body) == b"ab"
    task = asyncio.create_task(body.read() if verb == "read" else anext(body))
    await asyncio.sleep(0)
    body.feed(b"cd")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    body.feed_eof()
    assert await body.read() == (b"abcd" if verb == "read" else b"cd")
    assert body.queued == 0


async def test_one_reader_at_a_time() -> None:
    body = reader()
    task = asyncio.create_task(body.read())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another task reads this content already"):
        await anext(body)
    body.feed_eof()
    assert await task == b""


@pytest.mark.parametrize("verb", ["feed", "feed_eof"])
async def test_nothing_is_fed_after_the_end(verb: str) -> None:
    body = reader()
    body.feed_eof()
    with pytest.raises(RuntimeError, match=f"{verb} after the message was ended"):
        body.feed(b"x") if verb == "feed" else body.feed_eof()


async def test_a_failed_reader_says_no_more_is_wanted() -> None:
    shell = Shell([b"abcdef"], limit=3)
    with pytest.raises(ContentTooLarge):
        await shell.reader.read()
    assert shell.wanted == 1
    assert TRANSITIONS[BodyState.FAILED, "feed_eof"] is BodyState.FAILED
    shell.reader.feed_eof()
    assert shell.reader.state is BodyState.FAILED


def test_water_marks_are_in_order() -> None:
    with pytest.raises(ValueError, match="low water 9 is above high water 8"):
        BodyReader(limit=None, high_water=8, low_water=9)
