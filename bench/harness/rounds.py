"""Rounds: every peer has its turn in each, so that what disturbs a minute disturbs them all."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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

ALONE = 0.4
"""Seconds of load that a new server gets for itself before its small requests or large content are measured:
just-in-time compilers, caches, windows."""
LEAST = 2
"""Rounds that there are however little time is left."""
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


@dataclass(frozen=True, slots=True)
class Plan:
    """At most so many *rounds* of turns of so many *seconds*, and no more than are over after about *part* seconds.

    But two there are, for one tells nothing of how well it is known; unless the first took longer than all should.
    """

    rounds: int
    seconds: float
    part: float = math.inf

    def goes_on(self, number: int, took: float, passed: float) -> bool:
        """Whether there is a round of this number, *passed* seconds from the start, when the last *took* so many."""
        if number < LEAST:
            return number < self.rounds and took <= self.part
        return number < self.rounds and passed + took / 2.0 < self.part


def measure(
    workload: Workload, peers: list[Peer], fleet: Fleet, client: Client, plan: Plan, say: Callable[[str], None]
) -> dict[str, Any]:
    """Run one workload.  The rows are still to be made."""
    series = _Series(workload, peers, fleet, client, plan.seconds, say)
    started = time.monotonic()
    together = client.takes_turns(workload)
    if together:
        series.alone()
    number, took = 0, 0.0
    while plan.goes_on(number, took, time.monotonic() - started):
        began = time.monotonic()
        if number and number % FRESH == 0 and workload.load in (Load.TRANSFER, Load.FRAMES):
            fleet.close()
            if together:
                series.alone()
        if together:
            series.in_slices(number)
        else:
            series.one_by_one(number)
        number, took = number + 1, time.monotonic() - began
    return {
        "title": workload.title,
        "unit": workload.unit.value,
        "connections": workload.connections,
        "pipeline": workload.pipeline,
        "rounds": number,
        "seconds": plan.seconds,
        "client": client.name_for(workload),
        "slices": together,
        "restless": sorted(series.restless),
        "cells": [as_json(cell) for cell in series.cells],
    }


class _Series:
    """The rounds of one workload: its turns so far, and who is out of it."""

    def __init__(
        self,
        workload: Workload,
        peers: list[Peer],
        fleet: Fleet,
        client: Client,
        seconds: float,
        say: Callable[[str], None],
    ) -> None:
        self._workload = workload
        self._peers = peers
        self._fleet = fleet
        self._client = client
        self._seconds = seconds
        self._say = say
        self._first: dict[str, Turn] = {}
        self._warm: set[Server] = set()
        self._wrong: set[str] = set()
        self.cells: list[Cell] = []
        self.restless: set[str] = set()

    def _due(self) -> Iterator[tuple[Peer, Server]]:
        """Who takes part in a round, in order, the floor once more amid the others: every ratio rests on its turns."""
        peers = self._peers
        half = 1 + len(peers) // 2
        if self._workload.load is not Load.IDLE:
            peers = [*peers[:half], *(peer for peer in peers if peer.name == FLOOR), *peers[half:]]
        for peer in peers:
            if peer.name in self._wrong:
                continue
            server = self._fleet.get(peer, self._workload)
            if server is None:
                self._wrong.add(peer.name)
            else:
                yield peer, server

    def _note(self, peer: Peer, number: int, turn: Turn, others: float) -> None:
        self.cells.append(_cell(peer, number, turn, others))
        if turn.fault:
            self._wrong.add(peer.name)

    def alone(self) -> None:
        """What each gives with both cores for itself: it is warmed up, its answers are read, rates and latencies come
        from here."""
        for peer, server in self._due():
            if server not in self._warm:
                self._say(f"{self._workload.title}: {peer.name} alone")
                self._warm.add(server)
                turn = self._client.run(server, self._workload, max(ALONE, peer.warm))
                self._first.setdefault(peer.name, turn)
                if turn.fault:
                    self._note(peer, 0, turn, 0.0)

    def in_slices(self, number: int) -> None:
        """A round in which all servers have their turns side by side."""
        self._say(f"{self._workload.title}: round {number + 1}")
        work, client = self._workload, self._client
        order = [server for peer, server in self._due() if not self._is_wrong(peer, server, number)]
        turns = client.side_by_side(order, work, self._seconds, number, self._first) if order else []
        for server, turn, others in turns:
            if work.load is Load.HTTP:
                turn.fault = turn.fault or check(work, server.port, client.files, turn=number + 50)
            self._note(server.peer, number, turn, others)

    def _is_wrong(self, peer: Peer, server: Server, number: int) -> bool:
        if self._workload.load is Load.TRANSFER:
            return False  # the client of large content reads all of it
        if fault := check(self._workload, server.port, self._client.files, turn=number):
            self._note(peer, number, Turn(fault=fault), 0.0)
        return bool(fault)

    def one_by_one(self, number: int) -> None:
        """A round in which one server has its turn after the other."""
        for peer, server in self._due():
            self._say(f"{self._workload.title}: round {number + 1}, {peer.name}")
            self._note(peer, number, *self._turn(server, number))
            if self._workload.load is Load.IDLE:
                self._fleet.retire(peer)
            elif self._workload.load is Load.EVENTS and not server.settle():
                # One that goes on for subscribers that have left takes the core from those whose turn it is.
                self.restless.add(peer.name)
                self._fleet.retire(peer)

    def _turn(self, server: Server, number: int) -> tuple[Turn, float]:
        """One turn, answers checked before and after, and the share of the cores that others took meanwhile."""
        workload, files = self._workload, self._client.files
        if fault := check(workload, server.port, files, turn=number):
            return Turn(fault=fault), 0.0
        others = Others(self._client.cores)
        before = server.cpu_or_nothing()
        turn = self._client.run(server, workload, self._seconds)
        share = others.share(server=server.cpu_or_nothing() - before, client=turn.client_cpu)
        if turn.fault is None and workload.load is not Load.IDLE:
            turn.fault = check(workload, server.port, files, turn=number + 50)
        return turn, share


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
