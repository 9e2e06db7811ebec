"""Event streams to 1,000 subscribers, ten events a second."""

from bench.harness.workload import Load, Unit, Workload
from rat.loadgen.judge import Judge

WORKLOADS = [
    Workload(
        "sse", "events to 1,000 subscribers", "events", "/events", lambda files: Judge(), load=Load.EVENTS,
        unit=Unit.EVENT, connections=1000, main=True, quick=True, rounds=4, seconds=0.8,
    ),
]  # fmt: skip
