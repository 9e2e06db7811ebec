"""A message as an explicit tree of typed nodes with their offsets: what tools show.

Knows the structure of every form; values are read by the decoder, which also judges the message first.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from rat.codec.reader import Reader, ReadTables
from rat.codec.reference import Decoder, decode, encode
from rat.codec.scalar_reader import Buffer
from rat.codec.scalars import zone_of
from rat.codec.scan import ENDLESS
from rat.codec.values import INDEX_STEP, Profile, Tag, Variant, form_of
from rat.codec.writer import Default

__all__ = ["DataValue", "TreeDecoder", "from_data_value", "parse_data_value", "to_data_value"]

SHOWN_ITEMS: Final = 512
"""Elements of a typed array that a tree shows."""

_CONTAINERS: Final = (Variant.LIST, Variant.MAP, Variant.TUPLE, Variant.SET, Variant.FROZENSET)
_PACKED: Final = {
    Tag.F64_LIST: (Variant.FLOAT, "d"),
    33: (Variant.INT, "b"),
    34: (Variant.INT, "h"),
    35: (Variant.INT, "i"),
    Tag.I64_LIST: (Variant.INT, "q"),
}


@dataclass(frozen=True, slots=True)
class DataValue:
    """One value of a message.

    variant     what it is, whatever its form
    form        the name of its form on the wire (``packed ints``); an item of a packed list is a ``packed item``
    offset      of its first byte; bytes of the whole value are *size*
    value       the Python value, or None for list, dict, tuple, set and frozenset
    children    their items, in order; with the key in a dict, else with None
    """

    variant: Variant
    form: str
    offset: int
    size: int
    value: Any = None
    children: tuple[tuple[str | None, DataValue], ...] = ()

    def __iter__(self) -> Iterator[DataValue]:
        """The children without their keys."""
        return (child for _, child in self.children)

    def tree(self, key: str | None = None) -> dict[str, Any]:
        """The same as dicts, lists and what else JSON can say: key, type, form, offset, size, value, children."""
        node: dict[str, Any] = {} if key is None else {"key": key}
        node |= {"type": self.variant.value, "form": self.form, "offset": self.offset, "size": self.size}
        if self.variant in _CONTAINERS:
            node["children"] = [child.tree(name) for name, child in self.children]
        else:
            node["value"] = _shown(self.value)
        return node


def to_data_value(obj: Any, *, profile: Profile = "full", default: Default | None = None) -> DataValue:
    """The tree of the message of *obj*.  Raises CodecError as `encode` does."""
    return parse_data_value(encode(obj, profile=profile, default=default), profile=profile)


def parse_data_value(data: Buffer, *, profile: Profile = "full", max_depth: int = 64) -> DataValue:
    """The tree of the message *data*.  Raises CodecError as `decode` does."""
    decode(data, profile=profile, max_depth=max_depth)
    reader = Reader(data, ReadTables(), max_depth=max_depth)
    if reader.data[0] == Tag.RESET:
        reader.pos = 1
    return _node(reader)


class TreeDecoder:
    """The trees of messages whose tables live on, as those of one `Encoder` do; every one of them, in order."""

    def __init__(self, *, max_depth: int = 64) -> None:
        self._judge = Decoder(max_depth=max_depth)
        self._tables = ReadTables()
        self._max_depth = max_depth

    def parse(self, data: Buffer) -> DataValue:
        """The tree of the next message.  Raises CodecError as `Decoder.decode` does."""
        self._judge.decode(data)
        reader = Reader(data, self._tables, max_depth=self._max_depth)
        if reader.data[0] == Tag.RESET:
            self._tables.keys.clear()
            self._tables.shapes.clear()
            reader.pos = 1
        return _node(reader)


def from_data_value(tree: DataValue) -> Any:
    """The Python value that *tree* stands for."""
    match tree.variant:
        case Variant.LIST:
            return [from_data_value(child) for child in tree]
        case Variant.MAP:
            return {key: from_data_value(child) for key, child in tree.children}
        case Variant.TUPLE:
            return tuple([from_data_value(child) for child in tree])
        case Variant.SET:
            return {from_data_value(child) for child in tree}
        case Variant.FROZENSET:
            return frozenset([from_data_value(child) for child in tree])
        case Variant.BYTEARRAY:
            return bytearray(tree.value)
        case _:
            return tree.value


def _node(reader: Reader) -> DataValue:
    """The node at ``pos`` of a message that is known to be sound."""
    start = reader.pos
    tag = reader.tag()
    form = form_of(tag)
    assert form is not None
    if form.variant not in _CONTAINERS:
        reader.pos = start
        value = reader.read()
        return DataValue(form.variant, form.name, start, reader.pos - start, value)
    if Tag.F64_LIST <= tag <= Tag.ASCII_LIST:
        children = _packed(reader, tag)
    elif form.variant is Variant.MAP:
        children = _entries(reader, tag)
    else:
        children = _items(reader, tag)
    return DataValue(form.variant, form.name, start, reader.pos - start, None, tuple(children))


def _items(reader: Reader, tag: int) -> list[tuple[str | None, DataValue]]:
    if tag == Tag.OPEN_LIST:
        items: list[tuple[str | None, DataValue]] = []
        while reader.data[reader.pos] != Tag.CLOSE:
            items.append((None, _node(reader)))
        reader.skip(1)
        return items
    count = tag - Tag.SMALL_LIST if tag >= Tag.SMALL_LIST else reader.varint()
    size = int.from_bytes(reader.take(4), "little") if tag == Tag.INDEXED_LIST else ENDLESS
    items = [(None, _node(reader)) for _ in range(count)]
    if size != ENDLESS:
        reader.skip(4 * -(-count // INDEX_STEP))
    return items


def _entries(reader: Reader, tag: int) -> list[tuple[str | None, DataValue]]:
    if tag == Tag.DICT:
        return [(reader.plain_key(), _node(reader)) for _ in range(reader.varint())]
    if tag == Tag.OPEN_DICT:
        entries: list[tuple[str | None, DataValue]] = []
        while reader.data[reader.pos] != Tag.CLOSE:
            entries.append((reader.read_open_key(0), _node(reader)))
        reader.skip(1)
        return entries
    keys = reader.shape(tag) if Tag.SHAPED_DICT <= tag <= Tag.SHAPE_LAST else reader.head(tag)
    return [(key, _node(reader)) for key in keys]


def _packed(reader: Reader, tag: int) -> list[tuple[str | None, DataValue]]:
    count = reader.varint()
    items: list[tuple[str | None, DataValue]] = []
    if tag == Tag.ASCII_LIST:
        for size in reader.take(count):
            start = reader.pos
            text = str(reader.take(size), "ascii")
            items.append((None, DataValue(Variant.STRING, "packed item", start, size, text)))
        return items
    variant, code = _PACKED[tag]
    size = struct.calcsize(code)
    for _ in range(count):
        start = reader.pos
        value = struct.unpack(f"<{code}", reader.take(size))[0]
        items.append((None, DataValue(variant, "packed item", start, size, value)))
    return items


def _shown(value: Any) -> Any:
    """*value* as JSON can say it: bytes in hexadecimal, and what JSON would round or refuse as text."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if -(1 << 53) < value < 1 << 53 else hex(value) if value.bit_length() > 2000 else str(value)
        case float():
            return value if value - value == 0 else str(value)
        case bytes() | bytearray():
            return value.hex()
        case memoryview():
            items = [_shown(item) for item in islice(_elements(value), SHOWN_ITEMS)]
            return {"format": value.format, "shape": list(value.shape or ()), "items": items}
        case dt.datetime() | dt.time():
            return _moment(value)
        case _:
            return str(value)


def _elements(array: memoryview) -> Iterator[Any]:
    """All elements in C order."""
    size = array.itemsize
    content = array.cast("B") if array.ndim and array.nbytes else memoryview(array.tobytes())
    return (struct.unpack(f"={array.format}", content[at : at + size])[0] for at in range(0, len(content), size))


def _moment(value: dt.datetime | dt.time) -> str:
    """As ISO 8601; a zone by its name has the name in place of an offset, a named offset has both."""
    zone = value.tzinfo
    if zone is None:
        return value.isoformat()
    kind, _, name = zone_of(zone)
    if kind == 2:
        return f"{value.replace(tzinfo=None).isoformat()} {name}"
    return value.isoformat() + (f" {name}" if name is not None else "")
