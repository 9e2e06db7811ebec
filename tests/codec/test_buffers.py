"""encode_into, encode_segments and zero_copy: whose memory it is, and that nothing is half written."""

from __future__ import annotations

import array
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.codec import CodecError
from tests.codec.material import CODECS, full_values, quick, same

LARGE = bytes(range(256)) * 256


@quick
@given(value=full_values, offset=st.integers(0, 5), threshold=st.sampled_from([1, 2, 10, 32768]))
def test_into_a_buffer_and_in_segments(value: Any, offset: int, threshold: int) -> None:
    for codec in CODECS:
        message = codec.encode(value)
        buffer = bytearray(b"." * (offset + len(message) + 3))
        assert codec.encode_into(value, buffer, offset) == len(message)
        assert buffer == b"." * offset + message + b"..."
        segments = codec.encode_segments(value, threshold=threshold)
        assert b"".join(segments) == message
        assert all(len(segment) for segment in segments)


def test_encode_into_fits_or_leaves_the_buffer_alone(codec: ModuleType) -> None:
    value = {"a": [1, 2, 3], "b": "text"}
    size = len(codec.encode(value))
    for room in range(size + 2):
        buffer = bytearray(b"." * room)
        if room >= size:
            assert codec.encode_into(value, memoryview(buffer)) == size
            continue
        with pytest.raises(BufferError, match=f"message of {size} bytes, {room} bytes of room"):
            codec.encode_into(value, buffer)
        assert buffer == b"." * room


def test_encode_into_a_refused_value_leaves_the_buffer_alone(codec: ModuleType) -> None:
    buffer = bytearray(b"." * 100)
    with pytest.raises(CodecError):
        codec.encode_into([1, 2, object()], buffer)
    assert buffer == b"." * 100


def test_encode_into_what_cannot_be_written(codec: ModuleType) -> None:
    with pytest.raises(BufferError):
        codec.encode_into(1, memoryview(b"readonly"))
    with pytest.raises(TypeError):
        codec.encode_into(1, "text")
    for offset in (-1, 9):
        with pytest.raises(ValueError, match=f"offset is {offset}, and may be 0 to 8"):
            codec.encode_into(1, bytearray(8), offset)


def test_encoder_counts_what_did_not_fit_as_not_encoded(codec: ModuleType) -> None:
    encoder = codec.Encoder()
    with pytest.raises(BufferError):
        encoder.encode_into({"key": 1}, bytearray(3))
    buffer = bytearray(10)
    assert encoder.encode_into({"key": 1}, buffer) == len(codec.encode({"key": 1}))
    assert encoder.encode({"key": 1}) == b"\x33\x81"
    encoder.reset()
    with pytest.raises(BufferError):
        encoder.encode_into({"key": 1}, bytearray(3))
    assert encoder.encode({"key": 1}) == b"\x30" + codec.encode({"key": 1})


@pytest.mark.parametrize("threshold", [len(LARGE) - 1, len(LARGE), len(LARGE) + 1])
def test_segments_are_the_callers_memory_from_the_threshold_on(codec: ModuleType, threshold: int) -> None:
    floats = array.array("d", bytes(len(LARGE)))
    value = {"a": LARGE, "b": bytearray(LARGE), "c": floats, "d": [None] * 40 + [LARGE], "e": 1}
    segments = codec.encode_segments(value, threshold=threshold)
    assert b"".join(segments) == codec.encode(value)
    if threshold > len(LARGE):
        assert len(segments) == 1
        return
    assert [segment for segment in segments if segment is LARGE] == [LARGE, LARGE]
    owners = [segment.obj for segment in segments if isinstance(segment, memoryview)]
    assert owners[0] is value["b"]
    assert owners[1] is floats
    assert all(segment.nbytes == len(segment) for segment in segments if isinstance(segment, memoryview))
    assert sum(len(segment) for segment in segments if isinstance(segment, bytes) and segment is not LARGE) < 300


def test_segments_may_end_with_a_payload(codec: ModuleType) -> None:
    head, payload = codec.encode_segments(LARGE)
    assert head == b"\x05\xfc\x00\x00\x01\x00"
    assert payload is LARGE


def test_segments_of_a_strided_array_are_a_copy(codec: ModuleType) -> None:
    strided = np.arange(20_000, dtype=np.int64)[::2]
    segments = codec.encode_segments(strided)
    assert b"".join(segments) == codec.encode(strided)


def test_segments_of_an_encoder_use_its_tables(codec: ModuleType) -> None:
    encoder, other = codec.Encoder(), codec.Encoder()
    for _ in range(3):
        assert b"".join(encoder.encode_segments({"blob": LARGE})) == other.encode({"blob": LARGE})


def test_threshold_below_one(codec: ModuleType) -> None:
    with pytest.raises(ValueError, match="threshold is 0, and must be at least 1"):
        codec.encode_segments(1, threshold=0)
    with pytest.raises(ValueError, match="threshold is 0, and must be at least 1"):
        codec.Encoder().encode_segments(1, threshold=0)


@pytest.mark.parametrize("size", [32_767, 32_768, 32_769])
def test_zero_copy_gives_views_of_the_input_from_the_threshold_on(codec: ModuleType, size: int) -> None:
    message = bytearray(codec.encode([bytes(size), array.array("d", [1.5])]))
    content, floats = codec.decode(message, zero_copy=True)
    assert isinstance(content, memoryview if size >= 32_768 else bytes)
    assert bytes(content) == bytes(size)
    assert floats.obj is message
    assert floats.readonly
    assert floats.tolist() == [1.5]
    if isinstance(content, memoryview):
        assert content.obj is message
        assert content.readonly
        with pytest.raises(BufferError):
            message.append(0)


def test_without_zero_copy_nothing_holds_the_input(codec: ModuleType) -> None:
    message = bytearray(codec.encode([LARGE, array.array("d", [1.5]), bytearray(LARGE)]))
    value = codec.decode(message)
    message.clear()
    assert value[0] == LARGE
    assert value[1].tolist() == [1.5]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_read(codec: ModuleType, kind: Any) -> None:
    assert same(codec.decode(kind(codec.encode({"a": [1]}))), {"a": [1]})


def test_what_is_no_buffer(codec: ModuleType) -> None:
    for wrong in ("text", None, 3):
        with pytest.raises(TypeError):
            codec.decode(wrong)
