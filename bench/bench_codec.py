"""The codec against its peers: seven families of values, five sizes, time, bytes and memory.

    python -m bench.bench_codec [--quick] [--rounds N] [--output bench/results/codec-....json] [--plot FILE.svg]

Run it in an environment made of bench/requirements-codec.txt, beside an in-place build of the extension.  Every encoded
value is decoded and compared before it is timed; a peer that gives back another value takes no part in that cell.

One value is encoded over and over, as peers measure themselves.  That flatters those who leave a UTF-8 copy on every
str that is not ASCII, for ever, and find it there the second time; ``--fresh`` gives every call a value of its own.
The family "bytes" is measured as each library hands on large payloads: ours in segments from 100 KB on and decoded with
zero_copy, pickle in band and out of band; "one buffer" is the same value in one piece, for all.  So there are two
headlines: "best peer of each cell" with the family "bytes", and "bytes in one buffer" with "one buffer" in its place,
where a cell of 100 KB and more is one copy of the payload for everybody.
"""

from __future__ import annotations

import argparse
import json
import pickle
import platform
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import codec_extras, codec_memory, codec_plot
from bench.codec_families import FAMILIES, SIZES, build
from bench.codec_peers import Contestant, contestants, scatter, strict_equal, versions
from bench.codec_stats import geometric_mean, interleave, interval, ratios

__all__ = ["main", "measure", "summarise"]

WAYS = ("encode", "decode", "round trip")
SEGMENTS_FROM = 100_000
ONE_BUFFER = "one buffer"
HEADLINE = ("1 KB", "10 KB", "100 KB", "1 MB")


def _able(family: str, size: str, value: Any) -> dict[str, tuple[Contestant, Any]]:
    """Who carries this value, and as what."""
    everyone = contestants()
    if family == "bytes":
        own, pickled = scatter()
        everyone[pickled.name] = pickled
        if SIZES[size] >= SEGMENTS_FROM:
            everyone["rat"] = own
    able: dict[str, tuple[Contestant, Any]] = {}
    for name, each in everyone.items():
        try:
            encoded = each.encode(value)
            message = b"".join(encoded) if each.name == "rat segments" else encoded
            decoded = each.decode(message)
            if family == "bytes" and not isinstance(decoded["data"], bytes):
                decoded["data"] = bytes(memoryview(decoded["data"]))
            if strict_equal(decoded, value):
                able[name] = each, message
        except (TypeError, ValueError, OverflowError):
            continue  # it cannot carry this value
    assert "rat" in able, f"round trip of {family} at {size}"
    return able


def measure(family: str, size: str, rounds: int, slice_ns: int, fresh: bool = False) -> dict[str, Any]:
    """One cell: the times of all who carry this value, by name, way and round."""
    value = build("bytes" if family == ONE_BUFFER else family, SIZES[size])
    able = _able(family, size, value)
    pickled = pickle.dumps(value, 5)

    def copies(count: int) -> list[Any]:
        return [pickle.loads(pickled) for _ in range(count)]

    batch = max(1, min(32, 64_000 // SIZES[size])) if fresh else 0
    times: dict[str, dict[str, list[float]]] = {}
    times["encode"] = interleave(
        {name: (each.encode, copies if batch else value) for name, (each, _) in able.items()},
        rounds=rounds,
        slice_ns=slice_ns,
        batch=batch,
    )
    times["decode"] = interleave(
        {name: (each.decode, encoded) for name, (each, encoded) in able.items()}, rounds=rounds, slice_ns=slice_ns
    )
    times["round trip"] = {
        name: [one + other for one, other in zip(times["encode"][name], times["decode"][name], strict=True)]
        for name in able
    }
    sizes = {
        name: len(encoded) if each.name == "rat segments" else each.size(encoded)
        for name, (each, encoded) in able.items()
    }
    return {"family": family, "size": size, "bytes": sizes, "times": times}


def _against(cells: list[dict[str, Any]], way: str, peer: str | None) -> dict[str, Any] | None:
    """Ours against *peer*, or against the best of each cell where it is None."""
    paired = []
    for cell in cells:
        times = cell["times"][way]
        rivals = [name for name in times if name != "rat"] if peer is None else [peer] if peer in times else []
        if rivals:
            best = min(rivals, key=lambda name: median(times[name]))
            paired.append(ratios(times[best], times["rat"]))
    if not paired:
        return None
    mean, low, high = interval(paired)
    return {"mean": mean, "low": low, "high": high, "worst cell": min(map(median, paired)), "cells": len(paired)}


def summarise(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Geometric means of the paired ratios over the headline sizes: above 1, ours is faster."""
    measured = [cell for cell in cells if cell["size"] in HEADLINE]
    chosen = [cell for cell in measured if cell["family"] != ONE_BUFFER]
    strict = [cell for cell in measured if cell["family"] != "bytes"]
    names = sorted({name for cell in chosen for name in cell["bytes"]} - {"rat"})
    packed = [cell for cell in chosen if cell["family"] in ("records", "events")]
    return {
        "best peer of each cell": {way: _against(chosen, way, None) for way in WAYS},
        "bytes in one buffer": {way: _against(strict, way, None) for way in WAYS},
        "each peer": {name: {way: _against(chosen, way, name) for way in WAYS} for name in names},
        "bytes of msgpack": geometric_mean([cell["bytes"]["rat"] / cell["bytes"]["msgpack"] for cell in packed]),
    }


def _table(cells: list[dict[str, Any]]) -> str:
    lines = [f"{'family':9}{'size':>8}{'bytes':>10}  {'encode':>24}  {'decode':>24}"]
    for cell in cells:
        line = f"{cell['family']:9}{cell['size']:>8}{cell['bytes']['rat']:>10}"
        for way in ("encode", "decode"):
            times = cell["times"][way]
            best = min((name for name in times if name != "rat"), key=lambda name: median(times[name]))
            line += (
                f"  {median(times['rat']) / 1e3:10.2f} us {median(ratios(times[best], times['rat'])):5.2f}x {best:16}"
            )
        lines.append(line)
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds, no 16 MB, no memory")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--families", nargs="*", default=[*FAMILIES, ONE_BUFFER])
    parser.add_argument("--fresh", action="store_true", help="encode a new value each time")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--plot", type=Path, help="an SVG or PNG file")
    options = parser.parse_args(arguments)
    rounds = options.rounds or (7 if options.quick else 25)
    sizes = HEADLINE if options.quick else tuple(SIZES)
    began = time.monotonic()
    cells = []
    for family in options.families:
        for size in sizes:
            cells.append(
                measure(family, size, max(3, rounds // 4) if size == "16 MB" else rounds, 1_000_000, options.fresh)
            )
            print(_table(cells[-1:]).splitlines()[1], flush=True)
    result: dict[str, Any] = {
        "counted": {
            "best peer of each cell": "large bytes as segments and views, pickle out of band among the peers",
            "bytes in one buffer": "large bytes copied into one buffer by everybody",
        },
        "machine": {"processor": platform.machine(), "system": platform.platform()},
        "versions": versions(),
        "rounds": rounds,
        "fresh values": options.fresh,
        "summary": summarise(cells),
        "extras": codec_extras.measure(rounds),
        "memory": [] if options.quick else codec_memory.measure(),
        "cells": [
            {**cell, "times": {way: {n: median(t) for n, t in by.items()} for way, by in cell["times"].items()}}
            for cell in cells
        ],
        "seconds": round(time.monotonic() - began, 1),
    }
    for way, figures in result["summary"]["bytes in one buffer"].items():
        print(f"{way:10} {figures['mean']:.2f}x [{figures['low']:.2f}, {figures['high']:.2f}]  bytes in one buffer")
    for way, figures in result["summary"]["best peer of each cell"].items():
        print(f"{way:10} {figures['mean']:.2f}x [{figures['low']:.2f}, {figures['high']:.2f}]"
              f"  worst cell {figures['worst cell']:.2f}x")  # fmt: skip
    for name, by in result["summary"]["each peer"].items():
        print(f"  {name:16}", "  ".join(f"{way} {figures['mean']:.2f}x" for way, figures in by.items() if figures))
    print("bytes of msgpack, records and events:", round(result["summary"]["bytes of msgpack"], 3))
    print(json.dumps(result["extras"], indent=1))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    if options.plot:
        codec_plot.draw(result, options.plot)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
