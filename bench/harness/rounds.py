"""Rounds: every peer has its turn in each, so that what disturbs a minute disturbs them all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.harness.check import check
from bench.harness.client import Client
from bench.harness.machine import Cores, Others
from bench.harness.peer import Peer
from bench.harness.results import FLOOR, Cell, as_json
from bench.harness.server import DidNotStart, Server
from bench.harness.turn import Turn
from bench.harness.workload import Load, Workload

WARM = 0.4
"""Seconds of load that a new server gets before its small requests are measured: just-in-time compilers, caches."""
FRESH = 4
"""Rounds after which servers that move large content or frames are started anew: what an allocator happened to do with
the first of it stays with a process, and made uvicorn's uploads a third cheaper in two starts of nine."""


class Fleet:
    """The servers that run at the moment, one process for each peer."""

    def __init__(self, *, files: Path, work: Path, cores: Cores) -> None:
        self._files = files
        self._work = work
        self._cores = cores
        self._running: dict[str, Server] = {}
        self.broken: dict[str, str] = {}

    def get(self, peer: Peer, workload: Workload) -> Server | None:
        """The peer's server, started if need be; None when it does not start, which ``broken`` then tells."""
        if peer.name in self.broken:
            return None
        server = self._running.get(peer.name)
        if server is not None and server.process.poll() is None:
            return server
        if server is not None:
            server.close()
        try:
            self._running[peer.name] = server = Server(
                peer,
                python=sys.executable,
                files=self._files,
                work=self._work,
                floor=workload.floor_kind,
                core=self._cores.server,
            )
        except (DidNotStart, OSError) as error:
            self.broken[peer.name] = str(error)
            return None
        return server

    def retire(self, peer: Peer) -> None:
        """Stop its server: the next turn starts another."""
        self._running.pop(peer.name).close()

    def close(self) -> None:
        """Stop them all: what one workload left behind in a process is not the cost of the next."""
        for server in self._running.values():
            server.process.terminate()
        for server in self._running.values():
            server.close()
        self._running.clear()


def measure(
    workload: Workload,
    peers: list[Peer],
    fleet: Fleet,
    client: Client,
    *,
    cores: Cores,
    rounds: int,
    most: int | None = None,
    seconds: float,
    threshold: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Run one workload: *rounds* rounds, and up to *most* for peers whose turns were disturbed.

    The rows are still to be made: what a whole core can do is known when all is done.
    """
    cells: list[Cell] = []
    wrong: set[str] = set()
    restless: set[str] = set()
    if rounds > 1 and workload.load is Load.HTTP:
        for peer in peers:
            say(f"{workload.title}: warming up {peer.name}")
            if server := fleet.get(peer, workload):
                client.run(server, workload, WARM)
    for number in range(max(rounds, most or 0)):
        # After the planned rounds only those go on that have too few calm turns, and the floor they are compared with.
        due = peers if number < rounds else _short_of_calm(cells, peers, wrong, rounds, threshold)
        if not due:
            break
        if number % FRESH == 0 and workload.load in (Load.TRANSFER, Load.FRAMES):
            fleet.close()
        for peer in due if workload.load is Load.IDLE else _with_second_floor(due):
            if peer.name in wrong:
                continue
            server = fleet.get(peer, workload)
            if server is None:
                wrong.add(peer.name)
                continue
            say(f"{workload.title}: round {number + 1}, {peer.name}")
            turn, share = _turn(workload, server, client, cores, number, seconds)
            cells.append(_cell(peer, number, turn, share))
            if turn.fault:
                wrong.add(peer.name)
            if workload.load is Load.IDLE:
                fleet.retire(peer)
            elif workload.load is Load.EVENTS and not server.settle():
                # One that goes on for subscribers that have left takes the core from those whose turn it is.
                restless.add(peer.name)
                fleet.retire(peer)
    return {
        "title": workload.title,
        "unit": workload.unit.value,
        "connections": workload.connections,
        "pipeline": workload.pipeline,
        "rounds": rounds,
        "seconds": seconds,
        "client": "wrk" if workload.load is Load.HTTP and client.wrk else "rat bench",
        "restless": sorted(restless),
        "cells": [as_json(cell) for cell in cells],
    }


def _with_second_floor(peers: list[Peer]) -> list[Peer]:
    """*peers*, the floor once more amid the others: every ratio rests on its turns."""
    half = 1 + len(peers) // 2
    return [*peers[:half], *(peer for peer in peers if peer.name == FLOOR), *peers[half:]]


def _turn(
    workload: Workload, server: Server, client: Client, cores: Cores, number: int, seconds: float
) -> tuple[Turn, float]:
    """One turn, answers checked before and after, and the share of the cores that others took meanwhile."""
    # The client that moves large content reads all of it, and asking beside that takes longer than it does.
    checked = workload.load is not Load.TRANSFER or number % FRESH == 0
    if checked and (fault := check(workload, server.port, client.files, turn=number)):
        return Turn(fault=fault), 0.0
    others = Others(cores)
    before = _cpu(server)
    turn = client.run(server, workload, seconds)
    share = others.share(server=_cpu(server) - before, client=turn.client_cpu)
    if turn.fault is None and checked and workload.load is not Load.IDLE:
        turn.fault = check(workload, server.port, client.files, turn=number + 50)
    return turn, share


def _short_of_calm(cells: list[Cell], peers: list[Peer], wrong: set[str], rounds: int, threshold: float) -> list[Peer]:
    calm: dict[str, int] = {}
    for cell in cells:
        calm[cell.peer] = calm.get(cell.peer, 0) + (cell.others <= threshold and not cell.fault)
    short = [peer for peer in peers if peer.name not in wrong and calm.get(peer.name, 0) < rounds]
    if short and short[0].name != FLOOR:
        short = [peer for peer in peers if peer.name == FLOOR] + short
    return short


def _cpu(server: Server) -> float:
    try:
        return server.cpu_seconds()
    except OSError:
        return 0.0


def _cell(peer: Peer, number: int, turn: Turn, others: float) -> Cell:
    return Cell(
        peer=peer.name,
        round=number,
        cost=turn.cost,
        answers=turn.answers,
        seconds=turn.seconds,
        rate=turn.rate,
        server_cpu=turn.server_cpu,
        client_cpu=turn.client_cpu,
        client_full=turn.client_full,
        others=others,
        fault=turn.fault,
        p50=turn.latency.get("p50"),
        p99=turn.latency.get("p99"),
        memory=turn.memory,
        pace=turn.pace,
    )


class Progress:
    """One line on standard error, written over; a line for each workload when that is no terminal."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        self._last = ""

    def __call__(self, text: str) -> None:
        passed = time.monotonic() - self._started
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{passed:5.0f} s  {text}")
            sys.stderr.flush()
        elif (title := text.partition(":")[0]) != self._last:
            self._last = title
            print(f"{passed:5.0f} s  {title}", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
