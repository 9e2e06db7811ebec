"""The bytes that others wrote: vectors of the Rust crate bincode 2, and every example of docs/wire-format.md."""

from __future__ import annotations

import array
import datetime
import decimal
import json
import re
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rat.codec import CodecError
from tests.codec.material import same

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "bincode2.json").read_text())
DOCUMENT = (Path(__file__).parents[2] / "docs" / "wire-format.md").read_text()
NAMES = {"array": array, "datetime": datetime, "decimal": decimal, "uuid": uuid}


def value_of(case: dict[str, Any]) -> Any:
    match case["kind"]:
        case "float":
            return float(case["value"])
        case "bytes":
            return bytes.fromhex(case["value"])
        case _:
            return case["value"]


def by_name(case: dict[str, Any]) -> str:
    return str(case["name"])


@pytest.mark.parametrize("case", VECTORS["encode_and_decode"], ids=by_name)
def test_bincode_writes_what_the_crate_writes(codec: ModuleType, case: dict[str, Any]) -> None:
    assert codec.encode(value_of(case), profile="bincode").hex() == case["hex"]


@pytest.mark.parametrize("profile", ["full", "bincode"])
@pytest.mark.parametrize("case", VECTORS["encode_and_decode"] + VECTORS["decode_only"], ids=by_name)
def test_bincode_reads_what_the_crate_reads(codec: ModuleType, case: dict[str, Any], profile: str) -> None:
    assert same(codec.decode(bytes.fromhex(case["hex"]), profile=profile), value_of(case))


@pytest.mark.parametrize("case", VECTORS["must_be_refused"], ids=by_name)
def test_bincode_refuses_what_the_crate_refuses(codec: ModuleType, case: dict[str, Any]) -> None:
    for profile in [case["profile"]] if "profile" in case else ["full", "bincode"]:
        with pytest.raises(CodecError) as refusal:
            codec.decode(bytes.fromhex(case["hex"]), profile=profile)
        assert refusal.value.offset is not None
        assert refusal.value.path is None


@pytest.mark.parametrize("profile", ["full", "bincode"])
def test_deep_nesting_is_refused_where_it_passes_the_limit(codec: ModuleType, profile: str) -> None:
    case = VECTORS["must_be_refused_deep"]
    data = bytes.fromhex(case["hex_prefix"]) * case["repeat"] + bytes.fromhex(case["hex_suffix"])
    with pytest.raises(CodecError) as refusal:
        codec.decode(data, profile=profile)
    assert refusal.value.offset == 2 * 64


def examples(fence: str) -> list[tuple[str, str]]:
    found = re.search(rf"```{fence}\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None
    return [(line.rsplit(" => ", 1)[0], line.rsplit(" => ", 1)[1]) for line in found[1].strip().splitlines()]


def value_in(text: str) -> Any:
    return eval(text, dict(NAMES))


@pytest.mark.parametrize(("text", "wire"), examples("examples"))
def test_examples_of_the_document(codec: ModuleType, text: str, wire: str) -> None:
    if ";" in text:
        encoder, decoder = codec.Encoder(), codec.Decoder()
        for part, message in zip(text.split("; "), wire.split("; "), strict=True):
            assert encoder.encode(value_in(part)).hex(" ") == message
            assert same(decoder.decode(bytes.fromhex(message)), value_in(part))
        return
    plain = text.removeprefix("bincode ")
    assert codec.encode(value_in(plain), profile="full" if plain == text else "bincode").hex(" ") == wire
    value = codec.decode(bytes.fromhex(wire))
    assert value == value_in(plain)
    assert same(value, value_in(plain)) or isinstance(value, memoryview)


@pytest.mark.parametrize(("wire", "text"), examples("decode-only"))
def test_decoded_examples_of_the_document(codec: ModuleType, wire: str, text: str) -> None:
    assert same(codec.decode(bytes.fromhex(wire)), value_in(text))
