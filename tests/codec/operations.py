"""Everything the C codec does, as short calls: for tests that count what is left, or let memory run out."""

from __future__ import annotations

import array
import contextlib
import dataclasses
import datetime as dt
import decimal
import uuid
from collections.abc import Callable
from typing import Any, Final

from rat.codec import CodecError, native

__all__ = ["OPERATIONS", "general_table", "with_holes"]


def general_table() -> dict[Any, Any]:
    """A dict of str keys whose table once held another key."""
    made: dict[Any, Any] = {1: 1, "a": 2, "b": [3], "c": None}
    del made[1]
    return made


def with_holes() -> dict[str, int]:
    made = {str(number): number for number in range(40)}
    for number in range(0, 40, 3):
        del made[str(number)]
    return made


@dataclasses.dataclass
class _Point:
    x: int
    y: list[int]


_RECORDS: Final = [{"id": n, "name": f"名字{n}", "tags": ["a", "b", "c", "dd"], "in": {"x": n / 2}} for n in range(34)]
_RARE: Final = {
    "date": dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC),
    "decimal": decimal.Decimal("1.50"),
    "uuid": uuid.UUID(int=7),
    "array": array.array("d", [1.5] * 9),
    "set": {1, "x", (2, b"y"), frozenset([3])},
    "big": 1 << 99,
    "point": _Point(1, [2]),
}
_CYCLE: Final[list[Any]] = []
_CYCLE.append({"again": _CYCLE})
_WIDE: Final = {f"key {number}": [number] * 5 for number in range(130)}
_CONFIG: Final = {f"section{n}": {f"{n}/{m}": [str(m), m * 1.5, None] for m in range(9)} for n in range(12)}
_RECORDS_WIRE: Final = native.encode(_RECORDS)
_RARE_WIRE: Final = native.encode(_RARE)
_CONFIG_WIRE: Final = native.encode(_CONFIG)
_OPEN_WIRE: Final = bytes.fromhex("2c2d4161812f2e026162016300812f")
_BINCODE_WIRE: Final = native.encode(_RECORDS, profile="bincode")


def _refused(call: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[[], None]:
    def run() -> None:
        with contextlib.suppress(CodecError, BufferError):
            call(*arguments, **options)

    return run


def _connection() -> None:
    encoder, decoder = native.Encoder(), native.Decoder()
    for value in (_RECORDS[0], _RECORDS[1], _CONFIG):
        decoder.decode(encoder.encode(value))
    with contextlib.suppress(CodecError):
        encoder.encode({"new": object()})
    encoder.encode_into({"more": 1}, bytearray(64), 3)
    encoder.reset()
    decoder.decode(encoder.encode(_RECORDS[2]))


def _long_connection() -> None:
    """Tables that grow, are cut after a refusal and grow again."""
    encoder, decoder = native.Encoder(), native.Decoder()
    for number in range(12):
        value = {f"{number}/{key}": {f"in {number}": key} for key in range(9)}
        decoder.decode(encoder.encode(value))
        with contextlib.suppress(CodecError):
            encoder.encode({f"refused {key}": object() if key == 40 else key for key in range(41)})


def _look() -> None:
    cursor = native.Cursor(_CONFIG_WIRE)
    for number in (11, 0, 7):
        place = cursor.find((0, 0, 0), (f"section{number}",), False)
        assert cursor.find(place, (f"{number}/8", 1), False) == 12.0
    cursor.tables(place)
    cursor = native.Cursor(_RECORDS_WIRE)
    assert cursor.find((0, 0, 0), (-1, "name"), False) == "名字33"
    assert cursor.find((0, 0, 0), (33, "tags", 3), False) == "dd"
    assert cursor.find((0, 0, 0), (33, "té"), False) is NotImplemented


def _scattered() -> dict[str, Any]:
    value: dict[str, Any] = {f"key {number}": number for number in range(12)}
    del value["key 3"], value["key 0"]
    return value


_SCATTERED: Final = [_scattered(), vars(_Point(1, [2])), {"a": _scattered()}]


def _raises(_: object) -> object:
    raise KeyError("from default")


def _error_of_default() -> None:
    with contextlib.suppress(KeyError):
        native.encode({"a": [1, {"b": object()}]}, default=_raises)


def _replaces(_: object) -> object:
    return [{"x": 1}]


class _Popping:
    """Takes an entry out of the dict that is being encoded."""

    def __init__(self, value: dict[Any, Any]) -> None:
        self.value = value

    def __call__(self, _: object) -> object:
        return self.value.pop("c", None)


def _changed() -> None:
    one = object()
    value: dict[Any, Any] = {"a": [one], "b": 2, "c": 3}
    with contextlib.suppress(CodecError):
        native.encode(value, default=_Popping(value))


def _loose() -> None:
    """Bytes that are wrong at the very end, everywhere, and cut."""
    for wire in (_RECORDS_WIRE[:300], _RARE_WIRE, _CONFIG_WIRE[:500]):
        for message in (wire + b"\x00", wire[:-1], wire[:40] + b"\xff" + wire[41:]):
            with contextlib.suppress(CodecError):
                native.decode(message)


OPERATIONS: Final[dict[str, Callable[[], Any]]] = {
    "encode records": lambda: native.encode(_RECORDS),
    "encode rare": lambda: native.encode(_RARE),
    "encode config": lambda: native.encode(_CONFIG),
    "encode wide": lambda: native.encode(_WIDE),
    "encode bincode": lambda: native.encode(_RECORDS, profile="bincode"),
    "encode segments": lambda: native.encode_segments({"a": bytes(9), "b": [bytearray(9)] * 9}, threshold=4),
    "encode into": lambda: native.encode_into(_RECORDS[0], bytearray(500)),
    "encode into too little": _refused(native.encode_into, _RECORDS, bytearray(5)),
    "encode with default": lambda: native.encode({"a": [object()] * 3}, default=_replaces),
    "encode batch": lambda: native.encode_batch(_RECORDS),
    "encode batch refused": _refused(native.encode_batch, [1, {"a": object()}]),
    "encode cycle": _refused(native.encode, _CYCLE),
    "encode surrogate": _refused(native.encode, {"a b": ["\ud800"]}),
    "encode key": _refused(native.encode, {"a": {(1, 2): 3}}),
    "error of default": _error_of_default,
    "changed by default": _changed,
    "decode records": lambda: native.decode(_RECORDS_WIRE),
    "decode rare": lambda: native.decode(_RARE_WIRE, zero_copy=True),
    "decode config": lambda: native.decode(_CONFIG_WIRE),
    "decode open": lambda: native.decode(_OPEN_WIRE),
    "decode bincode": lambda: native.decode(bytearray(_BINCODE_WIRE), profile="bincode"),
    "decode batch": lambda: native.decode_batch(native.encode_batch(_RECORDS[:3])),
    "decode batch refused": _refused(native.decode_batch, [b"\x00", b"\x33"]),
    "decode what is wrong": _loose,
    "connection": _connection,
    "long connection": _long_connection,
    "encode scattered": lambda: native.encode(_SCATTERED),
    "encode scattered bincode": lambda: native.encode(_SCATTERED, profile="bincode"),
    "encode scattered with default": lambda: native.encode([*_SCATTERED, {"a": object()}], default=_replaces),
    "look": _look,
}
