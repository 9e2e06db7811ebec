"""A high dynamic range histogram of latencies: fixed memory, a relative error below 0.1 %.

Knows no clock: whoever records gives seconds.  The buckets are those of HdrHistogram (linear within a power of two,
1,024 steps each), in whole microseconds up to an hour.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

__all__ = ["PERCENTILES", "Histogram"]

PERCENTILES = (50.0, 75.0, 90.0, 99.0, 99.9, 99.99)

_BITS = 11
_HALF = 1 << (_BITS - 1)
_LARGEST = 3_600_000_000
_SLOTS = ((_LARGEST.bit_length() - _BITS) << (_BITS - 1)) + (1 << _BITS)


class Histogram:
    """Counts of durations.  Durations below zero count as zero, those above an hour as an hour."""

    __slots__ = ("counts", "largest", "smallest", "total", "total_seconds")

    def __init__(self) -> None:
        self.counts = [0] * _SLOTS
        self.total = 0
        self.total_seconds = 0.0
        self.smallest = math.inf
        self.largest = 0.0

    def record(self, seconds: float) -> None:
        """Count one duration."""
        microseconds = int(seconds * 1e6)
        if microseconds < 2048:
            self.counts[microseconds if microseconds > 0 else 0] += 1
        else:
            if microseconds > _LARGEST:
                microseconds = _LARGEST
            shift = microseconds.bit_length() - _BITS
            self.counts[(shift << (_BITS - 1)) + (microseconds >> shift)] += 1
        self.total += 1
        self.total_seconds += seconds
        if seconds > self.largest:
            self.largest = seconds
        if seconds < self.smallest:
            self.smallest = seconds

    def add(self, other: Histogram) -> None:
        """Count everything that *other* has counted."""
        for slot, count in enumerate(other.counts):
            if count:
                self.counts[slot] += count
        self.total += other.total
        self.total_seconds += other.total_seconds
        self.smallest = min(self.smallest, other.smallest)
        self.largest = max(self.largest, other.largest)

    @property
    def mean(self) -> float:
        """Seconds; 0.0 when nothing was recorded."""
        return self.total_seconds / self.total if self.total else 0.0

    def percentile(self, percent: float) -> float:
        """The duration in seconds that *percent* of all recorded ones do not exceed; 0.0 when nothing was recorded.

        Raises ValueError when *percent* is not within 0 to 100.
        """
        if not 0.0 <= percent <= 100.0:
            raise ValueError(f"percentile {percent}, allowed are 0 to 100")
        if not self.total:
            return 0.0
        wanted = max(1, math.ceil(self.total * percent / 100.0))
        reached = 0
        for microseconds, count in self._filled():
            reached += count
            if reached >= wanted:
                return min(microseconds / 1e6, self.largest)
        return self.largest

    def summary(self, percentiles: Iterable[float] = PERCENTILES) -> dict[str, float]:
        """Seconds by name: ``min``, ``mean``, ``max`` and ``p50`` and so on."""
        figures = {"min": self.smallest if self.total else 0.0, "mean": self.mean, "max": self.largest}
        figures.update({f"p{percent:g}": self.percentile(percent) for percent in percentiles})
        return figures

    def distribution(self, steps_per_half: int = 5) -> str:
        """The percentile distribution in HdrHistogram's text form, values in milliseconds, for its plotters."""
        lines = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>16}", ""]
        reached = 0
        due = 0.0
        filled = list(self._filled())
        for position, (microseconds, count) in enumerate(filled):
            reached += count
            share = reached / self.total
            last = position == len(filled) - 1
            if share < due and not last:
                continue
            inverse = f"{1 / (1 - share):16.2f}" if share < 1.0 else f"{'inf':>16}"
            lines.append(f"{microseconds / 1e3:12.3f} {share:14.12f} {reached:10d} {inverse}")
            # Steps shrink with the distance to 1, so that the tail is drawn as finely as the middle.
            while due <= share and due < 1.0:
                due += (1.0 - due) / (2 * steps_per_half) if due < 1.0 - 1e-9 else 1.0
        deviation = math.sqrt(self._variance())
        lines.append(f"#[Mean    = {self.mean * 1e3:12.3f}, StdDeviation   = {deviation * 1e3:12.3f}]")
        lines.append(f"#[Max     = {self.largest * 1e3:12.3f}, Total count    = {self.total:12d}]")
        lines.append(f"#[Buckets = {_SLOTS // _HALF:12d}, SubBuckets     = {1 << _BITS:12d}]")
        return "\n".join(lines) + "\n"

    def _filled(self) -> Iterator[tuple[float, int]]:
        """(the microseconds in the middle of a slot, its count), smallest first."""
        for slot, count in enumerate(self.counts):
            if not count:
                continue
            if slot < 2 * _HALF:
                yield slot, count
            else:
                shift = slot // _HALF - 1
                yield ((slot - (shift << (_BITS - 1))) << shift) + (1 << shift) / 2, count

    def _variance(self) -> float:
        if not self.total:
            return 0.0
        mean = self.mean
        return sum(count * (value / 1e6 - mean) ** 2 for value, count in self._filled()) / self.total
