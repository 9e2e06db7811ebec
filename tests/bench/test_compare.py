from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from bench import compare
from bench.harness import results
from bench.harness.pace import UNKNOWN
from bench.harness.results import Cell


def cell(peer: str, number: int, cost: float) -> dict[str, Any]:
    return results.as_json(Cell(peer, number, cost, 1, 1.0, 1.0, 1.0, 1.0, False, 0.0, None))


def result(costs: dict[str, list[float]], *, workload: str = "get", grade: str = "good") -> dict[str, Any]:
    """A synthetic result: cost per round of each peer, the floor at 10 us."""
    rounds = len(next(iter(costs.values())))
    cells = [cell("floor", n, 10.0) for n in range(rounds)]
    for peer, figures in costs.items():
        cells += [cell(peer, n, cost) for n, cost in enumerate(figures)]
    work = {"unit": "us of CPU per request", "rounds": rounds, "cells": cells}
    results.fill(work, 0.1, UNKNOWN)
    return {
        "format": results.FORMAT,
        "date": "2026-01-01T00:00:00+00:00",
        "commit": "abc",
        "machine": {"processor": "x", "cores": 2, "python": "3.11"},
        "versions": {"uvloop": "1"},
        "threshold": 0.1,
        "whole": UNKNOWN,
        "instructions": {"versions": {"python": "3.11"}, "counts": {"request": 50_000.0, "encode": 10_000.0}},
        "trust": {"grade": grade, "text": f"{grade}: because"},
        "workloads": {workload: work},
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


def test_a_workload_that_had_another_client_is_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = result({"rat": [20.0] * 3}), result({"rat": [40.0] * 3})
    for one, client in ((old, "rat bench"), (new, "a reader")):
        work = one["workloads"]["get"]
        one["workloads"] = {"get": {**work, "client": "wrk"}, "file": {**work, "client": client}}
    old["workloads"]["get"] = new["workloads"]["get"]
    assert run(tmp_path, old, new) == 0
    text = capsys.readouterr().out
    assert "file is not compared: its load was made by rat bench, then by a reader" in text
    assert "get " in text


def test_a_slower_machine_is_no_regression(tmp_path: Path) -> None:
    old, new = result({"rat": [20.0] * 3}), result({"rat": [40.0] * 3})
    for one in new["workloads"]["get"]["cells"]:
        if one["peer"] == "floor":
            one.update(cell("floor", one["round"], 20.0))
    assert run(tmp_path, old, new) == 0


def test_a_server_that_became_wrong_is_a_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = result({"rat": [20.0] * 3}), result({"rat": [20.0] * 3})
    new["workloads"]["get"]["cells"][-1] |= {"fault": "status 500"}
    assert run(tmp_path, old, new) == 1
    assert "BROKEN: status 500" in capsys.readouterr().out


def test_rivals_that_became_slower_are_shown_and_do_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = result({"rat": [20.0] * 3, "uvicorn": [50.0] * 3, "nginx": [10.0] * 3})
    new = result({"rat": [20.0] * 3, "uvicorn": [80.0] * 3, "nginx": [10.0] * 3})
    assert run(tmp_path, old, new, "--all") == 0
    output = capsys.readouterr().out
    assert re.search(r"uvicorn +50\.0 -> +80\.0 +\+60\.0%  noise  [5-9]\.\d%  SLOWER", output)
    # One rival that changed is no slower machine.
    assert re.search(r"rat +20\.0 -> +20\.0 +\+0\.0%  noise .*  same", output)


def test_how_near_two_runs_are_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = result({"rat": [20.0] * 3, "uvicorn": [50.0] * 3, "nginx": [10.0] * 3})
    new = result({"rat": [20.4] * 3, "uvicorn": [82.0] * 3, "nginx": [10.0] * 3})
    assert run(tmp_path, old, new, "--all") == 0
    output = capsys.readouterr().out
    assert "ratios of the floor: 2 of 3 within 10% of each other in both runs, median 2.0%; " in output
    assert "furthest apart: uvicorn in get, 0.20 and 0.12" in output
    assert "ratios to this server: 2 of 3 within 10% of each other in both runs, median 2.0%; " in output


@pytest.mark.parametrize(("count", "code"), [(52_000.0, 0), (60_000.0, 1), (40_000.0, 0)])
def test_instructions_show_what_a_busy_machine_hides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], count: float, code: int
) -> None:
    old, new = result({"rat": noisy(20.0, 0.5, 1)}), result({"rat": noisy(20.0, 0.5, 2)})
    new["instructions"]["counts"]["request"] = count
    assert run(tmp_path, old, new) == code
    assert f"50,000 ->  {count:,.0f}" in capsys.readouterr().out


def test_instructions_with_other_libraries_are_not_compared(tmp_path: Path) -> None:
    old, new = result({"rat": [20.0] * 3}), result({"rat": [20.0] * 3})
    new["instructions"] = {"versions": {"python": "3.13"}, "counts": {"request": 90_000.0}}
    assert run(tmp_path, old, new) == 0
    new["instructions"] = None
    assert run(tmp_path, old, new) == 0


def test_a_slow_down_of_a_tenth_shows_in_many_workloads_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = result({"rat": noisy(20.0, 0.12, 1, 9)}), result({"rat": noisy(22.4, 0.12, 2, 9)})
    for number in range(8):
        name = f"get-{number}"
        old["workloads"][name] = result({"rat": noisy(20.0, 0.12, 10 + number, 9)})["workloads"]["get"]
        new["workloads"][name] = result({"rat": noisy(22.4, 0.12, 30 + number, 9)})["workloads"]["get"]
    assert run(tmp_path, old, new) == 1
    assert re.search(rf"{compare.TOGETHER} +rat .*SLOWER", capsys.readouterr().out)


def test_what_makes_a_comparison_doubtful_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = result({"rat": [20.0] * 3}), result({"rat": [20.0] * 3}, grade="poor")
    new["versions"]["uvloop"] = "2"
    new["machine"]["python"] = "3.13"
    run(tmp_path, old, new)
    output = capsys.readouterr().out
    for caveat in ("uvloop differs: 1, 2", "python differs: 3.11, 3.13", "the new run is poor: because"):
        assert f"beware    {caveat}" in output


def paired(old: list[float], new: list[float]) -> dict[str, Any]:
    """A result in which this server and its earlier self took their turns in the same rounds."""
    return result({compare.BEFORE: old, "rat": new})


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
    made["workloads"]["get"]["cells"][-1]["fault"] = "status 500"
    results.save(tmp_path / "one.json", made)
    assert compare.main([str(tmp_path / "one.json")]) == 1


def test_nothing_in_common_is_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, result({"rat": [1.0]}), result({"rat": [1.0]}, workload="json")) == 2
    assert "the two have no figures of rat in common" in capsys.readouterr().err


def test_no_result_file_is_usage(tmp_path: Path) -> None:
    assert compare.main([str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 2
