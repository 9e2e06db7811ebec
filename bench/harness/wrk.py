"""One turn of load by wrk, its answers watched, its cost counted between two moments of it."""

from __future__ import annotations

import json
import socket
from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.harness.check import Watch, requests_of
from bench.harness.environment import ROOT
from bench.harness.pace import Trace, between
from bench.harness.server import Server
from bench.harness.turn import Turn
from bench.harness.workload import Workload

if TYPE_CHECKING:
    from bench.harness.client import Client

SETTLED = 2
"""Counting begins when each connection has asked this often, or after LATEST of the turn: connecting is not the cost of
an answer."""
LATEST = 0.4
EVERY = 16
"""Requests from one note of the time to the next."""


def turn(client: Client, server: Server, workload: Workload, seconds: float, trace: Trace) -> Turn:
    """Never raises for what the server does: that is the turn's fault."""
    command = ["wrk", "-t1", f"-c{workload.connections}", "-d30s"]
    command += ["-s", str(ROOT / "bench" / "harness" / "load.lua"), server.url]
    every = max(1, EVERY // workload.pipeline)
    sample = _size_of_answer(server, workload)
    before = server.cpu_seconds()
    with Watch(workload, server.port, client.files) as watch:
        # wrk takes whole seconds only, and ends in good order when it is interrupted.  Short turns come closer to
        # the floor's turn in the same round, and more often fall into a calm moment.
        requests = _table(client.work, server, workload)
        code, output, errors, cpu = client.spawn(command, seconds, BENCH_REQUESTS=str(requests), BENCH_EVERY=str(every))
        used = _cpu_since(server, before)
    line = next((line[7:] for line in output.splitlines() if line.startswith("RESULT ")), None)
    if line is None or code:
        return Turn(fault=f"wrk: {(errors or output).strip()[-200:]}")
    figures: dict[str, Any] = json.loads(line)
    answers = int(figures["answers"])
    seconds = figures["seconds"]
    found = Turn(
        answers=answers,
        seconds=seconds,
        rate=answers / seconds,
        server_cpu=used,
        client_cpu=cpu,
        client_full=cpu / seconds > 0.95,
        fault=watch.fault,
        latency={"p50": figures["p50"], "p99": figures["p99"]} if workload.pipeline == 1 else {},
    )
    faults = [
        f"{figures[kind]} x {kind}" for kind in ("connect", "read", "write", "status", "timeout") if figures[kind]
    ]
    if faults:
        found.fault = found.fault or "wrk: " + ", ".join(faults)
    if not answers:
        found.fault = found.fault or "no answers"
        return found
    count(found, figures["marks"], figures["every"] * workload.pipeline, workload, trace, watch.asked)
    # Every answer has the same size, so the bytes that came tell whether they were the ones that were checked.
    # A last answer may have been cut by the end of the run.
    if sample and abs(figures["bytes"] / answers - sample) > 0.02 * sample + 2:
        mean = figures["bytes"] / answers
        found.fault = found.fault or f"{mean:.0f} bytes per answer under load, {sample} when asked alone"
    return found


def count(found: Turn, marks: list[float], every: int, workload: Workload, trace: Trace, asked: int) -> None:
    """Set the cost and the pace of *found*, from requests sent and CPU used between the *marks*."""
    settled = min(
        SETTLED * workload.connections * workload.pipeline // every + 1,
        bisect_right(marks, marks[0] + LATEST * (marks[-1] - marks[0])),
    )
    begin, end = marks[min(settled, len(marks) - 1)], min(marks[-1], trace.at[-1] if trace.at else 0.0)
    try:
        if begin >= end:
            raise ValueError(f"nothing was counted after {begin:.3f} s")
        sent = [between(marks, range(0, every * len(marks), every), edge) for edge in (begin, end)]
        used = [between(trace.at, trace.cpu, edge) for edge in (begin, end)]
    except ValueError:
        # Without samples of the server's CPU, or with next to no answers: all of the turn.
        found.cost = found.server_cpu / (found.answers + asked) * 1e6
        found.pace = trace.pace(marks[0], marks[-1])
    else:
        answers = sent[1] - sent[0] + asked * (end - begin) / found.seconds
        found.cost = (used[1] - used[0]) / answers * 1e6
        found.pace = trace.pace(begin, end)


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


def _cpu_since(server: Server, before: float) -> float:
    try:
        return server.cpu_seconds() - before
    except OSError:
        return 0.0


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
