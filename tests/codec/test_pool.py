"""Buffers come back when nobody looks at them, and not before."""

from __future__ import annotations

import random

import numpy as np
import pytest

from rat.codec import BufferPool, decode, encode, encode_into
from rat.codec.pool import Parking, Slab

KIB = 1024


def address(slab: Slab) -> int:
    return int(np.frombuffer(slab.view, np.uint8).__array_interface__["data"][0])


@pytest.mark.parametrize(
    ("asked", "given"),
    [(0, 4096), (1, 4096), (4096, 4096), (4097, 8192), (65_536, 65_536), (65_537, 65_537), (100_001, 100_001)],
)
def test_sizes(asked: int, given: int) -> None:
    pool = BufferPool(largest=64 * KIB)
    slab = pool.acquire(asked)
    assert slab.size == len(slab.view) == given
    assert pool.statistics().in_use == given
    pool.release(slab)
    assert pool.statistics().in_use == 0
    assert pool.statistics().held == (given if given <= 64 * KIB else 0)


def test_released_buffers_are_used_again() -> None:
    pool = BufferPool()
    first = pool.acquire(5000)
    place = address(first)
    first.view[:3] = b"abc"
    pool.release(first)
    again = pool.acquire(8000)
    assert address(again) == place
    assert bytes(again.view[:3]) == b"abc"
    statistics = pool.statistics()
    assert (statistics.hits, statistics.misses, statistics.held, statistics.in_use) == (1, 1, 0, 8192)


def test_released_view_is_of_no_use_and_released_once() -> None:
    pool = BufferPool()
    slab = pool.acquire(1)
    pool.release(slab)
    with pytest.raises(ValueError, match="released"):
        slab.view[0] = 1
    with pytest.raises(RuntimeError, match="buffer was released before"):
        pool.release(slab)
    assert pool.acquire(1) is not pool.acquire(1)


@pytest.mark.parametrize(
    "look", [lambda view: view[1:], lambda view: np.frombuffer(view, np.uint8)], ids=["slice", "array"]
)
def test_a_buffer_that_somebody_looks_at_is_dropped(look: object) -> None:
    pool = BufferPool()
    slab = pool.acquire(1)
    slab.view[1] = 7
    seen = look(slab.view)  # type: ignore[operator]
    pool.release(slab)
    other = pool.acquire(1)
    other.view[:] = bytes(other.size)
    assert 7 in (seen[0], seen[1])
    statistics = pool.statistics()
    assert (statistics.dropped, statistics.held, statistics.misses) == (1, 0, 2)


def test_values_decoded_without_a_copy_keep_their_buffer() -> None:
    pool = BufferPool()
    slab = pool.acquire(100_000)
    size = encode_into({"blob": b"x" * 50_000}, slab.view)
    value = decode(slab.view[:size], zero_copy=True)
    pool.release(slab)
    assert pool.statistics().dropped == 1
    assert bytes(value["blob"]) == b"x" * 50_000


def test_classes_grow_with_what_is_in_use_and_shrink_by_half_a_period() -> None:
    pool = BufferPool(period=1000)
    slabs = [pool.acquire(1) for _ in range(8)]
    for slab in slabs:
        pool.release(slab)
    assert pool.statistics().held == 8 * 4096
    held = []
    for _ in range(6):
        pool.trim()
        held.append(pool.statistics().held // 4096)
    assert held == [8, 4, 2, 1, 0, 0]
    assert pool.statistics().trimmed == 8


def test_periods_end_by_themselves() -> None:
    pool = BufferPool(period=10)
    for slab in [pool.acquire(1) for _ in range(8)]:
        pool.release(slab)
    for _ in range(50):
        pool.release(pool.acquire(1))
    assert pool.statistics().held == 4096


def test_idle_buffers_never_take_more_than_the_limit() -> None:
    pool = BufferPool(max_held=10_000)
    for slab in [pool.acquire(4096) for _ in range(5)]:
        pool.release(slab)
    statistics = pool.statistics()
    assert (statistics.held, statistics.trimmed) == (8192, 3)


def test_random_use_keeps_its_books() -> None:
    generator = random.Random(4)
    pool = BufferPool(max_held=256 * KIB, largest=32 * KIB, period=50)
    used: list[Slab] = []
    views: list[memoryview] = []
    for _ in range(3000):
        if used and generator.random() < 0.5:
            slab = used.pop(generator.randrange(len(used)))
            if generator.random() < 0.1:
                views.append(slab.view[:1])
            pool.release(slab)
        elif len(used) < 30:
            used.append(pool.acquire(generator.randrange(40_000)))
        statistics = pool.statistics()
        assert statistics.held <= 256 * KIB
        assert statistics.in_use == sum(slab.size for slab in used)
    assert len({address(slab) for slab in used}) == len(used)
    assert pool.statistics().dropped == len(views)
    assert pool.statistics().hits > 500


def test_parked_buffers_come_back_when_they_are_sent() -> None:
    pool = BufferPool()
    parking = Parking(pool)
    first, second, third = (pool.acquire(4096) for _ in range(3))
    parking.wrote(100, 0, first)
    assert len(parking) == 0
    parking.wrote(200, 200, second)
    parking.wrote(50, 250)
    parking.wrote(300, 550, third)
    assert (len(parking), pool.statistics().parked, pool.statistics().in_use) == (2, 8192, 8192)
    for queued, left in ((549, 2), (351, 2), (350, 1), (1, 1), (0, 0)):
        parking.settle(queued)
        assert len(parking) == left
    assert (pool.statistics().parked, pool.statistics().in_use, pool.statistics().held) == (0, 0, 3 * 4096)


def test_a_lost_connection_gives_back_what_its_transport_does_not_hold() -> None:
    pool = BufferPool()
    parking = Parking(pool)
    held, free = pool.acquire(1), pool.acquire(1)
    queued = held.view[:10]
    parking.wrote(10, 10, held)
    parking.wrote(10, 20, free)
    parking.close()
    assert (len(parking), pool.statistics().dropped, pool.statistics().held) == (0, 1, 4096)
    assert len(queued) == 10


@pytest.mark.parametrize("options", [{"smallest": 1}, {"largest": 1024}, {"period": 0}, {"max_held": -1}])
def test_settings_that_cannot_be_used(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must hold"):
        BufferPool(**options)


def test_negative_size() -> None:
    with pytest.raises(ValueError, match="size is -1, and may not be negative"):
        BufferPool().acquire(-1)


def test_encode_into_a_slab() -> None:
    slab = BufferPool().acquire(100)
    size = encode_into([1, 2], slab.view, 8)
    assert bytes(slab.view[8 : 8 + size]) == encode([1, 2])
