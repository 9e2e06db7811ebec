"""Fuzz the frames engine: a conversation that is nearly right, cut anywhere.

Allowed: events, RemoteProtocolError, and one GOAWAY after it.  Anything else is a finding, printed with its seed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from contextvars import copy_context
from typing import Any

from rat.codec import encode
from rat.codec.frame import Flag, Kind, pack_frame
from rat.config import FrameLimits
from rat.errors import RemoteProtocolError
from rat.events import CLOSED, Signal
from rat.frames import events
from rat.frames.lane import FastFramesEngine
from rat.frames.settings import pack_hello

LIMITS = FrameLimits(payload=2048, assembled=4096, hello=1024, streams=6, credit=512)
GOAWAY = bytes((Kind.GOAWAY, 0, 0, 0, 0, 0, 0, 0))
SAYS = events.Hello(frame=2048, value=4096, streams=4, credit=512, features=frozenset({"tables", "checksum", "zstd"}))
HELLO = pack_frame(Kind.HELLO, 0, 0, pack_hello(SAYS))
CALLS = [encode(["f", [{"k": 1}]]), encode(["f", [], {"a": 1}, {"deadline": 1}])]
VALUES = [encode("x" * 300), encode(b"y" * 90), encode({"k": [1.5] * 9})]

FUNCTIONS = {"f": lambda request, *args: list(args)}


def never(*args: Any) -> None:
    """What the lane has no reason to call: every result is a value, and none fails."""
    raise AssertionError(args)


def conversation(rng: random.Random) -> bytearray:
    """What a caller says that keeps the rules, more or less."""
    wire = bytearray(HELLO)
    live: list[int] = []
    for stream in range(1, 2 * rng.randrange(2, 16), 2):
        kind = rng.choice([Kind.CALL, Kind.ITEM, Kind.ITEM, Kind.DATA, Kind.PING, Kind.CREDIT, Kind.END, Kind.CANCEL])
        flags = rng.choice([0, 0, Flag.CHECKSUM])
        if kind is Kind.CALL or not live:
            kind, flags = Kind.CALL, flags | rng.choice([0, Flag.OPEN, Flag.OPEN, Flag.OPEN | Flag.SHARED])
            live += [stream] if flags & Flag.OPEN else []
        payload = {Kind.CALL: rng.choice(CALLS), Kind.ITEM: rng.choice(VALUES), Kind.DATA: b"d" * rng.randrange(1, 80),
                   Kind.PING: bytes(8), Kind.CREDIT: b"\0\0\1\0"}.get(kind, b"")  # fmt: skip
        owner = stream if kind is Kind.CALL else rng.choice(live)
        if kind in (Kind.END, Kind.CANCEL):
            live.remove(owner)
        if kind is Kind.ITEM and rng.random() < 0.2:
            wire += pack_frame(kind, flags | Flag.MORE, owner, payload[:9])
            payload = payload[9:]
        wire += pack_frame(kind, flags, 0 if kind is Kind.PING else owner, payload)
    return wire


def one(seed: int) -> int:
    """One conversation, perhaps damaged; the events it gave."""
    rng, count = random.Random(seed), 0
    wire = conversation(rng)
    for _ in range(rng.choice([0, 1, 1, 2])):
        wire[rng.randrange(len(HELLO) * (rng.random() < 0.95), len(wire))] = rng.randrange(256)
    engine, failed = FastFramesEngine(LIMITS, is_client=False), False
    while wire and not failed:
        cut = rng.choice([len(wire), 1, rng.randrange(1, len(wire) + 1)])
        engine.receive_data(bytes(wire[:cut]))
        del wire[:cut]
        try:
            while True:
                # Every second conversation meets the lane first, where it can.
                taken, left = 0, None
                if seed & 1:
                    taken, left = engine.answer_calls(FUNCTIONS, {}, tuple, 0, copy_context, never, never)
                if not taken and left is None and isinstance(engine.next_event(), Signal):
                    break
                count += max(taken, 1)
        except RemoteProtocolError:
            failed = True
    assert not failed or (GOAWAY in b"".join(engine.take()) and engine.next_event() is CLOSED)
    return count


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 48))
    options = parser.parse_args()
    end, seed, heard = time.monotonic() + options.seconds, options.seed, 0
    while time.monotonic() < end:
        try:
            heard += one(seed)
        except Exception:
            print(f"finding: seed {seed}", file=sys.stderr)
            raise
        seed += 1
    print(f"frames: {seed - options.seed} inputs, {heard} events, no finding")
