"""Values larger than memory through StreamEncoder and StreamDecoder: what a process grows by on the way.

    python -m bench.codec_stream [--gib 1] [--items 10000000] [--output FILE.json]

Each runs in a process of its own.  Growth is the peak of resident memory above what was resident when the first piece
was about to be written; the exit code is 1 if it passes 32 MiB.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.codec_memory import grown

__all__ = ["measure"]

LIMIT = 32 * 1024 * 1024
BLOCK = 256 * 1024


def blob(size: int) -> int:
    """Bytes written and read back in chunks.  The number of bytes that came."""
    from rat.codec import PieceKind, StreamDecoder, StreamEncoder

    encoder, decoder = StreamEncoder(), StreamDecoder()
    block = bytes(range(256)) * (BLOCK // 256)
    came = 0
    decoder.receive_data(encoder.begin_bytes())
    for _ in range(size // BLOCK):
        for part in encoder.chunk(block):
            decoder.receive_data(part)
        came += sum(len(piece.value) for piece in _pieces(decoder) if piece.kind is PieceKind.CHUNK)
    decoder.receive_data(encoder.end())
    assert [piece.kind for piece in _pieces(decoder)] == [PieceKind.END]
    assert came == size // BLOCK * BLOCK
    return came


def items(count: int) -> int:
    """Records written and read back one by one.  The bytes on the way."""
    from rat.codec import PieceKind, StreamDecoder, StreamEncoder

    encoder, decoder = StreamEncoder(), StreamDecoder()
    size, seen, total = 0, 0, 0
    decoder.receive_data(encoder.begin_list())
    for part in encoder.items({"id": number, "name": "a name", "even": number % 2 == 0} for number in range(count)):
        size += len(part)
        decoder.receive_data(part)
        for piece in _pieces(decoder):
            if piece.kind is PieceKind.VALUE:
                seen += 1
                total += piece.value["id"]
    decoder.receive_data(encoder.end())
    assert [piece.kind for piece in _pieces(decoder)] == [PieceKind.END]
    assert (seen, total) == (count, count * (count - 1) // 2)
    return size


def _pieces(decoder: Any) -> Iterator[Any]:
    from rat.codec import Piece

    while isinstance(piece := decoder.next_event(), Piece):
        yield piece


RUNS: dict[str, Callable[[int], int]] = {"blob": blob, "list": items}


def child(name: str, amount: int) -> None:
    run = RUNS[name]
    run(BLOCK if name == "blob" else 10)  # what is loaded and made once
    begin = time.monotonic()
    result: list[int] = []
    most = grown(lambda number: result.append(run(number)), amount)
    seconds = round(time.monotonic() - begin, 1)
    print(json.dumps({"amount": amount, "bytes": result[0], "seconds": seconds, "grown bytes": most}))


def measure(gib: float, count: int) -> dict[str, Any]:
    """For the blob and the list: how many, bytes on the way, seconds, bytes that the process grew by."""
    found = {}
    for name, amount in (("blob", int(gib * 1024**3)), ("list", count)):
        command = [sys.executable, "-m", "bench.codec_stream", "--child", name, str(amount)]
        root = Path(__file__).resolve().parents[1]
        answer = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
        found[name] = json.loads(answer)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=1.0)
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        child(options.child[0], int(options.child[1]))
        return 0
    found = measure(options.gib, options.items)
    for name, each in found.items():
        print(
            f"{name}: {each['amount']} in {each['seconds']} s, {each['bytes']} bytes on the way,"
            f" grown by {each['grown bytes'] / 2**20:.1f} MiB"
        )
    if options.output:
        versions = {"python": platform.python_version(), "system": platform.platform()}
        options.output.write_text(json.dumps({"versions": versions, **found}, indent=1) + "\n")
    return int(any(each["grown bytes"] > LIMIT for each in found.values()))


if __name__ == "__main__":
    raise SystemExit(main())
