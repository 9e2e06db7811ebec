from __future__ import annotations

import os
import time

import pytest

from bench.harness.pace import UNKNOWN, Pace


def noted(at: list[float], took: list[float]) -> Pace:
    """A pace of which this was noted."""
    pace = Pace(None)
    pace.at.extend(at)
    pace.took.extend(took)
    return pace


def test_the_pace_of_a_core_is_noted() -> None:
    began = time.monotonic()
    with Pace(min(os.sched_getaffinity(0))) as pace:
        while len(pace.at) < 5 and time.monotonic() < began + 10.0:
            sum(range(1000))
    assert len(pace.at) >= 5
    assert list(pace.at) == sorted(pace.at)
    assert 0.0 < pace.whole() <= pace.of([(began, time.monotonic())]) <= max(pace.took)
    assert 0.0 <= pace.shared() <= 1.0


def test_a_clock_that_stands_still_is_no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[float] = []

    def stands_still() -> float:
        reads.append(1.0)
        return 1.0

    monkeypatch.setattr("bench.harness.pace.time.thread_time", stands_still)
    with Pace(min(os.sched_getaffinity(0))) as pace:
        while len(reads) < 20:
            os.sched_yield()
    assert pace.of([(0.0, time.monotonic())]) == UNKNOWN
    assert pace.whole() == UNKNOWN


def test_without_a_core_of_its_own_nothing_is_noted() -> None:
    with Pace(None) as pace:
        assert pace.of([(0.0, time.monotonic())]) == UNKNOWN
    assert pace.whole() == UNKNOWN
    assert pace.shared() == 0.0


def test_the_pace_of_some_stretches_is_the_harmonic_mean_of_their_samples() -> None:
    pace = noted([0.1, 0.2, 0.3, 0.4, 0.5], [60.0, 60.0, 120.0, 120.0, 999.0])
    assert pace.of([(0.0, 0.25)]) == pytest.approx(60.0)
    assert pace.of([(0.0, 0.25), (0.3, 0.45)]) == pytest.approx(80.0)
    assert pace.of([(5.0, 6.0)]) == UNKNOWN


def test_how_much_of_the_time_a_core_was_shared() -> None:
    pace = noted([float(n) for n in range(10)], [66.0] * 4 + [120.0] * 6)
    assert (pace.whole(), pace.shared()) == (66.0, 0.6)
