"""From turns to a figure: what the work costs on a core that nobody shares, and how well that is known.

A turn has a cost, and the pace that the core had.  The logarithm of the cost grows with that of the pace, the steeper
the more of the work is computing.  The turns of one server are few and tell the steepness badly, so what is usual
counts as well.  All turns are brought to the same pace with it, and each is set beside the floor's in its round.  The
figure is the middle of them: the median of the means of all pairs (Hodges and Lehmann 1963), nearly as sharp as the
mean where turns scatter evenly, and not moved by one turn in which something else happened.  How well it is known
follows from the same means (Wilcoxon's signed ranks), and from what is not known of the steepness.

Pure arithmetic: knows no files, clocks or servers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from statistics import fmean, median

Sample = tuple[float, float]
"""Of a turn: what a unit of work cost, and the pace, which is what a fixed piece of work took (0 if unknown)."""
Turns = Mapping[int, Sequence[Sample]]
"""Those of one server by their rounds."""

USUAL, SPREAD = 0.75, 0.12
"""How steep servers are, and the standard deviation between them: 1.0 would be in proportion to the pace.  nginx was
found at 0.5, plain Python at 0.9.  Of 120 pairs of ratios from runs on a core that was shared most of the time, half
were within 7.5 % of each other with this spread, within 8.5 % with 0.2, within 17 % with the steepness left to them."""
LEAST = 0.01
"""Turns scatter at least by this: what few of them happen to agree in is no proof."""


@dataclass(frozen=True, slots=True)
class Figure:
    """*value*, in 19 of 20 runs between *low* and *high*; *doubt* is the standard error of its logarithm, None when one
    round tells nothing of it."""

    value: float
    low: float
    high: float
    doubt: float | None


@dataclass(frozen=True, slots=True)
class _Steepness:
    value: float
    doubt: float
    distance: float
    """From the mean of the turns to the pace that they are brought to."""

    @property
    def reach(self) -> float:
        """What the doubt in it makes of the figure's."""
        return self.doubt * abs(self.distance)


def widened(figure: Figure, drift: float) -> Figure:
    """*figure* with bounds for what differs from run to run and not within one: *drift*, a relative standard error."""
    reach = math.exp(math.hypot(math.log(figure.high / figure.value), student(1000) * drift))
    return Figure(figure.value, figure.value / reach, figure.value * reach, figure.doubt)


def cost_of(turns: Turns, pace: float) -> Figure | None:
    """What a unit of work costs at *pace*; None without turns."""
    steep = _steepness(turns, pace)
    return _figure(list(_at(turns, pace, steep.value).values()), steep.reach)


def ratio_of(turns: Turns, others: Turns, pace: float) -> Figure | None:
    """How many times less *turns* cost than *others*, which took theirs in the same rounds; None when one is empty."""
    steep, steep_others = _steepness(turns, pace), _steepness(others, pace)
    own, beside = _at(turns, pace, steep.value), _at(others, pace, steep_others.value)
    if not own or not beside:
        return None
    # Where those of a round were thrown away, the middle of all has to do.
    middle, doubt = _middle(list(beside.values()))
    alone = len(own.keys() - beside.keys()) / len(own) * (doubt or 0.0)
    steps = [beside.get(number, middle) - cost for number, cost in own.items()]
    return _figure(steps, math.hypot(steep.reach, steep_others.reach, alone))


def change_of(old: Turns, new: Turns, beside: Sequence[tuple[Turns, Turns]], pace: float) -> tuple[float, float] | None:
    """By how much the logarithm of the cost grew from one run to another, *beside* those that did not change; its
    standard error.  None when either run tells nothing.

    Each turn is set beside those of the others in its round: what they all had of the machine is no change.
    """
    levels = [_middle([*_level(one, pace), *_level(other, pace)])[0] for one, other in beside]
    found = []
    for which, turns in enumerate((old, new)):
        steep = _steepness(turns, pace)
        others = [_at(pair[which], pace, _steepness(pair[which], pace).value) for pair in beside]
        steps = []
        for number, cost in _at(turns, pace, steep.value).items():
            apart = [at[number] - level for at, level in zip(others, levels, strict=True) if number in at]
            if apart:
                steps.append(cost - median(apart))
        if len(steps) < 2:
            return None
        middle, doubt = _middle(steps)
        # Few turns that happen to agree are no proof: their doubt counts for more.
        few = student(len(steps) - 1) / student(1000)
        found.append((middle, few * math.hypot(doubt or 0.0, LEAST / math.sqrt(len(steps))), steep))
    (before, doubt, steep), (after, other_doubt, other_steep) = found
    # What is not known of the steepness moves both, one up and one down when the paces lie on two sides.
    reach = max(steep.doubt, other_steep.doubt) * abs(steep.distance - other_steep.distance)
    return after - before, math.hypot(doubt, other_doubt, reach)


def _level(turns: Turns, pace: float) -> list[float]:
    return list(_at(turns, pace, _steepness(turns, pace).value).values())


def _steepness(turns: Turns, pace: float) -> _Steepness:
    """By how much the logarithm of the cost grows with that of the pace."""
    points = [(math.log(at / pace), math.log(cost)) for cost, at in _samples(turns) if at and pace]
    if not points:
        return _Steepness(USUAL, SPREAD, 0.0)
    x, y = fmean(point[0] for point in points), fmean(point[1] for point in points)
    steps = [(at - x, cost - y) for at, cost in points]
    scatter = max(sum((dy - USUAL * dx) ** 2 for dx, dy in steps) / max(1, len(steps) - 1), LEAST**2)
    known = sum(dx * dx for dx, _ in steps) / scatter
    weight = known + SPREAD**-2
    value = (sum(dx * dy for dx, dy in steps) / scatter + USUAL * SPREAD**-2) / weight
    return _Steepness(value, weight**-0.5, x)


def _at(turns: Turns, pace: float, steepness: float) -> dict[int, float]:
    """The logarithm of the cost at *pace*, round by round."""
    found = {}
    for number, samples in sorted(turns.items()):
        logs = [
            math.log(cost) - (steepness * math.log(at / pace) if at and pace else 0.0)
            for cost, at in _samples({number: samples})
        ]
        if logs:
            found[number] = fmean(logs)
    return found


def _samples(turns: Turns) -> list[Sample]:
    """Those that came to anything; of the pace either all know it, or those that do not are left out."""
    found = [sample for samples in turns.values() for sample in samples if sample[0] > 0.0]
    return [sample for sample in found if sample[1]] or found


def _figure(logs: Sequence[float], reach: float) -> Figure | None:
    if not logs:
        return None
    middle, doubt = _middle(logs)
    value = math.exp(middle)
    if doubt is None:
        return Figure(value, value, value, None)
    doubt = math.hypot(doubt, reach)
    bounds = math.exp(doubt * student(len(logs) - 1))
    return Figure(value, value / bounds, value * bounds, doubt)


def _middle(values: Sequence[float]) -> tuple[float, float | None]:
    """The middle of *values*, and its standard error: None of a single one."""
    count = len(values)
    means = sorted((one + other) / 2.0 for one, other in combinations_with_replacement(values, 2))
    centre = (len(means) - 1) / 2.0
    if count < 2:
        return means[0], None
    # The normal approximation of the signed-rank statistic: one standard deviation of it, in ranks of the means.
    ranks = math.sqrt(count * (count + 1) * (2 * count + 1) / 24.0)
    return _rank(means, centre), (_rank(means, centre + ranks) - _rank(means, centre - ranks)) / 2.0


def _rank(ordered: Sequence[float], rank: float) -> float:
    """The value of *rank*, between two of them in proportion."""
    rank = min(max(rank, 0.0), len(ordered) - 1.0)
    left = int(rank)
    right = min(left + 1, len(ordered) - 1)
    return ordered[left] + (rank - left) * (ordered[right] - ordered[left])


def student(freedom: int) -> float:
    """How many standard errors hold 19 of 20 figures: 1.96, and more where few turns tell the error itself.

    The first terms of the Cornish-Fisher series; within 1 % from 4 degrees of freedom on, too small below.
    """
    z = 1.959964
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
