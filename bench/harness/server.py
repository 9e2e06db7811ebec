"""One server process (and its children): started on a free port, pinned to a core, stopped when done."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from bench.harness.environment import ROOT
from bench.harness.peer import Peer, Start
from rat.loadgen.processes import cpu_seconds, descendants, resident_bytes

START_WAIT = 15.0
STOP_WAIT = 3.0
CALM_WAIT = 3.0
LOOK = 0.1
"""Seconds over which a server's CPU time is looked at: as long as one event of an application takes to come round."""
CALM = 0.05
"""The share of a core below which a server is at rest."""


class DidNotStart(Exception):
    """A server that did not listen in time or ended at once; the text says what it wrote."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A running peer.  Use as a context manager, or call close()."""

    def __init__(self, peer: Peer, *, python: str, files: Path, work: Path, floor: str, core: int | None) -> None:
        """Raises DidNotStart."""
        self.peer = peer
        self.port = free_port()
        self._log = work / f"{peer.name}-{self.port}.log"
        start = Start(python, self.port, files, work, floor)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("BENCH_TREE"), str(ROOT)))),
            "PYTHONHASHSEED": "0",
            "BENCH_PORT": str(self.port),
            "BENCH_FILES": str(files),
            **peer.variables(start),
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                peer.command(start),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=work,  # not the root: `python -m` looks there first, and BENCH_TREE may name another tree
                start_new_session=True,
            )
        if core is not None:
            # Children inherit it: the process has hardly begun.
            os.sched_setaffinity(self.process.pid, {core})
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_WAIT
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise DidNotStart(f"ended with {self.process.returncode}: {self.tail()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
            except OSError:
                time.sleep(0.02)
            else:
                time.sleep(self.peer.late)
                return
        self.close()
        raise DidNotStart(f"did not listen within {START_WAIT:.0f} s: {self.tail()}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """CPU time of the process and its children.  Raises OSError when it has ended."""
        return cpu_seconds(self.process.pid)

    def cpu_or_nothing(self) -> float:
        """The same; 0 when it has ended, which its turn tells otherwise."""
        try:
            return self.cpu_seconds()
        except OSError:
            return 0.0

    def processes(self) -> list[int]:
        """The process and its descendants; none when it has ended."""
        try:
            return descendants(self.process.pid)
        except OSError:
            return []

    def settle(self, patience: float = CALM_WAIT) -> bool:
        """Wait until it is at rest; False when it is still busy *patience* seconds after its clients have left."""
        deadline = time.monotonic() + patience
        try:
            used = self.cpu_seconds()
            while time.monotonic() < deadline:
                time.sleep(LOOK)
                before, used = used, self.cpu_seconds()
                if used - before <= CALM * LOOK:
                    return True
        except OSError:
            return True  # it has ended, which the next turn will tell
        return False

    def resident_bytes(self) -> int:
        """Resident memory of the process and its children."""
        return resident_bytes(self.process.pid)

    def tail(self) -> str:
        """The last line that it wrote."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "it wrote nothing"

    def close(self) -> None:
        """Ask it to end, then insist.  Its own process group only."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_WAIT)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        else:
            self.process.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
