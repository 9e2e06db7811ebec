"""An inbox gives what came, in order, and gives credit back for what was taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from rat.errors import CallError, ConnectionLost
from rat.stream.inbox import Inbox, InboxState, nothing


def ignore(size: int = 0, length: int = 0) -> None:
    """Whoever gives the credit back."""


async def test_items_come_in_order_and_their_credit_is_told() -> None:
    taken: list[tuple[int, int]] = []
    inbox = Inbox(lambda size, length: taken.append((size, length)), ignore)
    for number in range(3):
        inbox.feed(number, number + 10, number + 20)
    assert (len(inbox), taken) == (3, [])
    assert await anext(inbox) == 0
    assert taken == [(10, 20)]
    inbox.end()
    assert inbox.state is InboxState.ENDED
    assert [item async for item in inbox] == [1, 2]
    assert taken == [(10, 20), (11, 21), (12, 22)]


async def test_a_reader_that_has_to_wait_is_told_of_once_each_time() -> None:
    waits: list[int] = []
    inbox = Inbox(ignore, lambda: waits.append(len(inbox)))
    inbox.feed("a", 1, 1)
    assert await anext(inbox) == "a"
    assert waits == []
    reader = asyncio.create_task(anext(inbox))
    await asyncio.sleep(0)
    assert waits == [0]
    inbox.feed("b", 1, 1)
    assert await reader == "b"
    inbox.end()
    assert [item async for item in inbox] == []
    assert waits == [0]


async def test_an_error_comes_after_what_was_there_before_it() -> None:
    inbox = Inbox(ignore, ignore)
    inbox.feed("a", 1, 1)
    inbox.fail(ConnectionLost())
    inbox.end()
    assert inbox.state is InboxState.FAILED
    assert await anext(inbox) == "a"
    for _ in range(2):
        with pytest.raises(ConnectionLost):
            await anext(inbox)


@pytest.mark.parametrize("before", [Inbox.end, lambda inbox: inbox.fail(ConnectionLost()), lambda inbox: None])
async def test_what_is_let_go_cannot_be_taken(before: Callable[[Inbox], None]) -> None:
    taken: list[int] = []
    inbox = Inbox(lambda size, length: taken.append(size), ignore)
    inbox.feed("a", 1, 1)
    before(inbox)
    inbox.drop(CallError("exhausted"))
    assert (len(inbox), inbox.state, taken) == (0, InboxState.DROPPED, [])
    with pytest.raises(CallError, match="exhausted"):
        await anext(inbox)


async def test_a_reader_that_waits_is_told_that_all_is_let_go() -> None:
    inbox = Inbox(ignore, ignore)
    reader = asyncio.create_task(anext(inbox))
    await asyncio.sleep(0)
    inbox.drop(CallError("exhausted"))
    with pytest.raises(CallError, match="exhausted"):
        await reader


async def test_a_cancelled_reader_has_consumed_nothing() -> None:
    inbox = Inbox(ignore, ignore)
    reader = asyncio.create_task(anext(inbox))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another task reads this stream already"):
        await anext(inbox)
    inbox.feed("a", 1, 1)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await anext(inbox) == "a"


async def test_nothing_is_an_empty_stream() -> None:
    assert [item async for item in nothing()] == []
