"""Lets memory run out under an operation, at its first allocation, its second, and so on; or garbage be collected.

The programs of tests that do so run in processes of their own, which import this module.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

__all__ = ["can_fail", "collecting", "refusals", "refusals_of"]

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


def collecting(work: Callable[[], Any], change: Callable[[], object]) -> Any:
    """What *work* gives; *change* runs in the collection that its first allocation of a container brings on.

    On CPython 3.11, that is; later versions wait until Python code runs.
    """
    done: list[object] = []
    held: list[object] = []

    def collect(phase: str, _: dict[str, int]) -> None:
        if phase == "start" and not done:
            done.append(None)
            change()

    usual = gc.get_threshold()
    gc.collect()  # and no free list has an object that could be had without an allocation
    gc.set_threshold(0)
    gc.callbacks.append(collect)
    while gc.get_count()[0] < 3:
        held.append([])
    try:
        gc.set_threshold(1)
        return work()
    finally:
        gc.set_threshold(*usual)
        gc.callbacks.remove(collect)
        assert held
