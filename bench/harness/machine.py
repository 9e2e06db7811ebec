"""The machine: what it is, which cores are whose, and how much of them others took."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
import shutil
import socket
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.harness.peer import Peer
from rat.loadgen.processes import MachineCpu, machine_cpu


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core the servers have, and which the client; None on a machine with a single one."""

    server: int | None
    client: int | None

    @property
    def used(self) -> list[int] | None:
        return None if self.server is None or self.client is None else [self.server, self.client]


def choose_cores() -> Cores:
    """The last two of those that this process may use: interrupts favour the first."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return Cores(None, None)
    return Cores(allowed[-1], allowed[-2])


class Others:
    """The share of the two cores' time that neither server nor client took, from /proc/stat."""

    def __init__(self, cores: Cores) -> None:
        self._cores = cores.used
        self._started = machine_cpu(self._cores)
        self._own = _own_cpu()

    def share(self, *, server: float, client: float) -> float:
        """0 to 1, since this object was made; *server* and *client* are CPU seconds of the two sides since then."""
        passed: MachineCpu = machine_cpu(self._cores) - self._started
        own = _own_cpu() - self._own
        return max(0.0, passed.busy - server - client - own) / passed.total if passed.total else 0.0


def _own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def describe() -> dict[str, Any]:
    """The machine, for the result file."""
    return {
        "name": re.sub(r"[^A-Za-z0-9.-]+", "-", socket.gethostname()) or "machine",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "virtual": _is_virtual(),
    }


def _processor() -> str:
    match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return match[1] if match else platform.processor()


def _is_virtual() -> bool:
    return " hypervisor" in Path("/proc/cpuinfo").read_text()


def versions(peers: list[Peer]) -> dict[str, str]:
    """Versions of what takes part."""
    found: dict[str, str] = {}
    for peer in peers:
        for name in peer.needs:
            found[name] = metadata.version(name)
        if peer.binary and shutil.which(peer.binary[0]):
            found[peer.binary[0]] = _first_number(*peer.binary)
    try:
        found["rat-server"] = metadata.version("rat-server")
    except metadata.PackageNotFoundError:
        found["rat-server"] = "from the tree"
    if shutil.which("wrk"):
        found["wrk"] = _first_number("wrk", "-v")
    return dict(sorted(found.items()))


def distributions(names: Iterable[str]) -> dict[str, str]:
    """The versions of those that are installed."""
    found = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _first_number(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    match = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return match[0] if match else "unknown"


def commit(tree: Path) -> str:
    """The commit of *tree*, with a plus when files differ from it; empty when it is none."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=tree, capture_output=True, text=True, check=True, timeout=10
        )
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no", "rat"],
            cwd=tree, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")
