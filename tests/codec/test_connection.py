"""Encoder and Decoder, encode_batch and decode_batch: tables that outlive a message."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.codec import CodecError, reference
from tests.codec.material import CODECS, full_values, quick, same
from tests.support.extensions import built

RECORD = {"id": 1, "name": "first", "tags": ["a", "b"]}


@quick
@given(values=st.lists(full_values, max_size=4))
def test_messages_in_order(values: list[Any]) -> None:
    ends = [(codec.Encoder(), codec.Decoder()) for codec in CODECS]
    for value in values + values:
        messages = [encoder.encode(value) for encoder, _ in ends]
        assert messages[0] == messages[-1]
        for _, decoder in ends:
            assert same(decoder.decode(messages[0]), value), decoder


def test_first_message_is_a_plain_one_and_the_next_are_short(codec: ModuleType) -> None:
    encoder = codec.Encoder()
    first, second = encoder.encode(RECORD), encoder.encode(RECORD)
    assert first == codec.encode(RECORD)
    assert len(second) == len(first) - sum(len(key) + 1 for key in RECORD)
    with pytest.raises(CodecError, match="shape 0 of 0 at offset 0"):
        codec.decode(second)


def test_reset_empties_both_ends(codec: ModuleType) -> None:
    encoder, decoder = codec.Encoder(), codec.Decoder()
    decoder.decode(encoder.encode({"old": 1}))
    encoder.reset()
    message = encoder.encode(RECORD)
    assert message == b"\x30" + codec.encode(RECORD)
    assert decoder.decode(message) == RECORD
    again = encoder.encode(RECORD)
    assert again[0] == 51
    assert decoder.decode(again) == RECORD


def test_reset_is_not_lost_with_a_refused_value(codec: ModuleType) -> None:
    encoder = codec.Encoder()
    encoder.encode(RECORD)
    encoder.reset()
    with pytest.raises(CodecError):
        encoder.encode({"x": object()})
    assert encoder.encode(RECORD) == b"\x30" + codec.encode(RECORD)
    assert encoder.encode(RECORD)[0] == 51


@quick
@given(before=full_values, refused=full_values, after=full_values)
def test_refused_value_leaves_no_trace(before: Any, refused: Any, after: Any) -> None:
    for codec in CODECS:
        encoder, clean = codec.Encoder(), codec.Encoder()
        encoder.encode(before)
        clean.encode(before)
        with pytest.raises(CodecError):
            encoder.encode([refused, {"seen": refused, "then": object()}])
        for value in (after, [after, {"seen": 1, "then": 2}], before):
            assert encoder.encode(value) == clean.encode(value), codec


def test_error_of_default_leaves_no_trace(codec: ModuleType) -> None:
    def default(value: Any) -> Any:
        raise LookupError

    encoder = codec.Encoder(default=default)
    with pytest.raises(LookupError):
        encoder.encode({"a": object()})
    assert encoder.encode({"b": 1, "a": 2}) == codec.encode({"b": 1, "a": 2})


def test_decoder_is_lost_after_a_refusal_until_a_reset(codec: ModuleType) -> None:
    encoder, decoder = codec.Encoder(), codec.Decoder()
    first, second = encoder.encode(RECORD), encoder.encode(RECORD)
    decoder.decode(first)
    with pytest.raises(CodecError):
        decoder.decode(second[:-1])
    with pytest.raises(CodecError, match="message after a refused one, without a reset at offset 0"):
        decoder.decode(second)
    encoder.reset()
    assert decoder.decode(encoder.encode(RECORD)) == RECORD
    assert decoder.decode(encoder.encode(RECORD)) == RECORD
    with pytest.raises(CodecError):
        decoder.decode(b"")
    decoder.reset()
    assert decoder.decode(first) == RECORD


def test_tables_stay_within_their_bounds(codec: ModuleType) -> None:
    encoder, decoder = codec.Encoder(), codec.Decoder()
    for number in range(3000):
        value = {f"key {number}": number, "same": None}
        assert same(decoder.decode(encoder.encode(value)), value)
    known, late = {"key 3": 1, "same": None}, {"key 2999": 1, "same": None}
    assert len(encoder.encode(known)) == 3
    for _ in range(2):  # the tables are full: only "same" is known
        assert len(encoder.encode(late)) == len(codec.encode(late)) - 4


def test_tables_that_grow_say_the_same_as_the_reference(codec: ModuleType) -> None:
    encoder, decoder = codec.Encoder(), codec.Decoder()
    other = reference.Encoder()
    for number in range(300):
        value = {f"{number % 170}/{key}": {f"{key} in {number}": None} for key in range(number % 11)}
        message = encoder.encode(value)
        assert message == other.encode(value)
        assert decoder.decode(message) == value
        if number % 50 == 49:  # what a refused value brought is forgotten, also where the tables grew for it
            for end in (encoder, other):
                with pytest.raises(CodecError):
                    end.encode({f"lost {number} {key}": {"x": object()} if key == 79 else {} for key in range(80)})


def test_tables_begin_small() -> None:
    native = built("rat.codec.native._codec")
    record = {"id": 1, "name": "x", "tags": ["a"], "address": {"city": "y", "zip": 2}}
    encoder, decoder = native.Encoder(), native.Decoder()
    assert sys.getsizeof(encoder) < 150
    assert sys.getsizeof(decoder) < 150
    for _ in range(3):
        decoder.decode(encoder.encode(record))
    assert sys.getsizeof(encoder) < 2_000
    assert sys.getsizeof(decoder) < 1_500
    for number in range(2_000):
        decoder.decode(encoder.encode({f"{number} {key}": key for key in range(5)}))
    assert sys.getsizeof(encoder) < 50_000
    assert sys.getsizeof(decoder) < 40_000


def test_options_of_the_decoder(codec: ModuleType) -> None:
    message = codec.encode([[1, 2], bytes(40_000)])
    assert isinstance(codec.Decoder(zero_copy=True).decode(message)[1], memoryview)
    for decoder in (codec.Decoder(max_depth=1), codec.Decoder(max_items=3)):
        with pytest.raises(CodecError) as refusal:
            decoder.decode(message)
        assert refusal.value.offset == 1
    with pytest.raises(CodecError) as refusal:
        codec.Encoder(max_depth=1).encode([[1]])
    assert refusal.value.path == "$[0]"


@quick
@given(values=st.lists(full_values, max_size=4))
def test_batch(values: list[Any]) -> None:
    messages = reference.encode_batch(iter(values))
    for codec in CODECS:
        assert codec.encode_batch(values) == messages, codec
        assert same(codec.decode_batch(messages), values), codec


def test_batch_shares_its_tables(codec: ModuleType) -> None:
    messages = codec.encode_batch([RECORD] * 3)
    assert messages[0] == codec.encode(RECORD)
    assert messages[1] == messages[2]
    assert len(messages[1]) < len(messages[0]) - 10


def test_bad_item_of_a_batch_is_named(codec: ModuleType) -> None:
    with pytest.raises(CodecError) as refusal:
        codec.encode_batch([1, 2, {"a": [object()]}, 4])
    assert refusal.value.path == "$[2].a[0]"
    with pytest.raises(CodecError, match="message 1: ") as refusal:
        codec.decode_batch([b"\x81", b"\xc1\x2f", b"\x81"])
    assert refusal.value.offset == 1
