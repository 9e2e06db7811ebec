"""The type table: Python type, variant and tag of every form on the wire, in one place.

docs/wire-format.md is the specification; the numbers stand here and nowhere else in Python.  Knows no buffer and no
bytes.
"""

from __future__ import annotations

import dataclasses
import enum
from operator import index
from typing import Any, Final, Literal, NamedTuple, TypeAlias

__all__ = [
    "DTYPES",
    "FORMS",
    "INDEX_STEP",
    "MAX_DEPTH",
    "MAX_KEYS",
    "MAX_SHAPES",
    "MAX_SHAPE_KEYS",
    "NOT_REPLACED",
    "PACK_FROM",
    "VIEW_FROM",
    "Form",
    "Profile",
    "Tag",
    "Variant",
    "check_max_depth",
    "check_profile",
    "form_of",
    "key_path",
    "replacement",
]

Profile: TypeAlias = Literal["full", "bincode"]

MAX_DEPTH: Final = 256
"""The largest max_depth that may be asked for: the C stack bounds it."""
MAX_KEYS: Final = 1024
MAX_SHAPES: Final = 256
MAX_SHAPE_KEYS: Final = 128
MAX_SHORT_KEY: Final = 62
"""Longest key, in bytes of UTF-8, that enters the key table."""
INDEX_STEP: Final = 16
"""Items of a block of an indexed list."""
INDEXED_SIZE: Final = (1 << 31) - 1
"""Size in bytes from which a list has no index."""
ADDS_TO_TABLES: Final = 1 << 31
"""The bit of an index entry whose block appends to the tables."""
PACK_FROM: Final = 4
"""Fewest items of a packed list."""
VIEW_FROM: Final = 32768
"""Size in bytes from which zero_copy gives a view instead of a copy."""
I64_MIN: Final = -(1 << 63)
I64_MAX: Final = (1 << 63) - 1


class Tag:
    """The first byte of every form; a range is named by its first tag."""

    NONE: Final = 0
    BOOL: Final = 1
    INT: Final = 2
    FLOAT: Final = 3
    STR: Final = 4
    BYTES: Final = 5
    LIST: Final = 6
    DICT: Final = 7
    FALSE: Final = 8
    TRUE: Final = 9
    U8: Final = 10
    U64: Final = 13
    N8: Final = 14
    N64: Final = 17
    BIG_INT: Final = 18
    BYTEARRAY: Final = 19
    DATE: Final = 20
    TIME: Final = 21
    DATETIME: Final = 22
    TIMEDELTA: Final = 23
    AWARE_TIME: Final = 24
    AWARE_DATETIME: Final = 25
    UUID: Final = 26
    DECIMAL: Final = 27
    TUPLE: Final = 28
    SET: Final = 29
    FROZENSET: Final = 30
    ARRAY: Final = 31
    F64_LIST: Final = 32
    I8_LIST: Final = 33
    I64_LIST: Final = 36
    ASCII_LIST: Final = 37
    INDEXED_LIST: Final = 38
    OPEN_LIST: Final = 44
    OPEN_DICT: Final = 45
    OPEN_BYTES: Final = 46
    CLOSE: Final = 47
    RESET: Final = 48
    WIDE_DICT: Final = 49
    SHAPED_DICT: Final = 50
    SHAPE: Final = 51
    SHAPE_LAST: Final = 63
    ASCII: Final = 64
    SMALL_INT: Final = 128
    SMALL_LIST: Final = 192
    SMALL_DICT: Final = 224
    SMALL_DICT_LAST: Final = 249


class Variant(enum.Enum):
    """What a value is, whatever its form: the names that tools show."""

    NONE = "None"
    BOOL = "Bool"
    INT = "Int"
    FLOAT = "Float"
    STRING = "String"
    BYTES = "Bytes"
    LIST = "List"
    MAP = "Map"
    BYTEARRAY = "ByteArray"
    DATE = "Date"
    TIME = "Time"
    DATETIME = "DateTime"
    TIMEDELTA = "TimeDelta"
    UUID = "Uuid"
    DECIMAL = "Decimal"
    TUPLE = "Tuple"
    SET = "Set"
    FROZENSET = "FrozenSet"
    ARRAY = "Array"


class Form(NamedTuple):
    """One row: the tags *first* to *last* (inclusive), the variant, the Python type by name, and what the form is
    called.
    """

    first: int
    last: int
    variant: Variant
    python: str
    name: str


FORMS: Final[tuple[Form, ...]] = (
    Form(0, 0, Variant.NONE, "NoneType", "none"),
    Form(1, 1, Variant.BOOL, "bool", "bool"),
    Form(2, 2, Variant.INT, "int", "zigzag varint"),
    Form(3, 3, Variant.FLOAT, "float", "f64"),
    Form(4, 4, Variant.STRING, "str", "utf-8"),
    Form(5, 5, Variant.BYTES, "bytes", "bytes"),
    Form(6, 6, Variant.LIST, "list", "list"),
    Form(7, 7, Variant.MAP, "dict", "map"),
    Form(8, 9, Variant.BOOL, "bool", "one-byte bool"),
    Form(10, 13, Variant.INT, "int", "unsigned int"),
    Form(14, 17, Variant.INT, "int", "negative int"),
    Form(18, 18, Variant.INT, "int", "big int"),
    Form(19, 19, Variant.BYTEARRAY, "bytearray", "bytearray"),
    Form(20, 20, Variant.DATE, "date", "date"),
    Form(21, 21, Variant.TIME, "time", "naive time"),
    Form(22, 22, Variant.DATETIME, "datetime", "naive datetime"),
    Form(23, 23, Variant.TIMEDELTA, "timedelta", "timedelta"),
    Form(24, 24, Variant.TIME, "time", "aware time"),
    Form(25, 25, Variant.DATETIME, "datetime", "aware datetime"),
    Form(26, 26, Variant.UUID, "UUID", "uuid"),
    Form(27, 27, Variant.DECIMAL, "Decimal", "decimal text"),
    Form(28, 28, Variant.TUPLE, "tuple", "tuple"),
    Form(29, 29, Variant.SET, "set", "set"),
    Form(30, 30, Variant.FROZENSET, "frozenset", "frozenset"),
    Form(31, 31, Variant.ARRAY, "memoryview", "typed array"),
    Form(32, 32, Variant.LIST, "list", "packed f64"),
    Form(33, 36, Variant.LIST, "list", "packed ints"),
    Form(37, 37, Variant.LIST, "list", "packed ascii"),
    Form(38, 38, Variant.LIST, "list", "indexed list"),
    Form(44, 44, Variant.LIST, "list", "open list"),
    Form(45, 45, Variant.MAP, "dict", "open map"),
    Form(46, 46, Variant.BYTES, "bytes", "chunked bytes"),
    Form(49, 49, Variant.MAP, "dict", "wide map"),
    Form(50, 63, Variant.MAP, "dict", "shaped map"),
    Form(64, 127, Variant.STRING, "str", "short ascii"),
    Form(128, 191, Variant.INT, "int", "small int"),
    Form(192, 223, Variant.LIST, "list", "short list"),
    Form(224, 249, Variant.MAP, "dict", "short map"),
)

_BY_TAG: Final = {tag: form for form in FORMS for tag in range(form.first, form.last + 1)}

DTYPES: Final = ("?", "b", "B", "h", "H", "i", "I", "q", "Q", "f", "d")
"""The format of the memoryview, by dtype number."""


def form_of(tag: int) -> Form | None:
    """The row of *tag*, or None for a tag that begins no value."""
    return _BY_TAG.get(tag)


def check_profile(profile: str) -> None:
    """Raises ValueError unless *profile* is one of the two."""
    if profile not in ("full", "bincode"):
        raise ValueError(f"profile is {profile!r}, and may be 'full' or 'bincode'")


def check_max_depth(max_depth: int) -> None:
    """Raises ValueError unless *max_depth* is between 0 and MAX_DEPTH, TypeError where it is no int."""
    if not 0 <= index(max_depth) <= MAX_DEPTH:
        raise ValueError(f"max_depth is {max_depth}, and may be 0 to {MAX_DEPTH}")


def key_path(key: object) -> str:
    """The step of a path into a dict: ``.name``, ``['any other']``, or ``[<int>]`` for what is no str (its own code is
    not run).
    """
    if type(key) is not str:
        return f"[<{type(key).__name__}>]"
    return f".{key}" if key.isidentifier() else f"[{key!r}]"


NOT_REPLACED: Final = object()


def replacement(value: Any) -> Any:
    """The plain value that stands for an enum member, a dataclass instance or a named tuple; NOT_REPLACED for all
    else.
    """
    kind = type(value)
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(kind):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(kind)}
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return tuple(value)
    return NOT_REPLACED
