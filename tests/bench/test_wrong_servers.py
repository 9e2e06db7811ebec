"""A server that answers wrongly is reported as wrong, not as fast."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.harness import report, results, workload
from bench.harness.client import Client
from bench.harness.machine import Cores
from bench.harness.pace import Pace
from bench.harness.rounds import Fleet, Plan, measure
from bench.harness.workload import Workload
from tests.bench.servers import peer

CLIENTS = [False] + ([True] if shutil.which("wrk") else [])


def get() -> Workload:
    return next(work for work in workload.discover() if work.name == "get")


def run(tmp_path: Path, habits: list[str], *, wrk: bool, threshold: float = 2.0) -> dict[str, Any]:
    cores = Cores(None, None)
    fleet = Fleet(files=tmp_path, work=tmp_path, cores=cores)
    client = Client(files=tmp_path, work=tmp_path, cores=cores, pace=Pace(None), wrk=wrk)
    try:
        found = measure(
            get(),
            [peer(habit) for habit in habits],
            fleet,
            client,
            Plan(rounds=1, seconds=0.2),
            lambda text: None,
        )
        results.fill(found, threshold)
        return found
    finally:
        fleet.close()
        client.close()


@pytest.mark.parametrize("wrk", CLIENTS, ids=lambda wrk: "wrk" if wrk else "own")
def test_wrong_servers_have_no_figures(tmp_path: Path, wrk: bool) -> None:
    measured = run(tmp_path, ["right", "other-content", "empty", "error", "wrong-later", "short-later"], wrk=wrk)
    rows = {row["peer"]: row for row in measured["rows"]}
    assert rows["right"]["fault"] is None
    assert rows["right"]["cost"] > 0.0
    for habit, fault in {
        "other-content": "content b'Hello, Wurld!', expected b'Hello, World!'",
        "empty": "content b'', expected b'Hello, World!'",
        "error": "status 500, expected 200",
    }.items():
        assert rows[habit]["fault"] == fault
    for habit in ("wrong-later", "short-later"):
        assert rows[habit]["fault"] is not None
    for habit in rows.keys() - {"right"}:
        assert rows[habit]["cost"] is None
        assert rows[habit]["ratio"] is None


def test_the_table_says_wrong_and_why(tmp_path: Path) -> None:
    measured = run(tmp_path, ["other-content"], wrk=False)
    result = {
        "workloads": {"get": measured},
        "trust": results.trust({"get": measured}),
        "threshold": 0.1,
        "codec": None,
        "skipped": {"nginx": "nginx is not installed"},
        "machine": {"processor": "x", "cores": 2, "kernel": "6", "python": "3"},
    }
    text = report.text(result)
    assert "other-content  WRONG: content b'Hello, Wurld!', expected b'Hello, World!'" in text
    assert "skipped   nginx: nginx is not installed" in text


def test_a_server_that_does_not_start_is_skipped_by_name(tmp_path: Path) -> None:
    cores = Cores(None, None)
    fleet = Fleet(files=tmp_path, work=tmp_path, cores=cores)
    assert fleet.get(peer("no-such-habit"), get()) is None
    assert fleet.broken == {"no-such-habit": "ended with 1: KeyError: 'no-such-habit'"}


@pytest.mark.parametrize(
    ("number", "took", "passed", "goes_on"),
    [
        (0, 0.0, 0.0, True),
        (1, 8.0, 12.0, True),
        (1, 11.0, 12.0, False),
        (2, 4.0, 7.0, True),
        (2, 4.0, 9.0, False),
        (4, 1.0, 4.0, False),
    ],
)
def test_rounds_end_with_the_time_but_two_there_are(number: int, took: float, passed: float, goes_on: bool) -> None:
    assert Plan(rounds=4, seconds=0.2, part=10.0).goes_on(number, took, passed) is goes_on
