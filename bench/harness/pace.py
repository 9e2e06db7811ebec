"""How fast the server's core was, moment by moment.

A virtual core is half of a physical one, and the other half belongs to somebody: while it is busy, the same
instructions take up to 1.8 times the CPU time, for a tenth of a second or for minutes, and no counter of the guest
shows it.  So a fixed piece of Python runs on the server's core hundreds of times a second, and its own CPU time is
noted: 66 us where the core was whole, 120 us where it was shared, little between.  Costs about 4 % of the core.
"""

from __future__ import annotations

import os
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Sequence

GAP = 0.0025
"""Seconds between two samples."""
WARM, WORK = 400, 2400
"""Steps before the clock is read, for caches that the server has filled with its own, and steps that are timed."""
BEST = 0.05
"""The share of the samples that are faster than a whole core is taken to be: clocks and turbos exaggerate a little."""
LEAST = 5.0
"""No core does the fixed piece in so few microseconds: on virtual machines the clock stands still now and then."""
UNKNOWN = 0.0
"""The pace where none is measured."""
SHARED = 1.3
"""A sample that took so many times what a whole core takes came from a core that was shared."""


def _work(steps: int) -> int:
    total = 0
    for step in range(steps):
        total += step & 7
    return total


class Pace:
    """A thread of this process on the server's core.  Use as a context manager.

    Without a core of the server's own it notes nothing.

    at, took   moments on the monotonic clock, and microseconds that the fixed piece took then
    """

    def __init__(self, core: int | None) -> None:
        self._core = core
        self.at = array("d")
        self.took = array("d")
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def of(self, stretches: Sequence[tuple[float, float]]) -> float:
        """What the piece took in these stretches of the monotonic clock, in us: the harmonic mean, as rates add up."""
        found = [
            took
            for begin, end in stretches
            for took in self.took[bisect_left(self.at, begin) : bisect_left(self.at, end)]
        ]
        return len(found) / sum(1.0 / took for took in found) if found else UNKNOWN

    def whole(self) -> float:
        """What the piece took where the core was fastest, in microseconds; UNKNOWN without samples."""
        return sorted(self.took)[int(len(self.took) * BEST)] if self.took else UNKNOWN

    def shared(self) -> float:
        """The share of the time in which the core was shared, as far as it was ever whole."""
        limit = SHARED * self.whole()
        return sum(took > limit for took in self.took) / len(self.took) if self.took else 0.0

    def _run(self) -> None:
        assert self._core is not None
        os.sched_setaffinity(threading.get_native_id(), {self._core})
        while not self._end.wait(GAP):
            _work(WARM)
            started = time.thread_time()
            _work(WORK)
            took = (time.thread_time() - started) * 1e6
            if took < LEAST:
                continue
            self.took.append(took)
            self.at.append(time.monotonic())

    def __enter__(self) -> Pace:
        if self._core is not None:
            self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        if self._core is not None:
            self._thread.join()
