"""zstd: what it may not do to us, and when it is used."""

from __future__ import annotations

import pytest

from rat.codec import encode
from rat.codec.frame import Flag, Kind, pack_frame
from rat.config import FrameLimits
from rat.errors import CodecError
from rat.frames import events
from rat.frames.compression import COMPRESS_FROM, Compressor, is_available
from tests.frames.support import FEEDS, Feed, joined, last_words, pair, server_after_hello, split_frames, whole

pytestmark = pytest.mark.skipif(not is_available(), reason="needs CPython 3.14 or the package zstandard")

ZSTD = frozenset({"zstd"})
LIMITS = FrameLimits(payload=4096, assembled=16384)


def compressed(size: int) -> bytes:
    return Compressor().compress(bytes(size))


BAD = {
    "a bomb of 64 MiB": (compressed(1 << 26), "compressed payload states a content of 67108864 bytes, limit 4096"),
    "one byte too many": (compressed(4097), "compressed payload states a content of 4097 bytes, limit 4096"),
    "cut short": (compressed(4096)[:-1], " bytes is damaged: "),
    "bytes behind it": (compressed(4096) + b"x", " is damaged: "),
    "two of them": (compressed(2048) * 2, " is damaged: "),
    "nothing": (b"", "compressed payload of 0 bytes is damaged: "),
    "no zstd": (b"no zstd at all", "compressed payload of 14 bytes is damaged: "),
    "a size that is not stated": (
        bytes.fromhex("28b52ffd 00 58 19 00 00 616263"),
        "compressed payload of 12 bytes does not state its content size",
    ),
    "a skippable frame": (bytes.fromhex("502a4d18 02000000 aabb"), "compressed payload of 10 bytes "),
}


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_a_bad_zstd_payload_is_refused(case: tuple[bytes, str], feed: Feed) -> None:
    payload, message = case
    server = server_after_hello(LIMITS, features=ZSTD)
    (outcome,) = feed(server, pack_frame(Kind.CALL, Flag.COMPRESSED, 1, payload))
    assert isinstance(outcome, str)
    assert outcome.startswith("CALL frame: compressed payload ")
    assert message in outcome
    assert last_words(server).code == "compression"


def test_many_small_bombs_in_one_value_stop_at_what_is_assembled() -> None:
    server = server_after_hello(LIMITS, features=ZSTD)
    bomb = pack_frame(Kind.CALL, Flag.COMPRESSED | Flag.MORE, 1, compressed(4096))
    assert whole(server, bomb * 5) == ["value of at least 20480 bytes in pieces, limit 16384"]


def test_credit_counts_what_comes_out() -> None:
    server = server_after_hello(FrameLimits(payload=4096, credit=6000), features=ZSTD)
    whole(server, pack_frame(Kind.CALL, Flag.OPEN, 1, encode(["f", []])))
    blob = pack_frame(Kind.DATA, Flag.COMPRESSED, 1, compressed(4096))
    assert whole(server, blob) == [events.Data(1, bytes(4096), 4096)]
    assert whole(server, blob) == ["DATA frame of 4096 bytes on stream 1, credit 1904"]


@pytest.mark.parametrize("size", [COMPRESS_FROM - 1, COMPRESS_FROM, COMPRESS_FROM + 1])
def test_payloads_are_compressed_from_a_size_on(size: int) -> None:
    client, server = pair(features=ZSTD)
    text = "x" * (size - len(encode(["f", ["x" * 900]])) + 900)
    client.call(events.Call(1, "f", [text]))
    wire = joined(client)
    assert bool(wire[5] & Flag.COMPRESSED) is (size >= COMPRESS_FROM)
    assert (len(wire) == 12 + size) is (size < COMPRESS_FROM)
    assert whole(server, wire) == [events.Call(1, "f", [text])]


def test_what_does_not_shrink_is_sent_as_it_is() -> None:
    import random

    client, server = pair(features=ZSTD)
    noise = random.Random(7).randbytes(5000)
    client.call(events.Call(1, "f", [noise], None, None, True))
    assert client.data(1, noise) == 5000
    wire = joined(client)
    assert [frame[5] & Flag.COMPRESSED for frame in split_frames(wire)] == [0, 0]
    assert whole(server, wire) == [events.Call(1, "f", [noise], is_open=True), events.Data(1, noise, 5000)]


def test_the_limit_is_met_exactly() -> None:
    compressor = Compressor()
    assert compressor.decompress(compressor.compress(b"a" * 100), 100) == b"a" * 100
    with pytest.raises(CodecError, match="compressed payload states a content of 100 bytes, limit 99"):
        compressor.decompress(compressor.compress(b"a" * 100), 99)
    assert compressor.decompress(memoryview(compressor.compress(b"")), 0) == b""
