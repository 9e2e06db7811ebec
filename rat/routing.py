"""Paths of routes as they are written, and what answers at the end of one.

Knows no handler; ``rat.pathtree`` finds the pattern that a path fits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import UUID

if TYPE_CHECKING:
    from rat.messages import Request
    from rat.responses import Response

__all__ = ["CONVERTERS", "Converter", "Endpoint", "PathPattern"]


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

    __slots__ = ("converters", "expression", "key", "literal", "rank", "takes", "takes_rest")

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
        self.takes = next(iter(kinds)) if not literal and len(self.converters) == 1 else None
        """The converter of a segment that is one parameter and nothing else."""
        ranks = [converter.rank for converter in self.converters.values()]
        self.rank = 0 if literal else max(ranks, default=0)
        # Segments that match the same are one branch, whatever their parameters are called.
        self.key = _PARAMETER.sub(lambda found: "{" + (found[2] or "str") + "}", text)

    def match(self, segment: bytes) -> list[Any] | None:
        """The converted parameters in order, or None; *segment* is percent-decoded."""
        if self.takes is not None:
            # One parameter and nothing else: no expression where a look is enough.
            if self.takes == "str":
                return [segment.decode("utf-8")] if segment else None
            if self.takes == "int" and segment.isdigit() and len(segment) < 20:
                return [int(segment)]
        text = segment.decode("utf-8")
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


class Endpoint:
    """What answers a request, ready to be called.

    ``begin(request)`` gives a Response: a Deferred when something has to be awaited for it.  ``respond(request)``,
    which coroutine functions have, is a coroutine of the same.  Neither raises anything but CancelledError and
    ClientDisconnected: exceptions have become answers.
    """

    __slots__ = ("begin", "max_body", "name", "path", "reads_content", "respond", "timeout", "waits")

    def __init__(
        self,
        begin: Callable[[Request], Response],
        respond: Callable[[Request], Coroutine[Any, Any, Response]] | None,
        *,
        timeout: float | None,
        max_body: int | None,
        name: str,
        path: str,
    ) -> None:
        self.begin = begin
        self.respond = respond
        self.reads_content = respond is None
        """All of the content must have been read (``await request.read()``) before ``begin`` is called."""
        self.timeout = timeout
        self.max_body = max_body
        self.name = name
        self.path = path
        self.waits = 0
        """How many requests more are taken for ones that will wait, because one did."""

    def __repr__(self) -> str:
        return f"Endpoint({self.name}, {self.path})"
