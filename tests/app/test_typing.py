"""What a user's type checker is told: mypy refuses a wrong ``assert_type``, and an ignore that nothing needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from typing import Any, assert_type

import pytest

import rat
from rat import CallNext, CallRequest, Rat, Request, Response


def test_decorators_keep_the_type_of_what_they_declare() -> None:
    app = Rat()

    @app.get("/users/{id:int}", max_body=None, timeout=2.5)
    def user(request: Request, id: int) -> dict[str, int]:
        return {"id": id}

    @app.sse("/ticks")
    async def ticks(request: Request) -> AsyncIterator[str]:
        yield "tick"

    @app.call("add", thread=True)
    def add(request: CallRequest, a: int, b: int) -> int:
        return a + b

    @app.middleware
    async def timing(request: Request, call_next: CallNext) -> Response:
        return await call_next(request)

    assert_type(user(None, 7), dict[str, int])  # type: ignore[arg-type]
    assert_type(ticks(None), AsyncIterator[str])  # type: ignore[arg-type]
    assert_type(add(None, 1, 2), int)  # type: ignore[arg-type]
    assert_type(timing(None, None), Coroutine[Any, Any, Response]).close()  # type: ignore[arg-type]


def test_a_wrong_option_or_name_is_seen_by_a_type_checker() -> None:
    with pytest.raises(TypeError, match="max_bdy"):
        Rat().get("/", max_bdy=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="listings"):
        Rat().static("/", ".", listings=True)  # type: ignore[call-arg]
    with pytest.raises(AttributeError, match="no attribute 'Reqest'"):
        rat.Reqest  # type: ignore[attr-defined] # noqa: B018
