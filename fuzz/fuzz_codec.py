"""Fuzz decoding: the C codec, the reference, scanner, stream decoder and views must agree on nearly sound messages.

Nothing but CodecError may come out.  Where atheris is installed (``pip install atheris``) it follows the coverage of
the readers in Python, and the C codec has to say the same; else, and with ``--blind``, mutations of known messages.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rat.codec import CodecError, Decoder, Piece, StreamDecoder, View, reference, view
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


def shown(value: Any) -> Any:
    """What a view shows, from behind."""
    match value.variant.value if isinstance(value, View) else None:
        case None:
            return value
        case "Map":
            fields = {key: shown(value[key]) for key in reversed(value.keys())}
            return {key: fields[key] for key in value}
        case "List" | "Tuple" as kind:
            items = [shown(value[index]) for index in reversed(range(len(value)))][::-1]
            return tuple(items) if kind == "Tuple" else items
        case _:
            return value.value()


def one(data: bytes) -> None:
    """Judge *data* as two messages of a connection, and whole as a stream and by the scanner."""
    cut = data[0] % len(data) if data else 0
    ends = Decoder(max_items=5000), reference.Decoder(max_items=5000)
    for message in (data[:cut], data[cut:]):
        results = [outcome(end, message) for end in ends]
        assert results[0] == results[1], (message.hex(), results)
    whole = outcome(reference.Decoder(), data)
    if isinstance(whole, bytes):
        look = view(data)
        assert (
            reference.encode(shown(look) if look.variant.value in ("Map", "List", "Tuple") else look.value()) == whole
        )
    else:
        with contextlib.suppress(CodecError, LookupError, TypeError):
            view(data).at("[-1].a[17]")
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


def guided(seconds: float) -> int:
    """libFuzzer ends its process as it likes: a child of our own cleans up behind it.  The exit code."""
    with tempfile.TemporaryDirectory(prefix="fuzz-codec-") as corpus:
        for number, seed in enumerate(SEEDS):
            Path(corpus, str(number)).write_bytes(seed)
        limits = [f"-max_total_time={round(seconds)}", "-verbosity=0", "-print_final_stats=1"]
        command = [sys.executable, __file__, "--inside", *limits, f"-artifact_prefix={tempfile.gettempdir()}/", corpus]
        return subprocess.run(command, check=False).returncode


def inside(options: list[str]) -> None:
    import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


def blind(seconds: float, first: int) -> None:
    end, seed = time.monotonic() + seconds, first
    while time.monotonic() < end:
        try:
            one(mutated(random.Random(seed)))
        except Exception:
            print(f"finding: --blind --seed {seed}", file=sys.stderr)
            raise
        seed += 1
    print(f"codec: {seed - first} inputs from seed {first} on, no finding")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 48))
    parser.add_argument("--blind", action="store_true")
    arguments = parser.parse_args()
    if not arguments.blind and importlib.util.find_spec("atheris") is not None:
        raise SystemExit(guided(arguments.seconds))
    blind(arguments.seconds, arguments.seed)
