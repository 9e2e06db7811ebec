from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.harness import results
from bench.harness.results import Cell, Row, rows_of
from bench.harness.stats import doubt_of_median, geometric_mean, relative_spread


def cell(peer: str, number: int, cost: float | None, *, others: float = 0.0, fault: str | None = None) -> Cell:
    return Cell(peer, number, cost, 100, 1.0, 100.0, 0.1, 0.1, False, others, fault)


def row(cells: list[Cell], peer: str = "rat", *, wanted: int = 3) -> Row:
    return next(row for row in rows_of(cells, 0.10, wanted) if row.peer == peer)


def test_the_ratio_is_taken_within_each_round() -> None:
    # The machine runs at half its speed in the second round: both cost twice as much, and the ratio stays.
    cells = [cell("floor", n, cost) for n, cost in enumerate([10.0, 20.0, 10.0])]
    cells += [cell("rat", n, cost) for n, cost in enumerate([20.0, 40.0, 20.0])]
    found = row(cells)
    assert found.ratios == [0.5, 0.5, 0.5]
    assert (found.ratio, found.cost, found.low, found.high) == (0.5, 20.0, 20.0, 40.0)
    assert (found.kept, found.thrown_away, found.disturbed) == (3, 0, False)


def test_disturbed_turns_are_thrown_away() -> None:
    cells = [cell("floor", n, 10.0) for n in range(4)]
    cells += [
        cell("rat", n, cost, others=others) for n, (cost, others) in enumerate([(20, 0), (90, 0.5), (20, 0), (22, 0)])
    ]
    found = row(cells)
    assert found.cost == 20
    assert (found.kept, found.thrown_away, found.disturbed) == (3, 1, False)


def test_without_calm_turns_the_calmest_count_and_it_is_said() -> None:
    cells = [cell("floor", n, 10.0) for n in range(4)]
    cells += [
        cell("rat", n, cost, others=others)
        for n, (cost, others) in enumerate([(20, 0.3), (90, 0.9), (30, 0.4), (40, 0.5)])
    ]
    found = row(cells, wanted=3)
    assert found.disturbed
    assert found.cost == 30
    assert (found.kept, found.thrown_away) == (3, 1)


def test_a_disturbed_floor_is_said_as_well() -> None:
    cells = [cell("floor", n, 10.0, others=0.5) for n in range(3)] + [cell("rat", n, 20.0) for n in range(3)]
    assert row(cells).disturbed


def test_one_wrong_answer_takes_all_figures_away() -> None:
    cells = [cell("floor", n, 10.0) for n in range(3)]
    cells += [cell("rat", 0, 5.0), cell("rat", 1, 5.0, fault="status 500")]
    found = row(cells)
    assert (found.fault, found.cost, found.ratio, found.kept) == ("status 500", None, None, 0)


def measured(cells: list[Cell], threshold: float = 0.10) -> dict[str, Any]:
    return {
        "get": {
            "cells": [results.as_json(cell) for cell in cells],
            "rows": [results.as_json(row) for row in rows_of(cells, threshold, 3)],
        }
    }


@pytest.mark.parametrize(
    ("costs", "others", "grade"),
    [
        ([20, 20.5, 20.2], 0.02, "good"),
        ([20, 23, 20], 0.02, "fair"),
        ([20, 30, 21], 0.02, "poor"),
        ([20, 20, 20], 0.5, "poor"),
    ],
)
def test_how_far_to_trust(costs: list[float], others: float, grade: str) -> None:
    cells = [cell("floor", n, 10.0, others=others) for n in range(3)]
    cells += [cell("rat", n, cost, others=others) for n, cost in enumerate(costs)]
    verdict = results.trust(measured(cells))
    assert verdict["grade"] == grade
    assert f"others took {others:.0%} of the two cores" in verdict["text"]


def test_nothing_measured_is_said() -> None:
    assert results.trust({})["text"] == "nothing was measured"


def test_a_result_file_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "result.json"
    results.save(path, {"format": results.FORMAT, "workloads": {}})
    assert results.load(path)["workloads"] == {}


@pytest.mark.parametrize("content", ["[]", '{"format": 99}', "{"])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"other\.json: (not a result file of format 1|no JSON)"):
        results.load(path)


def test_statistics() -> None:
    assert relative_spread([1.0]) == 0.0
    assert relative_spread([9.0, 10.0, 12.0]) == pytest.approx(0.3)
    assert doubt_of_median([5.0]) == 0.0
    assert doubt_of_median([10.0, 10.0, 10.0, 10.0]) == 0.0
    # Of three figures two agree, and the third still counts.
    assert doubt_of_median([10.0, 10.0, 12.0]) == pytest.approx(1.2533 * 1.0 / 3**0.5 / 10)
    assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="figures above zero"):
        geometric_mean([])
