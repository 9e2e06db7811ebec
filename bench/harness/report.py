"""The result as a table for the terminal."""

from __future__ import annotations

from typing import Any

from bench.harness import codec
from bench.harness.results import FLOOR, grade

__all__ = ["bounds", "figure", "notes", "share", "table", "text"]


def figure(value: float | None) -> str:
    """Three significant digits, or a dash."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def share(value: float | None) -> str:
    """A ratio to the floor: two decimals, three below a tenth."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def bounds(row: dict[str, Any]) -> str:
    """Where the ratio is in 19 of 20 runs; nothing where it is the floor's own, or comes from one turn."""
    if not row["ratio"] or row["doubt"] is None or row["peer"] == FLOOR:
        return ""
    return f"{share(row['ratio_low'])}-{share(row['ratio_high'])}"


def table(workload: dict[str, Any]) -> list[list[str]]:
    """Rows of text, the heading first; cheapest first, those without figures last."""
    heading = ["", workload["unit"], "19 in 20", "of the floor", "19 in 20", "trust", "turns", "a second", "p99 ms"]
    rows = sorted(workload["rows"], key=lambda row: (row["cost"] is None, row["cost"] or 0.0))
    body = []
    for row in rows:
        if row["fault"]:
            body.append([row["peer"], "WRONG", "", "", "", "", "", "", row["fault"][:80]])
            continue
        body.append(
            [
                row["peer"],
                figure(row["cost"]),
                f"{figure(row['low'])}-{figure(row['high'])}" if row["cost"] is not None else "",
                share(row["ratio"]),
                bounds(row),
                grade(row) if row["ratio"] and row["peer"] != FLOOR else "",
                _turns(row),
                _rate(workload, row),
                figure(row["p99"] * 1e3) if row["p99"] is not None else "",
            ]
        )  # fmt: skip
    return [heading, *body]


def _turns(row: dict[str, Any]) -> str:
    thrown = f" (-{row['thrown_away']})" if row["thrown_away"] else ""
    return f"{row['kept']}{'!' if row['disturbed'] else ''}{thrown}"


def _rate(workload: dict[str, Any], row: dict[str, Any]) -> str:
    if row["rate"] is None or "connection" in workload["unit"]:
        return ""
    if "GB" in workload["unit"]:
        return f"{row['rate'] / 1e6:,.0f} MB"
    return f"{row['rate']:,.0f}" + ("*" if row["client_full"] else "")


def text(result: dict[str, Any]) -> str:
    """The whole result for a terminal."""
    lines: list[str] = []
    for workload in result["workloads"].values():
        rows = table(workload)
        widths = [max(len(row[column]) for row in rows if row[1] != "WRONG") for column in range(len(rows[0]))]
        widths[0] = max(len(row[0]) for row in rows)
        lines.append(f"\n{workload['title']}  ({workload['client']})")
        for row in rows:
            if row[1] == "WRONG":
                lines.append(f"  {row[0]:{widths[0]}}  WRONG: {row[-1]}")
                continue
            cells = [f"{row[0]:{widths[0]}}"] + [
                f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)
            ]
            lines.append("  " + "  ".join(cells).rstrip())
    if result["codec"]:
        lines.append(f"\n{codec.title(result['codec'])}")
        columns = list(zip(*codec.rows(result["codec"]), strict=True))
        padded = [[f"{cell:<{max(map(len, column))}}" for cell in column] for column in columns]
        lines += ["  " + "  ".join(row).rstrip() for row in zip(*padded, strict=True)]
    lines += ["", *notes(result)]
    return "\n".join(lines)


def notes(result: dict[str, Any]) -> list[str]:
    """What has to be said beside the figures."""
    lines = [f"trust     {result['trust']['text']}"]
    rows = [row for workload in result["workloads"].values() for row in workload["rows"]]
    if any(row["disturbed"] for row in rows):
        lines.append(f"!         too few turns with others below {result['threshold']:.0%}: the calmest were counted")
    if any(row["client_full"] for row in rows):
        lines.append("*         the client's own core was full: the server may be able to do more a second")
    for workload in result["workloads"].values():
        for name in workload.get("restless", ()):
            lines.append(f"restless  {name}: busy long after its clients had left, started anew ({workload['title']})")
    for name, reason in result["skipped"].items():
        lines.append(f"skipped   {name}: {reason}")
    machine = result["machine"]
    system = f"Linux {machine['kernel']}, Python {machine['python']}"
    lines.append(f"machine   {machine['processor']}, {machine['cores']} cores, {system}")
    return lines
