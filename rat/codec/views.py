"""Lazy access: one field of a message without the rest.

Knows where values begin; what is read is read by the decoder.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rat.codec import Decoder, implementation
from rat.codec.children import Children, Packed, Start, children_of, skip
from rat.codec.primer import primer
from rat.codec.reader import Reader, ReadTables
from rat.codec.scalar_reader import Buffer, Malformed
from rat.codec.values import INDEX_STEP, MAX_SHAPE_KEYS, Tag, Variant, form_of
from rat.errors import CodecError

if TYPE_CHECKING:
    from rat.codec.native import Cursor

__all__ = ["View", "view"]

Place: TypeAlias = tuple[int, int, int]
"""An offset and how many keys and shapes the message defines before it."""

_STEP: Final = re.compile(
    r"""\.(?P<name>[^.\[\]'"]+) | \[(?P<index>-?\d+)\] | \[(?P<key>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]""", re.VERBOSE
)

_PRIME_FROM: Final = 2048
"""Size in bytes from which a decoder with the tables of the place, in C where there is one, is worth its set-up."""

_MANY: Final = 64
"""From so many items on that were asked for one by one, the offsets of a list without an index are kept."""

_cursor: type[Cursor] | None = import_module("rat.codec.native").Cursor if implementation == "native" else None


@lru_cache(maxsize=256)
def _steps(path: str) -> tuple[tuple[str | int, ...], tuple[int, ...]]:
    """The keys and indices of *path*, and where in it each begins.  Raises ValueError."""
    pos = 1 if path.startswith("$") else 0
    steps: list[str | int] = []
    places = []
    while pos < len(path):
        step = _STEP.match(path, pos)
        if step is None:
            raise ValueError(f"path {path!r} cannot be read from character {pos} on")
        steps.append(int(step["index"]) if step["index"] else step["name"] or literal_eval(step["key"]))
        places.append(pos)
        pos = step.end()
    return tuple(steps), tuple(places)


def view(data: Buffer, *, zero_copy: bool = False) -> View:
    """A view of the message *data*, which must not change while views of it are used.

    Nothing is read but what is asked for, so that a fault elsewhere in *data* is not noticed.  With *zero_copy*,
    large bytes are memoryviews of *data*.
    """
    content = data if isinstance(data, bytes) else memoryview(data).cast("B")
    pos = 1 if content[:1] == bytes((Tag.RESET,)) else 0
    if _cursor is None:
        return View(content, (pos, ReadTables()), zero_copy)
    return View(content, (pos, 0, 0), zero_copy, _cursor(content))


class View:
    """One value of a message where it lies.

    ``view[key]`` and ``view[index]`` give a View of a list, tuple or dict, and the decoded value of anything else.
    Offsets that were found are kept, so that a second access to a neighbour is cheaper.  Not for several threads at
    once.
    """

    __slots__ = ("_asked", "_children", "_cursor", "_data", "_numbers", "_place", "_tables", "_zero_copy")

    _children: Children | Packed | None
    _numbers: dict[str, int]
    _tables: ReadTables

    def __init__(self, data: Buffer, start: Start | Place, zero_copy: bool, cursor: Cursor | None = None) -> None:
        self._data = data
        self._zero_copy = zero_copy
        self._cursor = cursor
        self._asked = 0
        if len(start) == 3:
            self._place = start
        else:
            self._place = start[0], 0, 0
            self._tables = start[1]

    @property
    def offset(self) -> int:
        """Where the value begins, in bytes."""
        return self._place[0]

    @property
    def _start(self) -> Start:
        try:
            return self._place[0], self._tables
        except AttributeError:
            self._tables = tables = ReadTables()
            assert self._cursor is not None
            tables.keys, tables.shapes = self._cursor.tables(self._place)
            return self._place[0], tables

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

        The quickest way to one field of a large message.

        Raises ValueError for a path that cannot be read, and what ``[]`` raises.
        """
        steps, places = _steps(path)
        if self._cursor is not None and steps:
            found = self._cursor.find(self._place, steps, self._zero_copy)
            if type(found) is tuple:
                return View(self._data, found, self._zero_copy, self._cursor)
            if found is not NotImplemented:
                return found
        value: Any = self
        for step, pos in zip(steps, places, strict=True):
            if not isinstance(value, View):
                raise TypeError(f"{type(value).__name__} at {path[:pos]!r} has no items")
            value = value[step]
        return value

    def __len__(self) -> int:
        return self._items().count

    def __getitem__(self, key: str | int) -> Any:
        if self._cursor is not None and (type(key) is str or self._asked < _MANY):
            found = self._cursor.find(self._place, (key,), self._zero_copy)
            self._asked += type(key) is int and key >= INDEX_STEP and self._data[self._place[0]] != Tag.INDEXED_LIST
            if type(found) is tuple:
                return View(self._data, found, self._zero_copy, self._cursor)
            if found is not NotImplemented:
                return found
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
