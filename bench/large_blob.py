"""A blob of any size up and down through a server of its own, and what memory both sides took.

    python -m bench.large_blob --size 4G

Sizes and CRCs are compared; the exit code is 1 when they differ or when either side grew by more than --most.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

from bench.harness.peer import Peer, Start
from bench.harness.server import Server
from rat import Rat, connect
from rat.cli.bench import parse_size
from rat.codec.framing import crc32
from rat.stream.blob import Blob

PIECE = 1 << 20
WARM = 64 << 20

app = Rat()


def pieces(size: int) -> Iterator[memoryview]:
    """*size* bytes, no two pieces equal as far as one can see."""
    block = memoryview(bytes(range(256)) * (2 * PIECE // 256))
    number = 0
    while size:
        start = number * 7919 % PIECE
        piece = block[start : start + min(PIECE, size)]
        yield piece
        size -= len(piece)
        number += 1


@app.call("up")
async def up(request: Any) -> list[int]:
    size = crc = 0
    async for piece in request.stream:
        size += len(piece)
        crc = crc32(piece, crc)
    return [size, crc]


@app.call("down")
async def down(request: Any, size: int) -> Blob:
    async def source() -> Any:
        for piece in pieces(size):
            yield piece

    return Blob(source())


async def move(port: int, size: int, *, checksum: bool) -> tuple[list[int], list[int]]:
    """Size and CRC as the server got it, and as this side got it."""
    async with connect(f"rat://127.0.0.1:{port}", checksum=checksum) as client:
        async with client.stream("up") as upload:

            async def source() -> Any:
                for piece in pieces(size):
                    yield piece

            await upload.send_blob(source())
            went = await upload.result()
        came = [0, 0]
        async for piece in client.stream("down", size):
            came = [came[0] + len(piece), crc32(piece, came[1])]
        return went, came


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench.large_blob", description=__doc__)
    parser.add_argument("--size", type=parse_size, default=4 << 30)
    parser.add_argument("--most", type=parse_size, default=16 << 20, help="bytes by which a side may grow (16M)")
    parser.add_argument("--checksum", action="store_true")
    args = parser.parse_args(arguments)
    due = [args.size, 0]
    for piece in pieces(args.size):
        due[1] = crc32(piece, due[1])

    def command(start: Start) -> list[str]:
        return [start.python, "-m", "rat", "serve", "bench.large_blob:app", "--port", str(start.port), "--log-level",
                "warning"]  # fmt: skip

    right = True
    with tempfile.TemporaryDirectory() as name, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        with Server(Peer("rat", command), python=sys.executable, files=Path(name), work=Path(name), floor="",
                    core=None) as server:  # fmt: skip
            sides = {"server": server.process.pid, "client": os.getpid()}
            runner.run(move(server.port, WARM, checksum=args.checksum))
            before = {side: memory(pid, "VmRSS") for side, pid in sides.items()}
            started = time.monotonic()
            went, came = runner.run(move(server.port, args.size, checksum=args.checksum))
            seconds = time.monotonic() - started
            for side, pid in sides.items():
                after, most = memory(pid, "VmRSS"), memory(pid, "VmHWM")
                print(f"{side}: {before[side] / 2**20:.1f} MiB before, {after / 2**20:.1f} MiB after, "
                      f"{most / 2**20:.1f} MiB at most")  # fmt: skip
                right = right and max(after, most) - before[side] <= args.most
    print(f"{args.size} bytes each way in {seconds:.1f} s, {2 * args.size / seconds / 1e6:.0f} MB/s; "
          f"up {went == due}, down {came == due}")  # fmt: skip
    return 0 if right and went == came == due else 1


def memory(pid: int, field: str) -> int:
    """VmRSS, what a process has in memory, or VmHWM, the most that it ever had, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
