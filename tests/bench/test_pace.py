from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from bench.harness import wrk
from bench.harness.pace import UNKNOWN, Pace, Trace, best
from bench.harness.turn import Turn
from bench.harness.workload import discover

GET = next(work for work in discover() if work.name == "get")


def test_the_pace_of_a_core_is_noted_with_the_cpu_of_a_process() -> None:
    core = min(os.sched_getaffinity(0))
    with Pace(core) as pace:
        trace = pace.begin([os.getpid()])
        deadline = time.monotonic() + 10.0
        while len(trace.at) < 5 and time.monotonic() < deadline:
            sum(range(1000))
    assert len(trace.at) >= 5
    assert trace.at == sorted(trace.at)
    assert trace.cpu == sorted(trace.cpu)
    assert 0.0 < pace.whole() <= max(trace.took)
    assert 0.0 <= pace.shared(pace.whole()) <= 1.0


def test_a_clock_that_stands_still_is_no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[float] = []

    def stands_still() -> float:
        reads.append(1.0)
        return 1.0

    monkeypatch.setattr("bench.harness.pace.time.thread_time", stands_still)
    with Pace(min(os.sched_getaffinity(0))) as pace:
        trace = pace.begin([os.getpid()])
        while len(reads) < 20:
            os.sched_yield()
    assert trace.took == []
    assert trace.pace(0.0, time.monotonic()) == UNKNOWN
    assert pace.whole() == UNKNOWN


def test_without_a_core_of_its_own_nothing_is_noted() -> None:
    with Pace(None) as pace:
        assert pace.begin([os.getpid()]).at == []
    assert pace.whole() == UNKNOWN
    assert pace.shared(UNKNOWN) == 0.0


def test_processes_that_have_ended_are_left_out() -> None:
    with Pace(min(os.sched_getaffinity(0))) as pace:
        trace = pace.begin([2**22 + 1])
        deadline = time.monotonic() + 10.0
        while pace.whole() == UNKNOWN and time.monotonic() < deadline:
            sum(range(1000))
    assert trace.at == []


def test_the_best_that_was_ever_seen_is_remembered(tmp_path: Path) -> None:
    notes = tmp_path / "whole.json"
    assert [best(own, notes) for own in (120.0, 66.0, 121.0)] == [120.0, 66.0, 66.0]
    assert list(json.loads(notes.read_text()).values()) == [66.0]
    assert best(UNKNOWN, notes) == UNKNOWN


def turn_of(seconds: float, rate: float, cost: float, *, connecting: float) -> tuple[Turn, list[float], Trace]:
    """A turn at *rate* a second, each answer at *cost* us, after *connecting* seconds of CPU that gave no answers."""
    marks = [connecting + at * 16 / rate for at in range(int((seconds - connecting) * rate / 16))]
    trace = Trace()
    for step in range(int(seconds / 0.0025) + 20):
        trace.at.append(step * 0.0025)
        trace.took.append(66.0)
        asked = max(0.0, trace.at[-1] - connecting) * rate
        trace.cpu.append(min(trace.at[-1], connecting) + asked * cost / 1e6)
    answers = len(marks) * 16
    found = Turn(answers=answers, seconds=seconds, server_cpu=connecting + answers * cost / 1e6)
    return found, marks, trace


def test_connecting_is_not_the_cost_of_an_answer() -> None:
    found, marks, trace = turn_of(0.3, 20_000.0, 15.0, connecting=0.05)
    wrk.count(found, marks, 16, GET, trace, 0)
    assert found.cost == pytest.approx(15.0, rel=0.001)
    assert found.pace == pytest.approx(66.0)


def test_what_the_checks_asked_counts_as_answers() -> None:
    found, marks, trace = turn_of(0.3, 20_000.0, 15.0, connecting=0.0)
    wrk.count(found, marks, 16, GET, trace, 600)
    assert found.cost == pytest.approx(15.0 * 6000 / 6600, rel=0.01)


def test_without_samples_of_the_servers_cpu_all_of_the_turn_counts() -> None:
    found, marks, _ = turn_of(0.3, 20_000.0, 15.0, connecting=0.0)
    wrk.count(found, marks, 16, GET, Trace(), 0)
    assert found.cost == pytest.approx(15.0)
    assert found.pace == UNKNOWN


@pytest.mark.parametrize("count", [1, 2])
def test_a_server_of_next_to_no_answers_is_counted_over_all_of_the_turn(count: int) -> None:
    found, marks, trace = turn_of(0.3, 20_000.0, 15.0, connecting=0.0)
    wrk.count(found, marks[:count], 16, GET, trace, 0)
    assert found.cost == pytest.approx(15.0)
