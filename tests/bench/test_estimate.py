from __future__ import annotations

import math
import random

import pytest

from bench.harness.estimate import USUAL, cost_of, line, rate, ratio_of, student
from bench.harness.pace import UNKNOWN, Trace, between

WHOLE, HALF = 66.0, 120.0


def turn(dice: random.Random, cost: float, share: float, *, steepness: float = 1.0, noise: float = 0.0) -> list[float]:
    """The line of a turn of ten pieces, a *share* of each on a shared core, which costs it *steepness* of its speed."""
    pieces = []
    for _ in range(10):
        here = min(1.0, max(0.0, dice.gauss(share, 0.2)))
        speed = (1.0 - here) / WHOLE + here / HALF
        full = 1.0 / (cost * dice.uniform(1.0 - noise, 1.0 + noise))
        work = 0.025 * full * (1.0 - steepness * (1.0 - speed * WHOLE))
        pieces.append((work, 0.025, 1.0 / speed))
    return line(pieces)


@pytest.mark.parametrize("steepness", [0.4, 0.75, 1.0])
@pytest.mark.parametrize("shares", [(0.0, 0.1), (0.2, 0.8), (0.6, 0.9)])
def test_the_cost_on_a_whole_core_is_found_from_one_that_is_shared(
    steepness: float, shares: tuple[float, float]
) -> None:
    dice = random.Random(1)
    turns = {n: turn(dice, 15.0, dice.uniform(*shares), steepness=steepness) for n in range(12)}
    found = cost_of(turns, WHOLE)
    assert found is not None
    # Where speeds hardly differ, what is usual counts as well.
    assert found.value == pytest.approx(15.0, rel=0.05)


def test_nineteen_of_twenty_runs_are_within_the_bounds() -> None:
    dice = random.Random(2)
    inside = 0
    for _ in range(200):
        # Turns of the same server differ by a tenth, for reasons that no pace tells.
        floor = {n: turn(dice, 7.0 * dice.gauss(1.0, 0.08), dice.random(), steepness=0.5) for n in range(10)}
        own = {n: turn(dice, 14.0 * dice.gauss(1.0, 0.08), dice.random()) for n in range(10)}
        found = ratio_of(own, floor, WHOLE)
        assert found is not None
        inside += found.low <= 0.5 <= found.high
    assert 180 <= inside <= 200


def test_the_speed_of_the_core_is_no_speed_of_the_server() -> None:
    # One run had the core for itself, the other never: the medians differ by half, the figures do not.
    dice = random.Random(3)
    alone = cost_of({n: turn(dice, 15.0, 0.05, noise=0.02) for n in range(14)}, WHOLE)
    shared = cost_of({n: turn(dice, 15.0, dice.uniform(0.5, 1.0), noise=0.02) for n in range(14)}, WHOLE)
    assert alone is not None
    assert shared is not None
    assert shared.value == pytest.approx(alone.value, rel=0.03)


def test_where_the_pace_is_not_known_work_and_cpu_decide() -> None:
    lines = [line([(10.0, 1.0, UNKNOWN), (30.0, 3.0, UNKNOWN)]), line([(20.0, 1.0, UNKNOWN)])]
    for pace in (UNKNOWN, WHOLE):
        assert rate(lines, pace) == pytest.approx(60.0 / 5.0)


def test_a_turn_of_unknown_pace_does_not_count_beside_others() -> None:
    assert rate([line([(10.0, 1.0, WHOLE)]), line([(99.0, 1.0, UNKNOWN)])], WHOLE) == pytest.approx(10.0)


def test_more_work_on_a_slower_core_is_noise_and_not_followed() -> None:
    assert rate([line([(10.0, 1.0, WHOLE), (12.0, 1.0, HALF)])] * 50, WHOLE) == pytest.approx(11.0)


@pytest.mark.parametrize("pace", [WHOLE, HALF])
def test_where_the_speed_never_changed_the_usual_steepness_is_taken(pace: float) -> None:
    found = rate([line([(10.0, 1.0, pace), (10.0, 1.0, pace)])], WHOLE)
    assert found == pytest.approx(10.0 * (1.0 + USUAL * (pace / WHOLE - 1.0)))


def test_nothing_and_one_round() -> None:
    one = {0: line([(10.0, 1.0, UNKNOWN)])}
    assert cost_of({}, WHOLE) is None
    assert cost_of({0: line([(0.0, 1.0, UNKNOWN)])}, WHOLE) is None
    assert ratio_of(one, {}, WHOLE) is None
    found = cost_of(one, UNKNOWN)
    assert found is not None
    assert (found.value, found.low, found.high, found.doubt) == (0.1, 0.1, 0.1, None)


@pytest.mark.parametrize(("freedom", "expected"), [(4, 2.776), (9, 2.262), (20, 2.086), (1000, 1.962)])
def test_student(freedom: int, expected: float) -> None:
    assert student(freedom) == pytest.approx(expected, rel=0.01)


def test_between_two_notes_in_proportion() -> None:
    assert [between([1.0, 3.0], [10.0, 20.0], at) for at in (1.0, 1.5, 2.0, 3.0)] == [10.0, 12.5, 15.0, 20.0]
    for moment in (0.9, 3.1, math.nan):
        with pytest.raises(ValueError, match="nothing was noted"):
            between([1.0, 3.0], [10.0, 20.0], moment)


def test_the_pace_of_a_stretch_is_the_harmonic_mean_of_its_samples() -> None:
    trace = Trace()
    assert trace.pace(0.0, 1.0) == UNKNOWN
    trace.at, trace.took = [0.1, 0.2, 0.3, 0.4], [60.0, 60.0, 120.0, 120.0]
    assert trace.pace(0.0, 0.25) == pytest.approx(60.0)
    assert trace.pace(0.0, 1.0) == pytest.approx(80.0)
    assert trace.pace(5.0, 6.0) == pytest.approx(80.0)
