"""How fast the server's core was, moment by moment.

A virtual core is half of a physical one, and the other half belongs to somebody: while it is busy, the same
instructions take up to 1.8 times the CPU time, for a tenth of a second or for minutes, and no counter of the guest
shows it.  So a fixed piece of Python runs on the server's core hundreds of times a second, and its own CPU time is
noted: 66 us where the core was whole, 120 us where it was shared, little between.  Costs about 4 % of the core.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path

from rat.loadgen.processes import cpu_of

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


class Trace:
    """What was noted during one turn: times on the monotonic clock, seconds of CPU that the server had used by then,
    and microseconds that the fixed piece took."""

    __slots__ = ("at", "cpu", "took")

    def __init__(self) -> None:
        self.at: list[float] = []
        self.cpu: list[float] = []
        self.took: list[float] = []

    def pace(self, begin: float, end: float) -> float:
        """What the piece took from *begin* to *end*: the harmonic mean, as rates add up."""
        found = self.took[bisect_left(self.at, begin) : bisect_left(self.at, end)] or self.took
        return len(found) / sum(1.0 / took for took in found) if found else UNKNOWN


def best(own: float, notes: Path) -> float:
    """The smallest of *own* and of what earlier runs of the same Python on this machine found, which *notes* keeps.

    A run may fall into an hour in which the core is never whole, and would take that for its best.
    """
    if own == UNKNOWN:
        return own
    key = f"{platform.node()}, {platform.python_version()}, {WORK} steps"
    found: dict[str, float] = json.loads(notes.read_text()) if notes.exists() else {}
    found[key] = min(own, found.get(key, own))
    notes.write_text(json.dumps(found))
    return found[key]


def between(at: Sequence[float], values: Sequence[float], moment: float) -> float:
    """The value at *moment*, in proportion between those noted before and after it.  Raises ValueError outside."""
    if not at or not at[0] <= moment <= at[-1]:
        raise ValueError(f"nothing was noted at {moment:.3f} s")
    right = max(1, bisect_left(at, moment))
    if right == len(at):
        return values[-1]
    passed = (moment - at[right - 1]) / (at[right] - at[right - 1])
    return values[right - 1] + passed * (values[right] - values[right - 1])


class Pace:
    """A thread of this process on the server's core.  Use as a context manager.

    Without a core of the server's own it notes nothing.
    """

    def __init__(self, core: int | None) -> None:
        self._core = core
        self._all = array("d")
        self._pids: Sequence[int] = ()
        self._trace: Trace | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self, pids: Iterable[int]) -> Trace:
        """Note a turn of the server whose processes are *pids*, into the trace that is returned, until the next one."""
        self._pids, self._trace = tuple(pids), Trace()
        return self._trace

    def whole(self) -> float:
        """What the piece takes on a core that is shared with nobody, in microseconds; UNKNOWN without samples."""
        return sorted(self._all)[int(len(self._all) * BEST)] if self._all else UNKNOWN

    def shared(self, whole: float) -> float:
        """The share of the time in which the core was shared, when the piece takes *whole* on one that is not."""
        limit = SHARED * whole
        return sum(took > limit for took in self._all) / len(self._all) if self._all else 0.0

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
            self._all.append(took)
            trace, pids = self._trace, self._pids
            if trace is not None:
                try:
                    cpu = sum(map(cpu_of, pids))
                except OSError:
                    continue  # it has ended: the turn's fault tells why
                trace.at.append(time.monotonic())
                trace.took.append(took)
                trace.cpu.append(cpu)

    def __enter__(self) -> Pace:
        if self._core is not None:
            self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        if self._core is not None:
            self._thread.join()
