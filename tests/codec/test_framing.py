"""The hot loops of frames in C give what those in Python give."""

from __future__ import annotations

import random
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.codec import Decoder, Encoder, decode, encode
from rat.codec.frame import HEADER_SIZE, PREFIX_SIZE, Flag, Kind, pack_frame
from rat.codec.framing import ReferenceCalls, reference_pack_value
from rat.errors import CodecError
from tests.support.examples import examples
from tests.support.extensions import built

native = built("rat.codec.native._frames")
crc32 = getattr(native, "crc32", None)
folds = pytest.mark.skipif(crc32 is None, reason="this processor does not multiply without carries")

WORD = Kind.CALL << 24
LONGEST = 300


# -- CRC-32


@folds
def test_every_length_and_alignment_has_zlibs_crc() -> None:
    assert crc32 is not None
    data = memoryview(random.Random(1).randbytes(4096 + 64))
    for size in range(4097):
        offset = size * 7 % 64
        part = data[offset : offset + size]
        assert crc32(part) == zlib.crc32(part), size
    for offset in range(64):
        for size in (0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 1023, 1024, 1025, 1279, 1280, 1281, 4096):
            part = data[offset : offset + size]
            assert crc32(part, offset << 24 | size) == zlib.crc32(part, offset << 24 | size), (offset, size)


@folds
@given(pieces=st.lists(st.binary(max_size=3000), max_size=6), start=st.integers(0, 2**32 - 1))
def test_pieces_one_after_the_other_have_the_crc_of_the_whole(pieces: list[bytes], start: int) -> None:
    assert crc32 is not None
    crc = start
    for piece in pieces:
        crc = crc32(piece, crc)
    assert crc == zlib.crc32(b"".join(pieces), start)


@folds
@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, (3 << 20) + 77])
def test_large_buffers_of_every_kind(size: int) -> None:
    assert crc32 is not None
    data = random.Random(size).randbytes(size)
    due = zlib.crc32(data)
    for buffer in (data, bytearray(data), memoryview(data)):
        assert crc32(buffer) == due


@folds
def test_threads_sum_large_buffers_side_by_side() -> None:
    assert crc32 is not None
    buffers = [bytes([number]) * (4 << 20) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(crc32, buffers * 4)) == [zlib.crc32(buffer) for buffer in buffers] * 4


@folds
@pytest.mark.parametrize("arguments", [(), (b"", 0, 0), ("text",), (memoryview(bytes(64))[::2],), (b"", "0")])
def test_what_has_no_crc_is_refused(arguments: tuple[Any, ...]) -> None:
    assert crc32 is not None
    with pytest.raises((TypeError, BufferError)):
        crc32(*arguments)


def test_the_powers_in_the_source_are_what_its_comment_says() -> None:
    def power(exponent: int) -> int:
        rest = 1
        for _ in range(exponent):
            rest <<= 1
            if rest >> 32:
                rest ^= 0x1_04C1_1DB7
        return int(f"{rest:032b}"[::-1], 2) << 1

    text = (Path(__file__).parents[2] / "rat/codec/native/frames.c").read_text()
    for distance in (128, 512, 2048):
        assert f"POWERS_{distance} 0x{power(distance - 32):09x}, 0x{power(distance + 32):09x}\n" in text


# -- frames


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=300))
def test_a_value_in_its_frame(word: int, stream_id: int, message: bytes) -> None:
    frame = native.pack_value(word, stream_id, message)
    assert frame == reference_pack_value(word, stream_id, message)
    assert frame == struct.pack(">III", HEADER_SIZE + len(message), word, stream_id) + message


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((1, 2), TypeError), ((1, 2, bytearray()), TypeError), (("1", 2, b""), TypeError), ((-1, 2, b""), OverflowError),
     ((1, 2**32, b""), OverflowError), ((2**64, 2, b""), OverflowError)],
)  # fmt: skip
def test_what_is_no_frame_is_refused(arguments: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        native.pack_value(*arguments)


VALUES = st.one_of(
    st.tuples(st.text(max_size=5), st.lists(st.integers() | st.text(max_size=20), max_size=4)).map(list),
    st.tuples(st.text(max_size=5), st.lists(st.integers(), max_size=3)).map(list),
    st.integers() | st.text(max_size=5) | st.lists(st.lists(st.integers(), max_size=2), max_size=3),
)
FRAMES = st.tuples(
    VALUES,
    st.sampled_from([2, 2, 2, 2, 2, 0, 1, 3]),
    st.sampled_from(["call"] * 12 + ["ping", "open", "bad value", "long", "reserved"]),
)


def wire_of(frames: list[tuple[Any, int, str]], message_of: Any) -> bytes:
    wire, number = b"", -1
    for value, step, special in frames:
        number += step
        message = b"\xfe\xff" if special == "bad value" else message_of(value)
        if special == "long":
            message += bytes(LONGEST)
        kind, flags = (Kind.PING, 0) if special == "ping" else (Kind.CALL, Flag.OPEN if special == "open" else 0)
        frame = pack_frame(kind, flags, max(number, 0), message)
        wire += frame[:7] + b"\1" + frame[8:] if special == "reserved" else frame
    return wire


@examples(100)
@given(frames=st.lists(FRAMES, max_size=12), cut=st.integers(0, 40), has_tables=st.booleans(), last=st.integers(0, 3))
def test_the_calls_of_a_buffer(frames: list[tuple[Any, int, str]], cut: int, has_tables: bool, last: int) -> None:
    wire = wire_of(frames, Encoder().encode if has_tables else encode)
    wire = wire[: len(wire) - cut] if cut else wire
    decoders = (Decoder().decode, Decoder().decode) if has_tables else (decode, decode)
    fast, slow = (
        make(wire, decoder, WORD, last, 1, LONGEST)
        for make, decoder in zip((native.Calls, ReferenceCalls), decoders, strict=True)
    )
    for due in slow:
        came = next(fast)
        if isinstance(due[2], CodecError):
            assert (came[:2], str(came[2])) == (due[:2], str(due[2]))
        else:
            assert came == due
        assert (fast.position, fast.last) == (slow.position, slow.last)
    assert next(fast, None) is None
    assert (fast.position, fast.last) == (slow.position, slow.last)
    assert fast.position == len(wire) or len(wire) - fast.position < PREFIX_SIZE or frames


def test_an_error_that_is_no_refusal_passes() -> None:
    def fail(message: bytes) -> Any:
        raise ZeroDivisionError

    for make in (native.Calls, ReferenceCalls):
        calls = make(pack_frame(Kind.CALL, 0, 1, b"x"), fail, WORD, 0, 1, LONGEST)
        with pytest.raises(ZeroDivisionError):
            next(calls)
        assert calls.position == 0


def test_what_decodes_may_ask_for_the_next_call() -> None:
    """Both decode the first frame, and neither is led past the second."""
    wire = b"".join(pack_frame(Kind.CALL, 0, stream_id, encode(stream_id)) for stream_id in (1, 3))

    def decode_both(message: bytes) -> Any:
        came.append(message)
        if len(came) == 1:
            assert next(calls) == (1, None, 1)
        return decode(message)

    for make in (native.Calls, ReferenceCalls):
        came: list[bytes] = []
        calls = make(wire, decode_both, WORD, 0, 1, LONGEST)
        assert [next(calls), calls.position] == [(1, None, 1), len(wire) // 2]
        assert [next(calls), calls.position] == [(3, None, 3), len(wire)]


def test_lengths_at_the_edges() -> None:
    for make in (native.Calls, ReferenceCalls):
        for length in (0, 7, 0xFFFFFFFF, 0x7FFFFFFF, LONGEST + 1):
            wire = struct.pack(">III", length, WORD, 1) + bytes(LONGEST)
            assert list(make(wire, decode, WORD, 0, 1, LONGEST)) == []
        assert len(list(make(struct.pack(">III", 8, WORD, 1), decode, WORD, 0, 1, LONGEST))) == 1
        exact = pack_frame(Kind.CALL, 0, 1, encode("x" * (LONGEST - HEADER_SIZE - 4)))
        assert len(exact) == 4 + LONGEST
        assert [call[0] for call in make(exact, decode, WORD, 0, 1, LONGEST)] == [1]
        assert list(make(exact, decode, WORD, 0, 1, LONGEST - 1)) == []
        assert list(make(exact[:-1], decode, WORD, 0, 1, LONGEST)) == []
