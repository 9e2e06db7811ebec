"""The scanner finds the ends that the decoder finds, however the bytes are cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.codec import CodecError, reference
from rat.codec.reader import Reader, ReadTables
from rat.codec.scan import Scanner
from tests.codec.material import full_values, plain_values, quick
from tests.codec.test_refusals import REFUSED_BYTES

RECORDS = [{"id": index, "name": "n" * (index % 20), "inner": [{"k": None}] * 3} for index in range(100)]
WIRES = [
    bytes.fromhex("2c81c22c822f2d2f2f"),
    bytes.fromhex("2d41612c81822f41622d2f2f"),
    bytes.fromhex("c22e01610262630080"),
    bytes.fromhex("2602ffffffffe1c1618033" + "81"),
    bytes.fromhex("fb0200fb0200"),
    bytes.fromhex("070201610001620601070101630101"),
    bytes.fromhex("0700"),
    reference.encode([RECORDS, RECORDS]),
    reference.encode({str(key): RECORDS[key % 7] for key in range(200)}),
]


@quick
@given(value=full_values, other=full_values)
def test_ends_of_values(value: Any, other: Any) -> None:
    message = reference.encode(value)
    scanner = Scanner(ReadTables())
    assert scanner.run(message + reference.encode(other), len(message) + 1)
    assert scanner.pos == len(message)


@quick
@given(value=plain_values)
def test_ends_of_bincode_values(value: Any) -> None:
    message = reference.encode(value, profile="bincode")
    scanner = Scanner(ReadTables())
    assert scanner.run(message, len(message))
    assert scanner.pos == len(message)


def check_every_cut(message: bytes, ends: range) -> None:
    tables = ReadTables()
    reader = Reader(message, tables)
    reader.read()
    whole = ReadTables()
    scanner = Scanner(whole)
    for end in ends:
        if end < scanner.wanted:
            continue
        if scanner.run(message, end):
            break
        assert end < scanner.wanted <= len(message)
    assert scanner.pos == reader.pos == len(message)
    assert (whole.keys, whole.shapes) == (tables.keys, tables.shapes)


@quick
@given(value=full_values)
def test_cut_anywhere(value: Any) -> None:
    message = reference.encode(value)
    check_every_cut(message, range(len(message) + 1))


@pytest.mark.parametrize("message", WIRES)
def test_every_form_cut_anywhere(message: bytes) -> None:
    reference.decode(message)
    check_every_cut(message, range(len(message) + 1))


@quick
@given(noise=st.binary(max_size=80))
def test_noise_ends_where_the_decoder_ends(noise: bytes) -> None:
    reader = Reader(noise, ReadTables())
    try:
        reader.read()
    except CodecError:
        return
    scanner = Scanner(ReadTables())
    assert scanner.run(noise, len(noise))
    assert scanner.pos == reader.pos


@pytest.mark.parametrize("wire", [wire for wire, _ in REFUSED_BYTES.values()], ids=list(REFUSED_BYTES))
def test_nothing_but_codec_errors(wire: str) -> None:
    data = bytes.fromhex(wire)
    scanner = Scanner(ReadTables())
    try:
        done = scanner.run(data, len(data))
    except CodecError:
        return
    assert done or scanner.wanted > len(data)


def test_nested_indexed_lists_are_bounded() -> None:
    inner = b"\xe1\xc1a\x00"
    for _ in range(300):
        inner = b"\x26\x01" + len(inner).to_bytes(4, "little") + inner + (len(inner) | 1 << 31).to_bytes(4, "little")
    with pytest.raises(CodecError, match="indexed lists nested deeper than 64 levels"):
        Scanner(ReadTables()).run(inner, len(inner))
