"""docs/benchmarks.md and its plots, made from one result file.  The page is never written by hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from typing import Any

from bench.harness import codec
from bench.harness.environment import ROOT
from bench.harness.estimate import Figure, ratio_of, widened
from bench.harness.report import bounds, figure, notes, share
from bench.harness.results import FLOOR, Cell, counting, drift_of, grade, load, middle_pace, turns_of

PAGE = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- figures: made by `python -m bench document`, do not edit -->", "<!-- end of figures -->"
UNSURE = 0.5
"""A figure that is known less well than this is not worth a number for how well."""
RIVALS = ("uvicorn", "granian", "nginx", "node", "starlette", "fastapi", "aiohttp", "sanic", "hypercorn")


def page(result: dict[str, Any], source: str, plot: str | None) -> str:
    """The whole page in Markdown."""
    machine = result["machine"]
    clients = {work["client"] for work in result["workloads"].values() if work.get("slices")}
    beside = ", those of small requests side by side in slices of a hundredth of a second" if "wrk" in clients else ""
    beside += ", those of large content transfer by transfer" if clients - {"wrk"} else ""
    lines = [
        "# Benchmarks",
        "",
        f"<!-- made by `python -m bench document` from {source}; do not edit -->",
        "",
        f"Measured on {result['date'][:10]}, commit `{result['commit'] or 'unknown'}`, on {machine['processor']} with "
        f"{machine['cores']} cores{' (a virtual machine)' if machine['virtual'] else ''}, Linux {machine['kernel']}, "
        f"Python {machine['python']}, in {result['seconds'] / 60:.1f} minutes. Every turn is in "
        f"[`{Path(source).name}`](../{source}). `make bench` repeats it on your machine and needs nothing beforehand; "
        "`make bench-compare A=old.json B=new.json` says what differs between two files beyond noise.",
        "",
        f"**How far to trust it:** {result['trust']['text']}.",
        "",
        "## How it is measured",
        "",
        "The cost is the server's CPU time, not the wall clock's: on a shared machine the clock measures neighbours. "
        "Each server has one process on one core, the client has the other. All servers take short turns, round after "
        f"round{beside}, and what disturbs one disturbs all. "
        "Targets and a cookie differ from request to request. Before, while and after load is made, answers are "
        "compared with the right one; a server that answers wrongly has no figures here.",
        "",
        "- **Of the floor**: the cost of a bare uvloop protocol that parses nothing and knows its answer, divided by "
        "the server's own. 1.00 is what Python on this machine allows, 0.50 costs twice as much.",
        "- **Pace**: a core of a virtual machine is half of a physical one, and slows down by up to 1.8 times while a "
        "stranger uses the other half, which no counter of the guest shows, and some servers by more than others. So a "
        "fixed piece of work runs beside the server four hundred times a second and tells the pace of the core in "
        f"each turn ({result['whole']:.0f} us where it was fastest). Turns are brought to the middle pace of their "
        "workload, which stands over its table, and compared round by round. The file has all turns with their pace.",
        "- **19 in 20**: where the figure would be in 19 of 20 runs, from how its turns scatter and how well it is "
        "known what the pace does to them, and wider where others took part of the cores. *Good* is a ratio known "
        "within 5 %, *fair* within 10 %, *poor* less well.",
        "",
    ]
    if plot:
        lines += [f"![Share of the floor, for each workload and server](../{plot})", ""]
    summary = _summary(result)
    if summary:
        lines += ["## In short", "", *summary, ""]
    for work in result["workloads"].values():
        lines += _section(work)
    if result["codec"]:
        heading, *body = codec.rows(result["codec"])
        lines += ["## Codec", "", f"{codec.title(result['codec'])}; in brackets where 19 of 20 draws are.", ""]
        lines += [f"| {' | '.join(heading)} |", "| --- |" + " ---: |" * (len(heading) - 1)]
        lines += [f"| {' | '.join(row)} |" for row in body] + [""]
    if counted := result["instructions"]:
        lines += [
            "## Instructions",
            "",
            "Of this server's own code and of what it calls, without the kernel, by callgrind:",
        ]
        lines += ["the same on a busy machine.", "", "| in process | instructions |", "| --- | ---: |"]
        lines += [f"| {name} | {count:,.0f} |" for name, count in counted["counts"].items()] + [""]
    lines += ["## Beside the figures", ""]
    lines += [f"- {' '.join(line.split())}" for line in notes(result)]
    found = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return "\n".join([*lines, f"- versions: {found}", ""])


def _summary(result: dict[str, Any]) -> list[str]:
    figures = {name: against(work, result["threshold"]) for name, work in result["workloads"].items()}
    rivals = [rival for rival in RIVALS if any(rival in found for found in figures.values())][:5]
    if not rivals:
        return []
    lines = [
        "How many times less CPU (or memory) this server takes than others for the same work; below 1 it takes more.",
        "",
        "| | of the floor | " + " | ".join(rivals) + " |",
        "| --- |" + " ---: |" * (len(rivals) + 1),
    ]
    for name, work in result["workloads"].items():
        if FLOOR not in figures[name]:
            continue
        cells = [_known(figures[name][peer]) if peer in figures[name] else "" for peer in (FLOOR, *rivals)]
        lines.append(f"| {work['title']} | {' | '.join(cells)} |")
    return lines


def against(work: dict[str, Any], threshold: float) -> dict[str, Figure]:
    """How many times less than each of the others this server takes, by their names."""
    cells = [Cell(**cell) for cell in work["cells"]]
    others = median(cell.others for cell in cells)
    turns = {
        row["peer"]: turns_of(counting(cells, row["peer"], threshold, work["rounds"])[0])
        for row in work["rows"]
        if row["ratio"]
    }
    mine = turns.pop("rat", {})
    pace = middle_pace(work)
    found = {peer: ratio_of(mine, theirs, pace) for peer, theirs in turns.items()}
    return {peer: widened(ratio, drift_of(others)) for peer, ratio in found.items() if ratio}


def _known(found: Figure) -> str:
    if found.doubt is None:
        return f"{share(found.value)} (one turn)"
    reach = found.high / found.value - 1.0
    return (
        f"{share(found.value)} ±{reach:.0%}".replace("%", " %") if reach < UNSURE else f"{share(found.value)} (unsure)"
    )


def beside_others(result: dict[str, Any], source: str) -> list[str]:
    """The table of the README: the same ratios as the page's, and where they come from."""
    return [
        BEGIN,
        *_summary(result),
        "",
        f"±: where the figure would be in 19 of 20 runs. Measured on {result['date'][:10]}; trust in the run: "
        f"{result['trust']['text'].partition(' (')[0]}. [What was measured, how, and how far to trust "
        f"it](docs/benchmarks.md), from [one file]({source}).",
        END,
    ]


def with_figures(readme: str, figures: list[str]) -> str:
    """The *readme* with the figures in the place of those that stand there; ValueError where it has no place."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has no place for figures between {BEGIN!r} and {END!r}")
    return before + "\n".join(figures) + after


def _section(work: dict[str, Any]) -> list[str]:
    rows = sorted(work["rows"], key=lambda row: (row["cost"] is None, row["cost"] or 0.0))
    pace = middle_pace(work)
    lines = [
        f"## {work['title']}",
        "",
        f"Load by {work['client']}, {work['rounds']} rounds" + (f", at a pace of {pace:.0f} us." if pace else "."),
        "",
        f"| server | {work['unit']} | 19 in 20 | of the floor | 19 in 20 | trust | turns that count |",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    for row in rows:
        name = f"**{row['peer']}**" if row["peer"] == "rat" else row["peer"]
        if row["fault"]:
            lines.append(f"| {name} | answered wrongly: {row['fault'].replace('|', '/')} | | | | | |")
            continue
        lines.append(
            f"| {name} | {figure(row['cost'])} | {figure(row['low'])} - {figure(row['high'])} "
            f"| {share(row['ratio'])} | {bounds(row).replace('-', ' - ')} "
            f"| {grade(row) if row['ratio'] and row['peer'] != FLOOR else ''} "
            f"| {row['kept']}{' (disturbed)' if row['disturbed'] else ''} |"
        )
    return [*lines, ""]


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench document", description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("--no-plots", action="store_true")
    args = parser.parse_args(arguments)
    try:
        result = load(args.result)
    except (OSError, ValueError) as error:
        print(f"bench document: {error}", file=sys.stderr)
        return 2
    plot = None
    if not args.no_plots:
        from bench.harness import plots

        drawn = plots.draw(result, args.result.resolve().with_suffix(""))
        plot = str(drawn[0].relative_to(ROOT)) if drawn else None
    source = args.result.resolve()
    PAGE.write_text(page(result, str(source.relative_to(ROOT)), plot), encoding="utf-8")
    figures = beside_others(result, str(source.relative_to(ROOT)))
    README.write_text(with_figures(README.read_text(encoding="utf-8"), figures), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)} and the figures of {README.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
