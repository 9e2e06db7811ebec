"""The result as pictures: for each workload a bar for each server, its share of the floor, and how far it varied.

Needs matplotlib, which the benches' own environment has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib  # type: ignore[import-not-found,unused-ignore]

from bench.harness.report import share
from bench.harness.results import grade

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "bench"
matplotlib.rcParams["svg.fonttype"] = "none"
from matplotlib import pyplot as plt  # type: ignore[import-not-found,unused-ignore]  # noqa: E402

OURS, OTHERS, FLOOR_COLOUR, DOUBTFUL = "#c2410c", "#64748b", "#0f766e", "#cbd5e1"
COLUMNS = 3
UNDER = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
"""Keeps the line of the floor out of the figures."""


def draw(result: dict[str, Any], stem: Path) -> list[Path]:
    """Write ``STEM.svg`` and ``STEM.png``; their paths."""
    workloads = [work for work in result["workloads"].values() if any(row["ratio"] for row in work["rows"])]
    if not workloads:
        return []
    columns = min(COLUMNS, len(workloads))
    lines = -(-len(workloads) // columns)
    # Bars of one height in all plots: each line of them is as high as its fullest plot needs.
    counts = [sum(bool(row["ratio"]) for row in work["rows"]) for work in workloads]
    most = [max(counts[at : at + columns]) for at in range(0, len(counts), columns)]
    figure, axes = plt.subplots(
        lines,
        columns,
        figsize=(5.2 * columns, 0.26 * sum(most) + 1.0 * lines + 0.9),
        gridspec_kw={"height_ratios": most},
        squeeze=False,
        layout="constrained",
    )
    for number, work in enumerate(workloads):
        _draw(axes.flat[number], work, most[number // columns])
    for axis in list(axes.flat)[len(workloads) :]:
        axis.axis("off")
    machine = result["machine"]
    hatched = any(grade(row) == "poor" for work in workloads for row in work["rows"] if row["ratio"])
    figure.suptitle(
        "Share of the floor: 1.0 is a bare uvloop protocol that parses nothing; longer is cheaper. "
        "Whiskers: 19 in 20 runs\n"
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, {result['date'][:10]}; "
        f"trust: {result['trust']['grade']}{'; hatched: known less well than within 10 %' if hatched else ''}",
        fontsize=11,
    )
    paths = [stem.with_suffix(suffix) for suffix in (".svg", ".png")]
    figure.savefig(paths[0], metadata={"Date": None})
    figure.savefig(paths[1], dpi=80)
    plt.close(figure)
    # matplotlib leaves spaces at line ends in SVG.
    paths[0].write_text("\n".join(line.rstrip() for line in paths[0].read_text().splitlines()) + "\n")
    return paths


def _draw(axis: Any, work: dict[str, Any], most: int) -> None:
    rows = sorted((row for row in work["rows"] if row["ratio"]), key=lambda row: row["ratio"])
    names = [row["peer"] for row in rows]
    ratios = [row["ratio"] for row in rows]
    below = [row["ratio"] - row["ratio_low"] for row in rows]
    above = [row["ratio_high"] - row["ratio"] for row in rows]
    colours = [OURS if name.startswith("rat") else FLOOR_COLOUR if name == "floor" else OTHERS for name in names]
    bars = axis.barh(names, ratios, color=colours, height=0.72)
    for bar, row in zip(bars, rows, strict=True):
        if grade(row) == "poor" and row["peer"] != "floor":
            bar.set_hatch("///")
            bar.set_edgecolor(DOUBTFUL)
    axis.errorbar(ratios, names, xerr=[below, above], fmt="none", ecolor="#0f172a", elinewidth=1.0, capsize=2.5)
    widest = max(row["ratio_high"] for row in rows)
    for name, row in zip(names, rows, strict=True):
        text = f" {share(row['ratio'])}   {_cost(work, row)}"
        axis.text(row["ratio_high"] + 0.01 * widest, name, text, va="center", fontsize=7.5, color="#334155", bbox=UNDER)
    axis.axvline(1.0, color=FLOOR_COLOUR, linewidth=0.8, linestyle=":")
    axis.set_xlim(0, widest * 1.45)
    axis.set_ylim(len(rows) - most - 0.5, len(rows) - 0.5)
    axis.set_title(f"{work['title']}\n{work['unit']}", fontsize=9.5)
    axis.tick_params(labelsize=8)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _cost(work: dict[str, Any], row: dict[str, Any]) -> str:
    unit = work["unit"].split(" ", 1)[0]
    return f"{row['cost']:.3g} {'µs' if unit == 'us' else unit}"
