"""Peak memory of one call, each in a process of its own: what the call adds to what the process held before it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.codec_families import FAMILIES, SIZES, build
from bench.codec_peers import contestants

__all__ = ["grown", "measure"]

NAMES = ("rat", "orjson", "msgspec.msgpack", "pickle", "marshal")


def _peak() -> int:
    """Bytes: VmHWM, the most that was resident since the last reset."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024


def grown(call: Any, argument: Any) -> int:
    """Bytes that the process has at most above what it has now, while *call* runs."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak()
    kept = call(argument)
    after = _peak()
    del kept
    return after - before


def child(name: str, family: str, size: str, way: str) -> None:
    contestant = contestants()[name]
    value: Any = build(family, SIZES[size])
    try:
        if way == "encode":
            contestant.encode(build(family, 1_000))
            more: int | None = grown(contestant.encode, value)
        else:
            encoded = contestant.encode(value)
            contestant.decode(contestant.encode(build(family, 1_000)))
            del value
            more = grown(contestant.decode, encoded)
    except (TypeError, ValueError, OverflowError):
        more = None
    print(json.dumps(more))


def measure(size: str = "16 MB") -> list[dict[str, Any]]:
    """For each family and way: bytes by name."""
    rows = []
    for family in FAMILIES:
        for way in ("encode", "decode"):
            peaks = {}
            for name in NAMES:
                command = [sys.executable, "-m", "bench.codec_memory", name, family, size, way]
                root = Path(__file__).resolve().parents[1]
                answer = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
                peaks[name] = json.loads(answer)
            rows.append({"family": family, "size": size, "way": way, "peak bytes": peaks})
    return rows


if __name__ == "__main__":
    child(*sys.argv[1:5])
