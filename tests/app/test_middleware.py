"""Middleware: in the order of declaration, around everything, and never in the way of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rat import ClientDisconnected, HTTPError, Rat, Request, Response, Router
from tests.app.support import answer, body_reader, content_of, json_of


def traced(seen: list[str], *names: str) -> Rat:
    app = Rat()
    for name in names:

        @app.middleware
        async def around(request: Request, call_next: Any, name: str = name) -> Response:
            seen.append(f"{name} in")
            response: Response = await call_next(request)
            seen.append(f"{name} out {response.status}")
            return response

    return app


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("GET", "/", 200), ("GET", "/none", 404), ("POST", "/", 405), ("OPTIONS", "/", 204), ("GET", "/error", 500)],
)
async def test_the_first_declared_is_outermost_around_everything(
    method: str, target: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []
    app = traced(seen, "a", "b")

    @app.get("/")
    def root(request: Request) -> str:
        return "root"

    @app.get("/error")
    async def error(request: Request) -> None:
        raise ValueError

    response = await answer(app, method, target)
    assert response.status == status
    assert seen == ["a in", "b in", f"b out {status}", f"a out {status}"]


async def test_middleware_of_routers_is_inside_that_of_the_application() -> None:
    seen: list[str] = []
    app = traced(seen, "app")
    router = Router()
    for name in ("r1", "r2"):

        @router.middleware
        async def around(request: Request, call_next: Any, name: str = name) -> Any:
            seen.append(name)
            return await call_next(request)

    router.get("/x")(lambda request: "x")
    app.mount("/r", router)
    await answer(app, target="/r/x")
    assert seen == ["app in", "r1", "r2", "app out 200"]


async def test_a_stream_passes_unbuffered() -> None:
    app = traced([], "a", "b")
    gate = asyncio.Event()

    @app.get("/")
    async def stream(request: Request) -> AsyncIterator[str]:
        yield "first"
        await gate.wait()
        yield "second"

    response = await answer(app)
    body = response.body
    assert isinstance(body, AsyncIterator)
    assert await anext(body) == b"first"
    gate.set()
    assert [piece async for piece in body] == [b"second"]


async def test_content_streams_through_to_the_handler() -> None:
    app = traced([], "a")

    @app.post("/async")
    async def pieces(request: Request) -> Any:
        return [len(piece) async for piece in request.body]

    @app.post("/plain")
    def whole(request: Request) -> Any:
        return len(request.content)

    for target, expected in (("/async", [2, 3]), ("/plain", 5)):
        response = await answer(app, "POST", target, body=body_reader(b"ab", b"cde"))
        if target == "/async":
            assert await json_of(response) == expected
        else:
            assert response.status == 500  # an int is no answer, but the content was there
    response = await answer(app, "POST", "/plain", body=body_reader(b"abc", limit=2))
    assert response.status == 413


async def test_middleware_answers_in_the_place_of_the_handler() -> None:
    app = Rat()
    seen: list[str] = []

    @app.middleware
    async def guard(request: Request, call_next: Any) -> Any:
        if "token" not in request.query:
            raise HTTPError(401, "no token")
        if request.query["token"] == "short":
            return {"short": True}, 202
        return await call_next(request)

    @app.get("/")
    async def root(request: Request) -> str:
        seen.append("handler")
        return "root"

    assert (await answer(app)).status == 401
    response = await answer(app, target="/?token=short")
    assert (response.status, await json_of(response)) == (202, {"short": True})
    assert seen == []
    assert await content_of(await answer(app, target="/?token=x")) == b"root"


async def test_an_error_of_middleware_is_an_answer_that_outer_middleware_sees(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[str] = []
    app = traced(seen, "outer")

    @app.middleware
    async def broken(request: Request, call_next: Any) -> None:
        await call_next(request)

    @app.middleware
    async def fails(request: Request, call_next: Any) -> Response:
        raise LookupError("inner")

    @app.errorhandler(LookupError)
    def lookup(request: Request, error: LookupError) -> Any:
        seen.append("handled")
        return "gone", 410

    app.get("/")(lambda request: "root")
    response = await answer(app)
    # None is an answer as well: 204.
    assert response.status == 204
    assert seen == ["outer in", "handled", "outer out 204"]


async def test_an_answer_that_was_replaced_is_closed_with_its_successor() -> None:
    app = Rat()
    closed: list[str] = []

    @app.middleware
    async def wrap(request: Request, call_next: Any) -> Response:
        inner = await call_next(request)

        async def upper() -> AsyncIterator[bytes]:
            async for piece in inner.body:
                yield piece.upper()

        return Response(upper(), headers={"x-was": str(inner.status)})

    @app.get("/")
    async def root(request: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            yield "a"
            assert closed == []
            yield "b"

        response = Response(pieces(), 203)
        response.on_close(lambda: closed.append("file"))
        return response

    response = await answer(app)
    assert await content_of(response) == b"AB"
    assert response.headers["x-was"] == "203"
    assert closed == []
    response.close()
    response.close()
    assert closed == ["file"]


async def test_state_of_a_request_goes_along() -> None:
    app = Rat()

    @app.middleware
    async def who(request: Request, call_next: Any) -> Any:
        request.state.user = "ada"
        return await call_next(request)

    @app.get("/")
    async def root(request: Request) -> str:
        return str(request.state.user)

    assert await content_of(await answer(app)) == b"ada"


@pytest.mark.parametrize("error", [ClientDisconnected("gone"), asyncio.CancelledError()])
async def test_an_answer_that_nobody_will_send_is_closed(error: BaseException) -> None:
    app = Rat()
    closed: list[str] = []

    @app.middleware
    async def leaves(request: Request, call_next: Any) -> Response:
        await call_next(request)
        raise error

    @app.get("/")
    async def root(request: Request) -> Response:
        response = Response("x")
        response.on_close(lambda: closed.append("file"))
        return response

    with pytest.raises(type(error)):
        await answer(app)
    assert closed == ["file"]
