"""A server that answers wrongly is reported as wrong, not as fast."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.harness import report, results, workload
from bench.harness.client import Client
from bench.harness.machine import Cores
from bench.harness.pace import UNKNOWN, Pace
from bench.harness.rounds import Fleet, measure
from bench.harness.workload import Workload
from tests.bench.servers import peer

CLIENTS = [False] + ([True] if shutil.which("wrk") else [])


def get() -> Workload:
    return next(work for work in workload.discover() if work.name == "get")


def run(tmp_path: Path, habits: list[str], *, wrk: bool, threshold: float = 2.0) -> dict[str, Any]:
    cores = Cores(None, None)
    fleet = Fleet(files=tmp_path, work=tmp_path, cores=cores)
    client = Client(files=tmp_path, work=tmp_path, core=None, pace=Pace(None), wrk=wrk)
    try:
        found = measure(
            get(),
            [peer(habit) for habit in habits],
            fleet,
            client,
            cores=cores,
            rounds=1,
            seconds=0.3,
            threshold=threshold,
            say=lambda text: None,
        )
        results.fill(found, threshold, UNKNOWN)
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
