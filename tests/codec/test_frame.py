"""The frame header: what is written, what is read, and what is refused at which byte."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.codec.frame import (
    FLAGS_ALLOWED,
    MAX_STREAM_ID,
    PREFIX_SIZE,
    Flag,
    FrameHeader,
    Kind,
    checksum,
    pack_frame,
    pack_header,
    parse_header,
    parse_length,
    verify_checksum,
)
from rat.errors import CodecError

LIMIT = 1 << 20


def test_the_layout_is_big_endian_and_the_length_counts_what_follows() -> None:
    assert pack_header(Kind.CALL, Flag.OPEN, 3, 5).hex(" ") == "00 00 00 0d 02 08 00 00 00 00 00 03"
    assert pack_frame(Kind.END, 0, 1) == bytes.fromhex("00 00 00 08 05 00 00 00 00 00 00 01")
    assert (
        pack_frame(Kind.PING, 0, 0, b"12345678") == bytes.fromhex("00 00 00 10 0a 00 00 00 00 00 00 00") + b"12345678"
    )


def test_a_header_reads_as_it_was_written_for_every_kind_and_flag_it_may_carry() -> None:
    for kind, flags in FLAGS_ALLOWED.items():
        data = pack_header(kind, flags, 7, 99)
        assert parse_header(data, limit=LIMIT) == FrameHeader(kind, flags, 7, 99)
        assert FrameHeader(kind, flags, 7, 99).frame_size == PREFIX_SIZE + 99


@given(
    kind=st.sampled_from(list(Kind)),
    flags=st.integers(0, 255),
    stream=st.integers(0, MAX_STREAM_ID),
    size=st.integers(0, 2 * LIMIT),
    offset=st.integers(0, 5),
)
def test_only_allowed_flags_and_sizes_come_back(kind: Kind, flags: int, stream: int, size: int, offset: int) -> None:
    data = bytes(offset) + pack_header(kind, flags, stream, size)
    if size > LIMIT or flags & ~int(FLAGS_ALLOWED[kind]):
        with pytest.raises(CodecError):
            parse_header(data, offset, limit=LIMIT)
    else:
        assert parse_header(data, offset, limit=LIMIT) == (kind, flags, stream, size)


@pytest.mark.parametrize("count", range(PREFIX_SIZE))
def test_a_header_that_is_cut_is_waited_for(count: int) -> None:
    data = pack_header(Kind.RESULT, 0, 1, 10)
    assert parse_header(data[:count], limit=LIMIT) is None


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (0, "frame of 0 bytes, and its header alone takes 8 at offset 0"),
        (1, "frame of 1 bytes, and its header alone takes 8 at offset 0"),
        (7, "frame of 7 bytes, and its header alone takes 8 at offset 0"),
        (8 + LIMIT + 1, "frame with a payload of 1048577 bytes, limit 1048576 at offset 0"),
        (0xFFFF_FFFF, "frame with a payload of 4294967287 bytes, limit 1048576 at offset 0"),
    ],
)
def test_a_length_is_refused_from_its_four_bytes_alone(length: int, message: str) -> None:
    with pytest.raises(CodecError) as caught:
        parse_length(length.to_bytes(4), limit=LIMIT)
    assert str(caught.value) == message
    with pytest.raises(CodecError):
        parse_header(length.to_bytes(4), limit=LIMIT)


@pytest.mark.parametrize("length", [8, 9, 8 + LIMIT])
def test_the_edges_of_a_length_are_taken(length: int) -> None:
    assert parse_length(length.to_bytes(4), limit=LIMIT) == length


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("00 00 00 08 00 00 00 00 00 00 00 01", "frame of unknown kind 0 at offset 4"),
        ("00 00 00 08 0d 00 00 00 00 00 00 01", "frame of unknown kind 13 at offset 4"),
        ("00 00 00 08 ff 00 00 00 00 00 00 01", "frame of unknown kind 255 at offset 4"),
        ("00 00 00 08 02 40 00 00 00 00 00 01", "CALL frame with flags 0x40, allowed 0x1f at offset 5"),
        ("00 00 00 08 09 04 00 00 00 00 00 01", "DATA frame with flags 0x04, allowed 0x03 at offset 5"),
        ("00 00 00 08 01 02 00 00 00 00 00 00", "HELLO frame with flags 0x02, allowed 0x00 at offset 5"),
        ("00 00 00 08 02 00 00 01 00 00 00 01", "CALL frame with 0x0001 in the reserved field at offset 6"),
    ],
)
def test_a_header_that_no_frame_has_is_refused(header: str, message: str) -> None:
    with pytest.raises(CodecError) as caught:
        parse_header(bytes.fromhex(header), limit=LIMIT)
    assert str(caught.value) == message


def test_the_checksum_covers_header_and_payload() -> None:
    header = bytes.fromhex("04 02 00 00 00 00 00 05")
    expected = zlib.crc32(header + b"payload").to_bytes(4)
    assert checksum(Kind.ITEM, Flag.CHECKSUM, 5, (b"pay", b"load")) == expected
    frame = pack_frame(Kind.ITEM, Flag.CHECKSUM, 5, b"payload")
    assert frame[4:12] == header
    assert frame[-4:] == expected
    assert parse_header(frame, limit=LIMIT) == (Kind.ITEM, Flag.CHECKSUM, 5, 11)
    assert verify_checksum(Kind.ITEM, Flag.CHECKSUM, 5, frame[12:]) == b"payload"


@pytest.mark.parametrize("position", range(4, 8 + 4 + 7 + 4))
def test_every_flipped_bit_in_header_or_payload_shows(position: int) -> None:
    frame = bytearray(pack_frame(Kind.ITEM, Flag.CHECKSUM, 5, b"payload"))
    frame[position] ^= 0x10
    kind, flags, stream = frame[4], frame[5], int.from_bytes(frame[8:12])
    if position in (6, 7):
        with pytest.raises(CodecError, match="in the reserved field"):
            parse_header(frame, limit=LIMIT)
    else:
        with pytest.raises(CodecError, match=r"checksum [0-9a-f]{8}, and the frame's is [0-9a-f]{8}"):
            verify_checksum(kind, flags, stream, bytes(frame[12:]))


def test_a_payload_too_short_for_its_checksum_is_refused() -> None:
    with pytest.raises(CodecError, match="payload of 3 bytes, and its checksum alone takes 4"):
        verify_checksum(Kind.END, Flag.CHECKSUM, 1, b"abc")
