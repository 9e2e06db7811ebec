from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest

from bench import compare
from bench.harness import results
from bench.harness.results import Cell, rows_of


def result(costs: dict[str, list[float]], *, workload: str = "get", grade: str = "good") -> dict[str, Any]:
    """A synthetic result: cost per round of each peer, the floor at 10 us."""
    rounds = len(next(iter(costs.values())))
    cells = [Cell("floor", n, 10.0, 1, 1.0, 1.0, 1.0, 1.0, False, 0.0, None) for n in range(rounds)]
    for peer, figures in costs.items():
        cells += [Cell(peer, n, cost, 1, 1.0, 1.0, 1.0, 1.0, False, 0.0, None) for n, cost in enumerate(figures)]
    return {
        "format": results.FORMAT,
        "date": "2026-01-01T00:00:00+00:00",
        "commit": "abc",
        "machine": {"processor": "x", "cores": 2, "python": "3.11"},
        "versions": {"uvloop": "1"},
        "trust": {"grade": grade, "text": f"{grade}: because"},
        "workloads": {workload: {"rows": [results.as_json(row) for row in rows_of(cells, 0.1, rounds)]}},
    }


def noisy(middle: float, noise: float, seed: int, rounds: int = 5) -> list[float]:
    dice = random.Random(seed)
    return [middle * dice.uniform(1 - noise, 1 + noise) for _ in range(rounds)]


def run(tmp_path: Path, old: dict[str, Any], new: dict[str, Any], *arguments: str) -> int:
    for name, content in (("old", old), ("new", new)):
        results.save(tmp_path / f"{name}.json", content)
    return compare.main([str(tmp_path / "old.json"), str(tmp_path / "new.json"), *arguments])


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.05])
def test_a_fifth_more_cpu_is_a_regression(tmp_path: Path, noise: float, seed: int) -> None:
    old, new = result({"rat": noisy(20.0, noise, seed)}), result({"rat": noisy(24.0, noise, seed + 100)})
    assert run(tmp_path, old, new) == 1


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.05, 0.10])
def test_noise_is_none(tmp_path: Path, noise: float, seed: int) -> None:
    old, new = result({"rat": noisy(20.0, noise, seed)}), result({"rat": noisy(20.0, noise, seed + 100)})
    assert run(tmp_path, old, new) == 0


@pytest.mark.parametrize("slower", [1.0, 1.03, 0.5])
def test_no_regression(tmp_path: Path, slower: float) -> None:
    assert run(tmp_path, result({"rat": [20.0] * 3}), result({"rat": [20.0 * slower] * 3})) == 0


def test_a_slower_machine_is_no_regression(tmp_path: Path) -> None:
    old = result({"rat": [20.0] * 3})
    new = copy.deepcopy(old)
    for row in new["workloads"]["get"]["rows"]:
        for name in ("cost", "low", "high"):
            row[name] *= 2
    assert run(tmp_path, old, new) == 0


def test_a_server_that_became_wrong_is_a_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = result({"rat": [20.0] * 3}), result({"rat": [20.0] * 3})
    new["workloads"]["get"]["rows"][1] |= {"fault": "status 500", "ratio": None, "ratios": []}
    assert run(tmp_path, old, new) == 1
    assert "BROKEN: status 500" in capsys.readouterr().out


def test_rivals_that_became_slower_are_shown_and_do_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = result({"rat": [20.0] * 3, "uvicorn": [50.0] * 3})
    new = result({"rat": [20.0] * 3, "uvicorn": [80.0] * 3})
    assert run(tmp_path, old, new, "--all") == 0
    assert "uvicorn        0.200 -> 0.125   -37.5%  noise  5.0%  SLOWER" in capsys.readouterr().out


def test_what_makes_a_comparison_doubtful_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = result({"rat": [20.0] * 3}), result({"rat": [20.0] * 3}, grade="poor")
    new["versions"]["uvloop"] = "2"
    new["machine"]["python"] = "3.13"
    run(tmp_path, old, new)
    output = capsys.readouterr().out
    for line in ("uvloop differs: 1, 2", "python differs: 3.11, 3.13", "the new run is poor: because"):
        assert f"beware    {line}" in output


def paired(old: list[float], new: list[float]) -> dict[str, Any]:
    """A result in which this server and its earlier self took their turns in the same rounds."""
    made = result({"rat": new, compare.BEFORE: old})
    cells = [
        {"peer": peer, "round": number, "cost": cost, "fault": None}
        for peer, costs in (("rat", new), (compare.BEFORE, old))
        for number, cost in enumerate(costs)
    ]
    made["workloads"]["get"]["cells"] = cells
    return made


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("factor", "code"), [(1.2, 1), (1.0, 0), (0.8, 0)])
def test_turns_in_the_same_rounds_are_compared_in_pairs(tmp_path: Path, seed: int, factor: float, code: int) -> None:
    # The machine's speed halves and doubles from round to round, for both alike; beside that there is noise of 3 %.
    dice = random.Random(seed)
    speed = [dice.uniform(0.5, 2.0) for _ in range(9)]
    old = [20.0 * pace * dice.uniform(0.97, 1.03) for pace in speed]
    new = [20.0 * factor * pace * dice.uniform(0.97, 1.03) for pace in speed]
    path = tmp_path / "one.json"
    results.save(path, paired(old, new))
    assert compare.main([str(path)]) == code


def test_within_one_run_a_wrong_answer_is_a_regression(tmp_path: Path) -> None:
    made = paired([20.0, 20.0], [20.0, 20.0])
    made["workloads"]["get"]["cells"][1]["fault"] = "status 500"
    results.save(tmp_path / "one.json", made)
    assert compare.main([str(tmp_path / "one.json")]) == 1


def test_nothing_in_common_is_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, result({"rat": [1.0]}), result({"rat": [1.0]}, workload="json")) == 2
    assert "the two have no figures of rat in common" in capsys.readouterr().err


def test_no_result_file_is_usage(tmp_path: Path) -> None:
    assert compare.main([str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 2
