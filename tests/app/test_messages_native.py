"""Responses and requests made in C are those that their classes make in plain Python."""

from __future__ import annotations

import gc
import inspect
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat import responses as ours
from rat.messages import Request, new_request
from tests.support.allocations import can_fail, collecting, refusals_of
from tests.support.examples import examples
from tests.support.extensions import built
from tests.support.references import in_plain_python

native = built("rat._messages")

if native.Base not in ours.Response.__mro__:
    pytest.skip("messages made in C were not asked for", allow_module_level=True)

REFERENCE = in_plain_python("rat.responses", "RAT_MESSAGES")
assert REFERENCE.Response.__base__ is object
SLOTS = ("body", "status", "compress", "is_open_ended", "_headers", "_trailers", "closers")


class Text(str):
    """Text, but not just text."""


def outcome(kind: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    try:
        response = kind(*args, **named)
    except Exception as error:
        return type(error), str(error)
    assert type(response).__name__ == "Response"
    parts = [getattr(response, name) for name in SLOTS]
    return [*parts, *map(type, parts), tuple(response.field_lines())]


BODIES = st.sampled_from([b"", b"x", "", "x", "\xe9\u20ac", "\ud800", Text("x"), bytearray(b"x"), None, 3, [b"a"]])
STATUSES = st.sampled_from([200, 404, 599, 199, 600, -1, 2**70, -(2**70), True, 200.0, "200", None])
TYPES = st.sampled_from(
    [None, "text/plain", "text/html; charset=utf-8", "", "a\nb", "\u20ac", Text("text/plain"), b"x", 3]
)
NAMED = st.fixed_dictionaries(
    {},
    optional={
        "status": STATUSES,
        "content_type": TYPES,
        "headers": st.sampled_from([None, {}, {"a": "b"}]),
        "compress": st.sampled_from([None, True, False]),
        "trailers": st.none(),
        "body": BODIES,
        "other": st.none(),
    },
)


@given(st.lists(BODIES, max_size=1), st.lists(STATUSES, max_size=1), NAMED)
@examples(1000)
def test_a_response_is_made_as_by_its_init(bodies: list[Any], statuses: list[Any], named: dict[str, Any]) -> None:
    args = (*bodies, *statuses) if bodies else ()
    expected = outcome(REFERENCE.Response, args, named)
    for _ in range(2):
        assert outcome(ours.Response, args, named) == expected


def test_a_response_of_parts_that_need_no_judging() -> None:
    of: Any = ours.Response.of
    for args in [(b"x", ()), (b"", ours.TEXT_FIELDS), (b"x", [(b"a", b"b")], 404)]:
        assert outcome(of, args, {}) == outcome(REFERENCE.Response.of, args, {})
    for odd in [(), (b"x",), (b"x", (), 200, 3)]:
        with pytest.raises(TypeError, match="a maker of Response takes 2 to 3 values, not"):
            of(*odd)
    with pytest.raises(TypeError, match="takes values without names"):
        of(b"x", fields=())
    with pytest.raises(TypeError, match="positional-only"):
        REFERENCE.Response.of(b"x", fields=())


def test_a_class_that_derives_has_its_own_init() -> None:
    class Mine(ours.Response):
        def __init__(self, body: bytes) -> None:
            super().__init__(body + b"!", 201, content_type="text/plain")
            self.extra = 3

    mine = Mine(b"x")
    assert (type(mine), mine.body, mine.status, mine.extra) == (Mine, b"x!", 201, 3)
    assert type(ours.JSONResponse({})) is ours.JSONResponse
    assert ours.JSONResponse({}).field_lines() == ((b"content-type", b"application/json"),)


def test_another_init_in_its_place_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    init = ours.Response.__init__
    seen = []

    def noted(self: Any, *args: Any, **named: Any) -> None:
        seen.append((args, named))
        init(self, *args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(ours.Response, "__init__", noted)
        assert ours.Response(b"x", content_type="text/plain").body == b"x"
    assert ours.Response(b"x").body == b"x"
    assert seen == [((b"x",), {"content_type": "text/plain"})]


def test_another_new_in_its_place_is_called() -> None:
    program = """if True:
        from rat import Response
        made = []
        Response.__new__ = lambda kind, *args, **named: made.append(object.__new__(kind)) or made[-1]
        assert Response(b"x") is made[0]
    """
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_class_is_told_as_it_is_written() -> None:
    assert str(inspect.signature(ours.Response)) == str(inspect.signature(REFERENCE.Response))
    assert ours.Response.__mro__[1:] == (native.Base, object)
    of, expected = ours.Response.of, REFERENCE.Response.of
    assert str(inspect.signature(of)) == str(inspect.signature(expected))
    assert (of.__name__, of.__qualname__, of.__doc__) == (expected.__name__, expected.__qualname__, expected.__doc__)
    with pytest.raises(AttributeError, match="stands in the place of nothing"):
        native.maker(Request, ("app",), (), ()).__name__  # noqa: B018


def test_a_request_of_its_parts() -> None:
    parts: tuple[Any, ...] = ("app", "head", "connection", "exchange", None, {"a": 1})
    made, called = new_request(*parts), Request(*parts)
    assert type(made) is Request
    for name in Request.__slots__:
        if name != "__weakref__":
            assert getattr(made, name, "unset") == getattr(called, name, "unset"), name


def test_what_nothing_can_be_made_of() -> None:
    class Bare:
        __slots__ = ("a", "b")

    assert native.maker(Bare, ("a", "b"), (1,), (2,))().b == 2
    for names, defaults, constants in [(("a",), (1, 2), ()), (("a",), (), (1, 2)), (("a",) * 17, (), ())]:
        with pytest.raises(ValueError, match="a maker of"):
            native.maker(Bare, names, defaults, constants)
    with pytest.raises(AttributeError, match="'c'"):
        native.maker(Bare, ("a", "c"), (), ())
    with pytest.raises(TypeError, match="Bare has no slot __init__"):
        native.maker(Bare, ("__init__",), (), ())
    make = native.maker(Bare, ("a", "b"), (), ())
    with pytest.raises(TypeError, match="Bare is no class of responses, or has another maker"):
        native.quicken(Bare, make, {}, (), (), ())


def test_what_a_response_is_made_of_is_held() -> None:
    """CPython 3.11 may collect garbage when it is made, and so run anything."""
    ours.Response(b"x", content_type="text/x-held")
    made = collecting(lambda: ours.Response(b"x", content_type="text/x-held"), ours._types.clear)
    assert made._fields == ((b"content-type", b"text/x-held"),)


def test_no_reference_is_lost() -> None:
    body, text = b"x" * 300, "\xe9" * 300

    def once() -> None:
        for args, named in [
            ((body,), {}),
            ((text, 404), {}),
            ((body,), {"content_type": "text/plain"}),
            ((body, 3), {}),
        ]:
            outcome(ours.Response, args, named)
        ours.Response.of(body, ())

    once()
    gc.collect()
    before = sys.getrefcount(body), sys.getrefcount(text), len(gc.get_objects()), sys.getallocatedblocks()
    for _ in range(200):
        once()
    gc.collect()
    after = sys.getrefcount(body), sys.getrefcount(text), len(gc.get_objects()), sys.getallocatedblocks()
    assert all(new - old < 20 for old, new in zip(before, after, strict=True))


SWEEP = """
from rat import _messages
from rat.responses import Response
from tests.support.allocations import refusals

class Bare:
    __slots__ = ("a", "b")

body, text = b"x" * 9, "\\xe9" * 9
Response(body, content_type="text/plain")
for operation in (
    lambda: Response(body, 404, content_type="text/plain"),
    lambda: Response(text, status=404),
    lambda: Response(body, headers=None),
    lambda: Response.of(body, ()),
    lambda: _messages.maker(Bare, ("a", "b"), (), (1,))(2).a,
):
    print(refusals(lambda: operation))
"""


@can_fail
def test_every_allocation_may_fail() -> None:
    counts = refusals_of(SWEEP, RAT_MESSAGES="native")
    assert len(counts) == 5
    assert all(counts)
