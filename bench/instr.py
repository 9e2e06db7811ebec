"""Instruction counts by callgrind: HEAD beside its parent, on this machine, case by case.

Instructions are stable where seconds are not: the same code gives the same count within a few in a thousand.  They say
nothing of cache misses and of the kernel.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.cases import CASES
from bench.harness.environment import ROOT

NOISE = 0.01
UNSTEADY = {case.name for case in CASES if not case.exact}
TIMEOUT = 600.0


class CannotCount(Exception):
    """The text says why."""


def export(revision: str, directory: Path) -> None:
    """The files of *revision*, with the native codec built where it can be.  Raises CannotCount."""
    directory.mkdir()
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        raise CannotCount(f"git archive {revision}: {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", str(directory)], input=archive.stdout, check=True)
    build(directory)


def build(tree: Path) -> None:
    """Build the native codec of *tree* in place, if it has one; without it the codec in Python is counted."""
    if (tree / "setup.py").exists():
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        environment = {**os.environ, "RAT_MUST_BUILD": "1"}  # all of it or nothing
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            print(f"native codec of {tree.name} not built: {last}", file=sys.stderr)


def count(tree: Path, work: Path, *options: str) -> dict[str, float]:
    """Instructions per repetition of each case with the package of *tree*.  Raises CannotCount."""
    out = work / f"callgrind.{tree.name}"
    command = [
        *("valgrind", "--tool=callgrind", "--instr-atstart=no", "--compress-strings=no", "-q"),
        *(f"--callgrind-out-file={out}.%p", sys.executable, "-m", "bench.callgrind", *options),
    ]
    # The cases are those of this tree, the package is that of the other.
    paths = os.pathsep.join([str(tree), str(work / "cases")])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=work, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT
    )
    for line in done.stderr.splitlines():
        if line.startswith("skipped"):
            print(f"{tree.name}: {line}", file=sys.stderr)
    counts = {}
    # One file for each case, numbered in their order: callgrind.NAME.PID.NUMBER.
    for path in sorted(work.glob(f"callgrind.{tree.name}.*.*"), key=lambda path: int(path.suffix[1:])):
        text = path.read_text(errors="replace")
        name = re.search(r"^desc: Trigger: Client Request: (.+)\|(\d+)$", text, re.MULTILINE)
        total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
        if name and total:
            counts[name[1]] = int(total[1]) / int(name[2])
    if not counts:
        raise CannotCount(f"{tree.name}: nothing counted: {done.stderr.strip()[-300:]}")
    return counts


def cases_of(work: Path) -> None:
    """Put the cases of this tree into *work*, where ``count`` looks for them."""
    ignored = shutil.ignore_patterns(".*", "results", "__pycache__")
    shutil.copytree(ROOT / "bench", work / "cases" / "bench", ignore=ignored)


def take(tree: Path, to: Path) -> Path:
    """A copy of the package of *tree* as it is, built or not; the directory to count."""
    to.mkdir()
    shutil.copytree(tree / "rat", to / "rat", ignore=shutil.ignore_patterns("__pycache__"))
    return to


def of_tree(tree: Path) -> dict[str, float]:
    """Instructions of each exact case with the package of *tree* as it is.  Raises CannotCount."""
    if shutil.which("valgrind") is None:
        raise CannotCount("valgrind is not installed: no instruction counts")
    with tempfile.TemporaryDirectory(prefix="bench-instr-") as name:
        work = Path(name)
        cases_of(work)
        try:
            counts = count(take(tree, work / "new"), work, "--exact")
        except (subprocess.SubprocessError, OSError) as error:
            raise CannotCount(str(error)) from error
    return counts


def _mark(change: float) -> str:
    return "  more" if change > NOISE else "  less" if change < -NOISE else ""


def lines(old: dict[str, float], new: dict[str, float]) -> list[str]:
    """The table."""
    found = [f"{'':36} {'before':>10} {'now':>10} {'change':>8}"]
    for name, instructions in new.items():
        before = old.get(name)
        if before is None:
            found.append(f"{name:36} {'-':>10} {instructions:10,.0f}")
            continue
        change = instructions / before - 1.0
        mark = "  varies by itself" if name in UNSTEADY else _mark(change)
        found.append(f"{name:36} {before:10,.0f} {instructions:10,.0f} {change:+8.1%}{mark}")
    found += [f"{name:36} {old[name]:10,.0f} {'-':>10}" for name in old if name not in new]
    return found


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench instr", description=__doc__)
    parser.add_argument("--old", default="HEAD~1", metavar="REVISION")
    parser.add_argument(
        "--new", default="HEAD", metavar="REVISION", help="a revision, or `tree` for the files as they are"
    )
    args = parser.parse_args(arguments)
    if shutil.which("valgrind") is None:
        print("skipped   valgrind is not installed: no instruction counts", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory(prefix="bench-instr-") as name:
        work = Path(name)
        cases_of(work)
        try:
            counts = []
            for which, revision in (("old", args.old), ("new", args.new)):
                tree = work / which
                if revision == "tree":
                    take(ROOT, tree)
                else:
                    export(revision, tree)
                    shutil.rmtree(tree / "bench", ignore_errors=True)
                counts.append(count(tree, work))
        except (CannotCount, subprocess.SubprocessError, OSError) as error:
            print(f"bench instr: {error}", file=sys.stderr)
            return 1
    print(f"instructions per repetition, {args.old} and {args.new}\n")
    print("\n".join(lines(*counts)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
