"""Large content: servers take turns transfer by transfer, every byte is read, and one that answers wrongly is told."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from typing import Any

from bench.harness import results
from bench.harness.client import Client
from bench.harness.machine import Cores
from bench.harness.pace import Pace
from bench.harness.rounds import Fleet, Plan, measure
from bench.harness.server import Server
from bench.harness.transfer_client import SPEED, TransferClient
from bench.harness.workload import Load, Unit, Workload
from rat.loadgen.judge import Judge
from tests.bench.servers import SIZE, peer

CRC = zlib.crc32(b"x" * SIZE)


def judge(files: Path) -> Judge:
    return Judge(status=200, size=SIZE, crc=CRC)


WORK = Workload(
    "large", "large", "large", "/", judge, load=Load.TRANSFER, unit=Unit.GIGABYTE, connections=1, size=SIZE
)  # fmt: skip


def run(tmp_path: Path, habits: list[str], rounds: int = 2) -> dict[str, Any]:
    cores = Cores(None, None)
    fleet = Fleet(files=tmp_path, work=tmp_path, cores=cores)
    with Client(files=tmp_path, work=tmp_path, cores=cores, pace=Pace(None), wrk=False) as client:
        try:
            plan = Plan(rounds=rounds, seconds=0.3)
            return measure(WORK, [peer(habit) for habit in habits], fleet, client, plan, lambda text: None)
        finally:
            fleet.close()


def test_a_wrong_server_has_no_figures_and_the_others_have_all_their_turns(tmp_path: Path) -> None:
    measured = run(tmp_path, ["large", "large-later", "large-half"])
    results.fill(measured, threshold=2.0)
    rows = {row["peer"]: row for row in measured["rows"]}
    assert measured["slices"]
    assert (rows["large"]["fault"], rows["large"]["kept"]) == (None, 2)
    assert rows["large"]["cost"] > 0.0
    assert rows["large"]["rate"] > 0.0
    assert [cell["answers"] for cell in measured["cells"] if cell["peer"] == "large"] == [3, 3]
    assert f"of {SIZE} bytes, expected {CRC:08x}" in rows["large-later"]["fault"]
    assert rows["large-half"]["fault"].startswith("closed after")
    assert rows["large-later"]["cost"] is rows["large-half"]["cost"] is None


def test_new_servers_are_warmed_up_and_the_first_figures_alone_stay(tmp_path: Path) -> None:
    measured = run(tmp_path, ["large"], rounds=5)
    assert [cell["answers"] for cell in measured["cells"]] == [3] * 5
    assert len({cell["rate"] for cell in measured["cells"]}) == 1


def server(habit: str, work: Path) -> Server:
    return Server(peer(habit), python=sys.executable, files=work, work=work, floor="", core=None)


def test_a_connection_that_ended_while_it_waited_is_made_again(tmp_path: Path) -> None:
    with TransferClient(WORK, tmp_path) as client:
        with server("large-ending", tmp_path) as one:
            assert [client.transfer(one.port, paced=False)[1] for _ in range(3)] == [None] * 3
        assert client.transfer(one.port, paced=False)[1] is not None


def test_what_counts_is_read_no_faster_than_at_its_speed(tmp_path: Path) -> None:
    with TransferClient(WORK, tmp_path) as client, server("large", tmp_path) as one:
        seconds, fault = client.transfer(one.port, paced=True)
    assert (fault, seconds >= SIZE / SPEED) == (None, True)
