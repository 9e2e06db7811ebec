"""Load of small requests by wrk: on one server for some time, or on all of a round in turns of a hundredth of a second.

What a stranger on the other half of the core does to a server changes from one tenth of a second to the next and has
no counter.  Servers that take turns so short meet the same of it, and it leaves the quotient of their costs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.harness.check import Watch, check, requests_of
from bench.harness.environment import ROOT
from bench.harness.machine import Others
from bench.harness.server import Server
from bench.harness.turn import Turn
from bench.harness.workload import Workload
from rat.loadgen.processes import cpu_of

if TYPE_CHECKING:
    from bench.harness.client import Client

SLICE, PAUSE = 0.010, 0.002
"""Seconds of load in a slice, and after it, for what is under way; both longer where a server is slow."""
CONNECT, REST = 0.06, 0.05
"""Seconds that a wrk gets to connect once it has begun, and servers to answer what was asked meanwhile."""
STARTING, ENDING, AGAIN = 10.0, 5.0, 0.3
"""Seconds that a wrk gets to ask for the first time, to tell what it found, and until it is told to once more."""
EVERY = 4
"""Requests from one note of the time to the next."""
UNDER_LOAD = 2
"""Questions that are asked of each server in each round while it is loaded."""


class Wrk:
    """A wrk on one server.  A context manager, which ends it."""

    def __init__(self, client: Client, server: Server, workload: Workload, unit: float = 0.0) -> None:
        """*unit*: seconds of CPU that a request takes, as far as known."""
        self.server = server
        self.slices: list[tuple[float, float]] = []
        self.had = 0.0
        self.asked = 0
        self.fault: str | None = None
        under_way = workload.connections * workload.pipeline * unit
        self._slice, self._pause = max(SLICE, 2.0 * under_way), max(PAUSE, under_way)
        self._workload = workload
        self._files = client.files
        self._out = client.work / f"wrk-{server.port}.out"
        with self._out.open("wb") as out:
            self._process = subprocess.Popen(
                [
                    *("wrk", "-t1", f"-c{workload.connections}", "-d600s", "--timeout", "30s"),
                    *("-s", str(ROOT / "bench/harness/load.lua"), server.url),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={
                    **os.environ,
                    "BENCH_REQUESTS": str(_table(client.work, server, workload)),
                    "BENCH_EVERY": str(max(1, EVERY // workload.pipeline)),
                },
                start_new_session=True,
            )
        if client.cores.client is not None:
            os.sched_setaffinity(self._process.pid, {client.cores.client})
        self._wait()

    def _wait(self) -> None:
        """Until it asks.  Before, it cannot be ended in good order."""
        deadline = time.monotonic() + STARTING
        while b"READY" not in self._out.read_bytes() and time.monotonic() < deadline and self._process.poll() is None:
            time.sleep(0.005)

    def halt(self) -> None:
        """Ask nothing more for now."""
        self._process.send_signal(signal.SIGSTOP)

    def take_slice(self, turn: int | None = None) -> None:
        """Ask for the length of a slice, then let all be answered.  With the number of a turn some answers are read."""
        began = time.monotonic()
        self._process.send_signal(signal.SIGCONT)
        # Questions may wait for what is under way, so they do not decide how long the slice is.
        end = threading.Timer(self._slice, self.halt)
        end.start()
        if turn is not None:
            self.fault = self.fault or check(self._workload, self.server.port, self._files, turn, UNDER_LOAD)
            self.asked += max(UNDER_LOAD, self._workload.pipeline)
        end.join()
        self.had += self._slice
        time.sleep(self._pause)
        self.slices.append((began, time.monotonic()))

    def cpu_seconds(self) -> float:
        """CPU time of this wrk; 0 when it has ended."""
        try:
            return cpu_of(self._process.pid)
        except OSError:
            return 0.0

    def end(self) -> dict[str, Any]:
        """What it found; empty, and a fault, when it found nothing."""
        deadline = time.monotonic() + ENDING
        while self._process.poll() is None and time.monotonic() < deadline:
            # Its first thread sleeps until it is told to end; a signal that comes before it sleeps does not wake it.
            self._process.send_signal(signal.SIGINT)
            self._process.send_signal(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(AGAIN)
        text = self._out.read_text(errors="replace")
        line = next((line[7:] for line in text.splitlines() if line.startswith("RESULT ")), None)
        if line is None or self._process.returncode:
            self.fault = self.fault or f"wrk: {text.strip()[-200:]}"
            return {}
        figures: dict[str, Any] = json.loads(line)
        faults = [f"{figures[name]} x {name}" for name in ("connect", "read", "write", "status", "timeout")
                  if figures[name]]  # fmt: skip
        if faults:
            self.fault = self.fault or "wrk: " + ", ".join(faults)
        if not figures["answers"]:
            self.fault = self.fault or "no answers"
            return {}
        # Every answer has the same size, so the bytes that came tell whether they were the ones that were checked.
        # A last answer may have been cut by the end of the run.
        size, mean = _size_of_answer(self.server, self._workload), figures["bytes"] / figures["answers"]
        if size and abs(mean - size) > 0.02 * size + 2:
            self.fault = self.fault or f"{mean:.0f} bytes per answer under load, {size} when asked alone"
        return figures

    def __enter__(self) -> Wrk:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.wait()


def turn(client: Client, server: Server, workload: Workload, seconds: float) -> Turn:
    """Load on *server* alone.  Never raises for what it does: that is the turn's fault."""
    before = server.cpu_or_nothing()
    with Wrk(client, server, workload) as load:
        with Watch(workload, server.port, client.files) as watch:
            time.sleep(seconds)
            cpu, used = load.cpu_seconds(), server.cpu_or_nothing() - before
            figures = load.end()  # a question may wait as long as the load goes on
    if not figures:
        return Turn(fault=watch.fault or load.fault)
    answers, seconds = int(figures["answers"]), figures["seconds"]
    return Turn(
        cost=used / (answers + watch.asked) * 1e6,
        answers=answers,
        seconds=seconds,
        rate=answers / seconds,
        server_cpu=used,
        client_cpu=cpu,
        client_full=cpu / seconds > 0.95,
        fault=watch.fault or load.fault,
        latency={"p50": figures["p50"], "p99": figures["p99"]} if workload.pipeline == 1 else {},
    )


def in_slices(
    client: Client, order: list[Server], workload: Workload, seconds: float, number: int, first: dict[str, Turn]
) -> list[tuple[Server, Turn, float]]:
    """Round *number*: a turn for each server, in slices; one that comes twice in the *order* has twice as much.

    *first*: what each gave alone, by names.  With each turn the share of the cores that others took in this round.
    """
    with contextlib.ExitStack() as stack:
        loads: dict[Server, Wrk] = {}
        for server in dict.fromkeys(order):
            cost = first[server.peer.name].cost or 0.0
            loads[server] = stack.enter_context(Wrk(client, server, workload, cost / 1e6))
            time.sleep(CONNECT)
            loads[server].halt()
        time.sleep(REST)
        others, began = Others(client.cores), time.monotonic()
        before = {server: (server.cpu_or_nothing(), load.cpu_seconds()) for server, load in loads.items()}
        for step in range(max(2, round(seconds / SLICE))):
            for server in order:
                load = loads[server]
                if load.had < (step + 1) * SLICE * order.count(server):
                    load.take_slice(number if step and not load.asked else None)
        time.sleep(REST)
        used = {
            server: (server.cpu_or_nothing() - before[server][0], load.cpu_seconds() - before[server][1])
            for server, load in loads.items()
        }
        share = others.share(
            server=sum(seconds for seconds, _ in used.values()), client=sum(seconds for _, seconds in used.values())
        )
        return [
            (server, _turn_of(client, load, workload, began, used[server], first[server.peer.name]), share)
            for server, load in loads.items()
        ]


def _turn_of(
    client: Client, load: Wrk, workload: Workload, began: float, used: tuple[float, float], alone: Turn
) -> Turn:
    """What *load* found since *began*, when *used* CPU seconds went to the server and to itself."""
    figures = load.end()
    if not figures:
        return Turn(fault=load.fault)
    before = max(0.0, (bisect_left(figures["marks"], began) - 0.5) * figures["every"])
    answers = (figures["calls"] - before) * workload.pipeline + load.asked
    return Turn(
        cost=used[0] / answers * 1e6 if answers > 0 else None,
        answers=round(answers),
        seconds=load.had,
        rate=alone.rate,
        server_cpu=used[0],
        client_cpu=used[1],
        client_full=alone.client_full,
        fault=load.fault,
        latency=alone.latency,
        pace=client.pace.of(load.slices),
    )


def _table(work: Path, server: Server, workload: Workload) -> Path:
    """The file with the requests, in Lua."""
    path = work / f"{workload.name}-{server.port}.lua"
    if not path.exists():
        requests = requests_of(workload, server.url)
        depth = workload.pipeline
        if depth > 1:
            requests = [b"".join(requests[at : at + depth]) for at in range(0, len(requests) - depth + 1, depth)]
        path.write_text("return {\n" + ",\n".join(_lua(request) for request in requests) + "\n}\n")
    return path


def _lua(request: bytes) -> str:
    return '"' + "".join(chr(c) if 32 <= c < 127 and c not in (34, 92) else f"\\{c:03d}" for c in request) + '"'


def _size_of_answer(server: Server, workload: Workload) -> int | None:
    """Bytes of one whole answer, head and all."""
    request = requests_of(workload, server.url, 1)[0]
    try:
        with socket.create_connection(("127.0.0.1", server.port), 5.0) as connection:
            connection.sendall(request)
            data = b""
            while b"\r\n\r\n" not in data:
                piece = connection.recv(65536)
                if not piece:
                    return None
                data += piece
            head = data.partition(b"\r\n\r\n")[0]
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    return len(head) + 4 + int(line[15:])
            return None
    except (OSError, ValueError):
        return None
