"""Buffers that are given away are used again only when nobody holds them."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest

from rat.codec.lending import Lending, exact_buffer

pytestmark = pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="nobody knows here who holds what")
SIZE = 1000


def test_a_buffer_that_nobody_holds_is_used_again() -> None:
    lending = Lending()
    first = id(lending.take(SIZE))
    assert id(lending.take(SIZE)) == first
    assert lending.held == SIZE


@pytest.mark.parametrize(
    "hold", [lambda b: b, memoryview, lambda b: memoryview(b)[5:6], lambda b: memoryview(b).cast("Q"), lambda b: [b]]
)
def test_a_buffer_that_somebody_holds_stays_his(hold: Any) -> None:
    lending = Lending()
    held = hold(lending.take(SIZE))
    other = lending.take(SIZE)
    other[:] = b"x" * SIZE
    assert b"x" not in bytes(held[0] if isinstance(held, list) else held)
    del other, held
    assert lending.held == 2 * SIZE
    lending.take(SIZE)
    assert lending.held == 2 * SIZE


def test_a_larger_one_fits_up_to_an_eighth() -> None:
    lending = Lending()
    lending.take(SIZE)
    for size, reused in ((SIZE, True), (SIZE - 100, True), (SIZE - 112, False), (SIZE + 1, False)):
        before = lending.held
        assert len(lending.take(size)) >= size
        assert (lending.held == before) is reused, size


def test_no_more_is_remembered_than_allowed() -> None:
    lending = Lending(3 * SIZE)
    kept = [lending.take(SIZE) for _ in range(10)]
    assert lending.held == 3 * SIZE
    assert len({id(buffer) for buffer in kept}) == 10
    assert len(lending.take(3 * SIZE + 1)) == 3 * SIZE + 1
    assert lending.held == 3 * SIZE


def test_views_are_of_the_size_that_was_asked_for() -> None:
    for size in (200_000, 199_000, 1, 0):
        assert len(exact_buffer(size)) == size


def test_whatever_is_kept_keeps_its_content() -> None:
    chance, kept = random.Random(3), []
    for number in range(2000):
        view = exact_buffer(chance.choice((300, 310, 500)))
        view[:] = bytes([number % 251]) * len(view)
        if chance.random() < 0.3:
            kept.append((number % 251, view))
        if len(kept) > 20:
            kept.pop(chance.randrange(len(kept)))
        for value, held in kept:
            assert held.tobytes() == bytes([value]) * len(held)
