"""An inbox gives what came, in order, and gives credit back for what was taken."""

from __future__ import annotations

import asyncio

import pytest

from rat.errors import ConnectionLost
from rat.stream.inbox import Inbox, InboxState, nothing


def ignore(size: int = 0) -> None:
    """Whoever gives the credit back."""


async def test_items_come_in_order_and_their_credit_is_told() -> None:
    taken: list[int] = []
    inbox = Inbox(taken.append, ignore)
    for number in range(3):
        inbox.feed(number, number + 10)
    assert (len(inbox), taken) == (3, [])
    assert await anext(inbox) == 0
    assert taken == [10]
    inbox.end()
    assert inbox.state is InboxState.ENDED
    assert [item async for item in inbox] == [1, 2]
    assert taken == [10, 11, 12]


async def test_a_reader_that_has_to_wait_is_told_of_once_each_time() -> None:
    waits: list[int] = []
    inbox = Inbox(ignore, lambda: waits.append(len(inbox)))
    inbox.feed("a", 1)
    assert await anext(inbox) == "a"
    assert waits == []
    reader = asyncio.create_task(anext(inbox))
    await asyncio.sleep(0)
    assert waits == [0]
    inbox.feed("b", 1)
    assert await reader == "b"
    inbox.end()
    assert [item async for item in inbox] == []
    assert waits == [0]


async def test_an_error_comes_after_what_was_there_before_it() -> None:
    inbox = Inbox(ignore, ignore)
    inbox.feed("a", 1)
    inbox.fail(ConnectionLost())
    inbox.end()
    assert inbox.state is InboxState.FAILED
    assert await anext(inbox) == "a"
    for _ in range(2):
        with pytest.raises(ConnectionLost):
            await anext(inbox)


async def test_a_cancelled_reader_has_consumed_nothing() -> None:
    inbox = Inbox(ignore, ignore)
    reader = asyncio.create_task(anext(inbox))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another task reads this stream already"):
        await anext(inbox)
    inbox.feed("a", 1)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await anext(inbox) == "a"


async def test_nothing_is_an_empty_stream() -> None:
    assert [item async for item in nothing()] == []
