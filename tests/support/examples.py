"""How many examples a generated test draws, and where a generator of its own begins: see tests/conftest.py."""

from __future__ import annotations

import random

from hypothesis import settings

__all__ = ["examples", "seed", "times"]


def times(count: int) -> int:
    """*count* in the default suite, twenty times as many in the long one."""
    return count * settings().max_examples // 100


def examples(count: int) -> settings:
    """The settings of a property: *count* examples in the default suite."""
    return settings(max_examples=times(count))


def seed(fixed: int) -> int:
    """*fixed* in the default suite, any number in the long one; a test that fails must say which."""
    return fixed if settings().derandomize else random.SystemRandom().randrange(1 << 32)
