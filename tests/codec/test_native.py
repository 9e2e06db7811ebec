"""The C codec beside the reference: the same bytes, the same values, and the same words when it refuses."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import inspect
import threading
from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.codec import CodecError, reference
from rat.codec.scalar_writer import varint
from tests.codec.material import full_values, quick, same
from tests.support.examples import examples
from tests.support.extensions import built

built("rat.codec.native._codec")
native = import_module("rat.codec.native")

from tests.codec.operations import general_table, with_holes  # noqa: E402


def outcome(call: Callable[..., Any], *args: Any, **options: Any) -> object:
    """What *call* gives, or all that its refusal says."""
    try:
        return call(*args, **options)
    except CodecError as error:
        return str(error), error.message, error.path, error.offset
    except (TypeError, ValueError, BufferError, ArithmeticError) as error:
        return type(error), str(error)


class Opaque:
    """Nothing that has a form."""


@examples(50)
@given(full_values, st.data())
def test_same_words_for_bytes_that_are_wrong(value: Any, data: st.DataObject) -> None:
    wire = bytearray(reference.encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(wire)))
        wire[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    for options in ({}, {"max_items": 5}, {"max_depth": 2}, {"profile": "bincode"}):
        mine, theirs = (outcome(codec.decode, bytes(wire), **options) for codec in (native, reference))
        assert same(mine, theirs)


@examples(25)
@given(
    full_values, st.integers(0, 3), st.sampled_from([Opaque(), "\ud800", {1: 2}, {"\udfff": 1}, {"k" * 70: Opaque()}])
)
def test_same_words_for_values_that_are_wrong(value: Any, depth: int, wrong: Any) -> None:
    for broken in ([value, wrong], {"a": value, "b c": [wrong]}, (value, {"x": wrong}), [value] * 40 + [wrong]):
        for options in ({}, {"profile": "bincode"}, {"max_depth": depth}):
            assert outcome(native.encode, broken, **options) == outcome(reference.encode, broken, **options)


REFUSED: list[Any] = [
    {frozenset([(1, Opaque())])},
    (dt.date(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=type("Zone", (dt.tzinfo,), {})())),
    {"a": {1, 2}, "b": {(1, (Opaque(),))}},
    {"\udfff" * 80: 1},
    {"a": 1, 2: 3},
    {**{str(number): number for number in range(200)}, 7: 8},
    collections.OrderedDict(a=1),
    memoryview(bytes(8)).cast("B", (2, 4))[:1],
    [1, 2, 3, 1 << 64],
]


@pytest.mark.parametrize("value", REFUSED, ids=[repr(value).partition(" at 0x")[0][:40] for value in REFUSED])
@pytest.mark.parametrize(
    "options", [{}, {"profile": "bincode"}, {"max_depth": 1}, {"profile": "x"}, {"max_depth": 999}]
)
def test_refusals_in_the_same_words(value: Any, options: dict[str, Any]) -> None:
    assert outcome(native.encode, value, **options) == outcome(reference.encode, value, **options)
    assert outcome(native.encode_batch, [1, value]) == outcome(reference.encode_batch, [1, value])


@pytest.mark.parametrize("offset", [-1, 0, 2, 3, 4, 9])
@pytest.mark.parametrize(
    "buffer", [bytearray(8), bytes(8), memoryview(bytearray(8))[::2], "text", memoryview(bytearray(4))]
)
def test_encode_into_in_the_same_words(buffer: Any, offset: int) -> None:
    mine = outcome(native.encode_into, "abcd", buffer, offset)
    written = bytes(buffer) if not isinstance(buffer, str) else buffer
    assert mine == outcome(reference.encode_into, "abcd", buffer, offset)
    assert written == (bytes(buffer) if not isinstance(buffer, str) else buffer)


def popped_to_nothing() -> dict[str, int]:
    made = {"a": 1}
    made.clear()
    return made


@pytest.mark.parametrize(
    "make",
    [
        general_table,
        with_holes,
        popped_to_nothing,
        lambda: SimpleNamespace(x=1, y=[2]).__dict__,
        lambda: vars(Opaque()),
        lambda: dict.fromkeys("abc"),
    ],
)
@pytest.mark.parametrize("profile", ["full", "bincode"])
def test_dicts_of_every_build(make: Callable[[], dict[Any, Any]], profile: Any) -> None:
    value = [make(), make(), {"k": make()}]
    assert native.encode(value, profile=profile) == reference.encode(value, profile=profile)


@quick
@given(rows=st.lists(st.lists(st.sampled_from(["a", "b", "id", "name", "né", "k" * 70, ""]), max_size=4), max_size=12))
def test_plain_dicts_that_are_nearly_alike(rows: list[list[str]]) -> None:
    """Dicts whose keys are those of one before, up to some place, and twice the same key in one of them."""
    entries = [b"".join(varint(len(key.encode())) + key.encode() + b"\x02\x02" for key in row) for row in rows]
    content = b"".join(b"\x07" + bytes((len(row),)) + entry for row, entry in zip(rows, entries, strict=True))
    message = b"\x06" + bytes((len(rows),)) + content
    for _ in range(3):
        for profile in ("full", "bincode"):
            assert same(native.decode(message, profile=profile), reference.decode(message, profile=profile))
        cut = message[: len(message) * 2 // 3]
        for decoder in (native, reference):
            with pytest.raises(CodecError):
                decoder.decode(cut)


def test_instance_dicts_share_their_keys() -> None:
    class Point:
        def __init__(self, x: int, y: list[int]) -> None:
            self.x = x
            self.y = y

    points = [Point(number, [number]) for number in range(50)]
    del points[3].x
    points[4].__dict__["z"] = None
    value = [vars(point) for point in points]
    assert native.encode(value) == reference.encode(value)


@pytest.mark.parametrize("change", ["clear", "pop", "replace", "grow"])
@pytest.mark.parametrize("outer", ["dict", "list", "both"])
def test_containers_that_default_changes(change: str, outer: str) -> None:
    def run(codec: Any) -> object:
        inner: dict[str, Any] = {f"key{number}": [object(), "x" * 90, {"a": [1.5]}] for number in range(8)}
        listed: list[Any] = [Opaque(), {"b": Opaque()}, "s" * 100, [Opaque()] * 3] * 12
        value: Any = inner if outer == "dict" else listed if outer == "list" else {"l": listed, "d": [inner] * 40}

        def default(item: object) -> object:
            if change == "clear":
                inner.clear()
                listed.clear()
            elif change == "pop" and inner:
                inner.popitem()
                listed.pop()
            elif change == "replace":
                inner.update((key, None) for key in inner)
                listed[:] = [None] * len(listed)
            elif change == "grow" and len(inner) < 100:
                inner[f"more{len(inner)}"] = 1
                listed.append(1)
            return {"made": ["for", {"this": "call"}]}

        return outcome(codec.encode, value, default=default)

    assert run(native) == run(reference)


def test_encoder_in_use_is_refused() -> None:
    def default(_: object) -> object:
        return encoder.encode(1)

    encoder = native.Encoder(default=default)
    with pytest.raises(RuntimeError, match="encoder is in use"):
        encoder.encode({"a": Opaque()})
    assert encoder.encode({"a": 1}) == native.encode({"a": 1})


def test_calls_inside_default_have_tables_of_their_own() -> None:
    def default(_: object) -> object:
        return [native.encode({"a": [{"b": 1}, {"b": 2}]}), native.decode(native.encode({"a": {"c": 1}}))]

    value = {"a": Opaque(), "b": [{"a": 1}, Opaque()]}
    assert native.encode(value, default=default) == reference.encode(value, default=default)


def test_threads_at_once() -> None:
    """The tables at rest are lent to one call at a time, also where Python code lets another thread in."""
    values = [{f"k{number}": Opaque(), "same": [{"x": number}] * 3} for number in range(20)]
    expected = [reference.encode(value, default=lambda _: "o") for value in values]
    found: list[bool] = []

    def run() -> None:
        for _ in range(30):
            found.extend(
                native.encode(value, default=lambda _: "o") == wire and native.decode(wire) is not None
                for value, wire in zip(values, expected, strict=True)
            )

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2400
    assert all(found)


def test_no_utf8_copy_stays_on_a_str() -> None:
    text = "中文" * 20 + str(dt.date.today())
    before = text.__sizeof__()
    native.encode([text, {text: text}])
    assert text.__sizeof__() == before


def test_dataclass_fields_that_are_properties_of_trouble() -> None:
    @dataclasses.dataclass
    class Trouble:
        x: int

        def __getattribute__(self, name: str) -> Any:
            raise ArithmeticError(name)

    assert outcome(native.encode, {"a": Trouble(1)}) == outcome(reference.encode, {"a": Trouble(1)})


@pytest.mark.parametrize(
    ("name", "arguments", "named"),
    [
        ("encode", (1,), {"max_depth": 1.5}),
        ("decode", (b"\xc1\x00",), {"max_items": 1.5}),
        ("decode", (b"\xc1\x00",), {"max_items": "1"}),
        ("encode_into", (1, bytearray(9)), {"offset": 1.5}),
        ("encode_into", (1, bytearray(9), "1"), {}),
        ("encode_segments", (1,), {"threshold": 1.5}),
        ("Encoder", (), {"max_depth": 1.5}),
        ("Decoder", (), {"max_items": 1.5}),
    ],
)
def test_a_number_is_an_int(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    for codec in (native, reference):
        with pytest.raises(TypeError, match="object cannot be interpreted as an integer"):
            getattr(codec, name)(*arguments, **named)


@pytest.mark.parametrize(
    "call",
    [
        lambda codec: codec.encode(),
        lambda codec: codec.encode(1, 2),
        lambda codec: codec.encode(1, nothing=2),
        lambda codec: codec.decode(1),
        lambda codec: codec.decode(b"\x00", zero=True),
        lambda codec: codec.decode(memoryview(bytes(8))[::2]),
        lambda codec: codec.encode_segments(1, threshold=0),
        lambda codec: codec.Encoder(1),
        lambda codec: codec.Encoder(max_depth=257),
        lambda codec: codec.Encoder(**{1: 2}),  # type: ignore[arg-type]
        lambda codec: codec.Decoder(**{1: 2}),  # type: ignore[arg-type]
        lambda codec: codec.encode_batch(1),
    ],
)
def test_wrong_calls_raise_the_same_type(call: Callable[[Any], object]) -> None:
    with pytest.raises((TypeError, ValueError, NotImplementedError)) as theirs:
        call(reference)
    with pytest.raises(theirs.type):
        call(native)


SAID = [
    *("encode", "decode", "encode_segments", "encode_into", "encode_batch", "decode_batch", "Encoder", "Decoder"),
    *("Encoder.encode", "Encoder.encode_segments", "Encoder.encode_into", "Encoder.reset"),
    *("Decoder.decode", "Decoder.reset"),
]


@pytest.mark.parametrize("name", SAID)
def test_help_says_the_same(name: str) -> None:
    ours, theirs = attrgetter(name)(native), attrgetter(name)(reference)
    assert inspect.getdoc(ours) == inspect.getdoc(theirs)
    one, other = (inspect.signature(function).parameters.values() for function in (ours, theirs))
    told = [[(p.name, p.kind, p.default) for p in parameters if p.name != "self"] for parameters in (one, other)]
    assert told[0] == told[1]
