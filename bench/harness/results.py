"""The result file: every turn as it was, and what follows from the turns that count.

A turn counts when its answers were right and others took no more than the threshold of the two cores meanwhile.  The
ratio of a turn is the floor's cost in the same round divided by its own: 1.0 is the floor, 0.5 costs twice as much.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.harness.stats import median

FORMAT = 1
FLOOR = "floor"


@dataclass(slots=True)
class Cell:
    """One turn of one peer in one round."""

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


@dataclass(slots=True)
class Row:
    """What the turns of one peer add up to in one workload.

    cost, low, high       median, smallest and largest cost
    ratio and its ratios  of the floor in the same round: median and all
    kept, thrown_away     turns that count, and that others disturbed
    fault                 why there are no figures: a wrong answer has none, however fast it was
    disturbed             too few calm turns were left, so that disturbed ones had to count
    """

    peer: str
    cost: float | None = None
    low: float | None = None
    high: float | None = None
    ratio: float | None = None
    ratios: list[float] = field(default_factory=list)
    rate: float | None = None
    p99: float | None = None
    memory: float | None = None
    kept: int = 0
    thrown_away: int = 0
    disturbed: bool = False
    client_full: bool = False
    fault: str | None = None


def rows_of(cells: list[Cell], threshold: float, wanted: int) -> list[Row]:
    """One row for each peer, in the order of their first turn.  *wanted*: how many calm turns there should be."""
    peers = list(dict.fromkeys(cell.peer for cell in cells))
    floors = {cell.round: cell for cell in cells if cell.peer == FLOOR and cell.cost and not cell.fault}
    rows = []
    for peer in peers:
        row = Row(peer)
        own = [cell for cell in cells if cell.peer == peer]
        faults = [cell.fault for cell in own if cell.fault]
        kept, row.disturbed = _counting(cells, peer, threshold, wanted)
        row.kept, row.thrown_away = len(kept), len(own) - len(kept)
        if faults:
            row.fault = faults[0]
            row.kept = 0
            rows.append(row)
            continue
        costs = [cell.cost for cell in kept if cell.cost is not None]
        if costs:
            row.cost, row.low, row.high = median(costs), min(costs), max(costs)
            row.rate = median(cell.rate for cell in kept)
            pairs = [(floors[cell.round], cell) for cell in kept if cell.cost and cell.round in floors]
            calm = [pair for pair in pairs if pair[0].others <= threshold]
            if len(calm) < min(wanted, 2):
                row.disturbed = True
            else:
                pairs = calm
            row.ratios = [floor.cost / cell.cost for floor, cell in pairs if floor.cost and cell.cost]
            row.ratio = median(row.ratios) if row.ratios else None
            row.client_full = any(cell.client_full for cell in kept)
            tails = [cell.p99 for cell in kept if cell.p99 is not None]
            row.p99 = median(tails) if tails else None
            memories = [cell.memory for cell in kept if cell.memory is not None]
            row.memory = median(memories) if memories else None
        rows.append(row)
    return rows


def _counting(cells: list[Cell], peer: str, threshold: float, wanted: int) -> tuple[list[Cell], bool]:
    """The turns of *peer* that count, and whether disturbed ones are among them."""
    own = [cell for cell in cells if cell.peer == peer and not cell.fault]
    calm = [cell for cell in own if cell.others <= threshold]
    if len(calm) >= min(wanted, 2):
        return calm, False
    # Better a doubtful figure that says so than none: the calmest that there are.
    return sorted(sorted(own, key=lambda cell: cell.others)[:wanted], key=lambda cell: cell.round), bool(own)


def trust(workloads: dict[str, Any]) -> dict[str, Any]:
    """How far the figures can be trusted, in numbers and in a sentence."""
    cells = [cell for workload in workloads.values() for cell in workload["cells"]]
    rows = [
        row for workload in workloads.values() for row in workload["rows"] if row["ratios"] and row["peer"] != FLOOR
    ]
    if not cells or not rows:
        return {"grade": "none", "text": "nothing was measured"}
    others = median(cell["others"] for cell in cells)
    spreads = [(max(row["ratios"]) - min(row["ratios"])) / row["ratio"] for row in rows if len(row["ratios"]) > 1]
    spread = median(spreads) if spreads else 0.0
    disturbed = sum(row["disturbed"] for row in rows)
    thrown = sum(row["thrown_away"] for row in rows)
    if not spreads:
        grade, meaning = "poor", "one turn each: nothing tells how far they would differ"
    elif not disturbed and spread <= 0.10:
        grade, meaning = "good", "differences of more than a tenth are real"
    elif disturbed <= len(rows) // 4 and spread <= 0.20:
        grade, meaning = "fair", "differences of more than a quarter are real, smaller ones may be noise"
    else:
        grade, meaning = "poor", "only differences of a half and more are real; run again on a machine left alone"
    text = (
        f"{grade}: others took {others:.0%} of the two cores (median); {thrown} turns were thrown away, and "
        f"{disturbed} of {len(rows)} figures rest on disturbed turns; ratios spread by {spread:.0%} (median). {meaning}"
    )
    return {
        "grade": grade,
        "others": others,
        "spread": spread,
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
