"""A flame graph of this server under one workload: py-spy watches the server while the client loads it."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from bench.harness import machine, workload
from bench.harness.client import Client
from bench.harness.environment import VENV, WORK
from bench.harness.pace import Pace
from bench.harness.peer import discover as discover_peers
from bench.harness.server import DidNotStart, Server
from bench.harness.workload import Load
from bench.run import prepare


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench profile", description=__doc__)
    parser.add_argument("workload", nargs="?", default="get")
    parser.add_argument("--peer", default="rat")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rate", type=int, default=500, help="samples a second")
    parser.add_argument("--native", action="store_true", help="with the frames of C code")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--text", action="store_true", help="folded stacks instead of a picture")
    args = parser.parse_args(arguments)
    works = {work.name: work for work in workload.discover() if work.load is not Load.IDLE}
    peers = {peer.name: peer for peer in discover_peers()}
    spy = VENV / "bin" / "py-spy"
    if args.workload not in works or args.peer not in peers:
        print(f"bench profile: workloads are {', '.join(works)}; peers are {', '.join(peers)}", file=sys.stderr)
        return 2
    if not spy.exists() and shutil.which("py-spy") is None:
        print("bench profile: py-spy is not installed", file=sys.stderr)
        return 2
    work = works[args.workload]
    directory = WORK / f"profile-{os.getpid()}"
    directory.mkdir(parents=True, exist_ok=True)
    files = prepare(WORK)
    cores = machine.choose_cores()
    output = args.output or WORK / f"profile-{args.peer}-{args.workload}.{'txt' if args.text else 'svg'}"
    output.parent.mkdir(parents=True, exist_ok=True)
    client = Client(files=files, work=directory, cores=cores, pace=Pace(None))
    try:
        server = Server(
            peers[args.peer],
            python=sys.executable,
            files=files,
            work=directory,
            floor=work.floor_kind,
            core=cores.server,
        )
    except DidNotStart as error:
        client.close()
        print(f"bench profile: {args.peer} did not start: {error}", file=sys.stderr)
        return 1
    with server, client:
        load = threading.Thread(target=client.run, args=(server, work, args.seconds + 1.5))
        load.start()
        command = [str(spy) if spy.exists() else "py-spy", "record", "--pid", str(server.process.pid), "--output"]
        command += [str(output), "--format", "raw" if args.text else "flamegraph", "--rate", str(args.rate)]
        command += ["--duration", str(max(1, round(args.seconds))), "--subprocesses", "--function"]
        command += ["--native"] if args.native else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        load.join()
    if done.returncode:
        print(f"bench profile: py-spy: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return 1
    print(f"wrote {os.path.relpath(output)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
