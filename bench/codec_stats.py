"""Paired timings and what is made of them.

Time is CPU time of this thread.  In a round each contestant runs once, in a fresh random order, so that what disturbs
one disturbs its neighbours; a ratio is taken inside a round and its median over the rounds.
"""

from __future__ import annotations

import gc
import math
import random
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import thread_time_ns
from typing import Any

__all__ = ["geometric_mean", "interleave", "interval", "ratios"]

Call = Callable[[Any], Any]


def _time(call: Call, argument: Any, loops: int) -> float:
    """Nanoseconds of one call, its answer's release included."""
    repeat = range(loops)
    begin = thread_time_ns()
    for _ in repeat:
        call(argument)
    return (thread_time_ns() - begin) / loops


def _time_fresh(call: Call, copies: Callable[[int], list[Any]], loops: int, batch: int) -> float:
    """The same with an argument of its own for each call."""
    taken = done = 0
    while done < loops:
        arguments = copies(batch)
        begin = thread_time_ns()
        for argument in arguments:
            call(argument)
        taken += thread_time_ns() - begin
        done += batch
    return taken / done


def interleave(
    calls: Mapping[str, tuple[Call, Any]],
    *,
    rounds: int,
    slice_ns: int = 2_000_000,
    batch: int = 0,
    seed: int = 23,
) -> dict[str, list[float]]:
    """Nanoseconds a call, by name and round.  The collector is off while the clock runs, as in timeit.

    Each call has a callable and its argument; with *batch*, a callable and what makes that many fresh arguments.
    """
    loops = {}
    for name, (call, argument) in calls.items():
        once = min(_time_fresh(call, argument, 2, 1) if batch else _time(call, argument, 1) for _ in range(2))
        loops[name] = max(1, round(slice_ns / max(once, 50.0)))
    order = list(calls)
    rng = random.Random(seed)
    timings: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            rng.shuffle(order)
            for name in order:
                call, argument = calls[name]
                taken = _time_fresh(call, argument, loops[name], batch) if batch else _time(call, argument, loops[name])
                timings[name].append(taken)
    finally:
        gc.enable()
    return timings


def ratios(peer: Sequence[float], own: Sequence[float]) -> list[float]:
    """How many times faster *own* was, round by round."""
    return [theirs / mine for theirs, mine in zip(peer, own, strict=True)]


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def interval(cells: Sequence[Sequence[float]], *, draws: int = 2_000, seed: int = 29) -> tuple[float, float, float]:
    """Geometric mean over *cells* of the median paired ratio, and the 95 % bootstrap interval.

    The rounds of each cell are drawn with replacement; the cells are what they are: a fixed set, not a sample.
    """
    rng = random.Random(seed)
    means = sorted(geometric_mean([median(rng.choices(cell, k=len(cell))) for cell in cells]) for _ in range(draws))
    low, high = means[int(draws * 0.025)], means[int(draws * 0.975) - 1]
    return geometric_mean([median(cell) for cell in cells]), low, high
