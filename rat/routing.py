"""Paths of routes, and which of them a request's path fits.

Fixed paths are found in a dictionary; the others in a tree of segments, most specific first.  Segments are cut before
they are percent-decoded, so that an encoded slash is part of a value (RFC 3986, section 2.2).  Knows no handler.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote, unquote_to_bytes
from uuid import UUID

if TYPE_CHECKING:
    from rat.messages import Request
    from rat.responses import Response

__all__ = ["CONVERTERS", "Converter", "Endpoint", "PathPattern", "PathTree"]

L = TypeVar("L")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Converter:
    """What a parameter matches, and what becomes of it.  *rank*: the lower, the earlier it is tried."""

    name: str
    expression: str
    convert: Callable[[str], Any]
    rank: int


CONVERTERS = {
    converter.name: converter
    for converter in (
        Converter("uuid", "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", UUID, 1),
        Converter("int", "-?[0-9]{1,1000}", int, 2),
        Converter("float", r"-?[0-9]{1,300}(?:\.[0-9]{1,300})?", float, 3),
        Converter("str", "(?s:.+)", str, 4),
        Converter("path", "(?s:.*)", str, 5),
    )
}

_PARAMETER = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")


class Segment:
    """One segment of a pattern: fixed text, one parameter, or text with parameters in it."""

    __slots__ = ("converters", "expression", "key", "literal", "rank", "takes_rest")

    def __init__(self, text: str, pattern: str) -> None:
        pieces: list[str] = []
        self.converters: dict[str, Converter] = {}
        end = 0
        for found in _PARAMETER.finditer(text):
            name, kind = found[1], found[2] if found[2] is not None else "str"
            if not name.isidentifier():
                raise ValueError(f"path {pattern!r}: parameter {name!r} is not a name")
            if kind not in CONVERTERS:
                raise ValueError(f"path {pattern!r}: no converter {kind!r}, there are {', '.join(sorted(CONVERTERS))}")
            if name in self.converters:
                raise ValueError(f"path {pattern!r}: parameter {name!r} appears twice")
            self.converters[name] = CONVERTERS[kind]
            pieces += [re.escape(text[end : found.start()]), f"(?P<{name}>{CONVERTERS[kind].expression})"]
            end = found.end()
        literal = _PARAMETER.sub("", text)
        if "{" in literal or "}" in literal:
            raise ValueError(f"path {pattern!r}: a brace without its partner")
        kinds = {converter.name for converter in self.converters.values()}
        self.takes_rest = "path" in kinds
        if self.takes_rest and (literal or len(self.converters) > 1):
            raise ValueError(f"path {pattern!r}: a path parameter must be a segment of its own")
        self.literal = literal if not self.converters else None
        self.expression = re.compile("".join([*pieces, re.escape(text[end:])]))
        ranks = [converter.rank for converter in self.converters.values()]
        self.rank = 0 if literal else max(ranks, default=0)
        # Segments that match the same are one branch, whatever their parameters are called.
        self.key = _PARAMETER.sub(lambda found: "{" + (found[2] or "str") + "}", text)

    def match(self, text: str) -> list[Any] | None:
        """The converted parameters in order, or None."""
        found = self.expression.fullmatch(text)
        if found is None:
            return None
        return [
            converter.convert(value) for converter, value in zip(self.converters.values(), found.groups(), strict=True)
        ]


class PathPattern:
    """The path of a route: ``/users/{id:int}/{rest:path}``.  Raises ValueError for one that cannot be meant."""

    __slots__ = ("names", "path", "segments")

    def __init__(self, path: str) -> None:
        if not path.startswith("/"):
            raise ValueError(f"path {path!r} does not begin with '/'")
        self.path = path
        self.segments = [Segment(text, path) for text in path[1:].split("/")]
        self.names = [name for segment in self.segments for name in segment.converters]
        for name in self.names:
            if self.names.count(name) > 1:
                raise ValueError(f"path {path!r}: parameter {name!r} appears twice")
        if sum(segment.takes_rest for segment in self.segments) > 1:
            # Two of them would be tried in every combination: quadratic in what a client chooses.
            raise ValueError(f"path {path!r}: more than one path parameter")

    @property
    def is_fixed(self) -> bool:
        return not self.names

    @property
    def wire_path(self) -> bytes:
        """A fixed path as clients send it, percent-encoded (RFC 3986, section 3.3)."""
        return quote(self.path, safe="/:@!$&'()*+,;=~-._").encode("ascii")

    def build(self, params: dict[str, Any]) -> str:
        """The path with *params* put in, percent-encoded.  Raises KeyError or ValueError for what does not fit."""

        def encode(found: re.Match[str]) -> str:
            name, converter = found[1], CONVERTERS[found[2] if found[2] is not None else "str"]
            text = str(params[name])
            if not re.fullmatch(converter.expression, text):
                raise ValueError(f"path {self.path!r}: {name} is {text!r}, expected {converter.name}")
            return quote(text, safe="/" if converter.name == "path" else "")

        return _PARAMETER.sub(encode, self.path)


@dataclass(slots=True)
class _Node(Generic[L]):
    fixed: dict[str, _Node[L]] = field(default_factory=dict)
    branches: list[tuple[Segment, _Node[L]]] = field(default_factory=list)
    leaf: L | None = None


class PathTree(Generic[L]):
    """Patterns and what lies at their ends."""

    def __init__(self) -> None:
        self._root: _Node[L] = _Node()

    def insert(self, pattern: PathPattern, make: Callable[[], L]) -> L:
        """The leaf of *pattern*, made when it is new."""
        node = self._root
        for segment in pattern.segments:
            if segment.literal is not None:
                node = node.fixed.setdefault(segment.literal, _Node())
                continue
            for known, branch in node.branches:
                if known.key == segment.key:
                    node = branch
                    break
            else:
                fresh: _Node[L] = _Node()
                node.branches.append((segment, fresh))
                node.branches.sort(key=lambda branch: branch[0].rank)
                node = fresh
        if node.leaf is None:
            node.leaf = make()
        return node.leaf

    def search(self, path: bytes) -> Iterator[tuple[L, list[Any]]]:
        """Every leaf that *path*, as it came, fits, most specific first, with the parameters in order."""
        segments = _segments(path)
        return iter(()) if segments is None else self._descend(self._root, segments, 0, [])

    def first(self, path: bytes, accept: Callable[[L], T | None]) -> tuple[T, list[Any]] | None:
        """What *accept* makes of the first leaf that it takes, with the parameters: ``search`` for the common case."""
        segments = _segments(path)
        return None if segments is None else self._first(self._root, segments, 0, [], accept)

    def _first(
        self, node: _Node[L], segments: list[str], depth: int, values: list[Any], accept: Callable[[L], T | None]
    ) -> tuple[T, list[Any]] | None:
        count = len(segments)
        while depth < count:
            fixed = node.fixed.get(segments[depth])
            if not node.branches:
                if fixed is None:
                    return None
                node = fixed
                depth += 1
                continue
            if fixed is not None:
                found = self._first(fixed, segments, depth + 1, values, accept)
                if found is not None:
                    return found
            for segment, branch in node.branches:
                if segment.takes_rest:
                    goes_on = branch.fixed or branch.branches
                    for end in range(count, depth if goes_on else count - 1, -1):
                        rest = "/".join(segments[depth:end])
                        found = self._first(branch, segments, end, [*values, rest], accept)
                        if found is not None:
                            return found
                    continue
                more = segment.match(segments[depth])
                if more is not None:
                    found = self._first(branch, segments, depth + 1, values + more, accept)
                    if found is not None:
                        return found
            return None
        if node.leaf is not None:
            taken = accept(node.leaf)
            if taken is not None:
                return taken, values
        return None

    def _descend(
        self, node: _Node[L], segments: list[str], depth: int, values: list[Any]
    ) -> Iterator[tuple[L, list[Any]]]:
        if depth == len(segments):
            if node.leaf is not None:
                yield node.leaf, values
            return
        fixed = node.fixed.get(segments[depth])
        if fixed is not None:
            yield from self._descend(fixed, segments, depth + 1, values)
        for segment, branch in node.branches:
            if segment.takes_rest:
                goes_on = branch.fixed or branch.branches
                for end in range(len(segments), depth if goes_on else len(segments) - 1, -1):
                    rest = "/".join(segments[depth:end])
                    yield from self._descend(branch, segments, end, [*values, rest])
                continue
            found = segment.match(segments[depth])
            if found is not None:
                yield from self._descend(branch, segments, depth + 1, values + found)


def _segments(path: bytes) -> list[str] | None:
    """The segments of *path*, each decoded; None for a path that is none, or no UTF-8."""
    if path[:1] != b"/":
        return None
    try:
        if b"%" not in path:
            return path[1:].decode("utf-8").split("/")
        return [unquote_to_bytes(part).decode("utf-8") for part in path[1:].split(b"/")]
    except UnicodeDecodeError:
        return None


class Endpoint:
    """What answers a request, ready to be called.

    ``respond(request)`` never raises anything but CancelledError and ClientDisconnected: exceptions have become
    answers.  It gives a Response, or an awaitable of one when *is_async*.
    """

    __slots__ = ("is_async", "max_body", "name", "path", "reads_content", "respond", "timeout")

    def __init__(
        self,
        respond: Callable[[Request], Response | Awaitable[Response]],
        *,
        is_async: bool,
        reads_content: bool,
        timeout: float | None,
        max_body: int | None,
        name: str,
        path: str,
    ) -> None:
        self.respond = respond
        self.is_async = is_async
        self.reads_content = reads_content
        """All of the content must have been read (``await request.read()``) before ``respond`` is called."""
        self.timeout = timeout
        self.max_body = max_body
        self.name = name
        self.path = path

    def __repr__(self) -> str:
        return f"Endpoint({self.name}, {self.path})"
