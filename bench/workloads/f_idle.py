"""Memory of connections that have asked once and wait."""

from pathlib import Path

from bench.harness.workload import Load, Unit, Workload
from rat.loadgen.judge import Judge


def judge(files: Path) -> Judge:
    return Judge(status=200, content=b"Hello, World!")


WORKLOADS = [
    Workload(
        "idle", "memory of an idle connection", "idle", "/", judge, load=Load.IDLE, unit=Unit.CONNECTION,
        floor="hello", connections=2000, rounds=2,
    ),
]  # fmt: skip
