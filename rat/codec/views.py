"""Lazy access: one field of a message without the rest.

Knows where values begin; what is read is read by the decoder.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Iterator
from typing import Any, Final

from rat.codec import Decoder
from rat.codec.children import Children, Packed, Start, children_of, skip
from rat.codec.primer import primer
from rat.codec.reader import Reader, ReadTables
from rat.codec.scalar_reader import Buffer, Malformed
from rat.codec.values import MAX_SHAPE_KEYS, Tag, Variant, form_of
from rat.errors import CodecError

__all__ = ["View", "view"]

_STEP: Final = re.compile(
    r"""\.(?P<name>[^.\[\]'"]+) | \[(?P<index>-?\d+)\] | \[(?P<key>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]""", re.VERBOSE
)

_PRIME_FROM: Final = 2048
"""Size in bytes from which a decoder with the tables of the place, in C where there is one, is worth its set-up."""


def view(data: Buffer, *, zero_copy: bool = False) -> View:
    """A view of the message *data*, which must not change while views of it are used.

    Nothing is read but what is asked for, so that a fault elsewhere in *data* is not noticed.  With *zero_copy*,
    large bytes are memoryviews of *data*.
    """
    content = data if isinstance(data, bytes) else memoryview(data).cast("B")
    pos = 1 if content[:1] == bytes((Tag.RESET,)) else 0
    return View(content, (pos, ReadTables()), zero_copy)


class View:
    """One value of a message where it lies.

    ``view[key]`` and ``view[index]`` give a View of a list, tuple or dict, and the decoded value of anything else.
    Offsets that were found are kept, so that a second access to a neighbour is cheaper.  Not for several threads at
    once.
    """

    __slots__ = ("_children", "_data", "_numbers", "_start", "_zero_copy")

    _children: Children | Packed | None
    _numbers: dict[str, int]

    def __init__(self, data: Buffer, start: Start, zero_copy: bool) -> None:
        self._data = data
        self._start = start
        self._zero_copy = zero_copy

    @property
    def offset(self) -> int:
        """Where the value begins, in bytes."""
        return self._start[0]

    @property
    def size(self) -> int:
        """Bytes of the value.  Raises CodecError if it has no end."""
        return skip(self._data, self._start)[0] - self._start[0]

    @property
    def variant(self) -> Variant:
        """What the value is.  Raises CodecError for a tag that begins none."""
        form = form_of(self._tag())
        if form is None:
            raise CodecError(f"tag {self._tag()}, which begins no value", offset=self.offset)
        return form.variant

    def value(self) -> Any:
        """The whole value, decoded.  Raises CodecError."""
        pos, tables = self._start
        end = skip(self._data, self._start)[0]
        if end - pos < _PRIME_FROM:
            return Reader(self._data, tables.copy(), pos=pos, zero_copy=self._zero_copy).read()
        decoder = Decoder(zero_copy=self._zero_copy)
        if tables.size():
            decoder.decode(primer(tables))
        try:
            return decoder.decode(memoryview(self._data)[pos:end])
        except CodecError as error:
            raise CodecError(error.message, offset=pos + (error.offset or 0)) from None

    def keys(self) -> tuple[str, ...]:
        """The keys of a dict, in order.  Raises TypeError for any other value."""
        keys = self._items().keys
        if keys is None:
            raise TypeError(f"{self.variant.value} has no keys")
        return keys

    def at(self, path: str) -> Any:
        """What stands at *path*, written as errors write it: ``$.users[3].avatar``, ``$['a key'][0]``.

        Raises ValueError for a path that cannot be read, and what ``[]`` raises.
        """
        rest = path.removeprefix("$")
        pos = 0
        value: Any = self
        while pos < len(rest):
            step = _STEP.match(rest, pos)
            if step is None:
                raise ValueError(f"path {path!r} cannot be read from character {pos + len(path) - len(rest)} on")
            if not isinstance(value, View):
                raise TypeError(f"{type(value).__name__} at {path[: pos + len(path) - len(rest)]!r} has no items")
            value = value[int(step["index"]) if step["index"] else step["name"] or literal_eval(step["key"])]
            pos = step.end()
        return value

    def __len__(self) -> int:
        return self._items().count

    def __getitem__(self, key: str | int) -> Any:
        items = self._items()
        if isinstance(key, str):
            return self._item(items, self._number(key))
        if items.keys is not None:
            raise TypeError(f"key of type {type(key).__name__}, where only str can stand")
        index = key + items.count if key < 0 else key
        if not 0 <= index < items.count:
            raise IndexError(f"item {key} of {items.count}")
        return self._item(items, index)

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def __iter__(self) -> Iterator[Any]:
        """The items of a list or tuple, the keys of a dict."""
        items = self._items()
        if items.keys is not None:
            return iter(items.keys)
        return (self._item(items, index) for index in range(items.count))

    def __repr__(self) -> str:
        return f"<View of {self.variant.value} at offset {self.offset}>"

    def _tag(self) -> int:
        if self.offset < len(self._data) and (tag := self._data[self.offset]) < 251:
            return tag
        part = Reader(self._data, ReadTables(), pos=self.offset)
        try:
            return part.tag()
        except Malformed as error:
            raise CodecError(str(error), offset=self.offset) from None

    def _items(self) -> Children | Packed:
        try:
            children = self._children
        except AttributeError:
            children = self._children = children_of(self._data, self._start)
        if children is None:
            raise TypeError(f"{self.variant.value} has no items")
        return children

    def _number(self, key: str) -> int:
        keys = self.keys()
        if len(keys) <= MAX_SHAPE_KEYS:
            try:
                return keys.index(key)
            except ValueError:
                raise KeyError(key) from None
        try:
            numbers = self._numbers
        except AttributeError:
            numbers = self._numbers = {name: number for number, name in enumerate(keys)}
        return numbers[key]

    def _item(self, items: Children | Packed, index: int) -> Any:
        if isinstance(items, Packed):
            return items.item(index)
        start = items.start(index)
        inner = View(self._data, start, self._zero_copy)
        form = form_of(inner._tag())
        is_container = form is not None and form.variant in (Variant.LIST, Variant.MAP, Variant.TUPLE)
        return inner if is_container else inner.value()
