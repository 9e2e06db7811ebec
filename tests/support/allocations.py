"""Lets memory run out under an operation, at its first allocation, its second, and so on.

The programs of tests that do so run in processes of their own, which import this module.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

__all__ = ["can_fail", "refusals", "refusals_of"]

can_fail = pytest.mark.skipif(importlib.util.find_spec("_testcapi") is None, reason="_testcapi makes allocations fail")


def refusals(prepare: Callable[[], Callable[[], object]]) -> int:
    """How often what *prepare* gives raised MemoryError, and nothing else, before all that it asks for was there."""
    memory: Any = import_module("_testcapi")
    expected, first = type(prepare()()), 0
    while True:
        operation = prepare()
        memory.set_nomemory(first, first + 1)
        try:
            value = operation()
        except MemoryError:
            first += 1
            continue
        finally:
            memory.remove_mem_hooks()
        assert type(value) is expected
        assert type(prepare()()) is expected
        return first


def refusals_of(program: str, **environment: str) -> list[int]:
    """The numbers that *program* prints, with an allocator that finds what is written or freed wrongly."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONMALLOC": "debug", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [int(count) for count in done.stdout.split()]
