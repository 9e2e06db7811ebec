"""Which pattern a path fits: a tree of segments, the most specific tried first.

Segments are cut before they are percent-decoded, so that an encoded slash is part of a value (RFC 3986, section 2.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from rat.routing import PathPattern, Segment

__all__ = ["PathTree"]

L = TypeVar("L")
T = TypeVar("T")

_PERCENT = 0x25
"""As a number: a search for bytes takes ten times as long."""


@dataclass(slots=True)
class _Node(Generic[L]):
    fixed: dict[bytes, _Node[L]] = field(default_factory=dict)
    branches: list[tuple[Segment, _Node[L]]] = field(default_factory=list)
    leaf: L | None = None


class PathTree(Generic[L]):
    """Patterns, and what lies at their ends."""

    def __init__(self) -> None:
        self._root: _Node[L] = _Node()
        # By first segment with its slash, where all that can follow is one parameter of any number of segments, as with
        # mounted files.
        self._rests: dict[bytes, L] | None = None

    def insert(self, pattern: PathPattern, make: Callable[[], L]) -> L:
        """The leaf of *pattern*, made when it is new."""
        self._rests = None
        node = self._root
        for segment in pattern.segments:
            if segment.literal is not None:
                node = node.fixed.setdefault(segment.literal.encode("utf-8"), _Node())
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

    def rest(self, path: bytes) -> tuple[L, str] | None:
        """The leaf below whose first segment all that is left of *path* is one parameter, and that parameter.

        None says nothing: ``find`` has to be asked.
        """
        rests = self._rests
        if rests is None:
            rests = self._rests = {
                b"/" + name: leaf for name, node in self._root.fixed.items() for leaf in _only_rest(node)
            }
        if not rests:
            return None
        end = path.find(b"/", 1)
        leaf = rests.get(path[:end])
        if leaf is None or end < 0 or _PERCENT in path:
            return None
        try:
            return leaf, path[end + 1 :].decode("utf-8")
        except UnicodeDecodeError:
            return None

    def find(self, path: bytes, take: Callable[[L], T | None]) -> tuple[T, list[Any]] | None:
        """What *take* makes of the first leaf for which it makes something, and the parameters in order.

        *path* is percent-encoded as it came.  None when no leaf is taken, or the path is no UTF-8.
        """
        if path[:1] != b"/":
            return None
        segments = path[1:].split(b"/")
        if b"%" in path:
            segments = [unquote_to_bytes(segment) for segment in segments]
        try:
            return _find(self._root, segments, 0, [], take)
        except UnicodeDecodeError:
            return None


def _only_rest(node: _Node[L]) -> Iterator[L]:
    """What lies behind *node*, if that is one parameter for all the segments that are left."""
    if not node.fixed and len(node.branches) == 1:
        segment, branch = node.branches[0]
        if segment.takes_rest and branch.leaf is not None and not branch.fixed and not branch.branches:
            yield branch.leaf


def _find(
    node: _Node[L], segments: list[bytes], depth: int, values: list[Any], take: Callable[[L], T | None]
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
            found = _find(fixed, segments, depth + 1, values, take)
            if found is not None:
                return found
        for segment, branch in node.branches:
            if segment.takes_rest:
                found = _find_rest(branch, segments, depth, values, take)
            else:
                matched = segment.match(segments[depth])
                if matched is None:
                    continue
                found = _find(branch, segments, depth + 1, values + matched if values else matched, take)
            if found is not None:
                return found
        return None
    if node.leaf is not None:
        taken = take(node.leaf)
        if taken is not None:
            return taken, values
    return None


def _find_rest(
    node: _Node[L], segments: list[bytes], depth: int, values: list[Any], take: Callable[[L], T | None]
) -> tuple[T, list[Any]] | None:
    """A parameter of many segments: all that is left, or less where the pattern goes on behind it."""
    last = depth if node.fixed or node.branches else len(segments) - 1
    for end in range(len(segments), last, -1):
        rest = b"/".join(segments[depth:end]).decode("utf-8")
        found = _find(node, segments, end, [*values, rest], take)
        if found is not None:
            return found
    return None
