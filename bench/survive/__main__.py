"""Run every attack on each event loop, print a table, exit 1 if a bound did not hold."""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import time

from bench.survive.crowd import CROWD
from bench.survive.framed import FRAMED
from bench.survive.rude import RUDE
from bench.survive.slow import SLOW
from bench.survive.stand import Stand
from bench.survive.stops import STOPS
from bench.survive.verdict import AFTERMATH, Attack, Bound, Figures


class Table:
    """Prints figures as they come, and remembers whether all of them passed."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        print(f"{'loop':8} {'attack':14} {'figure':24} {'value':>10}  bound")

    def add(self, loop: str, name: str, figures: Figures, bounds: dict[str, Bound]) -> None:
        for what, value in figures.items():
            bound = bounds[what].on(loop)
            holds = bound.holds(value, figures)
            mark = "" if holds else "   FAILED"
            print(f"{loop:8} {name:14} {what:24} {value:10.2f}  {bound}{mark}", flush=True)
            if not holds:
                self.failed.append(f"{loop} {name}: {what} is {value:g}, bound {bound}")

    def broken(self, loop: str, name: str, error: BaseException) -> None:
        text = f"{type(error).__name__}: {error}"
        print(f"{loop:8} {name:14} {text}   FAILED", flush=True)
        self.failed.append(f"{loop} {name}: {text}")


async def aftermath(stand: Stand, lines_before: int) -> Figures:
    """What is left a moment after an attack; the log is shown if it says anything."""
    await stand.until_descriptors(stand.calm, 3)
    tasks = await stand.until_told("tasks", stand.calm_tasks, timeout=3)
    if tasks > stand.calm_tasks:
        print(f"    tasks: {(await stand.debug())['names']}")
    await stand.until_descriptors(stand.calm, 1)
    return {
        "leaked descriptors": max(0, stand.descriptors() - stand.calm),
        "leaked tasks": max(0, tasks - stand.calm_tasks),
        **said(stand, lines_before),
    }


def said(stand: Stand, lines_before: int) -> Figures:
    """How much has been logged; the first lines are shown."""
    lines = stand.lines()[lines_before:]
    for line in lines[:40]:
        print(f"    log: {line}")
    return {"tracebacks": sum(line.startswith("Traceback") for line in lines), "log lines": len(lines)}


async def attack(table: Table, stand: Stand, one: Attack, quick: bool) -> None:
    before = len(stand.lines())
    bounds = {**AFTERMATH, **one.bounds}
    try:
        figures = await one.run(stand, quick)
        figures |= said(stand, before) if one.ends_server else await aftermath(stand, before)
    except Exception as error:
        said(stand, before)
        table.broken(stand.loop, one.name, error)
        return
    table.add(stand.loop, one.name, figures, bounds)


async def run(table: Table, loop: str, quick: bool, only: list[str]) -> None:
    chosen = [one for one in (*SLOW, *FRAMED, *RUDE, *STOPS, *CROWD) if not only or one.name in only]
    shared = [one for one in chosen if not one.is_alone]
    if shared:
        async with Stand(loop) as stand:
            for one in shared:
                await attack(table, stand, one, quick)

    async def alone(one: Attack) -> None:
        try:
            async with Stand(loop, descriptors=one.descriptors, settings=one.settings) as stand:
                await attack(table, stand, one, quick)
        except (ConnectionError, TimeoutError, RuntimeError) as error:
            table.broken(loop, one.name, error)

    # They mostly wait, and measure no one's latency.
    at_once = 3
    waiting = [one for one in chosen if one.is_alone and not one.is_timed]
    for start in range(0, len(waiting), at_once):
        await asyncio.gather(*(alone(one) for one in waiting[start : start + at_once]))
    for one in chosen:
        if one.is_alone and one.is_timed:
            await alone(one)


def on_both(arguments: list[str], *, at_once: bool) -> int:
    """One process for each loop; quick ones *at_once*, and told one after the other."""
    codes = []
    processes = []
    for loop in ("uvloop", "asyncio"):
        command = [sys.executable, "-m", "bench.survive", *arguments, "--loop", loop]
        if at_once:
            processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        else:
            codes.append(subprocess.run(command, check=False).returncode)
    for process in processes:
        print(process.communicate()[0])
        codes.append(process.returncode)
    return max(map(abs, codes))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.survive", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter attacks, under a minute")
    parser.add_argument("--loop", choices=("uvloop", "asyncio", "both"), default="both")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this attack; may be repeated")
    options = parser.parse_args()
    if options.loop == "both":
        return on_both(sys.argv[1:], at_once=options.quick)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192) if hard > 0 else 8192, hard))
    start = time.monotonic()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    table = Table()
    asyncio.run(run(table, options.loop, options.quick, options.only))
    print(f"{time.monotonic() - start:.0f} seconds, {len(table.failed)} bounds did not hold")
    for line in table.failed:
        print(f"  {line}")
    return 1 if table.failed else 0


sys.exit(main())
