"""Files of 10 KiB and 64 MiB."""

import zlib
from functools import partial
from pathlib import Path

from bench.harness.workload import Load, Unit, Workload
from rat.loadgen.judge import Judge

BIG = 64 << 20


def judge(name: str, files: Path) -> Judge:
    content = (files / name).read_bytes()
    return Judge(status=200, size=len(content), crc=zlib.crc32(content))


WORKLOADS = [
    Workload(
        "file-10k", "file of 10 KiB", "small", "/files/small.bin", partial(judge, "small.bin"), quick=True, main=True,
    ),
    Workload(
        "file-64m", "file of 64 MiB", "big", "/files/big.bin", partial(judge, "big.bin"),
        load=Load.TRANSFER, unit=Unit.GIGABYTE, connections=1, size=BIG, main=True, rounds=8, seconds=0.3,
    ),
]  # fmt: skip
