"""What is written in C is used where all of it is there, and its reference where it is not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rat.cli.check import findings
from rat.compiled import NAMES, compiled, lacking

PACKAGE = Path(__file__).parent.parent / "rat"
SOURCES = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]


@pytest.mark.parametrize("module", NAMES)
def test_the_names_are_those_that_are_used(module: str) -> None:
    used: set[str] = set()
    for source in SOURCES:
        for names in re.findall(rf"from {re.escape(module)} import (\(.*?\)|[^\n]*)", source, re.DOTALL):
            used.update(re.findall(r"\w+", names))
        if f'compiled("{module}"' in source:
            used.update(re.findall(r"\b_native\.(\w+)", source))
    assert sorted(used) == sorted(NAMES[module])


@pytest.mark.parametrize("module", NAMES)
def test_what_is_built_has_all_of_them(module: str) -> None:
    pytest.importorskip(module, reason=f"{module} is not built")
    assert lacking(module) == ()


OLD = """
import sys, types
for name in {names}:
    sys.modules[name] = types.ModuleType(name)
from rat import Rat, Response, codec, tasks
from rat.codec import framing
from rat.http1 import fastlane, fieldsearch
from rat.http1.engine import HttpEngine
print(fastlane.implementation, tasks.implementation, codec.implementation, Response("x").body)
from rat.cli.check import findings
print(sum("built from older sources (no " in remark for _, there, remark in findings() if not there))
"""


def test_what_was_built_from_older_sources_is_not_used_and_rat_check_says_so() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAT_")}
    done = subprocess.run(
        [sys.executable, "-c", OLD.format(names=list(NAMES))],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"reference reference reference b'x'\n{len(NAMES)}\n", done.stderr


def test_who_asks_for_what_is_older_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rat._tasks", type(sys)("rat._tasks"))
    monkeypatch.setenv("RAT_TASKS", "native")
    with pytest.raises(ImportError, match=r"rat\._tasks is of older sources: it lacks Seat, first_step"):
        compiled("rat._tasks", "RAT_TASKS")
    monkeypatch.setenv("RAT_TASKS", "")
    assert compiled("rat._tasks", "RAT_TASKS") is None
    (remark,) = [remark for name, _, remark in findings() if name == "native task steps"]
    assert remark.startswith("built from older sources (no Seat, first_step), build it again; till then tasks are")
