"""Decoding takes less than 256 times the input plus 64 KiB, whatever the input claims."""

from __future__ import annotations

import tracemalloc
from types import ModuleType

import pytest

from rat.codec import CodecError

SIZE = 4096
CLAIMS = {
    "bytes of 2^62": "05fd0000000000000040",
    "str of 2^62": "04fd0000000000000040",
    "bytearray of 2^62": "13fd0000000000000040",
    "int of 2^40 bytes": "12fd0000000000010000",
    "list of 2^40": "06fd0000000000010000",
    "dict of 2^40": "07fd0000000000010000",
    "tuple of 2^40": "1cfd0000000000010000",
    "floats": "20fd0000000000010000",
    "strs": "25fd0000000000010000",
    "indexed list": "26fd0000000000010000ffffffff",
    "array": "1f0a01fd0000000000010000",
}
FILLINGS = {
    "empty lists": b"\xc0",
    "empty dicts": b"\xe0",
    "empty sets": b"\x1d\x00",
    "empty bytearrays": b"\x13\x00",
    "empty arrays": b"\x1f\x02\x01\x00",
    "arrays without dimensions": b"\x1f\x02\x00\x00",
    "dicts of one key": b"\x33\x00",
    "lists of one item": b"\xc1\x00",
    "dicts in dicts": b"\xe1\x00\xe0",
    "dates": b"\x14\xea\x07\x0b\x17",
    "decimals": b"\x1b\x011",
    "open lists": b"\x2c\x2f",
    "open dicts": b"\x2d\x2f",
    "open bytes": b"\x2e\x01a\x01b\x00",
    "small ints": b"\x0a\xff",
    "short strs": b"\x42ab",
    "cjk": b"\x04\x03\xe4\xb8\xad",
    "packed ints": b"\x22\x04\xff\x01\xff\x01\xff\x01\xff\x01",
    "packed strs": b"\x25\x02\x02\x02abcd",
}


@pytest.mark.parametrize("wire", CLAIMS.values(), ids=CLAIMS)
def test_claims_cost_nothing(codec: ModuleType, wire: str) -> None:
    data = bytes.fromhex(wire) + bytes(100)
    tracemalloc.start()
    try:
        with pytest.raises(CodecError):
            codec.decode(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024


@pytest.mark.parametrize("filling", FILLINGS.values(), ids=FILLINGS)
def test_memory_is_bounded_by_the_input(codec: ModuleType, filling: bytes) -> None:
    count = SIZE // len(filling)
    items = b"\xe1\xc1a\x00" + filling * (count - 1)
    data = b"\x06\xfb" + count.to_bytes(2, "little") + items
    codec.decode(data)  # what is loaded once is not the message's
    tracemalloc.start()
    try:
        value = codec.decode(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(value) == count
    assert peak < 256 * len(data) + 64 * 1024
