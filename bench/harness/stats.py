"""Medians and their doubt, for few and noisy figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

__all__ = ["doubt_of_median", "geometric_mean", "median", "relative_spread"]

# For normal figures: the standard deviation is 1.4826 times the median absolute deviation, and the standard error of a
# median is 1.2533 times that of a mean.
_MAD_TO_SIGMA = 1.4826
_MEDIAN_TO_MEAN = 1.2533


def relative_spread(figures: Sequence[float]) -> float:
    """(largest - smallest) / median; 0.0 for fewer than two figures."""
    if len(figures) < 2:
        return 0.0
    middle = median(figures)
    return (max(figures) - min(figures)) / middle if middle else 0.0


def doubt_of_median(figures: Sequence[float]) -> float:
    """The standard error of the median, relative to it.

    Two or three figures that happen to agree say little of how far the next may be, so half of their range counts as
    well.  0.0 for fewer than two figures.
    """
    if len(figures) < 2:
        return 0.0
    middle = median(figures)
    if not middle:
        return 0.0
    sigma = _MAD_TO_SIGMA * median(abs(figure - middle) for figure in figures)
    if len(figures) <= 3:
        sigma = max(sigma, (max(figures) - min(figures)) / 2)
    return _MEDIAN_TO_MEAN * sigma / math.sqrt(len(figures)) / middle


def geometric_mean(figures: Sequence[float]) -> float:
    """Raises ValueError when there are none, or one is not above zero."""
    if not figures or min(figures) <= 0.0:
        raise ValueError("a geometric mean needs figures above zero")
    return math.exp(sum(map(math.log, figures)) / len(figures))
