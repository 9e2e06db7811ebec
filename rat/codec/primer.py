"""A message that brings a decoder's tables to a given state, so that it can go on in the middle of another message.

Knows only section 5 of docs/wire-format.md.
"""

from __future__ import annotations

from typing import Final

from rat.codec.reader import ReadTables
from rat.codec.scalar_writer import varint
from rat.codec.values import MAX_SHAPE_KEYS, Tag

__all__ = ["primer"]

_UNKNOWN: Final = b"\xff\x00"
"""The slot of the empty key in its long form: it enters no table, and neither does the shape that it is part of."""
_OTHER: Final = b"\xff\x01-"
"""Another one, where the empty key is among the others."""


def primer(tables: ReadTables) -> bytes:
    """A list of dicts of None that leaves *tables* behind in a decoder that had none."""
    dicts = []
    for start in range(0, len(tables.keys), MAX_SHAPE_KEYS - 1):
        keys = tables.keys[start : start + MAX_SHAPE_KEYS - 1]
        contents = [key.encode() for key in keys]
        slots = b"".join(bytes((0xC0 + len(content),)) + content for content in contents)
        dicts.append(_dict(len(keys) + 1, slots + (_OTHER if "" in keys else _UNKNOWN)))
    numbers = {key: number for number, key in enumerate(tables.keys)}
    for shape in tables.shapes:
        places = [numbers[key] for key in shape]
        dicts.append(_dict(len(shape), b"".join(bytes((0x80 | place >> 8, place & 0xFF)) for place in places)))
    return bytes((Tag.LIST,)) + varint(len(dicts)) + b"".join(dicts)


def _dict(count: int, slots: bytes) -> bytes:
    return bytes((Tag.WIDE_DICT, count)) + slots + bytes(count)
