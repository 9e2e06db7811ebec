from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.harness import peer, workload
from bench.harness.check import requests_of
from bench.harness.machine import Cores, Others, choose_cores, describe
from bench.harness.workload import Load
from bench.run import prepare, takes_part
from bench.workloads.b_json import content
from rat.loadgen.answers import Answer
from rat.loadgen.processes import cpu_seconds, descendants, resident_bytes

PEERS = peer.discover()
WORKLOADS = workload.discover()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("bench"))


def test_the_floor_comes_first_and_then_this_server() -> None:
    assert [one.name for one in PEERS[:2]] == ["floor", "rat"]
    assert len({one.name for one in PEERS}) == len(PEERS)


@pytest.mark.parametrize("work", WORKLOADS, ids=lambda work: work.name)
def test_every_workload_has_a_floor_this_server_and_rivals(work: workload.Workload) -> None:
    names = [one.name for one in PEERS if takes_part(one, work, quick=False, named=False)]
    if work.asks == "receive":  # of this project only the reader takes part, which no server is needed for
        assert names == ["floor", "naive appending", "rat's reader"]
        return
    assert names[:2] == ["floor", "rat"]
    assert len(names) >= (2 if work.asks in peer.FRAMES else 4)


@pytest.mark.parametrize("work", [work for work in WORKLOADS if work.load is Load.HTTP], ids=lambda work: work.name)
def test_no_two_requests_of_a_workload_are_equal(work: workload.Workload) -> None:
    requests = requests_of(work, "http://h")
    assert len(set(requests)) == len(requests) == 1024


@pytest.mark.parametrize("work", WORKLOADS, ids=lambda work: work.name)
def test_every_judge_refuses_an_error(work: workload.Workload, files: Path) -> None:
    if work.load is Load.EVENTS:
        return  # its load generator reads the streams itself
    assert work.judge(files)(Answer(500, 0, b"", 0, False)) is not None


def test_the_contents_to_echo_are_of_one_size_and_all_different() -> None:
    contents = [content(number) for number in range(10)]
    assert {len(one) for one in contents} == {1024}
    assert len({json.loads(one)["number"] for one in contents}) == 10


def test_a_peer_without_its_program_says_so() -> None:
    one = peer.Peer("x", lambda start: [], binary=("no-such-program", "-v"))
    assert one.missing() == "no-such-program is not installed"
    assert peer.Peer("x", lambda start: [], needs=("no-such-distribution",)).missing() == (
        "no-such-distribution is not installed"
    )


def test_own_work_is_not_that_of_others() -> None:
    others = Others(Cores(None, None))
    assert sum(range(2_000_000)) > 0
    assert 0.0 <= others.share(server=0.0, client=0.0) <= 1.0


def test_cpu_and_memory_of_a_process() -> None:
    import os

    before = cpu_seconds(os.getpid())
    assert sum(range(1_000_000)) > 0
    assert cpu_seconds(os.getpid()) > before
    assert resident_bytes(os.getpid()) > 1 << 20
    assert os.getpid() in descendants(os.getpid())
    with pytest.raises(OSError):
        cpu_seconds(2**22 + 1)


def test_the_machine_is_described() -> None:
    found = describe()
    assert found["cores"] >= 1
    assert found["processor"]
    cores = choose_cores()
    assert cores.used is None or len(set(cores.used)) == 2


def test_a_new_kind_of_question_is_set_beside_a_floor_that_does_not_know_it() -> None:
    work = replace(next(work for work in WORKLOADS if work.name == "get"), asks="shout", floor="hello")
    one = peer.Peer("x", lambda start: [], frozenset({"shout"}))
    assert [each.name for each in [*PEERS, one] if takes_part(each, work, quick=False, named=True)] == ["floor", "x"]
