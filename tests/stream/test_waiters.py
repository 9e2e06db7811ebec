"""Waiting by name: woken by it, by all, and by nothing else."""

from __future__ import annotations

import asyncio

import pytest

from rat.stream.waiters import Waiters


async def test_who_waits_goes_on_when_its_key_is_woken_and_not_before() -> None:
    waiters = Waiters()
    tasks = {key: asyncio.create_task(waiters.wait(key)) for key in ("a", "b", "c")}
    second = asyncio.create_task(waiters.wait("a"))
    await asyncio.sleep(0)
    waiters.wake("nobody")
    waiters.wake("a")
    await asyncio.gather(tasks["a"], second)
    assert not tasks["b"].done()
    waiters.wake_all()
    await asyncio.gather(tasks["b"], tasks["c"])
    waiters.wake("a")
    again = asyncio.create_task(waiters.wait("a"))
    await asyncio.sleep(0)
    assert not again.done()  # a wake is not kept for later
    waiters.wake("a")
    await again


async def test_a_wait_that_is_cancelled_wakes_nobody() -> None:
    waiters = Waiters()
    first, second = (asyncio.create_task(waiters.wait(1)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert not second.done()
    waiters.wake(1)
    await second
