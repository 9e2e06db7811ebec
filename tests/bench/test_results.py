from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.harness import results
from bench.harness.results import Cell, Row, rows_of


def cell(peer: str, number: int, cost: float | None, *, others: float = 0.0, fault: str | None = None) -> Cell:
    return Cell(peer, number, cost, 100, 1.0, 100.0, 0.1, 0.1, False, others, fault)


def row(cells: list[Cell], peer: str = "rat", *, wanted: int = 3) -> Row:
    return next(row for row in rows_of(cells, 0.10, wanted) if row.peer == peer)


def test_the_ratio_is_that_of_the_costs() -> None:
    cells = [cell("floor", n, cost) for n, cost in enumerate([10.0, 20.0, 10.0])]
    cells += [cell("rat", n, cost) for n, cost in enumerate([20.0, 40.0, 20.0])]
    found = row(cells)
    assert found.ratio == pytest.approx(0.5)
    # Turns are set beside those of their round: what halved the speed of one halved it for both.
    assert found.doubt == pytest.approx(0.0)
    assert found.cost_doubt is not None
    assert found.cost_doubt > 0.1
    assert (found.kept, found.thrown_away, found.disturbed) == (3, 0, False)


def test_disturbed_turns_are_thrown_away() -> None:
    cells = [cell("floor", n, 10.0) for n in range(4)]
    cells += [
        cell("rat", n, cost, others=others) for n, (cost, others) in enumerate([(20, 0), (90, 0.5), (20, 0), (22, 0)])
    ]
    found = row(cells)
    assert found.cost == pytest.approx(20.5, rel=0.01)
    assert (found.kept, found.thrown_away, found.disturbed) == (3, 1, False)


def test_without_calm_turns_the_calmest_count_and_it_is_said() -> None:
    cells = [cell("floor", n, 10.0) for n in range(4)]
    cells += [
        cell("rat", n, cost, others=others)
        for n, (cost, others) in enumerate([(20, 0.3), (90, 0.9), (30, 0.4), (40, 0.5)])
    ]
    found = row(cells, wanted=3)
    assert found.disturbed
    assert found.cost == pytest.approx(29.0, rel=0.03)
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
    ("costs", "grade"),
    [([20, 20.5, 20.2], "good"), ([20, 21.1, 20.4], "fair"), ([20, 30, 21], "poor"), ([20], "poor")],
)
def test_how_far_to_trust(costs: list[float], grade: str) -> None:
    cells = [cell("floor", n, 10.0, others=0.02) for n in range(len(costs))]
    cells += [cell("rat", n, cost, others=0.02) for n, cost in enumerate(costs)]
    found = measured(cells)
    verdict = results.trust(found, shared=0.4)
    assert (verdict["grade"], results.grade(found["get"]["rows"][1])) == (grade, grade)
    assert "Others took 2% of the two cores" in verdict["text"]
    assert "shared by other guests of its host for 40% of the time" in verdict["text"]


def test_what_others_took_widens_the_bounds() -> None:
    def reach(others: float) -> float:
        cells = [cell("floor", n, 10.0, others=others) for n in range(3)]
        cells += [cell("rat", n, 20.0, others=others) for n in range(3)]
        return results.reach_of(measured(cells)["get"]["rows"][1])

    assert reach(0.0) == pytest.approx(0.02, abs=0.001)
    assert reach(0.6) == pytest.approx(0.064, abs=0.005)


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
    with pytest.raises(ValueError, match=r"other\.json: (not a result file of format 3|no JSON)"):
        results.load(path)
