"""Micro benchmarks in process: microseconds for one repetition of each case.

CPU time, in many short batches: the smallest is what the machine needs when nothing disturbs it; the median says how
often something did.  Micro-costs understate what the same code costs behind a socket: rank by them, judge by CPU.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.cases import Repeat, prepared
from bench.harness.machine import describe

BATCH = 0.004
"""Seconds that one batch should take: shorter than the time slice that a neighbour gets."""


def batches(repeat: Repeat, seconds: float) -> list[float]:
    """Seconds per repetition of each batch, within *seconds* in all."""
    count = 4
    while True:
        started = time.process_time()
        repeat(count)
        passed = time.process_time() - started
        if passed >= BATCH:
            break
        count *= 2
    costs = [passed / count]
    end = time.process_time() + seconds
    with _no_collections():
        while time.process_time() < end or len(costs) < 5:
            started = time.process_time()
            repeat(count)
            costs.append((time.process_time() - started) / count)
    return costs


@contextmanager
def _no_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench micro", description=__doc__)
    parser.add_argument("-k", dest="only", metavar="TEXT", help="only cases with this in their name")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each case")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    args = parser.parse_args(arguments)
    figures: dict[str, Any] = {}
    print(f"{'':36} {'us':>8} {'median':>8}")
    for case, repeat in prepared(lambda text: print(text, file=sys.stderr), args.only):
        costs = batches(repeat, args.seconds)
        figures[case.name] = {"smallest": min(costs), "median": median(costs), "batches": len(costs)}
        print(f"{case.name:36} {min(costs) * 1e6:8.2f} {median(costs) * 1e6:8.2f}")
    if args.json is not None:
        args.json.write_text(json.dumps({"machine": describe(), "seconds": figures}, indent=1) + "\n", encoding="utf-8")
    return 0 if figures else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
