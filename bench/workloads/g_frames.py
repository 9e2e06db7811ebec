"""Calls over DataValue frames: a record of 200 bytes echoed, 64 in flight on one connection."""

from bench.harness.workload import Load, Workload
from rat.loadgen.judge import Judge

WORKLOADS = [
    Workload(
        "frames", "calls over frames, async handler", "frames", "echo", lambda files: Judge(), load=Load.FRAMES,
        floor="frames", connections=1, pipeline=64, main=True, rounds=8,
    ),
    Workload(
        "frames-plain", "calls over frames, plain handler", "frames-plain", "echo-plain", lambda files: Judge(),
        load=Load.FRAMES, floor="frames", connections=1, pipeline=64, main=True, rounds=8,
    ),
]  # fmt: skip
