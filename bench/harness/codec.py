"""The short form of the codec's own bench: a figure for each peer, in some seconds, in this process."""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any

from bench.codec_families import FAMILIES

SIZES = ("1 KB", "100 KB")
ROUNDS = 7
SLICE_NS = 1_000_000
BEST = "the best of each"


def short() -> dict[str, Any]:
    """How many times faster this codec is than each peer, over all families.  Raises ImportError without peers."""
    # The peers are installed in the environment of the benches only.
    bench, peers = import_module("bench.bench_codec"), import_module("bench.codec_peers")
    peers.peers()
    began = time.monotonic()
    cells = [bench.measure(family, size, ROUNDS, SLICE_NS) for family in FAMILIES for size in SIZES]
    summary = bench.summarise(cells)
    return {
        "families": list(FAMILIES),
        "sizes": list(SIZES),
        "versions": peers.versions(),
        "seconds": round(time.monotonic() - began, 1),
        "against": {BEST: summary["best peer of each cell"], **summary["each peer"]},
        "bytes of msgpack": summary["bytes of msgpack"],
    }


def rows(codec: dict[str, Any]) -> list[list[str]]:
    """A table, the heading first."""
    ways = list(next(iter(codec["against"].values())))
    body = []
    for name, by in codec["against"].items():
        found = (by[way] for way in ways)
        cells = [f"{one['mean']:.2f} ({one['low']:.2f} - {one['high']:.2f})" if one else "" for one in found]
        body.append([name, *cells])
    return [["", *ways], *body]


def title(codec: dict[str, Any]) -> str:
    """What the table says."""
    return (
        f"Codec, times as fast as its peers: geometric means over {len(codec['families'])} families of values of "
        f"{' and '.join(codec['sizes'])}; {codec['bytes of msgpack']:.2f} of the bytes of msgpack"
    )
