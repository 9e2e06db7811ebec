"""Load of large content: one transfer at a time, from server to server, by the process of ``transfer_client``.

So a turn is as short as a transfer, and servers meet the same of what changes from one second to the next.
"""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.harness.environment import started
from bench.harness.machine import Others
from bench.harness.server import Server
from bench.harness.turn import Turn
from bench.harness.workload import Workload
from rat.loadgen.processes import cpu_of

if TYPE_CHECKING:
    from bench.harness.client import Client

EACH_SECOND = 10
"""Transfers for each second that a turn is to take."""
LEAST = 3
"""Transfers that a new server has alone, however slow it is."""
REST = 0.002
"""Seconds that a server gets after a transfer, for what it does behind its answer."""
FULL = 0.95
"""The share of its core above which the client is the bottleneck."""
ENDING = 5.0
GB = 1e9


class Transfers:
    """The client's process, for one workload.  Use as a context manager, or call close()."""

    def __init__(self, workload: Workload, files: Path, core: int | None) -> None:
        self.workload = workload
        self._process = started("bench.harness.transfer_client", core)
        self._send((workload, files))

    def one(self, server: Server, *, paced: bool) -> tuple[float, str | None]:
        """One transfer, to its end: seconds, and what was wrong with it.  Raises EOFError when the process is gone."""
        assert self._process.stdout
        self._send((server.port, paced))
        done: tuple[float, str | None] = pickle.load(self._process.stdout)
        return done

    def cpu_seconds(self) -> float:
        """CPU time of the process.  Raises OSError when it is gone."""
        return cpu_of(self._process.pid)

    def _send(self, order: object) -> None:
        assert self._process.stdin
        pickle.dump(order, self._process.stdin)
        self._process.stdin.flush()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(ENDING)
        self._process.stdout.close()

    def __enter__(self) -> Transfers:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def alone(transfers: Transfers, server: Server, seconds: float) -> Turn:
    """Transfers as fast as both sides can, which warm the server up: rates and latencies, and no cost."""
    took: list[float] = []
    used, began = transfers.cpu_seconds(), time.monotonic()
    while len(took) < LEAST or time.monotonic() - began < seconds:
        passed, fault = transfers.one(server, paced=False)
        if fault:
            return Turn(fault=fault)
        took.append(passed)
    used = transfers.cpu_seconds() - used
    return Turn(
        answers=len(took),
        seconds=sum(took),
        rate=transfers.workload.size / median(took),
        client_cpu=used,
        client_full=used > FULL * sum(took),
        latency={"p50": median(took), "p99": max(took)},
    )


def in_turns(
    client: Client, order: list[Server], workload: Workload, seconds: float, first: dict[str, Turn]
) -> list[tuple[Server, Turn, float]]:
    """A round: some transfers of each server, one at a time; one that comes twice in the *order* has twice as many.

    *first*: what each gave alone, by names.  With each turn the share of the cores that others took in this round.
    """
    transfers = client.transfer_client(workload)
    turns = {server: Turn() for server in order}
    stretches: dict[Server, list[tuple[float, float]]] = {server: [] for server in turns}
    others = Others(client.cores)
    for _ in range(max(2, round(EACH_SECOND * seconds))):
        for server in order:
            turn = turns[server]
            if turn.fault:
                continue
            # What a server does while others have their turns is no part of the cost.
            began, used, own = time.monotonic(), server.cpu_or_nothing(), transfers.cpu_seconds()
            passed, turn.fault = transfers.one(server, paced=True)
            time.sleep(REST)
            turn.server_cpu += server.cpu_or_nothing() - used
            turn.client_cpu += transfers.cpu_seconds() - own
            turn.seconds += passed
            turn.answers += not turn.fault
            stretches[server].append((began, time.monotonic()))
    share = others.share(
        server=sum(turn.server_cpu for turn in turns.values()), client=sum(turn.client_cpu for turn in turns.values())
    )
    for server, turn in turns.items():
        if turn.answers:
            turn.cost = turn.server_cpu / (turn.answers * workload.size / GB)
        turn.pace = client.pace.of(stretches[server])
        fast = first[server.peer.name]
        turn.rate, turn.latency, turn.client_full = fast.rate, fast.latency, fast.client_full
    return [(server, turn, share) for server, turn in turns.items()]
