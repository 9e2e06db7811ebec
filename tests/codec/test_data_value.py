"""The explicit tree says what the message says, and where."""

from __future__ import annotations

import array
import datetime as dt
import json
import math
import zoneinfo
from typing import Any

import pytest
from hypothesis import given

from rat.codec import CodecError, DataValue, decode, encode, from_data_value, parse_data_value, to_data_value
from tests.codec.material import full_values, plain_values, quick, same
from tests.codec.test_scan import WIRES


def check_offsets(node: DataValue) -> None:
    """Children lie in their parents, one behind the other."""
    place = node.offset
    for child in node:
        assert place <= child.offset
        place = child.offset + child.size
        check_offsets(child)
    assert place <= node.offset + node.size


@quick
@given(value=full_values)
def test_tree_and_back(value: Any) -> None:
    tree = to_data_value(value)
    assert (tree.offset, tree.size) == (0, len(encode(value)))
    assert same(from_data_value(tree), value)
    check_offsets(tree)
    json.dumps(tree.tree(), allow_nan=False)


@quick
@given(value=plain_values)
def test_bincode(value: Any) -> None:
    assert same(from_data_value(to_data_value(value, profile="bincode")), value)


@pytest.mark.parametrize("message", WIRES)
def test_every_form(message: bytes) -> None:
    tree = parse_data_value(message)
    assert same(from_data_value(tree), decode(message))
    assert tree.size == len(message)
    check_offsets(tree)


def test_tree_of_a_record() -> None:
    tree = to_data_value({"id": 300, "tags": [b"\x01", (1.5,)], "n": [1, 2, 3, 400]})
    assert tree.tree() == {
        "type": "Map",
        "form": "short map",
        "offset": 0,
        "size": 39,
        "children": [
            {"key": "id", "type": "Int", "form": "unsigned int", "offset": 11, "size": 3, "value": 300},
            {
                "key": "tags",
                "type": "List",
                "form": "short list",
                "offset": 14,
                "size": 15,
                "children": [
                    {"type": "Bytes", "form": "bytes", "offset": 15, "size": 3, "value": "01"},
                    {
                        "type": "Tuple",
                        "form": "tuple",
                        "offset": 18,
                        "size": 11,
                        "children": [{"type": "Float", "form": "f64", "offset": 20, "size": 9, "value": 1.5}],
                    },
                ],
            },
            {
                "key": "n",
                "type": "List",
                "form": "packed ints",
                "offset": 29,
                "size": 10,
                "children": [
                    {"type": "Int", "form": "packed item", "offset": 31 + 2 * place, "size": 2, "value": value}
                    for place, value in enumerate([1, 2, 3, 400])
                ],
            },
        ],
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1 << 60, str(1 << 60)),
        (1 << 20_000, hex(1 << 20_000)),
        (math.inf, "inf"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.time(1, 2, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")), "01:02:00 Europe/Berlin"),
        (dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=-1), "X")), "2026-01-02T00:00:00-01:00 X"),
        (bytearray(b"\xff"), "ff"),
        (array.array("d", [1.5, math.nan]), {"format": "d", "shape": [2], "items": [1.5, "nan"]}),
        (array.array("B", bytes(5000)), {"format": "B", "shape": [5000], "items": [0] * 512}),
    ],
    ids=["int", "huge int", "inf", "date", "zone", "named offset", "bytearray", "array", "large array"],
)
def test_values_that_json_cannot_say(value: Any, shown: Any) -> None:
    assert to_data_value(value).tree()["value"] == shown


def test_after_a_reset() -> None:
    assert from_data_value(parse_data_value(b"\x30\xe1\xc1a\x81")) == {"a": 1}


def test_bad_messages_and_values_are_refused() -> None:
    with pytest.raises(CodecError) as refusal:
        parse_data_value(b"\xc1")
    assert refusal.value.offset == 0
    with pytest.raises(CodecError) as refusal:
        to_data_value([object()])
    assert refusal.value.path == "$[0]"
    assert from_data_value(to_data_value([object()], default=lambda _: None)) == [None]
