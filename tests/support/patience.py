"""Tests that the clock judges, on a machine that is not theirs alone."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec

__all__ = ["three_tries"]

P = ParamSpec("P")


def three_tries(test: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
    """*test* holds if it holds once in three times: somebody else may have had the processor while it ran.

    For what has to be true of every run there is an assertion in a test without this.
    """

    @functools.wraps(test)
    async def tried(*args: P.args, **kwargs: P.kwargs) -> None:
        for _ in range(2):
            with contextlib.suppress(AssertionError):
                return await test(*args, **kwargs)
        return await test(*args, **kwargs)

    return tried
