"""Content of 64 MiB in both directions, never held: an upload that is counted, an answer in chunks.  Small events."""

import zlib
from pathlib import Path

from bench.harness.workload import Load, Unit, Workload
from bench.peers.apps.common import PIECE, PIECES, TOKENS, token_bytes
from rat.loadgen.judge import Judge

SIZE = 64 << 20


def upload(files: Path) -> Judge:
    return Judge(status=200, value={"size": SIZE})


def chunked(files: Path) -> Judge:
    crc = 0
    for _ in range(PIECES):
        crc = zlib.crc32(PIECE, crc)
    return Judge(status=200, size=SIZE, crc=crc)


def tokens(files: Path) -> Judge:
    return Judge(status=200, content=b"".join(token_bytes(number) for number in range(TOKENS)))


def content(number: int) -> bytes:
    return bytes([number % 256]) * SIZE


WORKLOADS = [
    Workload(
        "upload", "upload of 64 MiB", "upload", "/upload", upload, load=Load.TRANSFER, unit=Unit.GIGABYTE,
        method="POST", content=content, connections=1, size=SIZE, main=True, quick=True, rounds=8, seconds=0.3,
    ),
    Workload(
        "chunked", "64 MiB in chunks", "chunked", "/chunked", chunked, load=Load.TRANSFER, unit=Unit.GIGABYTE,
        connections=1, size=SIZE, main=True, rounds=8, seconds=0.3,
    ),
    Workload(
        "tokens", f"stream of {TOKENS} small events", "tokens", "/tokens", tokens, connections=16, main=True,
        rounds=8, seconds=0.3,
    ),
]  # fmt: skip
