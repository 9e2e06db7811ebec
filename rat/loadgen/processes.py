"""CPU time and memory of a server's processes, and of everybody else's, from the kernel.

Knows nothing of HTTP.  Linux; elsewhere the functions raise OSError and the callers go without.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MachineCpu", "cpu_of", "cpu_seconds", "descendants", "machine_cpu", "resident_bytes"]

_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def descendants(pid: int) -> list[int]:
    """*pid* and all processes below it.  Raises OSError when there is no such process."""
    found = [pid]
    os.stat(f"/proc/{pid}")
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in task.read_text().split())
            except OSError:
                continue
    return found


def cpu_of(pid: int) -> float:
    """User and system CPU time of the process *pid* alone.  Raises OSError when there is none."""
    # The clock of another process: clockid_t is ~pid << 3 with 2 (CPUCLOCK_SCHED) in the low bits, see
    # clock_getcpuclockid(3).  Nanoseconds, where /proc/PID/stat counts in ticks of 10 ms.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK


def cpu_seconds(pid: int) -> float:
    """User and system CPU time of *pid* and of its living descendants.

    Raises OSError when there is no such process.
    """
    total = 0.0
    for process in descendants(pid):
        try:
            total += cpu_of(process)
        except OSError:
            if process == pid:
                raise
    return total


def resident_bytes(pid: int) -> int:
    """Resident memory of *pid* and its descendants; pages shared between them count once (PSS) where the kernel tells.

    Raises OSError when there is no such process.
    """
    total = 0
    processes = descendants(pid)
    for process in processes:
        try:
            total += _proportional(process) if len(processes) > 1 else _resident(process)
        except OSError:
            if process == pid:
                raise
    return total


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return _resident(pid)  # a kernel without smaps_rollup
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@dataclass(frozen=True, slots=True)
class MachineCpu:
    """CPU seconds of the whole machine since its start."""

    busy: float
    total: float

    def __sub__(self, earlier: MachineCpu) -> MachineCpu:
        return MachineCpu(self.busy - earlier.busy, self.total - earlier.total)


def machine_cpu(cores: Sequence[int] | None = None) -> MachineCpu:
    """Read /proc/stat, for *cores* or for all.  Time stolen by other guests of the host counts as busy.

    Raises OSError where there is no /proc/stat.
    """
    wanted = {"cpu"} if cores is None else {f"cpu{core}" for core in cores}
    busy = total = 0.0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *figures = line.split()
        if name in wanted:
            user, nice, system, idle, iowait, irq, softirq, steal = (int(figure) / _TICK for figure in figures[:8])
            at_work = user + nice + system + irq + softirq + steal
            busy += at_work
            total += at_work + idle + iowait
    return MachineCpu(busy, total)
