"""Fuzzes the HTTP/1.1 engine: the fast lane (in C where it is built) against h11, whole against cut in pieces.

``python fuzz/fuzz_http1.py [--seconds N] [--seed N]``; exits with 1 and the bytes that made a difference.  Nothing but
RemoteProtocolError may come out of the engine, and ``converse`` catches that: any other exception is a find.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.http1.feeding import converse
from tests.http1.heads import mutated, wires


def cut(source: random.Random, wire: bytes) -> list[bytes]:
    """*wire* in up to six pieces."""
    places = sorted({0, len(wire), *(source.randrange(len(wire) + 1) for _ in range(source.randrange(6)))})
    return [wire[start:stop] for start, stop in itertools.pairwise(places)]


def main(seconds: float, seed: int) -> int:
    source, until = random.Random(seed), time.monotonic() + seconds
    count, lanes, refused = 0, list[bool](), 0
    while time.monotonic() < until:
        for wire in wires(source.randrange(1 << 32), 100):
            if source.random() < 0.3:
                wire = mutated(source, wire)
            eof = source.random() < 0.5
            expected = converse([wire], "auto", eof=eof, lanes=lanes)
            for pieces, http in (([wire], "h11"), (cut(source, wire), "auto"), (cut(source, wire), "h11")):
                if converse(pieces, http, eof=eof) != expected:
                    print(f"{http} differs on {pieces!r}")
                    return 1
            count, refused = count + 1, refused + (expected.status is not None)
    print(f"seed {seed}: {count} wires, {sum(lanes)} requests by the fast lane, {refused} wires refused, no difference")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    sys.exit(main(**vars(parser.parse_args())))
