"""Patterns of paths: what they match, in which order, and which of them cannot be meant."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.pathtree import PathTree
from rat.routing import PathPattern

U = "01234567-89ab-cdef-0123-456789abcdef"


def find(patterns: list[str], path: bytes) -> tuple[str, dict[str, Any]] | None:
    tree: PathTree[PathPattern] = PathTree()
    for text in patterns:
        pattern = PathPattern(text)
        tree.insert(pattern, lambda pattern=pattern: pattern)  # type: ignore[misc]
    found = tree.find(path, lambda leaf: leaf)
    return None if found is None else (found[0].path, dict(zip(found[0].names, found[1], strict=True)))


MATCHES: list[tuple[str, bytes, dict[str, Any] | None]] = [
    ("/", b"/", {}),
    ("/", b"", None),
    ("/", b"*", None),
    ("/a/b", b"/a/b", {}),
    ("/a/b", b"/a/b/", None),
    ("/a/b/", b"/a/b", None),
    ("/a/b", b"//a/b", None),
    ("/a/b", b"/a/%62", {}),
    ("/a/b", b"/a%2Fb", None),
    ("/café", b"/caf%C3%A9", {}),
    ("/café", b"/caf%E9", None),
    ("/{x}", b"/v", {"x": "v"}),
    ("/{x}", b"/", None),
    ("/{x}", b"/a/b", None),
    ("/{x}", b"/a%2Fb", {"x": "a/b"}),
    ("/{x}", b"/%FF", None),
    ("/{x}", b"/a%0Ab", {"x": "a\nb"}),
    ("/{x:int}", b"/12", {"x": 12}),
    ("/{x:int}", b"/-12", {"x": -12}),
    ("/{x:int}", b"/012", {"x": 12}),
    ("/{x:int}", b"/1.0", None),
    ("/{x:int}", b"/a", None),
    ("/{x:int}", b"/1_000", None),
    ("/{x:int}", b"/%D9%A3", None),
    ("/{x:int}", b"/" + b"9" * 1000, {"x": int("9" * 1000)}),
    ("/{x:int}", b"/" + b"9" * 1001, None),
    ("/{x:float}", b"/1.5", {"x": 1.5}),
    ("/{x:float}", b"/-2", {"x": -2.0}),
    ("/{x:float}", b"/nan", None),
    ("/{x:float}", b"/1e5", None),
    ("/{x:uuid}", f"/{U}".encode(), {"x": UUID(U)}),
    ("/{x:uuid}", f"/{U[:-1]}".encode(), None),
    ("/{x:path}", b"/", {"x": ""}),
    ("/{x:path}", b"/a/b//c/", {"x": "a/b//c/"}),
    ("/{x:path}", b"/a%2Fb/..", {"x": "a/b/.."}),
    ("/f/{x:path}/edit", b"/f/a/b/edit", {"x": "a/b"}),
    ("/f/{x:path}/edit", b"/f/a/edit/edit", {"x": "a/edit"}),
    ("/f/{x:path}/edit", b"/f/edit", None),
    ("/{name}.{kind}", b"/a.b.json", {"name": "a.b", "kind": "json"}),
    ("/v{major:int}.{minor:int}", b"/v1.20", {"major": 1, "minor": 20}),
    ("/v{major:int}.{minor:int}", b"/v1x20", None),
    ("/users/{id:int}/{rest:path}", b"/users/4/x/y", {"id": 4, "rest": "x/y"}),
]


@pytest.mark.parametrize(("pattern", "path", "params"), MATCHES)
def test_what_a_pattern_matches(pattern: str, path: bytes, params: dict[str, Any] | None) -> None:
    found = find([pattern], path)
    assert found == (None if params is None else (pattern, params))
    if found is not None:
        assert [type(value) for value in found[1].values()] == [type(value) for value in (params or {}).values()]


ORDER = ["/x/{p:path}", "/x/{s}", "/x/{f:float}", "/x/{i:int}", "/x/{u:uuid}", "/x/v{i:int}", "/x/me"]


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        (b"/x/me", "/x/me"),
        (b"/x/v2", "/x/v{i:int}"),
        (f"/x/{U}".encode(), "/x/{u:uuid}"),
        (b"/x/2", "/x/{i:int}"),
        (b"/x/2.5", "/x/{f:float}"),
        (b"/x/you", "/x/{s}"),
        (b"/x/you/too", "/x/{p:path}"),
    ],
)
@pytest.mark.parametrize("patterns", [ORDER, ORDER[::-1]], ids=["declared", "reversed"])
def test_the_most_specific_pattern_wins_in_any_order(patterns: list[str], path: bytes, pattern: str) -> None:
    found = find(patterns, path)
    assert found is not None
    assert found[0] == pattern


def test_every_pattern_is_offered_until_one_is_taken() -> None:
    tree: PathTree[str] = PathTree()
    for text in ORDER:
        tree.insert(PathPattern(text), lambda text=text: text)  # type: ignore[misc]
    offered: list[str] = []
    assert tree.find(b"/x/2", offered.append) is None
    assert offered == ["/x/{i:int}", "/x/{f:float}", "/x/{s}", "/x/{p:path}"]


def test_a_branch_that_leads_nowhere_is_left_again() -> None:
    assert find(["/a/b/c", "/{x}/b/d"], b"/a/b/d") == ("/{x}/b/d", {"x": "a"})


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a", "does not begin with '/'"),
        ("", "does not begin with '/'"),
        ("/{x:integer}", "no converter 'integer', there are float, int, path, str, uuid"),
        ("/{x:}", "no converter ''"),
        ("/{1x}", "parameter '1x' is not a name"),
        ("/{}", "parameter '' is not a name"),
        ("/{x", "a brace without its partner"),
        ("/x}", "a brace without its partner"),
        ("/{x}/{x}", "parameter 'x' appears twice"),
        ("/{x}-{x}", "parameter 'x' appears twice"),
        ("/a{x:path}", "must be a segment of its own"),
        ("/{x:path}/a/{y:path}", "more than one path parameter"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PathPattern(pattern)


def test_paths_are_built_from_parameters() -> None:
    pattern = PathPattern("/users/{id:int}/{name}/{rest:path}")
    assert pattern.build({"id": 4, "name": "a/é", "rest": "x/y z"}) == "/users/4/a%2F%C3%A9/x/y%20z"
    with pytest.raises(KeyError):
        pattern.build({"id": 4})
    with pytest.raises(ValueError, match="id is 'x', expected int"):
        pattern.build({"id": "x", "name": "a", "rest": ""})


@given(st.text(min_size=1), st.integers(-(10**20), 10**20), st.text())
def test_what_is_built_is_matched_again(name: str, number: int, rest: str) -> None:
    pattern = "/p/{name}/{number:int}/{rest:path}"
    try:
        path = PathPattern(pattern).build({"name": name, "number": number, "rest": rest}).encode("ascii")
    except UnicodeEncodeError:  # lone surrogates
        return
    assert find([pattern], path) == (pattern, {"name": name, "number": number, "rest": rest})


@given(st.binary(max_size=60))
def test_any_bytes_are_a_path_that_fits_or_does_not(path: bytes) -> None:
    patterns = ["/{a}/{b:int}", "/{a:path}/x", "/a{b}c"]
    found = find(patterns, path)
    assert found is None or found[0] in patterns
