"""From turns to a figure: what the work costs on a core that nobody shares, and how well that is known.

Each turn is cut into pieces: so much work done, in so much CPU time, while the core ran at such a speed.  Work per CPU
second against speed is a straight line, because a piece is partly at full speed and partly not, and both add up in
proportion; how steep it is differs from server to server.  The figure is the line's end at full speed.  How well it is
known comes from drawing rounds with replacement (bootstrap): whole rounds, since the pieces of a turn resemble each
other, and the same rounds for both sides of a ratio.

Pure arithmetic: knows no files, clocks or servers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev

Line = Sequence[float]
"""Sums over the pieces of a turn, all that a straight line needs: w, wx, wy, wxx, wxy, where w is CPU seconds, x speed
and y work per CPU second."""

DRAWS = 300
STEEPEST = 1.15
"""Work per CPU second may at most grow in proportion to speed, and a little for noise; and it never falls."""
USUAL, SURE = 0.75, 0.05
"""How steep the line is where turns do not tell, as a share of proportion, and how much that counts: as much as a turn
whose speeds have this variance.  Servers were found at 0.4 (the floor: mostly kernel) to 1.0 (mostly Python)."""


@dataclass(frozen=True, slots=True)
class Figure:
    """*value*, in 19 of 20 runs between *low* and *high*; *doubt* is the standard error of its logarithm, None when one
    round tells nothing of it."""

    value: float
    low: float
    high: float
    doubt: float | None


def line(pieces: Iterable[tuple[float, float, float]]) -> list[float]:
    """From (work, CPU seconds, pace): pace is what a fixed piece of work took, the inverse of speed; 0 if unknown."""
    total = [0.0] * 5
    for work, cpu, pace in pieces:
        speed = 1.0 / pace if pace else 0.0
        for at, term in enumerate((cpu, cpu * speed, work, cpu * speed**2, work * speed)):
            total[at] += term
    return total


def rate(lines: Iterable[Line], pace: float) -> float:
    """Work per CPU second at *pace*, or at whatever pace there was if none is known; 0.0 when there was no work."""
    found = list(lines)
    found = [one for one in found if one[1]] or found
    w, wx, wy, wxx, wxy = (math.fsum(column) for column in zip(*found, strict=True))
    if w <= 0.0 or wy <= 0.0:
        return 0.0
    x, y = wx / w, wy / w
    if not x:
        return y
    before = SURE * x * x / len(found)
    slope = (wxy / w - x * y + before * USUAL * y / x) / (wxx / w - x * x + before)
    slope = min(max(slope, 0.0), STEEPEST * y / x)
    return y + slope * (1.0 / pace - x)


def widened(figure: Figure, drift: float) -> Figure:
    """*figure* with bounds for what differs from run to run and not within one: *drift*, a relative standard error."""
    reach = math.exp(math.hypot(math.log(figure.high / figure.value), student(1000) * drift))
    return Figure(figure.value, figure.value / reach, figure.value * reach, figure.doubt)


def cost_of(turns: Mapping[int, Line], pace: float) -> Figure | None:
    """CPU seconds per unit of work, from one line for each round; None without any."""
    return _figure(lambda rounds: _inverse(_rate(turns, rounds, pace)), sorted(turns))


def ratio_of(turns: Mapping[int, Line], others: Mapping[int, Line], pace: float) -> Figure | None:
    """How many times less CPU *turns* took than *others* for the same work; None when one of them is empty."""

    def ratio(rounds: Sequence[int]) -> float:
        return _rate(turns, rounds, pace) * _inverse(_rate(others, rounds, pace))

    return _figure(ratio, sorted(turns.keys() | others.keys()))


def _rate(turns: Mapping[int, Line], rounds: Sequence[int], pace: float) -> float:
    lines = [turns[number] for number in rounds if number in turns]
    return rate(lines, pace) if lines else 0.0


def _inverse(value: float) -> float:
    return 1.0 / value if value else 0.0


def _figure(of: Callable[[Sequence[int]], float], rounds: Sequence[int]) -> Figure | None:
    value = of(rounds) if rounds else 0.0
    if value <= 0.0:
        return None
    count = len(rounds)
    dice = random.Random(count)  # the same rounds are drawn whenever the file is read
    drawn = [math.log(one) for _ in range(DRAWS) if (one := of(dice.choices(rounds, k=count))) > 0.0]
    if count < 2 or len(drawn) < 2:
        return Figure(value, value, value, None)
    # Few rounds drawn from themselves vary less than new ones would.
    doubt = stdev(drawn) * math.sqrt(count / (count - 1))
    reach = math.exp(doubt * student(count - 1))
    return Figure(value, value / reach, value * reach, doubt)


def student(freedom: int) -> float:
    """How many standard errors hold 19 of 20 figures: 1.96, and more where few turns tell the error itself.

    The first terms of the Cornish-Fisher series; within 1 % from 4 degrees of freedom on, too small below.
    """
    z = 1.959964
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
