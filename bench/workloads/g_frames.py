"""DataValue frames: a record of 200 bytes echoed, 64 in flight on one connection; streams, blobs."""

from pathlib import Path
from typing import Any

from bench.harness.workload import Load, Unit, Workload
from rat.codec.frame import Kind, pack_frame
from rat.config import FrameLimits
from rat.frames.settings import offer, pack_hello
from rat.loadgen.judge import Judge


def _none(files: Path) -> Judge:
    """The client reads every frame itself."""
    return Judge()


def _large(name: str, title: str, asks: str, path: str, mode: str, size: int, **more: Any) -> Workload:
    return Workload(name, title, asks, path, _none, load=Load.FRAMES, unit=Unit.GIGABYTE, connections=1, size=size,
                    rounds=12, extra={"mode": mode}, **more)  # fmt: skip


WORKLOADS = [
    Workload(
        "frames", "calls over frames, async handler", "frames", "echo", _none, load=Load.FRAMES,
        floor="frames", connections=1, pipeline=64, main=True, rounds=12,
    ),
    Workload(
        "frames-plain", "calls over frames, plain handler", "frames-plain", "echo-plain", _none,
        load=Load.FRAMES, floor="frames", connections=1, pipeline=64, main=True, rounds=12,
    ),
    Workload(
        "items", "records that an async generator streams", "items", "records", _none, load=Load.FRAMES, floor="items",
        connections=1, main=True, rounds=8, extra={"mode": "items"},
    ),
    Workload(
        "frames-idle", "memory of an idle connection of frames", "frames", "", _none, load=Load.IDLE,
        unit=Unit.CONNECTION, connections=2000, rounds=2,
        extra={"hello": pack_frame(Kind.HELLO, 0, 0, pack_hello(offer(FrameLimits(), frozenset())))},
    ),
    _large("blobs", "calls with blobs of 1 MiB, as views", "blobs", "blob", "values", 1 << 20, main=True),
    _large("blob-sums", "blobs of 1 MiB, checksum and credit", "blob-streams", "blob-stream", "streams", 1 << 20,
           main=True),
    _large("receive-1k", "receiving frames of 1 KiB", "receive", "", "receive", 1 << 10),
    _large("receive-1m", "receiving frames of 1 MiB", "receive", "", "receive", 1 << 20),
]  # fmt: skip
