"""Collections with repeated names: the fields of a message, the parameters of a query, the cookies of a client.

Knows no connection and no application.  Names and values are judged where they are set (RFC 9110, section 5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, NoReturn, TypeAlias, TypeVar, overload
from urllib.parse import unquote_plus

from rat.errors import HTTPError

__all__ = [
    "HeaderSource",
    "Headers",
    "MultiMapping",
    "MutableHeaders",
    "QueryParams",
    "encode_field",
    "field_lines",
    "parse_cookies",
    "parse_urlencoded",
]

RawFields: TypeAlias = list[tuple[bytes, bytes]]
HeaderSource: TypeAlias = "Mapping[str, str] | Headers | Iterable[tuple[str, str]]"

V = TypeVar("V")
D = TypeVar("D")

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# RFC 9110, section 5.5: CR, LF and NUL are dangerous, the other control characters are no part of the grammar either.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")


def encode_field(name: str, value: str | bytes | int) -> tuple[bytes, bytes]:
    """The field line of *name* and *value*, its name in lower case.

    Raises ValueError, naming the field, for what RFC 9110, section 5 does not allow in a name or a value.
    """
    if not isinstance(name, str):
        raise TypeError(f"field name {name!r} is {type(name).__name__}, expected str")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"field name {name!r} is not a token")
    if isinstance(value, bytes):
        text = value.decode("latin-1")
    elif isinstance(value, str):
        text = value
    elif isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    else:
        raise TypeError(f"value of field {name} is {type(value).__name__}, expected str")
    found = _FORBIDDEN.search(text)
    if found:
        raise ValueError(f"value of field {name} has {found[0]!r} at position {found.start()}")
    try:
        return name.lower().encode("ascii"), text.strip(" \t").encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(f"value of field {name} has {text[error.start]!r}, outside of latin-1") from None


def field_lines(source: HeaderSource) -> RawFields:
    """The field lines of a mapping or of (name, value) pairs, judged and encoded."""
    if isinstance(source, Headers):
        return list(source.raw)
    pairs = source.items() if isinstance(source, Mapping) else source
    return [encode_field(name, value) for name, value in pairs]


class Headers:
    """Fields of a message: a case-insensitive mapping that keeps repeated fields and their order.

    ``headers[name]`` is the first value; ``getlist`` gives all of them, ``combined`` all as one list (RFC 9110,
    section 5.2).  Iterating yields (name, value) pairs in wire order, names in lower case.  Values are latin-1.
    """

    __slots__ = ("raw",)

    def __init__(self, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """*fields*: names in lower case."""
        self.raw: RawFields = fields if isinstance(fields, list) else list(fields)

    def __getitem__(self, name: str) -> str:
        key = name.lower().encode("latin-1", "replace")
        for known, value in self.raw:
            if known == key:
                return value.decode("latin-1")
        raise KeyError(name)

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: D) -> str | D: ...
    def get(self, name: str, default: object = None) -> object:
        """The first value of the field *name*, or *default*."""
        key = name.lower().encode("latin-1", "replace")
        for known, value in self.raw:
            if known == key:
                return value.decode("latin-1")
        return default

    def getlist(self, name: str) -> list[str]:
        """Every value of *name*, in wire order."""
        key = name.lower().encode("latin-1", "replace")
        return [value.decode("latin-1") for known, value in self.raw if known == key]

    def combined(self, name: str) -> str | None:
        """The values of *name* joined by commas, or None without any."""
        values = self.getlist(name)
        return ", ".join(values) if values else None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for name, value in self.raw:
            yield name.decode("latin-1"), value.decode("latin-1")

    def __len__(self) -> int:
        """The number of field lines."""
        return len(self.raw)

    def keys(self) -> list[str]:
        """The names, each once, in the order in which they first appear."""
        return list(dict.fromkeys(name.decode("latin-1") for name, _ in self.raw))

    def items(self) -> list[tuple[str, str]]:
        """Names and values as they came, repeated fields repeated."""
        return list(self)

    def values(self) -> list[str]:
        """Values as they came, repeated fields repeated."""
        return [value for _, value in self]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.raw == other.raw

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"


class MutableHeaders(Headers):
    """Fields of an answer.  What is set is judged at once; see ``encode_field``."""

    __slots__ = ()

    def __setitem__(self, name: str, value: str | int) -> None:
        """Replace every field of this name by one, in the place of the first."""
        line = encode_field(name, value)
        places = [i for i, (known, _) in enumerate(self.raw) if known == line[0]]
        if not places:
            self.raw.append(line)
            return
        self.raw[places[0]] = line
        for i in reversed(places[1:]):
            del self.raw[i]

    def __delitem__(self, name: str) -> None:
        """Remove every field of this name.  Raises KeyError if there is none."""
        key = name.lower().encode("latin-1", "replace")
        kept = [line for line in self.raw if line[0] != key]
        if len(kept) == len(self.raw):
            raise KeyError(name)
        self.raw[:] = kept

    def add(self, name: str, value: str | int) -> None:
        """Append a field and keep those of the same name."""
        self.raw.append(encode_field(name, value))

    def setdefault(self, name: str, value: str) -> str:
        """The value of the field *name*, set to *value* when there was none.  Raises ValueError as ``add``."""
        known = self.get(name)
        if known is not None:
            return known
        self.add(name, value)
        return value

    def pop(self, name: str, default: D | None = None) -> str | D | None:
        """Remove every field of this name; the first value, or *default*."""
        known = self.get(name)
        if known is None:
            return default
        del self[name]
        return known

    def update(self, source: HeaderSource) -> None:
        """Replace the fields named in *source*; names repeated there stay repeated."""
        lines = field_lines(source)
        names = {name for name, _ in lines}
        self.raw[:] = [line for line in self.raw if line[0] not in names] + lines

    def add_vary(self, *names: str) -> None:
        """Name request fields that the answer was chosen by (RFC 9110, section 12.5.5), each once."""
        known = [item.strip() for value in self.getlist("vary") for item in value.split(",") if item.strip()]
        lowered = {item.lower() for item in known}
        fresh = [name for name in names if name.lower() not in lowered]
        if fresh and "*" not in lowered:
            self["vary"] = ", ".join([*known, *fresh])


class MultiMapping(Mapping[str, V], Generic[V]):
    """A mapping that keeps repeated keys: ``m[key]`` is the first value, ``getlist`` gives all.

    Iterating yields each key once; ``pairs`` yields everything in order.
    """

    __slots__ = ("_lists", "_pairs")

    def __init__(self, pairs: Iterable[tuple[str, V]] = ()) -> None:
        self._pairs = list(pairs)
        self._lists: dict[str, list[V]] = {}
        for key, value in self._pairs:
            self._lists.setdefault(key, []).append(value)

    def __getitem__(self, key: str) -> V:
        return self._lists[key][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lists)

    def __len__(self) -> int:
        return len(self._lists)

    def getlist(self, key: str) -> list[V]:
        return list(self._lists.get(key, ()))

    def pairs(self) -> list[tuple[str, V]]:
        """All (key, value) pairs, repeated keys included, in the order in which they came."""
        return list(self._pairs)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, MultiMapping):
            return self._pairs == other._pairs
        return Mapping.__eq__(self, other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._pairs!r})"


class QueryParams(MultiMapping[str]):
    """The parameters of a query, decoded as WHATWG URL 5.1 has it (``+`` is a space, broken UTF-8 is replaced)."""

    __slots__ = ()

    @classmethod
    def parse(cls, query: bytes) -> QueryParams:
        """The parameters of a query as it came, undecoded (WHATWG URL, section 5.1)."""
        return cls(parse_urlencoded(query))

    def integer(
        self, name: str, default: int | None = None, *, at_least: int | None = None, at_most: int | None = None
    ) -> int:
        """The parameter as a whole number.  HTTPError 400 when it is missing without *default*, or out of bounds."""
        text = self.get(name)
        if text is None:
            return self._default(name, default)
        if not _INTEGER.fullmatch(text):
            raise HTTPError(400, f"query parameter {name} is {text[:40]!r}, expected a whole number")
        return self._bounded(name, int(text), at_least, at_most)

    def real(
        self, name: str, default: float | None = None, *, at_least: float | None = None, at_most: float | None = None
    ) -> float:
        """The parameter as a finite number; errors as ``integer``."""
        text = self.get(name)
        if text is None:
            return self._default(name, default)
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if number - number != 0.0:
            raise HTTPError(400, f"query parameter {name} is {text[:40]!r}, expected a number")
        return self._bounded(name, number, at_least, at_most)

    @staticmethod
    def _default(name: str, default: D | None) -> D:
        if default is None:
            raise HTTPError(400, f"query parameter {name} is missing")
        return default

    @staticmethod
    def _bounded(name: str, number: D, at_least: D | None, at_most: D | None) -> D:
        if at_least is not None and number < at_least:  # type: ignore[operator]
            _out_of_bounds(name, number, f"at least {at_least}")
        if at_most is not None and number > at_most:  # type: ignore[operator]
            _out_of_bounds(name, number, f"at most {at_most}")
        return number


def _out_of_bounds(name: str, number: object, bound: str) -> NoReturn:
    raise HTTPError(400, f"query parameter {name} is {number}, allowed is {bound}")


def parse_urlencoded(data: bytes, *, limit: int | None = None) -> list[tuple[str, str]]:
    """The pairs of ``application/x-www-form-urlencoded`` bytes (WHATWG URL, section 5.1).

    Raises HTTPError 413 for more than *limit* pairs, before any of them is decoded.
    """
    if not data:
        return []
    if limit is not None and data.count(b"&") >= limit:
        raise HTTPError(413, f"form of {data.count(b'&') + 1} fields, limit {limit}")
    pairs = []
    for item in data.decode("utf-8", "replace").split("&"):
        if item:
            name, _, value = item.partition("=")
            pairs.append((unquote_plus(name), unquote_plus(value)))
    return pairs


def parse_cookies(values: Iterable[str]) -> dict[str, str]:
    """Names and values of Cookie fields (RFC 6265, section 4.2).

    The first of a name wins: user agents send the most specific path first.  Quotes around a value are dropped.
    """
    cookies: dict[str, str] = {}
    for value in values:
        for item in value.split(";"):
            name, equals, text = item.partition("=")
            name, text = name.strip(" \t"), text.strip(" \t")
            if not equals or not name:
                continue
            if len(text) >= 2 and text[0] == text[-1] == '"':
                text = text[1:-1]
            cookies.setdefault(name, text)
    return cookies
