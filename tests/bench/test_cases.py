from __future__ import annotations

import platform
from pathlib import Path

import pytest

from bench import callgrind, instr, micro
from bench.cases import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_runs_and_asserts_its_answer(case: Case) -> None:
    case.prepare()(10)


def test_costs_are_per_repetition() -> None:
    done = 0

    def repeat(count: int) -> None:
        nonlocal done
        done += sum(range(count * 100)) > -1

    costs = micro.batches(repeat, 0.01)
    assert len(costs) >= 5
    assert min(costs) > 0.0
    assert max(costs) < 0.004


def test_micro_prints_a_line_for_each_case_and_writes_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "micro.json"
    assert micro.main(["-k", "frame an event", "--seconds", "0.01", "--json", str(path)]) == 0
    assert "frame an event" in capsys.readouterr().out
    assert '"frame an event"' in path.read_text()
    assert micro.main(["-k", "no such case"]) == 1


def test_changes_of_more_than_a_hundredth_are_marked() -> None:
    table = instr.lines(
        {"same": 1000.0, "more": 1000.0, "less": 1000.0, "gone": 5.0},
        {"same": 1005.0, "more": 1020.0, "less": 500.0, "new": 7.0},
    )
    marks = {line.split()[0]: line.split()[-1] for line in table[1:]}
    assert marks == {"same": "+0.5%", "more": "more", "less": "less", "new": "7", "gone": "-"}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="client requests are written for x86_64")
def test_outside_of_valgrind_its_requests_do_nothing() -> None:
    assert callgrind.Valgrind().request(callgrind.RUNNING_ON_VALGRIND) == 0


def test_a_revision_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(instr.CannotCount, match="git archive no-such-revision"):
        instr.export("no-such-revision", tmp_path / "tree")
