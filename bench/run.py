"""The comparison: workloads by peers, round by round; a table, a result file, plots."""

from __future__ import annotations

import argparse
import datetime
import math
import os
import platform
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from bench import compare
from bench.harness import codec, machine, report, results, workload
from bench.harness.client import Client
from bench.harness.environment import BENCH, ROOT, WORK
from bench.harness.pace import Pace
from bench.harness.peer import ALL, FRAMES, Peer
from bench.harness.peer import discover as discover_peers
from bench.harness.results import FLOOR
from bench.harness.rounds import Fleet, Plan, Progress, measure
from bench.harness.workload import Load, Workload
from bench.instr import CannotCount, export, of_tree
from bench.peers import rat

THRESHOLD = 0.10
QUICK = 0.4
"""A quick run has this share of the rounds."""
MINUTES, QUICK_MINUTES = 9.5, 1.2
"""How long a run measures: no round begins later.  Plots and the last round come on top."""
START, BESIDE, CONNECTING = 1.5, 0.3, 2.0
"""Seconds that are planned for starting a server, beside each turn, and beside one of thousands of connections."""
PIECE = bytes(range(256)) * 256


def prepare(work: Path) -> Path:
    """The directory with the test files, made if need be."""
    files = work / "files"
    files.mkdir(parents=True, exist_ok=True)
    for name, size in (("small.bin", 10 * 1024), ("big.bin", 64 << 20)):
        path = files / name
        if not path.exists() or path.stat().st_size != size:
            path.write_bytes((PIECE * (size // len(PIECE) + 1))[:size])
    return files


def takes_part(peer: Peer, work: Workload, quick: bool, named: bool) -> bool:
    """Whether *peer* has a turn in *work*."""
    kind = work.floor_kind if peer.name == FLOOR else work.asks
    return kind in peer.asks and (named or peer.core or (work.main and not quick))


def arguments_of(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="about a minute: the main workloads, few peers, few rounds"
    )
    parser.add_argument("-w", "--workload", action="append", metavar="NAME", help="only these")
    parser.add_argument("-p", "--peer", action="append", metavar="NAME", help="only these (and the floor)")
    parser.add_argument("--rounds", type=int, help="rounds of every workload at most")
    parser.add_argument(
        "--minutes", type=float, help=f"no round begins later ({MINUTES}; {QUICK_MINUTES} if quick; none with --rounds)"
    )
    parser.add_argument("--seconds", type=float, help="length of a turn")
    parser.add_argument(
        "--threshold", type=float, default=THRESHOLD, help="share of others above which a turn does not count"
    )
    parser.add_argument("--client", choices=("auto", "wrk", "own"), default="auto", help="what loads small requests")
    parser.add_argument(
        "--output", type=Path, help="the result file (bench/results/DATE-MACHINE.json, -quick or -part of it)"
    )
    parser.add_argument("--no-codec", action="store_true", help="without the codec's short form, as quick runs are")
    parser.add_argument("--no-instructions", action="store_true", help="count none: ten seconds less")
    parser.add_argument("--no-plots", action="store_true")
    parser.add_argument(
        "--against", metavar="REVISION", help="this server as it was takes its turns as well, and is compared"
    )
    parser.add_argument("--list", action="store_true", help="name workloads and peers")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """The exit code: 1 when a peer answered wrongly, or this server is slower than --against, 2 for usage."""
    args = arguments_of(arguments)
    if not sys.platform.startswith("linux"):
        print(f"bench: CPU time of servers is read from /proc, which {sys.platform} does not have", file=sys.stderr)
        return 2
    peers, skipped, works = choose(args)
    if not works or len(peers) < 1:
        print(f"bench: nothing to do; workloads are {', '.join(w.name for w in workload.discover())}", file=sys.stderr)
        return 2
    if args.list:
        for work in works:
            names = [peer.name for peer in peers if takes_part(peer, work, args.quick, bool(args.peer))]
            print(f"{work.name:10} {work.title}: {', '.join(names)}")
        return 0
    if args.against:
        try:
            peers.insert(2, earlier(args.against))
        except CannotCount as error:
            print(f"bench: {error}", file=sys.stderr)
            return 2
    # Ended like this it still ends the servers.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    result = run(args, peers, skipped, works)
    print(report.text(result))
    slower = False
    if args.against:
        changes = compare.within(result)
        slower = any(change.is_regression for change in changes)
        print(f"\nbeside {args.against}, in the same rounds")
        for change in changes:
            print(compare.line(change))
    part = "-quick" if args.quick else "-part" if args.workload or args.peer else ""
    output = args.output or BENCH / "results" / f"{result['date'][:10]}-{result['machine']['name']}{part}.json"
    results.save(output, result)
    print(f"result    {os.path.relpath(output)}")
    if not args.no_plots:
        from bench.harness import plots

        for path in plots.draw(result, output.with_suffix("")):
            print(f"plot      {os.path.relpath(path)}")
    wrong = any(row["fault"] for work in result["workloads"].values() for row in work["rows"])
    return 1 if wrong or slower or "rat" in result["skipped"] else 0


def earlier(revision: str) -> Peer:
    """This server as of *revision*.  Raises CannotCount when git does not have it."""
    tree = WORK / f"tree-{re.sub(r'[^A-Za-z0-9.-]', '-', revision)}"
    shutil.rmtree(tree, ignore_errors=True)
    WORK.mkdir(exist_ok=True)
    export(revision, tree)
    shutil.rmtree(tree / "bench", ignore_errors=True)
    paths = os.pathsep.join([str(tree), str(ROOT)])
    return Peer(compare.BEFORE, rat.command, ALL | FRAMES, core=True, variables=lambda start: {"PYTHONPATH": paths})


def instructions(skipped: dict[str, str]) -> dict[str, Any] | None:
    """What this server's code takes in instructions, and with which libraries; None, and why in *skipped*."""
    try:
        counts = of_tree(Path(os.environ.get("BENCH_TREE", ROOT)))
    except CannotCount as error:
        skipped["instructions"] = str(error)
        return None
    names = ("uvloop", "orjson", "h11")
    return {"versions": {"python": platform.python_version(), **machine.distributions(names)}, "counts": counts}


def codec_short(skipped: dict[str, str]) -> dict[str, Any] | None:
    """The codec beside its peers; None, and why in *skipped*, when one of them is missing."""
    try:
        return codec.short()
    except ImportError as error:
        skipped["codec"] = f"{error.name} is not installed"
        return None


def choose(args: argparse.Namespace) -> tuple[list[Peer], dict[str, str], list[Workload]]:
    """Peers that take part, reasons of those that do not, and workloads."""
    skipped: dict[str, str] = {}
    peers = []
    for peer in discover_peers():
        if args.peer and peer.name not in args.peer and peer.name != FLOOR:
            continue
        if reason := peer.missing():
            skipped[peer.name] = reason
        else:
            peers.append(peer)
    works = [
        work
        for work in workload.discover()
        if (work.name in args.workload if args.workload else work.quick or not args.quick)
    ]
    return peers, skipped, works


def expected(work: Workload, servers: int, rounds: int) -> float:
    """Seconds that so many rounds of *work* take, about."""
    beside = CONNECTING if work.load in (Load.IDLE, Load.EVENTS) else BESIDE
    return servers * (START + rounds * (work.seconds + beside))


def end_of(args: argparse.Namespace) -> float:
    """The moment after which no round begins."""
    minutes = args.minutes or (math.inf if args.rounds else QUICK_MINUTES if args.quick else MINUTES)
    return time.monotonic() + 60.0 * minutes


def measure_all(
    args: argparse.Namespace, peers: list[Peer], works: list[Workload], fleet: Fleet, client: Client, until: float,
    progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """All workloads one after the other; each gets its part of the time that is left."""
    due = {work.name: [peer for peer in peers if takes_part(peer, work, args.quick, bool(args.peer))] for work in works}
    rounds = {work.name: args.rounds or max(1, round(work.rounds * (QUICK if args.quick else 1.0))) for work in works}
    needs = {work.name: expected(work, len(due[work.name]), rounds[work.name]) for work in works}
    measured: dict[str, Any] = {}
    for number, work in enumerate(works):
        share = needs[work.name] / sum(needs[other.name] for other in works[number:])
        part = max(0.0, until - time.monotonic()) * share
        plan = Plan(rounds[work.name], args.seconds or work.seconds, part)
        measured[work.name] = measure(work, due[work.name], fleet, client, plan, progress)
        results.fill(measured[work.name], args.threshold)
        fleet.close()
    return measured


def run(args: argparse.Namespace, peers: list[Peer], skipped: dict[str, str], works: list[Workload]) -> dict[str, Any]:
    """Measure everything; the result."""
    started, until = time.monotonic(), end_of(args)
    work_directory = WORK / f"run-{os.getpid()}"
    work_directory.mkdir(parents=True, exist_ok=True)
    files = prepare(WORK)
    cores = machine.choose_cores()
    if cores.client is not None:
        os.sched_setaffinity(0, {cores.client})
    progress = Progress()
    for name, reason in skipped.items():
        print(f"skipped   {name}: {reason}", file=sys.stderr)
    # What does not depend on the machine's mood first: the workloads have the time that is left.
    counted = shortened = None
    if not args.no_instructions:
        progress("Instructions: callgrind")
        counted = instructions(skipped)
    if not args.no_codec and not args.quick:
        progress("Codec: in process")
        shortened = codec_short(skipped)
    pace = Pace(cores.server)
    wrk = {"auto": None, "wrk": True, "own": False}[args.client]
    client = Client(files=files, work=work_directory, cores=cores, pace=pace, wrk=wrk)
    if not client.wrk and args.client == "auto":
        print("skipped   wrk: not installed, small requests come from `rat bench`", file=sys.stderr)
    fleet = Fleet(files=files, work=work_directory, cores=cores)
    try:
        with pace, client:
            measured = measure_all(args, peers, works, fleet, client, until, progress)
    finally:
        progress.clear()
        fleet.close()
    return {
        "format": results.FORMAT,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 1),
        "quick": args.quick,
        "commit": machine.commit(Path(os.environ.get("BENCH_TREE", ROOT))),
        "machine": machine.describe(),
        "cores": {"server": cores.server, "client": cores.client},
        "versions": machine.versions(peers),
        "threshold": args.threshold,
        "whole": pace.whole(),
        "skipped": {**skipped, **fleet.broken},
        "workloads": measured,
        "instructions": counted,
        "codec": shortened,
        "trust": results.trust(measured, pace.shared()),
    }
