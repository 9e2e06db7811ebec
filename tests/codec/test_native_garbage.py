"""Garbage is collected while the C codec works, and what runs then takes away what it works on.

CPython 3.11 collects where an object is allocated; later ones wait until Python code runs.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.allocations import collecting
from tests.support.extensions import built

built("rat.codec.native._codec")

from rat.codec import CodecError, native  # noqa: E402


def outcome(work: Callable[[], Any], change: Callable[[], object]) -> Any:
    """What *work* gives, segments joined, or why it gives nothing."""
    try:
        given = collecting(work, change)
    except CodecError as error:
        return str(error)
    return b"".join(given) if type(given) is list else given


def keys(count: int) -> list[str]:
    """New each time: nobody else has them."""
    return [f"key {number:03}" for number in range(count)]


def refilled(value: dict[str, Any]) -> None:
    """*value* loses what it had, and its table."""
    value.clear()
    value.update(dict.fromkeys(keys(60), 0))


def templates_are_replaced() -> None:
    wire = native.encode({"one": 1, "two": 2, "three": 3})
    names = keys(200)
    others = [
        native.encode([{one: 0, other: 0} for one in some for other in some if other != one])
        for some in (names[first : first + 25] for first in range(0, 200, 25))
    ]
    for _ in range(3):
        native.decode(wire)
    kept: list[object] = []
    value = collecting(lambda: native.decode(wire), lambda: kept.extend(map(native.decode, others * 3)))
    assert value == {"one": 1, "two": 2, "three": 3}
    assert native.decode(wire) == value


def templates_of_keys_in_full_are_replaced() -> None:
    wire = native.encode({"one": 1, "two": 2, "three": 3}, profile="bincode")
    others = native.encode([{"two": 1, "one": 2, "other": 3}, {"ooe": 1, "x": 2, "y": 3}], profile="bincode")
    for _ in range(3):
        native.decode(wire, profile="bincode")
    kept: list[object] = []

    def replace() -> None:
        for _ in range(3):
            kept.append(native.decode(others, profile="bincode"))
            kept.extend({number: number} for number in range(100))

    assert collecting(lambda: native.decode(wire, profile="bincode"), replace) == {"one": 1, "two": 2, "three": 3}


def a_dict_changes_while_its_value_is_refused() -> None:
    value = {key: ["\ud800"] for key in keys(3)}
    told = outcome(lambda: native.encode(value), lambda: refilled(value))
    assert told == "lone surrogate U+D800 in a str at $['key 000'][0]"


def a_dict_changes_while_its_int_is_refused() -> None:
    value = dict.fromkeys(keys(3), 1 << 70)
    told = outcome(lambda: native.encode(value, profile="bincode"), lambda: refilled(value))
    assert told == "int of 71 bits, which the bincode profile cannot say at $['key 000']"


def a_dict_changes_while_its_bytes_are_kept() -> None:
    value = {key: bytearray(50) for key in keys(3)}
    whole = native.encode(value)
    told = outcome(lambda: native.encode_segments(value, threshold=9), lambda: refilled(value))
    assert told in ("dict of 3 entries that has 60 after encoding at $", whole)


def bytes_change_while_they_are_kept() -> None:
    value = bytearray(50)
    whole = native.encode(value)
    told = outcome(lambda: native.encode_segments(value, threshold=9), lambda: value.extend(b"more"))
    assert told in ("bytearray of 50 bytes that has 54 after encoding at $", whole)


def what_holds_a_dict_lets_it_go() -> None:
    class Other:
        pass

    value = {key: {inner: [Other()] for inner in keys(3)} for key in keys(3)}
    whole = native.encode({key: {inner: ["other"] for inner in keys(3)} for key in keys(3)})

    def default(_: object) -> str:
        return "other"

    told = outcome(lambda: native.encode(value, default=default), lambda: refilled(value))
    assert told in ("dict of 3 entries that has 60 after encoding at $", whole)


SCENARIOS = (
    templates_are_replaced,
    templates_of_keys_in_full_are_replaced,
    a_dict_changes_while_its_value_is_refused,
    a_dict_changes_while_its_int_is_refused,
    a_dict_changes_while_its_bytes_are_kept,
    bytes_change_while_they_are_kept,
    what_holds_a_dict_lets_it_go,
)
PROGRAM = """
import faulthandler, sys
faulthandler.enable()
from tests.codec import test_native_garbage as scenarios
getattr(scenarios, sys.argv[1])()
print("sound")
"""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_what_is_worked_on_is_held(scenario: Callable[[], None]) -> None:
    """In a process of its own, where memory that was freed is overwritten."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore", "-c", PROGRAM, scenario.__name__],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (0, "sound\n"), done.stderr
