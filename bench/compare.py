"""Two result files: what changed beyond noise, and whether this server became slower.

CPU costs are compared beside what became of everybody else's: when the machine is a tenth slower, all are.  The others
of a workload together (the floor, and every other server that both files have) are the yardstick, round by round.  A
change counts when it is larger than a twentieth and than three standard errors of all that it rests on, or three times
what the others seem to have changed by, which did not.  Instructions are compared as
they are: they are the same on a busy machine, so a slow-down of this server's own code shows in any two files.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.harness.estimate import Turns, change_of, ratio_of
from bench.harness.report import figure, share
from bench.harness.results import FLOOR, Cell, counting, fill, load, middle_pace, turns_of

LEAST = 0.05
"""Changes smaller than this are never reported: code that did not change moves as much."""
DOUBTS = 3.0
STABLE = 0.005
"""What a peer that did not change may still differ by from one start of it to the next: a standard error, measured."""
BEFORE = "rat-before"
TOGETHER = "all requests"
_MAD_TO_SIGMA = 1.4826
"""For normal figures: the standard deviation, in median absolute deviations."""
OURS = ("rat", "rat-h11", BEFORE)
NEAR = 0.10
WHOLE = 0.10
"""Two runs whose cores differ by more at their best were not made on the same machine."""


@dataclass(frozen=True, slots=True)
class Change:
    """*peer* in *workload*: *change* of its cost (0.2: a fifth dearer), and the *noise* in it."""

    workload: str
    peer: str
    old: float | None
    new: float | None
    change: float
    noise: float
    fault: str | None = None

    @property
    def is_regression(self) -> bool:
        return self.fault is not None or self.change > self.noise

    @property
    def is_improvement(self) -> bool:
        return self.fault is None and self.change < -self.noise


@dataclass(frozen=True, slots=True)
class _Step:
    """From one file to the other: the logarithm of a cost's quotient, and its standard error."""

    size: float
    doubt: float


def compare(old: dict[str, Any], new: dict[str, Any], peers: set[str] | None = None) -> list[Change]:
    """What both have measured of *peers* (all if None), in the order of the old one."""
    changes: list[Change] = []
    requests: dict[str, list[_Step]] = {}
    for name, before in old["workloads"].items():
        after = new["workloads"].get(name)
        if after is None:
            continue
        pairs = _pairs(old, new, name)
        rows = {row["peer"]: row for row in after["rows"]}
        for row in before["rows"]:
            peer = row["peer"]
            if row["fault"] or not row["cost"] or (peer not in peers if peers is not None else peer == FLOOR):
                continue
            other = rows.get(peer)
            if other is not None and not other["cost"]:
                fault = other["fault"] or "no longer measured"
                changes.append(Change(name, peer, row["cost"], None, math.inf, 0.0, fault))
            elif peer in pairs and (step := _step(pairs, peer, middle_pace(before, after))):
                changes.append(_change(name, peer, row["cost"], rows[peer]["cost"], step))
                if "request" in before["unit"]:
                    requests.setdefault(peer, []).append(step)
    for peer, found in requests.items():
        if len(found) > 1:
            weights = [step.doubt**-2 for step in found]
            mean = sum(step.size * weight for step, weight in zip(found, weights, strict=True)) / sum(weights)
            changes.append(_change(TOGETHER, peer, None, None, _Step(mean, sum(weights) ** -0.5)))
    return changes


def _pairs(old: dict[str, Any], new: dict[str, Any], workload: str) -> dict[str, tuple[Turns, Turns]]:
    """The turns that count of all that have figures in both."""
    found = [
        {
            row["peer"]: turns_of(counting(cells, row["peer"], result["threshold"], work["rounds"])[0])
            for row in work["rows"]
            if row["cost"]
        }
        for result, work in ((result, result["workloads"][workload]) for result in (old, new))
        for cells in [[Cell(**cell) for cell in work["cells"]]]
    ]
    return {peer: (turns, found[1][peer]) for peer, turns in found[0].items() if peer in found[1]}


def _step(pairs: dict[str, tuple[Turns, Turns]], peer: str, pace: float) -> _Step | None:
    """The change of *peer* beside all others; its doubt is its own, or what others seem to have changed by."""
    others = [pair for name, pair in pairs.items() if name != peer and name not in OURS]
    found = change_of(*pairs[peer], others, pace)
    if found is None:
        return None
    seeming = [
        step[0]
        for pair in others
        if (step := change_of(*pair, [one for one in others if one is not pair], pace)) is not None
    ]
    discord = _MAD_TO_SIGMA * median(map(abs, seeming)) if len(seeming) > 2 else 0.0
    return _Step(found[0], max(math.hypot(found[1], STABLE), discord))


def _change(workload: str, peer: str, old: float | None, new: float | None, step: _Step) -> Change:
    noise = math.expm1(DOUBTS * step.doubt) if step.doubt < 10.0 else math.inf
    return Change(workload, peer, old, new, math.expm1(step.size), max(LEAST, noise))


def within(result: dict[str, Any]) -> list[Change]:
    """This server beside its own earlier self (BEFORE), which took its turns in the same rounds.

    What disturbed one disturbed the other, so this sees smaller changes than two runs can show.
    """
    changes = []
    for name, work in result["workloads"].items():
        rows = {row["peer"]: row for row in work["rows"]}
        if not {"rat", BEFORE} <= rows.keys() or rows[BEFORE]["fault"]:
            continue
        if fault := rows["rat"]["fault"]:
            changes.append(Change(name, "rat", rows[BEFORE]["cost"], None, math.inf, 0.0, fault))
            continue
        cells = [Cell(**cell) for cell in work["cells"]]
        turns = [turns_of([cell for cell in cells if cell.peer == peer]) for peer in (BEFORE, "rat")]
        if found := ratio_of(turns[0], turns[1], middle_pace(work)):
            doubt = math.inf if found.doubt is None else found.doubt
            step = _Step(math.log(found.value), math.hypot(doubt, STABLE))
            changes.append(_change(name, "rat", rows[BEFORE]["cost"], rows["rat"]["cost"], step))
    return changes


def instructions(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """Cases whose instructions both files have; none when they were counted with other libraries."""
    before, after = old.get("instructions") or {}, new.get("instructions") or {}
    if not before or not after or before["versions"] != after["versions"]:
        return []
    return [
        Change(name, "instructions", count, after["counts"][name], after["counts"][name] / count - 1.0, LEAST)
        for name, count in before["counts"].items()
        if name in after["counts"]
    ]


def agreement(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """How near two runs of the same code come to each other, in ratios to the floor and to this server."""
    lines = []
    for to, title in (("floor", "of the floor"), ("rat", "to this server")):
        apart = []
        for name, before in old["workloads"].items():
            after = new["workloads"].get(name)
            ratios = [_ratios(work, to) for work in (before, after)] if after else [{}, {}]
            apart += [
                (abs(math.log(ratios[1][peer] / ratios[0][peer])), name, peer, ratios[0][peer], ratios[1][peer])
                for peer in ratios[0].keys() & ratios[1].keys()
            ]
        if apart:
            near = sum(math.expm1(one[0]) <= NEAR for one in apart)
            _, name, peer, one, other = max(apart)
            lines.append(
                f"ratios {title}: {near} of {len(apart)} within {NEAR:.0%} of each other in both runs, median "
                f"{math.expm1(median(one[0] for one in apart)):.1%}; furthest apart: {peer} in {name}, "
                f"{share(one)} and {share(other)}"
            )
    return lines


def _ratios(work: dict[str, Any], to: str) -> dict[str, float]:
    ratios = {row["peer"]: row["ratio"] for row in work["rows"] if row["ratio"]}
    base = ratios.pop(to, None)
    return {peer: ratio / base for peer, ratio in ratios.items()} if base else {}


def caveats(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What makes the two hard to compare."""
    lines = []
    for name in ("processor", "cores", "python"):
        if old["machine"][name] != new["machine"][name]:
            lines.append(f"{name} differs: {old['machine'][name]}, {new['machine'][name]}")
    for name in sorted(old["versions"].keys() & new["versions"].keys() - {"rat-server"}):
        if old["versions"][name] != new["versions"][name]:
            lines.append(f"{name} differs: {old['versions'][name]}, {new['versions'][name]}")
    if old["whole"] and new["whole"] and abs(math.log(new["whole"] / old["whole"])) > WHOLE:
        lines.append(
            f"the core at its best took {old['whole']:.0f} and {new['whole']:.0f} us for the same piece of work"
        )
    for which, result in ({"new": new} if new is old else {"old": old, "new": new}).items():
        if result["trust"]["grade"] not in ("good",):
            lines.append(f"the {which} run is {result['trust']['text']}")
    return lines


def loaded_otherwise(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Take workloads out of *new* that had another client in *old*, for their costs are of other things; say which."""
    lines = []
    for name, before in old["workloads"].items():
        clients = [work.get("client") for work in (before, new["workloads"].get(name, before))]
        if clients[0] != clients[1]:
            del new["workloads"][name]
            lines.append(f"{name} is not compared: its load was made by {clients[0]}, then by {clients[1]}")
    return lines


def line(change: Change) -> str:
    """One change as text."""
    if change.is_regression:
        verdict = "SLOWER" if change.fault is None else f"BROKEN: {change.fault}"
    else:
        verdict = "faster" if change.is_improvement else "same"
    costs = f"{figure(change.old):>7} -> {figure(change.new):>7}" if change.old is not None else " " * 18
    by = f"{change.change:+7.1%}" if math.isfinite(change.change) else "       "
    return f"{change.workload:34} {change.peer:14} {costs}  {by}  noise {change.noise:5.1%}  {verdict}"


def main(arguments: list[str]) -> int:
    """The exit code: 0 no regression, 1 a regression, 2 usage."""
    parser = argparse.ArgumentParser(prog="bench compare", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path, nargs="?", help="left out: a run with --against, compared within itself")
    parser.add_argument("-p", "--peer", action="append", help="whose changes count (rat)")
    parser.add_argument("--all", action="store_true", help="show all peers, and how near the runs are")
    args = parser.parse_args(arguments)
    counted = set(args.peer or ["rat"])
    try:
        old = load(args.old)
        new = old if args.new is None else load(args.new)
    except (OSError, ValueError) as error:
        print(f"bench compare: {error}", file=sys.stderr)
        return 2
    beware = caveats(old, new) + loaded_otherwise(old, new)
    near = [] if args.new is None else agreement(old, new)
    for name in old["workloads"].keys() & new["workloads"].keys():
        works = [result["workloads"][name] for result in (old, new)]
        # Both at the same pace, which is that of neither core at its best: there they would be less well known.
        pace = middle_pace(*works)
        for work, result in zip(works, (old, new), strict=True):
            fill(work, result["threshold"], pace)
    changes = within(old) if args.new is None else compare(old, new, None if args.all else counted)
    if not any(change.peer in counted for change in changes):
        print(f"bench compare: the two have no figures of {', '.join(sorted(counted))} in common", file=sys.stderr)
        for caveat in beware:
            print(f"beware    {caveat}", file=sys.stderr)
        return 2
    if args.new is not None and "rat" in counted:
        changes += instructions(old, new)
        counted.add("instructions")
    print(f"old  {old['date']}  {old['commit']}\nnew  {new['date']}  {new['commit']}\n")
    beside = "in the same rounds" if args.new is None else "the change is beside that of all others in both files"
    print(f"cost of the same work, old and new, at the pace half-way between their turns; {beside}\n")
    for change in changes:
        print(line(change))
    if args.all and near:
        print("", *near, sep="\n")
    for caveat in beware:
        print(f"\nbeware    {caveat}")
    slower = [change for change in changes if change.peer in counted and change.is_regression]
    better = [change for change in changes if change.peer in counted and change.is_improvement]
    print(f"\n{len(slower)} slower, {len(better)} faster, {len(changes) - len(slower) - len(better)} the same")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
