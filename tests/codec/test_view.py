"""A view shows what decode gives, and looks only where it must."""

from __future__ import annotations

import random
import time
import timeit
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.codec import CodecError, Decoder, Encoder, View, decode, encode, reference, view, views
from rat.codec.primer import primer
from rat.codec.reader import Reader, ReadTables
from rat.codec.values import Variant
from tests.codec.material import full_values, plain_values, quick, same


@pytest.fixture(autouse=True, scope="module", params=["with the cursor in C", "in Python"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Views ask the cursor first, where there is one; what they give without it is the same."""
    cursor = views._cursor
    if request.param == "in Python":
        views._cursor = None
    elif cursor is None:
        pytest.skip("rat.codec.native is not built")
    yield request.param
    views._cursor = cursor


RECORDS = [
    {"id": index, "name": f"name {index}", **({f"extra {index}": [index]} if index % 33 == 5 else {})}
    for index in range(500)
]


def unfolded(shown: Any) -> Any:
    """What a view shows, item by item and from behind: the order of access must not matter."""
    if not isinstance(shown, View):
        return shown
    if shown.variant is Variant.MAP:
        items = {key: unfolded(shown[key]) for key in reversed(shown.keys())}
        return {key: items[key] for key in shown}
    if shown.variant in (Variant.LIST, Variant.TUPLE):
        values = [unfolded(shown[index]) for index in reversed(range(len(shown)))][::-1]
        return tuple(values) if shown.variant is Variant.TUPLE else values
    return shown.value()


@quick
@given(value=full_values)
def test_item_by_item(value: Any) -> None:
    message = reference.encode(value)
    assert same(unfolded(view(message)), value)
    assert same(view(memoryview(message)).value(), value)
    assert view(message).size == len(message)


@quick
@given(value=plain_values)
def test_bincode_messages(value: Any) -> None:
    assert same(unfolded(view(reference.encode(value, profile="bincode"))), value)


@pytest.mark.parametrize(
    "wire",
    [
        "2c8182c1802f",
        "2d4161c180416281" + "41612cc1812f" + "2f",
        "07020161000162060100",
        "2602ffffffffe1c161803381",
        "30e1c16181",
    ],
)
def test_other_forms(wire: str) -> None:
    message = bytes.fromhex(wire)
    assert same(unfolded(view(message)), decode(message))


@pytest.mark.parametrize("order", [list(range(500)), list(reversed(range(500))), [400, 3, 250, 70, 69, 499, 0]])
def test_records_in_any_order(order: list[int]) -> None:
    shown = view(encode(RECORDS))
    assert len(shown) == 500
    for index in order:
        assert same(shown[index].value(), RECORDS[index])
        assert shown[index]["name"] == RECORDS[index]["name"]
    assert shown[-1].value() == RECORDS[-1]


def test_paths() -> None:
    shown = view(encode({"users": [{"a b": (1, {"it's": "x"})}] * 40, "": {"é": None, "n\n": 2}}))
    assert shown.at("$.users[3]['a b'][1][\"it's\"]") == "x"
    assert shown.at("users[3]['a b'][0]".replace("users", ".users")) == 1
    assert shown.at("$['']['n\\n']") == 2
    assert shown.at("$[''].é") is None
    assert shown.at("$") is shown
    assert shown.at("$.users[-1]['a b']").value() == (1, {"it's": "x"})
    for path, error in {
        "$.users[40]": IndexError,
        "$.users.a": TypeError,
        "$.nobody": KeyError,
        "$[0]": TypeError,
        "$.users[3]['a b'][0].x": TypeError,
        "$.users[": ValueError,
        "users": ValueError,
    }.items():
        with pytest.raises(error):
            shown.at(path)


def test_what_is_no_container() -> None:
    shown = view(encode(5))
    assert shown.value() == 5
    assert shown.variant is Variant.INT
    assert repr(shown) == "<View of Int at offset 0>"
    for use in (lambda: len(shown), lambda: shown[0], lambda: shown["a"], lambda: shown.keys(), lambda: "a" in shown):
        with pytest.raises(TypeError, match="Int has no items"):
            use()
    with pytest.raises(TypeError, match="List has no keys"):
        view(encode([1])).keys()
    assert "a" in view(encode({"a": 1}))
    assert "b" not in view(encode({"a": 1}))


def test_zero_copy() -> None:
    message = encode({"blob": bytes(40_000)})
    assert isinstance(view(message)["blob"], bytes)
    blob = view(message, zero_copy=True)["blob"]
    assert isinstance(blob, memoryview)
    assert blob.obj is message


BEYOND = "2611" + "11000000" + 17 * "81" + "63000000" + "11000000"
"""A list of 17 items whose second block begins behind its end."""


@pytest.mark.parametrize(
    "wire", ["", "27", "c1", "c2812f", "e1", "e1c161", "2603030000008181", "2101", "250102ffff", "0702", BEYOND]
)
def test_faults_are_codec_errors(wire: str) -> None:
    with pytest.raises(CodecError) as refusal:
        unfolded(view(bytes.fromhex(wire)))
    assert refusal.value.offset is not None


def test_one_field_of_a_megabyte_is_read_without_the_rest(way: str) -> None:
    records = [{"id": index, "name": "n" * 60, "tags": ["a", "b"], "score": index / 3} for index in range(13_000)]
    message = encode({"head": {"version": 1}, "records": records, "tail": "end"})
    assert len(message) > 1_000_000
    shown = view(message)

    def three_fields() -> None:
        assert view(message)["records"][9_000]["id"] == 9_000
        assert view(message).at("$.tail") == "end"
        assert shown.at("$.records[12999].tags[1]") == "b"

    # The quickest of many: what disturbs one makes it longer, and of the whole message that may be so.
    fields = min(timeit.repeat(three_fields, number=1, repeat=20, timer=time.process_time)) / 3
    begin = time.process_time()
    (reference.decode if way == "in Python" else decode)(message)
    assert fields * 100 < time.process_time() - begin


def test_a_list_without_an_index_is_walked_once() -> None:
    message = bytes((6, 252)) + (20_000).to_bytes(4, "little") + bytes((2, 4)) * 20_000
    shown = view(message)
    begin = time.process_time()
    assert [shown[index] for index in range(20_000)] == [2] * 20_000
    assert time.process_time() - begin < 2


def test_places_are_those_of_the_cursor() -> None:
    cursor_type = views._cursor
    if cursor_type is None:
        pytest.skip("without the cursor")
    cursor = cursor_type(encode([{"a": 1}, {"b": 2}]))
    assert cursor.find((0, 0, 0), (1, "b"), False) == 2
    place = cursor.find((0, 0, 0), (1,), False)
    assert cursor.tables(place) == (["a"], [("a",)])
    for wrong in ((99, 0, 0), (0, 3, 0), (0, 0, 3), (-1, 0, 0)):
        with pytest.raises(ValueError, match="place that this cursor never gave"):
            cursor.find(wrong, (), False)
    assert cursor.find((0, 0, 0), (7,), False) is NotImplemented
    assert cursor.find((0, 0, 0), ("x",), False) is NotImplemented
    assert cursor.find((0, 0, 0), (1 << 90,), False) is NotImplemented
    for arguments in ((), ((0, 0, 0), 1, False), ([0, 0, 0], (), False)):
        with pytest.raises(TypeError):
            cursor.find(*arguments)


def shown_or_refused(message: bytes) -> object:
    try:
        return reference.encode(unfolded(view(message)))
    except CodecError:
        return None


def test_what_is_nearly_sound_is_shown_alike(way: str) -> None:
    """The cursor gives up where it is not sure, and what it gives is what is found without it."""
    cursor, rng = views._cursor, random.Random(5)
    if cursor is None:
        pytest.skip("nothing to compare with")
    seeds = [
        encode(RECORDS[:60]),
        encode({"a": [{"x": (1.5, b"y")}] * 20, "b": ["w"] * 9}),
        encode([[1, 2], {"k": {}}]),
    ]
    for _ in range(1_500):
        message = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 3)):
            message[rng.randrange(len(message))] = rng.randrange(256)
        found = shown_or_refused(bytes(message))
        try:
            views._cursor = None
            assert shown_or_refused(bytes(message)) == found, message.hex()
        finally:
            views._cursor = cursor


@quick
@given(values=st.lists(full_values, max_size=3), after=full_values)
def test_a_primed_decoder_goes_on_where_another_was(values: list[Any], after: Any) -> None:
    encoder, reader = Encoder(), ReadTables()
    for value in values:
        Reader(encoder.encode(value), reader).read()
    decoder = Decoder()
    decoder.decode(primer(reader))
    assert same(decoder.decode(encoder.encode([values, after])), [values, after])


def test_primer_of_full_tables() -> None:
    tables = ReadTables()
    encoder = Encoder()
    for number in range(1024):
        Reader(encoder.encode({f"{number}" if number else "": 1, "5": 2}), tables).read()
    assert (len(tables.keys), len(tables.shapes)) == (1024, 256)
    again = ReadTables()
    Reader(primer(tables), again).read()
    assert (again.keys, again.shapes) == (tables.keys, tables.shapes)


def test_large_values_in_the_middle() -> None:
    shown = view(encode({"first": RECORDS[:100], "second": {"rows": RECORDS, "blob": bytes(50_000)}}), zero_copy=True)
    assert same(shown["second"]["rows"].value(), RECORDS)
    assert isinstance(shown["second"]["blob"], memoryview)
    broken = bytearray(encode({"first": RECORDS[:100], "second": ["x" * 3000, "é"]}))
    broken[-1] = 0
    with pytest.raises(CodecError) as refusal:
        view(broken)["second"].value()
    assert refusal.value.offset == len(broken) - 4
