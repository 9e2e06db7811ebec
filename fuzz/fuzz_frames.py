"""Fuzz the frames engine: any bytes after a HELLO, cut anywhere.  ``python fuzz/fuzz_frames.py [SECONDS] [SEED]``

Allowed: events, RemoteProtocolError, and one GOAWAY after it.  Anything else is a finding, printed with its seed.
"""

from __future__ import annotations

import random
import sys
import time

from rat.codec import encode
from rat.codec.frame import Flag, Kind, pack_frame
from rat.config import FrameLimits
from rat.errors import RemoteProtocolError
from rat.events import CLOSED, Signal
from rat.frames import events
from rat.frames.engine import FramesEngine
from rat.frames.settings import pack_hello

LIMITS = FrameLimits(payload=2048, assembled=4096, hello=1024, streams=4, credit=512)
GOAWAY = bytes((Kind.GOAWAY, 0, 0, 0, 0, 0, 0, 0))
FEATURES = frozenset({"tables", "checksum", "zstd"})
HELLO = pack_frame(
    Kind.HELLO, 0, 0, pack_hello(events.Hello(frame=2048, value=4096, streams=4, credit=512, features=FEATURES))
)


def frames(rng: random.Random) -> bytes:
    """A few frames that are nearly right, some bytes of which are then changed."""
    wire = bytearray(HELLO)
    stream = 1
    for _ in range(rng.randrange(1, 12)):
        kind = rng.choice([Kind.CALL, Kind.CALL, *Kind])
        stream += 2 * (kind is Kind.CALL)
        value = rng.choice(
            [encode(["f", [{"k": 1}]]), encode("x" * rng.randrange(300)), rng.randbytes(rng.randrange(16)), b""]
        )
        flags = rng.choice(
            [0, 0, Flag.OPEN, Flag.MORE, Flag.SHARED, Flag.CHECKSUM, Flag.COMPRESSED, rng.randrange(256)]
        )
        wire += pack_frame(kind, flags, rng.choice([stream, stream, 0, 1, rng.randrange(9)]), value)
    for _ in range(rng.choice([0, 0, 1, 3])):
        wire[rng.randrange(len(wire))] = rng.randrange(256)
    return bytes(wire)


def one(seed: int) -> None:
    rng = random.Random(seed)
    data, engine, failed = frames(rng), FramesEngine(LIMITS, is_client=False), False
    while data and not failed:
        cut = rng.choice([len(data), 1, rng.randrange(1, len(data) + 1)])
        engine.receive_data(data[:cut])
        data = data[cut:]
        try:
            while not isinstance(engine.next_event(), Signal):
                pass
        except RemoteProtocolError:
            failed = True
    said = engine.take()
    assert not failed or (
        b"".join(said).count(b"\x0c\x00\x00\x00\x00\x00\x00\x00") >= 1 and engine.next_event() is CLOSED
    )


if __name__ == "__main__":
    end = time.monotonic() + float(sys.argv[1] if len(sys.argv) > 1 else 10)
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 48)
    first = seed
    while time.monotonic() < end:
        try:
            one(seed)
        except Exception:
            print(f"finding: seed {seed}", file=sys.stderr)
            raise
        seed += 1
    print(f"frames: {seed - first} inputs, no finding")
