"""Two result files: what changed beyond noise, and whether this server became slower.

Compares ratios to the floor, not seconds: a slower machine slows both.  A change counts when it is larger than a
twentieth and larger than three times the doubt of both medians together.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.harness.results import FLOOR, load
from bench.harness.stats import doubt_of_median, median

LEAST = 0.05
"""Changes smaller than this are never reported: code that did not change moves as much."""
DOUBTS = 3.0
BEFORE = "rat-before"


@dataclass(frozen=True, slots=True)
class Change:
    """One peer in one workload: *change* of its ratio to the floor (-0.2: a fifth less), and the *noise* in it."""

    workload: str
    peer: str
    old: float | None
    new: float | None
    change: float
    noise: float
    fault: str | None = None

    @property
    def is_regression(self) -> bool:
        return self.fault is not None or self.change < -self.noise

    @property
    def is_improvement(self) -> bool:
        return self.fault is None and self.change > self.noise


def compare(old: dict[str, Any], new: dict[str, Any], peers: set[str] | None = None) -> list[Change]:
    """What both have measured of *peers* (all if None), in the order of the old one."""
    changes = []
    for name, before in old["workloads"].items():
        after = new["workloads"].get(name)
        if after is None:
            continue
        rows = {row["peer"]: row for row in after["rows"]}
        for row in before["rows"]:
            peer = row["peer"]
            other = rows.get(peer)
            if peer == FLOOR or other is None or (peers is not None and peer not in peers):
                continue
            if change := _change(name, row, other):
                changes.append(change)
    return changes


def within(result: dict[str, Any]) -> list[Change]:
    """This server beside its own earlier self (BEFORE), which took its turns in the same rounds.

    Pairs of turns that followed each other: what disturbed one disturbed the other, so this sees smaller changes than
    two runs can show.
    """
    changes = []
    for name, work in result["workloads"].items():
        costs: dict[str, dict[int, float]] = {"rat": {}, BEFORE: {}}
        faults: dict[str, str] = {}
        for cell in work["cells"]:
            if cell["peer"] in costs:
                if cell["fault"]:
                    faults.setdefault(cell["peer"], cell["fault"])
                elif cell["cost"]:
                    costs[cell["peer"]][cell["round"]] = cell["cost"]
        if BEFORE in faults or not costs[BEFORE]:
            continue
        if "rat" in faults:
            changes.append(Change(name, "rat", 1.0, None, -1.0, 0.0, faults["rat"]))
            continue
        pairs = [costs[BEFORE][number] / costs["rat"][number] for number in costs[BEFORE].keys() & costs["rat"].keys()]
        if pairs:
            noise = max(LEAST, DOUBTS * doubt_of_median(pairs))
            changes.append(Change(name, "rat", 1.0, median(pairs), median(pairs) - 1.0, noise))
    return changes


def _change(workload: str, old: dict[str, Any], new: dict[str, Any]) -> Change | None:
    if old["fault"] or not old["ratio"]:
        return None
    if new["fault"]:
        return Change(workload, old["peer"], old["ratio"], None, -1.0, 0.0, new["fault"])
    if not new["ratio"]:
        return Change(workload, old["peer"], old["ratio"], None, -1.0, 0.0, "no longer measured")
    doubt = math.hypot(doubt_of_median(old["ratios"]), doubt_of_median(new["ratios"]))
    change = new["ratio"] / old["ratio"] - 1.0
    return Change(workload, old["peer"], old["ratio"], new["ratio"], change, max(LEAST, DOUBTS * doubt))


def caveats(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What makes the two hard to compare."""
    lines = []
    for name in ("processor", "cores", "python"):
        if old["machine"][name] != new["machine"][name]:
            lines.append(f"{name} differs: {old['machine'][name]}, {new['machine'][name]}")
    for name in sorted(old["versions"].keys() & new["versions"].keys() - {"rat-server"}):
        if old["versions"][name] != new["versions"][name]:
            lines.append(f"{name} differs: {old['versions'][name]}, {new['versions'][name]}")
    for which, result in (("old", old), ("new", new)):
        if result["trust"]["grade"] not in ("good",):
            lines.append(f"the {which} run is {result['trust']['text']}")
    return lines


def line(change: Change) -> str:
    """One change as text."""
    if change.is_regression:
        verdict = "SLOWER" if change.fault is None else f"BROKEN: {change.fault}"
    else:
        verdict = "faster" if change.is_improvement else "same"
    new = f"{change.new:.3f}" if change.new is not None else "-"
    figures = f"{change.old:.3f} -> {new:>5}  {change.change:+7.1%}  noise {change.noise:5.1%}"
    return f"{change.workload:10} {change.peer:14} {figures}  {verdict}"


def main(arguments: list[str]) -> int:
    """The exit code: 0 no regression, 1 a regression, 2 usage."""
    parser = argparse.ArgumentParser(prog="bench compare", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path, nargs="?", help="left out: a run with --against, compared within itself")
    parser.add_argument("-p", "--peer", action="append", help="whose changes count (rat)")
    parser.add_argument("--all", action="store_true", help="show all peers; only those named count")
    args = parser.parse_args(arguments)
    counted = set(args.peer or ["rat"])
    try:
        old = load(args.old)
        new = old if args.new is None else load(args.new)
    except (OSError, ValueError) as error:
        print(f"bench compare: {error}", file=sys.stderr)
        return 2
    changes = within(old) if args.new is None else compare(old, new, None if args.all else counted)
    if not any(change.peer in counted for change in changes):
        print(f"bench compare: the two have no figures of {', '.join(sorted(counted))} in common", file=sys.stderr)
        return 2
    print(f"old  {old['date']}  {old['commit']}\nnew  {new['date']}  {new['commit']}\n")
    for change in changes:
        print(line(change))
    for caveat in caveats(old, new):
        print(f"\nbeware    {caveat}")
    slower = [change for change in changes if change.peer in counted and change.is_regression]
    better = [change for change in changes if change.peer in counted and change.is_improvement]
    print(f"\n{len(slower)} slower, {len(better)} faster, {len(changes) - len(slower) - len(better)} the same")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
