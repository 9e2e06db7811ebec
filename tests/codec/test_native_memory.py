"""The C codec keeps nothing, and survives every allocation that fails."""

from __future__ import annotations

import gc
import importlib.util
import os
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from rat.codec import CodecError
from tests.support.extensions import built

built("rat.codec.native._codec")

from tests.codec.operations import OPERATIONS  # noqa: E402

IN_PYTHON = {"encode rare", "decode rare", "decode what is wrong"}
"""What the C code leaves to Python for a part."""

SWEEP = """
import _testcapi, faulthandler, sys
faulthandler.enable()
from tests.codec.operations import OPERATIONS
from rat.codec import CodecError

operation = OPERATIONS[sys.argv[1]]
for _ in range(3):
    operation()
for at_once in (1, 20):
    refused = first = 0
    while True:
        _testcapi.set_nomemory(first, first + at_once)
        try:
            operation()
            done = True
        except MemoryError:
            done = False
        except SystemError as error:  # CPython 3.11 forgets to say why it could not enter a function in Python
            assert "<function " in str(error), error
            done = False
        finally:
            _testcapi.remove_mem_hooks()
        if done:  # the operation asks for no more than that
            break
        refused += 1
        first += 1 + first // 50  # beyond the first fifty, one of fifty and of a hundred, ...
    print(refused)
operation()
"""


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.skipif(importlib.util.find_spec("_testcapi") is None, reason="_testcapi makes allocations fail")
def test_every_allocation_may_fail(name: str) -> None:
    """The first, the second, ... and twenty from the first, the second, ... on: MemoryError, and nothing else."""
    if sys.version_info >= (3, 12) and name in IN_PYTHON:
        pytest.skip("CPython 3.12 and 3.13 crash where a generator expression finds no memory")
    environment = {**os.environ, "PYTHONMALLOC": "debug", "RAT_CODEC": "native"}
    result = subprocess.run(
        [sys.executable, "-c", SWEEP, name],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert all(int(count) > 0 for count in result.stdout.split())


def _grown(operation: Callable[[], Any], times: int) -> tuple[int, int]:
    """Bytes and blocks that *times* runs leave behind, after a run that fills what is kept once."""
    for _ in range(5):
        operation()
    gc.collect()
    tracemalloc.start()
    try:
        operation()
        gc.collect()
        before, blocks = tracemalloc.get_traced_memory()[0], sys.getallocatedblocks()
        for _ in range(times):
            operation()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before, sys.getallocatedblocks() - blocks
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", OPERATIONS)
def test_nothing_stays(name: str) -> None:
    # The interpreter's own free lists come and go: what leaks shows each time, so one of three without is enough.
    found = []
    for _ in range(3):
        size, blocks = _grown(OPERATIONS[name], 50)
        if size < 2_000 and blocks < 25:
            return
        found.append((size, blocks))
    pytest.fail(f"bytes and blocks that 50 runs left behind, three times: {found}")


def test_references_of_what_is_encoded_stay_as_they_were() -> None:
    from rat.codec import native

    key, item, listed = "".join(["k", "ey"]), object(), [1.5, "x", None]
    value = {key: listed, "other": [{key: listed}] * 40, "t": (listed, {"s": frozenset([key])})}
    counts = [sys.getrefcount(each) for each in (key, item, listed, value)]
    for _ in range(10):
        native.encode(value)
        native.encode(value, profile="full", default=str)
        native.encode_batch([value, value])
        native.encode({"a": item, "b": value}, default=lambda _: value)
        with pytest.raises(CodecError):
            native.encode({"b": value, "a": item})
    assert [sys.getrefcount(each) for each in (key, item, listed, value)] == counts


def test_segments_are_the_memory_of_the_caller() -> None:
    from rat.codec import native

    content = bytes(100_000)
    array = bytearray(50_000)
    segments = native.encode_segments({"a": content, "b": [array] * 2})
    assert any(segment is content for segment in segments)
    assert sum(memoryview(segment).obj is array for segment in segments) == 2
    with pytest.raises(BufferError):
        array.append(1)
    del segments
    array.append(1)


def test_a_cycle_through_a_message_is_collected() -> None:
    from rat.codec.native import Cursor
    from rat.codec.native._frames import Calls

    class Message(bytes):
        reader: object
        other: object

    class Other:
        pass

    for make in (Cursor, lambda message: Calls(message, bytes, 1, 0, 1, 99)):
        message = Message(b"message")
        message.reader, message.other = make(message), Other()
        gone = weakref.ref(message.other)
        del message
        gc.collect()
        assert gone() is None


def test_views_hold_the_message() -> None:
    from rat.codec import native

    message = bytearray(native.encode({"a": bytes(40_000), "b": memoryview(b"1234").cast("H")}))
    value = native.decode(message, zero_copy=True)
    assert value["a"].obj is message
    assert value["a"].readonly
    with pytest.raises(BufferError):
        message.append(0)
    del value
    message.append(0)
