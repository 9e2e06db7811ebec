"""The client's side: wrk for small requests where it is installed, ``rat bench`` for all else."""

from __future__ import annotations

import importlib
import json
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from bench.harness import transfers, wrk
from bench.harness.check import ask, requests_of
from bench.harness.fork_server import ForkServer
from bench.harness.machine import Cores
from bench.harness.pace import Pace
from bench.harness.results import FLOOR
from bench.harness.server import Server
from bench.harness.transfer_client import SPEED
from bench.harness.turn import Turn
from bench.harness.workload import Load, Unit, Workload
from rat.cli.bench import RECORD

GB = 1e9
RECORD_SIZE = 200
CALM = 0.3
"""Seconds that a server is left alone before its memory is read."""


class Client:
    """Puts load on servers, from the client's core."""

    def __init__(self, *, files: Path, work: Path, cores: Cores, pace: Pace, wrk: bool | None = None) -> None:
        """*wrk*: False never to use it, True to insist, None to use it where it is installed."""
        self.files = files
        self.work = work
        self.wrk = shutil.which("wrk") is not None if wrk is None else wrk
        self.cores = cores
        self.pace = pace
        self._forks = ForkServer(cores.client)
        self._transfers: transfers.Transfers | None = None

    def close(self) -> None:
        """End what clients are forked from, and the one of large content."""
        self._forks.close()
        if self._transfers:
            self._transfers.close()

    def transfer_client(self, workload: Workload) -> transfers.Transfers:
        """The client of large content, started anew for each workload."""
        if self._transfers and self._transfers.workload is not workload:
            self._transfers.close()
            self._transfers = None
        if self._transfers is None:
            self._transfers = transfers.Transfers(workload, self.files, self.cores.client)
        return self._transfers

    def name_for(self, workload: Workload) -> str:
        """What makes the load, for the result file: costs under another are not the same thing."""
        if workload.load is Load.TRANSFER:
            return f"reader at {SPEED / GB:g} GB/s" if not workload.content else "one sender"
        return "wrk" if workload.load is Load.HTTP and self.wrk else "rat bench"

    def takes_turns(self, workload: Workload) -> bool:
        """Whether all servers of a round have their turns side by side."""
        return workload.load is Load.TRANSFER or (workload.load is Load.HTTP and self.wrk)

    def side_by_side(
        self, order: list[Server], workload: Workload, seconds: float, number: int, first: dict[str, Turn]
    ) -> list[tuple[Server, Turn, float]]:
        """Round *number*: see ``wrk.in_slices`` and ``transfers.in_turns``."""
        if workload.load is Load.TRANSFER:
            return transfers.in_turns(self, order, workload, seconds, first)
        return wrk.in_slices(self, order, workload, seconds, number, first)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def run(self, server: Server, workload: Workload, seconds: float) -> Turn:
        """One turn.  Never raises for what the server does: that is the turn's fault."""
        if workload.load is Load.IDLE:
            return self._idle(server, workload)
        if workload.load is Load.TRANSFER:
            return transfers.alone(self.transfer_client(workload), server, seconds)
        if workload.load is Load.HTTP and self.wrk:
            return wrk.turn(self, server, workload, seconds)
        turn = self._rat_bench(server, workload, seconds)
        # What it measures ends shortly before it does, and comes after its start and its warming up.
        end = time.monotonic()
        turn.pace = self.pace.of([(end - turn.seconds, end)])
        return turn

    def _rat_bench(self, server: Server, workload: Workload, seconds: float) -> Turn:
        if workload.load is Load.EVENTS:
            return self._events(server, workload, seconds)
        if workload.load is Load.FRAMES:
            return self._frames(server, workload, seconds)
        return self._own(server, workload, seconds)

    def _fork(self, module: str, arguments: list[str]) -> tuple[Turn, dict[str, Any]]:
        """The turn that a client in Python made of it, and all that it printed."""
        out, err = self.work / "client.out", self.work / "client.err"
        _, cpu = self._forks.run(module, arguments, out, err)
        return _from_json(out.read_text(), err.read_text(), cpu)

    def _own(self, server: Server, workload: Workload, seconds: float) -> Turn:
        judge = workload.judge(self.files)
        command = [server.url + workload.path, "--json", "-c", str(workload.connections)]
        command += ["-d", str(seconds), "-p", str(workload.pipeline), "--server-pid", str(server.process.pid)]
        command += ["--expect-status", "200", "--vary", "--warmup", "0.1"]
        if workload.browser:
            command += ["--browser"]
        if workload.content:
            (self.work / "content").write_bytes(workload.content(0))
            command += ["--body", str(self.work / "content"), "-H", "Content-Type: application/json"]
        if judge.content is not None:
            (self.work / "expected").write_bytes(judge.content)
            command += ["--expect-body", str(self.work / "expected")]
        if judge.value is not None:
            (self.work / "expected").write_text(json.dumps(judge.value))
            command += ["--expect-json", str(self.work / "expected")]
        if judge.size is not None:
            command += ["--expect-size", str(judge.size)]
        if judge.crc is not None:
            command += ["--expect-crc", f"{judge.crc:x}"]
        turn, figures = self._fork("rat.cli.bench", command)
        if figures and figures["answers"]:
            turn.answers = figures["answers"]
            turn.rate = figures["answers_per_second"]
            turn.cost = turn.server_cpu / turn.answers * 1e6
        return turn

    def _events(self, server: Server, workload: Workload, seconds: float) -> Turn:
        command = ["sse", server.url + workload.path, "--json", "-d", str(seconds)]
        command += ["--clients", str(workload.connections), "--warmup", "0.3", "--server-pid", str(server.process.pid)]
        turn, figures = self._fork("rat.cli.bench", command)
        if figures:
            turn.answers = figures["events"]
            turn.rate = figures["events_per_second"]
            turn.memory = figures["memory_per_client"]
            if figures["events"]:
                turn.cost = turn.server_cpu / figures["events"] * 1e6
            # Ten events a second to each.  On a crowded machine a server may fall behind and still be right, so only
            # half is asked for: one that drops events has gaps.
            least = workload.connections * seconds * 5
            if figures["gaps"] or figures["silent"]:
                turn.fault = turn.fault or f"{figures['gaps']} gaps, {figures['silent']} subscribers without an event"
            elif figures["events"] < least:
                turn.fault = turn.fault or f"{figures['events']} events delivered, at least {least:.0f} expected"
        return turn

    def _frames(self, server: Server, workload: Workload, seconds: float) -> Turn:
        mode = workload.extra.get("mode")
        if mode and not server.peer.client:
            command = [
                mode,
                str(server.port),
                "--size",
                str(workload.size),
                "--call",
                "" if server.peer.name == FLOOR else workload.path,
            ]
            command += ["-d", str(seconds), "--server-pid", str(server.process.pid)]
            return self._calls("bench.harness.blob_client", command, workload)
        if server.peer.client:
            command = [server.peer.client, str(server.port), "--in-flight", str(workload.pipeline), "-d", str(seconds)]
            if mode == "items":
                command.append("--stream")
            command += ["--server-pid", str(server.process.pid)]
            return self._calls("bench.harness.rpc_client", command, workload)
        command = ["frames", f"127.0.0.1:{server.port}", "--json"]
        command += ["-d", str(seconds), "-c", str(workload.connections), "-p", str(workload.pipeline)]
        command += ["--server-pid", str(server.process.pid)]
        if server.peer.name == FLOOR:
            # It sends back what it was sent.
            call = expected = b"\0" * RECORD_SIZE
        elif server.peer.name == "msgpack-streams":
            msgpack = importlib.import_module("msgpack")
            call, expected = msgpack.packb(["echo", [RECORD]]), msgpack.packb(RECORD)
        else:
            call = expected = b""
        if call:
            (self.work / "call").write_bytes(call)
            (self.work / "expected").write_bytes(expected)
            command += ["--payload", str(self.work / "call"), "--expect-body", str(self.work / "expected")]
        else:
            (self.work / "expected").write_text(json.dumps(RECORD))
            command += ["--call", workload.path, "--expect-json", str(self.work / "expected")]
        return self._calls("rat.cli.bench", command, workload)

    def _calls(self, module: str, command: list[str], workload: Workload) -> Turn:
        turn, figures = self._fork(module, command)
        if figures and figures["answers"]:
            turn.answers = figures["answers"]
            turn.rate = figures["answers_per_second"]
            turn.cost = turn.server_cpu / turn.answers * 1e6
            if workload.unit is Unit.GIGABYTE:
                turn.rate = figures["content_bytes"] / turn.seconds
                turn.cost = turn.server_cpu / (figures["content_bytes"] / GB)
        return turn

    def _idle(self, server: Server, workload: Workload) -> Turn:
        hello = workload.extra.get("hello")
        requests = [hello] if hello else requests_of(workload, server.url)
        judge = workload.judge(self.files)
        # Once beforehand: modules that load late, and the allocator's first arenas, are not the connections' cost.
        with _Connections(server.port, 50) as warm:
            warm.ask(requests)
            time.sleep(CALM)
        time.sleep(CALM)
        before = server.resident_bytes()
        with _Connections(server.port, workload.connections) as connections:
            missing = connections.ask(requests)
            time.sleep(CALM)
            after = server.resident_bytes()
            fault = None if hello else ask(server.port, requests[:4], judge)
        if missing:
            fault = fault or f"{missing} of {workload.connections} connections were not answered"
        cost = (after - before) / workload.connections / 1024
        return Turn(cost=max(cost, 0.0), answers=workload.connections, seconds=2 * CALM, fault=fault)


def _from_json(output: str, errors: str, cpu: float) -> tuple[Turn, dict[str, Any]]:
    try:
        figures: dict[str, Any] = json.loads(output)
    except ValueError:
        return Turn(fault=f"rat bench: {(errors or output).strip()[-200:]}"), {}
    turn = Turn(
        seconds=figures["seconds"],
        server_cpu=figures["server_cpu"] or 0.0,
        client_cpu=cpu,
        client_full=figures["client_full"],
        latency={key: value for key, value in (figures["latency"] or {}).items() if key in ("p50", "p99")},
    )
    faults = [f"{times} x {text}" for text, times in figures["faults"].items()]
    if figures.get("unanswered"):
        faults.append(f"{figures['unanswered']} requests unanswered")
    if faults:
        turn.fault = "; ".join(faults)[:300]
    elif not figures.get("answers", figures.get("events")):
        turn.fault = "no answers"
    return turn, figures


class _Connections:
    """Many connections held open by this process."""

    def __init__(self, port: int, count: int) -> None:
        self._sockets: list[socket.socket] = []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), 5.0)
            self._sockets.append(connection)

    def ask(self, requests: list[bytes]) -> int:
        """One request on each connection, one after the other; how many were not answered."""
        missing = 0
        for number, connection in enumerate(self._sockets):
            try:
                connection.sendall(requests[number % len(requests)])
                answer = connection.recv(65536)
                # To a HELLO a HELLO: its length, which is small, and its kind.
                missing += not (answer.startswith(b"HTTP/1.1 200") or answer[:2] + answer[4:6] == b"\0\0\1\0")
            except OSError:
                missing += 1
        return missing

    def __enter__(self) -> _Connections:
        return self

    def __exit__(self, *exc: object) -> None:
        for connection in self._sockets:
            connection.close()
