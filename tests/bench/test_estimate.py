from __future__ import annotations

import math
import random

import pytest

from bench.harness.estimate import SPREAD, USUAL, Sample, cost_of, ratio_of, student
from bench.harness.pace import UNKNOWN

WHOLE, HALF = 66.0, 120.0


def turn(
    dice: random.Random, cost: float, share: float, *, steepness: float = USUAL, noise: float = 0.0
) -> list[Sample]:
    """A turn of which the core was shared for *share*."""
    pace = WHOLE + min(1.0, max(0.0, share)) * (HALF - WHOLE)
    return [(cost * (pace / WHOLE) ** steepness * math.exp(dice.gauss(0.0, noise)), pace)]


@pytest.mark.parametrize("steepness", [0.5, 0.75, 1.0])
@pytest.mark.parametrize("shares", [(0.0, 0.1), (0.0, 0.8), (0.2, 0.9)])
def test_the_cost_on_a_whole_core_is_found_from_one_that_is_shared(
    steepness: float, shares: tuple[float, float]
) -> None:
    dice = random.Random(1)
    turns = {n: turn(dice, 15.0, dice.uniform(*shares), steepness=steepness, noise=0.02) for n in range(12)}
    found = cost_of(turns, WHOLE)
    assert found is not None
    # Where paces hardly differ, what is usual counts as well.
    assert found.value == pytest.approx(15.0, rel=0.05)


@pytest.mark.parametrize("rounds", [4, 10])
def test_nineteen_of_twenty_runs_are_within_the_bounds(rounds: int) -> None:
    dice = random.Random(2)
    inside = 0
    for _ in range(400):
        # Turns of the same server differ by a tenth, for reasons that no pace tells; now and then one by half.
        steep = [dice.gauss(USUAL, SPREAD) for _ in range(2)]
        floor, own = (
            {
                n: turn(dice, cost * (1.5 if dice.random() < 0.03 else 1.0), dice.random(), steepness=at, noise=0.08)
                for n in range(rounds)
            }
            for cost, at in zip((7.0, 14.0), steep, strict=True)
        )
        found = ratio_of(own, floor, WHOLE)
        assert found is not None
        inside += found.low <= 0.5 <= found.high
    assert 370 <= inside <= 398


def test_the_speed_of_the_core_is_no_speed_of_the_server() -> None:
    # One run had the core for itself, the other never: the medians differ by half, the figures do not.
    dice = random.Random(3)
    alone = cost_of({n: turn(dice, 15.0, 0.05, noise=0.02) for n in range(14)}, WHOLE)
    shared = cost_of({n: turn(dice, 15.0, dice.uniform(0.5, 1.0), noise=0.02) for n in range(14)}, WHOLE)
    assert alone is not None
    assert shared is not None
    assert shared.value == pytest.approx(alone.value, rel=0.05)
    # What the second does not know is said: how the server follows a pace that it hardly saw change.
    assert alone.doubt is not None
    assert shared.doubt is not None
    assert shared.doubt > 3.0 * alone.doubt


def test_one_turn_in_which_something_else_happened_does_not_move_the_figure() -> None:
    dice = random.Random(4)
    turns = {n: turn(dice, 15.0, 0.0, noise=0.02) for n in range(10)}
    turns[3] = [(90.0, WHOLE)]
    found = cost_of(turns, WHOLE)
    assert found is not None
    assert found.value == pytest.approx(15.0, rel=0.02)
    assert found.high < 16.0


def test_where_the_pace_is_not_known_costs_decide() -> None:
    for pace in (UNKNOWN, WHOLE):
        found = cost_of({0: [(10.0, UNKNOWN)], 1: [(10.0, UNKNOWN)]}, pace)
        assert found is not None
        assert (found.value, found.low) == pytest.approx((10.0, 10.0))


def test_a_turn_of_unknown_pace_does_not_count_beside_another() -> None:
    found = cost_of({0: [(10.0, WHOLE), (99.0, UNKNOWN)]}, WHOLE)
    assert found is not None
    assert found.value == pytest.approx(10.0)


@pytest.mark.parametrize("pace", [WHOLE, HALF])
def test_where_the_pace_never_changed_the_usual_steepness_is_taken(pace: float) -> None:
    found = cost_of({0: [(10.0, pace)], 1: [(10.0, pace)]}, WHOLE)
    assert found is not None
    assert found.value == pytest.approx(10.0 * (WHOLE / pace) ** USUAL)
    assert found.doubt == pytest.approx(SPREAD * math.log(pace / WHOLE))


def test_turns_are_set_beside_those_of_their_round() -> None:
    # Round by round all costs double: the ratio is as sure as if they did not.
    own = {n: [(20.0 * 2**n, UNKNOWN)] for n in range(5)}
    others = {n: [(9.0 * 2**n, UNKNOWN), (11.0 * 2**n, UNKNOWN)] for n in range(5)}
    found = ratio_of(own, others, WHOLE)
    assert found is not None
    assert found.value == pytest.approx(math.sqrt(99.0) / 20.0)
    assert found.doubt == pytest.approx(0.0, abs=1e-9)


def test_without_a_turn_in_its_round_the_middle_of_all_has_to_do_and_is_less_sure() -> None:
    others = {n: [(cost, UNKNOWN)] for n, cost in enumerate((9.0, 10.0, 11.0))}
    found = ratio_of({n: [(20.0, UNKNOWN)] for n in (7, 8, 9)}, others, WHOLE)
    assert found is not None
    assert found.value == pytest.approx(0.5, rel=0.01)
    assert found.doubt is not None
    assert found.doubt > 0.03


def test_nothing_and_one_round() -> None:
    one = {0: [(0.1, UNKNOWN)]}
    assert cost_of({}, WHOLE) is None
    assert cost_of({0: [(0.0, UNKNOWN)]}, WHOLE) is None
    assert ratio_of(one, {}, WHOLE) is None
    found = cost_of(one, UNKNOWN)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.doubt is None


@pytest.mark.parametrize(("freedom", "expected"), [(4, 2.776), (9, 2.262), (20, 2.086), (1000, 1.962)])
def test_student(freedom: int, expected: float) -> None:
    assert student(freedom) == pytest.approx(expected, rel=0.01)
