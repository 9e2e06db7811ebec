from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.loadgen.histogram import Histogram
from tests.support.examples import examples


@examples(50)
@given(st.lists(st.floats(min_value=0.0, max_value=3000.0), min_size=1, max_size=200), st.floats(0.0, 100.0))
def test_a_percentile_is_within_a_thousandth_of_the_true_one(durations: list[float], percent: float) -> None:
    histogram = Histogram()
    for duration in durations:
        histogram.record(duration)
    rank = max(1, -(-len(durations) * percent // 100))
    true = sorted(durations)[int(rank) - 1]
    assert histogram.percentile(percent) == pytest.approx(true, rel=0.001, abs=2e-6)


@examples(50)
@given(st.lists(st.floats(0.0, 100.0), max_size=50), st.lists(st.floats(0.0, 100.0), max_size=50))
def test_adding_is_the_same_as_recording_all_in_one(first: list[float], second: list[float]) -> None:
    one, other, together = Histogram(), Histogram(), Histogram()
    for duration in first:
        one.record(duration)
        together.record(duration)
    for duration in second:
        other.record(duration)
        together.record(duration)
    one.add(other)
    assert (one.counts, one.total, one.largest, one.smallest) == (
        together.counts,
        together.total,
        together.largest,
        together.smallest,
    )


def test_durations_out_of_range_count_at_the_edge() -> None:
    histogram = Histogram()
    histogram.record(-1.0)
    histogram.record(7200.0)
    assert histogram.counts[0] == 1
    assert histogram.percentile(99.0) == pytest.approx(3600.0, rel=0.001)


def test_nothing_recorded_is_all_zero() -> None:
    assert set(Histogram().summary().values()) == {0.0}


@pytest.mark.parametrize("percent", [-0.1, 100.1])
def test_a_percentile_outside_0_to_100_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match=f"percentile {percent}, allowed are 0 to 100"):
        Histogram().percentile(percent)


def test_the_distribution_is_in_the_form_that_hdr_plotters_read() -> None:
    histogram = Histogram()
    for millisecond in range(1, 1001):
        histogram.record(millisecond / 1e3)
    lines = histogram.distribution().splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    rows = [line.split() for line in lines[2:] if not line.startswith("#")]
    assert all(len(row) == 4 for row in rows)
    assert rows[-1][1:] == ["1.000000000000", "1000", "inf"]
    assert float(rows[-1][0]) == pytest.approx(1000.0, rel=0.001)
    percentiles = [float(row[1]) for row in rows]
    assert percentiles == sorted(percentiles)
    median = next(row for row in rows if float(row[1]) >= 0.5)
    assert float(median[0]) == pytest.approx(500.0, rel=0.1)
    assert lines[-2].startswith("#[Max     =")
    assert "Total count    =         1000" in lines[-2]
