"""The result file: every turn as it was, and what follows from the turns that count.

A turn counts when its answers were right and others took no more than the threshold of the two cores meanwhile.  What
follows from turns is told in ``bench.harness.estimate``.  A ratio is the floor's cost divided by the peer's own: 1.0 is
the floor, 0.5 costs twice as much.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from bench.harness.estimate import Turns, cost_of, ratio_of, widened
from bench.harness.pace import UNKNOWN

FORMAT = 3
FLOOR = "floor"
GRADES = (("good", 0.05), ("fair", 0.10))
"""How far a ratio is known: the larger half of its interval, relative to it.  Beyond the last it is poor."""
STEADY, BUSY = 0.01, 0.05
"""What figures of the same code differ by from run to run beside what their turns tell: 1 % on a machine left alone
(servers started anew), and so much times what others took of it: of three runs at 70 %, 40 of 42 pairs of ratios then
are as near as they say."""


@dataclass(slots=True)
class Cell:
    """One turn of one peer in one round.  *cost* is as measured, at the *pace* that the core had (0 if unknown)."""

    peer: str
    round: int
    cost: float | None
    answers: int
    seconds: float
    rate: float
    server_cpu: float
    client_cpu: float
    client_full: bool
    others: float
    fault: str | None
    p50: float | None = None
    p99: float | None = None
    memory: float | None = None
    pace: float = UNKNOWN


@dataclass(slots=True)
class Row:
    """What the turns of one peer add up to in one workload.

    cost, low, high       at the middle pace of all turns; in 19 of 20 runs between low and high
    ratio and its bounds  of the floor: likewise
    doubt, cost_doubt     standard errors of the logarithms of both, as the turns tell them
    kept, thrown_away     turns that count, and that others disturbed
    fault                 why there are no figures: a wrong answer has none, however fast it was
    disturbed             too few calm turns were left, so that disturbed ones had to count
    """

    peer: str
    cost: float | None = None
    low: float | None = None
    high: float | None = None
    cost_doubt: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    doubt: float | None = None
    rate: float | None = None
    p99: float | None = None
    memory: float | None = None
    kept: int = 0
    thrown_away: int = 0
    disturbed: bool = False
    client_full: bool = False
    fault: str | None = None


def rows_of(cells: list[Cell], threshold: float, wanted: int, pace: float = UNKNOWN) -> list[Row]:
    """One row for each peer, in the order of their first turn.

    *wanted*: how many calm turns there should be.  *pace*: the one that all turns are brought to.
    """
    peers = list(dict.fromkeys(cell.peer for cell in cells))
    floors, floors_disturbed = counting(cells, FLOOR, threshold, wanted)
    rows = []
    for peer in peers:
        row = Row(peer)
        own = [cell for cell in cells if cell.peer == peer]
        faults = [cell.fault for cell in own if cell.fault]
        kept, row.disturbed = counting(cells, peer, threshold, wanted)
        row.kept, row.thrown_away = len(kept), len(own) - len(kept)
        rows.append(row)
        if faults:
            row.fault = faults[0]
            row.kept = 0
            continue
        drift = drift_of(median(cell.others for cell in kept)) if kept else 0.0
        if cost := cost_of(turns_of(kept), pace):
            cost = widened(cost, drift)
            row.cost, row.low, row.high, row.cost_doubt = cost.value, cost.low, cost.high, cost.doubt
        else:
            continue
        if ratio := ratio_of(turns_of(kept), turns_of(floors), pace):
            ratio = ratio if peer == FLOOR else widened(ratio, drift)
            row.ratio, row.ratio_low, row.ratio_high, row.doubt = ratio.value, ratio.low, ratio.high, ratio.doubt
            row.disturbed = row.disturbed or floors_disturbed
        row.rate = median(cell.rate for cell in kept)
        row.client_full = any(cell.client_full for cell in kept)
        tails = [cell.p99 for cell in kept if cell.p99 is not None]
        row.p99 = median(tails) if tails else None
        memories = [cell.memory for cell in kept if cell.memory is not None]
        row.memory = median(memories) if memories else None
    return rows


def drift_of(others: float) -> float:
    """The relative standard error from run to run when *others* took that share of the two cores."""
    return math.hypot(STEADY, BUSY * others)


def fill(work: dict[str, Any], threshold: float, pace: float | None = None) -> None:
    """Give what ``rounds.measure`` found of a workload its rows, at *pace*: by default the middle one of its turns."""
    cells = [Cell(**cell) for cell in work["cells"]]
    work["rows"] = [
        as_json(row) for row in rows_of(cells, threshold, work["rounds"], middle_pace(work) if pace is None else pace)
    ]


def turns_of(cells: list[Cell]) -> Turns:
    """What a unit cost in each turn, and at what pace, by rounds; of turns that came to anything."""
    found: dict[int, list[tuple[float, float]]] = {}
    for cell in cells:
        if cell.cost and not cell.fault:
            found.setdefault(cell.round, []).append((cell.cost, cell.pace))
    return found


def middle_pace(*works: dict[str, Any]) -> float:
    """The pace half-way between all turns of *works*, where least has to be known of how costs follow it."""
    paces = [math.log(cell["pace"]) for work in works for cell in work["cells"] if cell["pace"]]
    return math.exp(fmean(paces)) if paces else UNKNOWN


def counting(cells: list[Cell], peer: str, threshold: float, wanted: int) -> tuple[list[Cell], bool]:
    """The turns of *peer* that count, and whether disturbed ones are among them.

    *wanted*: how many calm turns there should be.
    """
    own = [cell for cell in cells if cell.peer == peer and not cell.fault]
    calm = [cell for cell in own if cell.others <= threshold]
    if len(calm) >= max(min(wanted, 2), wanted / 2):
        return calm, False
    # Better a doubtful figure that says so than none: the calmest that there are.
    return sorted(sorted(own, key=lambda cell: cell.others)[:wanted], key=lambda cell: cell.round), bool(own)


def grade(row: dict[str, Any]) -> str:
    """How far a row's ratio can be trusted: good, fair or poor."""
    reach = reach_of(row)
    return next((name for name, limit in GRADES if reach <= limit), "poor")


def reach_of(row: dict[str, Any]) -> float:
    """How far off the ratio may be, relative to it, in 19 of 20 runs."""
    return math.inf if row["doubt"] is None else float(row["ratio_high"] / row["ratio"] - 1.0)


def trust(workloads: dict[str, Any], shared: float = 0.0) -> dict[str, Any]:
    """How far the figures can be trusted, in numbers and in a sentence.  *shared*: see ``Pace.shared``."""
    cells = [cell for workload in workloads.values() for cell in workload["cells"]]
    rows = [row for workload in workloads.values() for row in workload["rows"] if row["ratio"] and row["peer"] != FLOOR]
    if not cells or not rows:
        return {"grade": "none", "text": "nothing was measured"}
    others = median(cell["others"] for cell in cells)
    counts = dict.fromkeys(("good", "fair", "poor"), 0)
    for row in rows:
        counts[grade(row)] += 1
    reaches = sorted(map(reach_of, rows))
    widest = f"{reaches[-1]:.0%}" if math.isfinite(reaches[-1]) else "unknown, from one turn"
    disturbed = sum(row["disturbed"] for row in rows)
    thrown = sum(row["thrown_away"] for row in rows)
    # The verdict on the run is that of nine in ten of its figures.
    most = reaches[int(0.9 * (len(reaches) - 1) + 0.5)]
    verdict = next((name for name, limit in GRADES if most <= limit), "poor")
    text = (
        f"{verdict}: of {len(rows)} ratios {counts['good']} are known within 5 %, {counts['fair']} within 10 %, "
        f"{counts['poor']} less well (19 runs in 20; median {median(reaches):.0%}, widest {widest}). "
        f"Others took {others:.0%} of the two cores (median); {thrown} turns were thrown away, and "
        f"{disturbed} ratios rest on disturbed turns. The server's core was shared by other guests of its host for "
        f"{shared:.0%} of the time, as far as a run can tell; the figures are those of the pace that this left it"
    )
    return {
        "grade": verdict,
        "others": others,
        "reach": median(reaches) if math.isfinite(median(reaches)) else None,
        "widest": reaches[-1] if math.isfinite(reaches[-1]) else None,
        "counts": counts,
        "shared": shared,
        "thrown_away": thrown,
        "disturbed": disturbed,
        "text": text,
    }


def save(path: Path, result: dict[str, Any]) -> None:
    """Write a result file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> dict[str, Any]:
    """Read a result file.  Raises ValueError when it is none."""
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: no JSON: {error}") from error
    if not isinstance(result, dict) or result.get("format") != FORMAT:
        raise ValueError(f"{path}: not a result file of format {FORMAT}")
    return result


def as_json(value: Cell | Row) -> dict[str, Any]:
    """For the result file."""
    return asdict(value)
