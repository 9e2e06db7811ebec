"""Fuzz decoding: the C codec, the reference, the scanner and the stream decoder must agree on nearly sound messages.

Nothing but CodecError may come out.  ``--guided`` lets atheris follow the coverage; else mutations of known messages.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from typing import Any

from rat.codec import CodecError, Decoder, Piece, StreamDecoder, reference
from rat.codec.reader import ReadTables
from rat.codec.scan import Scanner

VALUES: list[Any] = [[{"a": 1, "b": [1.5] * 4}] * 40, {"k": {"s": {1, "x"}, "t": (b"y", None)}}, ["ab"] * 5, [1 << 70]]
OTHERS = [b"\x2c\x2d\x41a\x81\x2f\x2e\x01a\x00\x2f", b"\x07\x01\x01a\x06\x01\x00", b"\x33", b"\x26\xfd", b"\xff\xff"]
SEEDS = [reference.encode(VALUES), *reference.encode_batch(VALUES), *OTHERS]


def outcome(decoder: Any, data: bytes) -> object:
    try:
        return reference.encode(decoder.decode(data))
    except CodecError as error:
        return error.offset, error.path


def one(data: bytes) -> None:
    """Judge *data* as two messages of a connection, and whole as a stream and by the scanner."""
    cut = data[0] % len(data) if data else 0
    ends = Decoder(max_items=5000), reference.Decoder(max_items=5000)
    for message in (data[:cut], data[cut:]):
        results = [outcome(end, message) for end in ends]
        assert results[0] == results[1], (message.hex(), results)
    stream, scanner = StreamDecoder(max_value=5000), Scanner(ReadTables())
    try:
        stream.receive_data(data)
        while isinstance(stream.next_event(), Piece):
            pass
        assert scanner.run(data, len(data)) or scanner.wanted > len(data)
    except CodecError:
        assert isinstance(outcome(reference.Decoder(), data), tuple) or data[:1] == b"\x30" or len(data) > 5000


def mutated(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randrange(6)):
        place = rng.randrange(len(data) + 1)
        data[place : place + rng.randrange(3)] = rng.choice([rng.randbytes(rng.randrange(4)), rng.choice(SEEDS)[:90]])
    return bytes(data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 48))
    parser.add_argument("--guided", action="store_true")
    options = parser.parse_args()
    if options.guided:
        import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

        atheris.instrument_all()
        atheris.Setup([sys.argv[0], f"-max_total_time={int(options.seconds)}"], one)
        atheris.Fuzz()
    end, seed = time.monotonic() + options.seconds, options.seed
    while time.monotonic() < end:
        try:
            one(mutated(random.Random(seed)))
        except Exception:
            print(f"finding: --seed {seed}", file=sys.stderr)
            raise
        seed += 1
    print(f"codec: {seed - options.seed} inputs from seed {options.seed} on, no finding")
