"""Blocking work in a thread, without losing what it gave when the caller is cancelled meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *arguments: Any, discard: Callable[[T], object] | None = None) -> T:
    """Call *function* in a thread.

    When cancelled, waits for it to end first, so that what it uses may be closed then; *discard* gets a result that
    nobody will see.
    """
    future = asyncio.get_running_loop().run_in_executor(None, functools.partial(function, *arguments))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            # Cancelled again: the thread still uses what the caller is about to close.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        if not future.cancelled() and future.exception() is None and discard is not None:
            discard(future.result())
        raise
