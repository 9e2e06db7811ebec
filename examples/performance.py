"""DataValue beside json, orjson and pickle, measured here and now: ``python examples/performance.py``.

The demo's ``/performance-test`` uses it too.  Every answer is checked before it is timed, the codecs take turns, and no
figure is stored.
"""

from __future__ import annotations

import json
import os
import pickle
import platform
import random
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson

import rat
from rat.codec import decode, encode

__all__ = ["machine", "measure", "versions"]

Codec = tuple[Callable[[Any], bytes], Callable[[Any], Any]]
CODECS: dict[str, Codec] = {
    "datavalue": (encode, decode),
    "json": (lambda value: json.dumps(value).encode(), json.loads),
    "orjson": (orjson.dumps, orjson.loads),
    "pickle": (lambda value: pickle.dumps(value, protocol=5), pickle.loads),
}


def payload(size: int) -> list[dict[str, Any]]:
    """Records that come to about *size* bytes of JSON, the same for the same size."""
    chance = random.Random(size)
    records: list[dict[str, Any]] = []
    left = size
    while left > 0:
        record = {
            "id": len(records),
            "name": f"用户 {chance.randrange(10_000)}",
            "score": chance.random(),
            "active": chance.random() < 0.5,
            "tags": [f"tag{chance.randrange(100)}" for _ in range(chance.randrange(4))],
        }
        records.append(record)
        left -= len(orjson.dumps(record)) + 1
    return records


def measure(sizes: list[int], iterations: int, stop: threading.Event | None = None) -> list[dict[str, Any]]:
    """A row for each size and codec; times in microseconds.  Ends early, with the rows so far, once *stop* is set."""
    rows: list[dict[str, Any]] = []
    for size in sizes:
        value = payload(size)
        encoded = {name: dump(value) for name, (dump, _) in CODECS.items()}
        for name, (_, load) in CODECS.items():
            if load(encoded[name]) != value:
                raise ValueError(f"{name} does not give back what it took")
        times: dict[str, tuple[list[int], list[int]]] = {name: ([], []) for name in CODECS}
        for _ in range(iterations):
            for name, (dump, load) in CODECS.items():
                if stop is not None and stop.is_set():
                    return rows
                begin = time.perf_counter_ns()
                dump(value)
                middle = time.perf_counter_ns()
                load(encoded[name])
                times[name][0].append(middle - begin)
                times[name][1].append(time.perf_counter_ns() - middle)
        rows += [
            {
                "size": size,
                "codec": name,
                "bytes": len(encoded[name]),
                "encode_us": statistics.median(encodes) / 1000,
                "decode_us": statistics.median(decodes) / 1000,
                "encode_best_us": min(encodes) / 1000,
                "decode_best_us": min(decodes) / 1000,
            }
            for name, (encodes, decodes) in times.items()
        ]
    return rows


def machine() -> dict[str, Any]:
    """What it was measured on."""
    cpu = platform.processor() or platform.machine()
    with suppress(OSError), open("/proc/cpuinfo") as info:
        cpu = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), cpu)
    return {"cpu": cpu, "cores": os.cpu_count(), "system": platform.platform()}


def versions() -> dict[str, str]:
    """What it was measured with."""
    return {"python": platform.python_version(), "rat": rat.__version__, "orjson": orjson.__version__}


def main() -> None:
    print(machine(), versions())
    print(f"{'JSON bytes':>12}  {'codec':<10}{'bytes':>10}{'encode us':>12}{'decode us':>12}")
    for row in measure([1024, 10_240, 102_400], 20):
        print(
            f"{row['size']:>12}  {row['codec']:<10}{row['bytes']:>10}{row['encode_us']:>12.1f}{row['decode_us']:>12.1f}"
        )


if __name__ == "__main__":
    main()
