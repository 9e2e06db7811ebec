"""The application: which handler answers, how it is called, and the answers that need no handler."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rat import HTTPError, Limits, Rat, Request, Response, Router, ServerConfig, Timeouts
from rat.stream.body import BodyReader
from tests.app.support import answer, body_reader, content_of, head, json_of
from tests.support.serving import connect, serving


async def test_path_parameters_arrive_by_name_and_typed() -> None:
    app = Rat()

    @app.get("/users/{id:int}/{rest:path}")
    async def user(request: Request, id: int, rest: str) -> dict[str, Any]:
        assert request.path_params == {"id": id, "rest": rest}
        return {"id": id, "rest": rest}

    assert await json_of(await answer(app, target="/users/4/a%20b/c?x=1")) == {"id": 4, "rest": "a b/c"}
    assert (await answer(app, target="/users/four/a")).status == 404


class Callable:
    async def __call__(self, request: Request) -> str:
        return "object"


async def partial_handler(prefix: str, request: Request) -> str:
    return f"{prefix} {request.path}"


def by_name(id: int, request: Request) -> str:
    return f"{request.method} {id}"


def without_request(id: int) -> str:
    return f"id {id}"


def nothing() -> str:
    return "nothing"


def everything(*args: Any, **kwargs: Any) -> str:
    return f"{len(args)} {sorted(kwargs)}"


@pytest.mark.parametrize(
    ("path", "handler", "content"),
    [
        ("/", Callable(), b"object"),
        ("/", functools.partial(partial_handler, "got"), b"got /"),
        ("/", nothing, b"nothing"),
        ("/", lambda request: "lambda", b"lambda"),
        ("/{id:int}", by_name, b"GET 1"),
        ("/{id:int}", without_request, b"id 1"),
        ("/{id:int}", everything, b"1 ['id']"),
    ],
)
async def test_how_handlers_are_called(path: str, handler: Any, content: bytes) -> None:
    app = Rat()
    app.get(path)(handler)
    assert await content_of(await answer(app, target=path.replace("{id:int}", "1"))) == content


@pytest.mark.parametrize(
    ("path", "handler", "message"),
    [
        ("/{id}", nothing, "takes no parameter 'id', which is in its path"),
        ("/", by_name, "needs a parameter"),
        ("/{id}", lambda request, id, other: None, "needs a parameter 'other', which is not in its path"),
        ("/", "text", "handler of '/' is str, expected a function"),
    ],
)
def test_a_handler_that_does_not_fit_its_path_is_refused_before_it_is_served(
    path: str, handler: Any, message: str
) -> None:
    app = Rat()

    def declare() -> None:
        app.get(path)(handler)
        app.prepare()

    with pytest.raises(TypeError, match=message):
        declare()


async def test_two_handlers_of_one_name_stay_apart() -> None:
    app = Rat()

    def make(word: str) -> Any:
        async def handler(request: Request) -> str:
            return word

        return handler

    app.get("/one")(make("one"))
    app.get("/two")(make("two"))
    assert await content_of(await answer(app, target="/one")) == b"one"
    assert await content_of(await answer(app, target="/two")) == b"two"
    with pytest.raises(ValueError, match="2 routes are named 'handler'"):
        app.path_for("handler")


def methods_app() -> Rat:
    app = Rat()

    @app.get("/thing")
    async def read(request: Request) -> str:
        return "read"

    @app.route("/thing", methods=["put", "PATCH"])
    async def write(request: Request) -> str:
        return request.method

    @app.post("/{name}")
    async def create(request: Request, name: str) -> str:
        return f"created {name}"

    @app.route("/any", methods="*")
    async def any_method(request: Request) -> str:
        return request.method

    @app.head("/own")
    async def own_head(request: Request) -> Response:
        return Response(headers={"x-own": "1"})

    @app.get("/own")
    async def own(request: Request) -> str:
        return "own"

    @app.options("/own")
    async def own_options(request: Request) -> str:
        return "options"

    return app


@pytest.mark.parametrize(
    ("method", "target", "status", "content", "allow"),
    [
        ("GET", "/thing", 200, b"read", None),
        ("HEAD", "/thing", 200, b"read", None),
        ("PUT", "/thing", 200, b"PUT", None),
        ("PATCH", "/thing?x", 200, b"PATCH", None),
        ("POST", "/thing", 200, b"created thing", None),
        ("DELETE", "/thing", 405, None, "GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        ("get", "/thing", 405, None, "GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        ("OPTIONS", "/thing", 204, b"", "GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        ("GET", "/other", 405, None, "OPTIONS, POST"),
        ("BREW", "/any", 200, b"BREW", None),
        ("HEAD", "/own", 200, b"", None),
        ("OPTIONS", "/own", 200, b"options", None),
        ("GET", "/thing/", 404, None, None),
        ("GET", "/a/b", 404, None, None),
        ("OPTIONS", "/a/b", 404, None, None),
        ("OPTIONS", "*", 204, b"", "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"),
        ("GET", "/%FF", 404, None, None),
    ],
)
async def test_methods(method: str, target: str, status: int, content: bytes | None, allow: str | None) -> None:
    response = await answer(methods_app(), method, target)
    assert response.status == status
    assert response.headers.get("allow") == allow
    if content is not None:
        assert await content_of(response) == content


async def test_declaring_twice_or_too_late_is_refused() -> None:
    app = Rat()
    app.get("/x/{a}")(lambda request, a: a)
    app.get("/x/{b}")(lambda request, b: b)
    with pytest.raises(ValueError, match=r"two routes answer GET /x/\{b\}"):
        app.prepare()

    app, router = Rat(), Router()
    app.mount("/r", router)
    app.prepare()
    for action in (
        lambda: app.get("/")(nothing),
        lambda: router.get("/")(nothing),
        lambda: app.middleware(lambda request, call_next: call_next(request)),
        lambda: app.errorhandler(404)(nothing),
        lambda: app.mount("/y", Router()),
    ):
        with pytest.raises(RuntimeError, match="in use already"):
            action()


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda app: app.route("/", methods="GET"), TypeError, "methods is 'GET', expected a list"),
        (lambda app: app.route("/", methods=[]), ValueError, "route '/' has no methods"),
        (lambda app: app.mount("api", Router()), ValueError, "prefix 'api' must begin with '/'"),
        (lambda app: app.mount("/api/", Router()), ValueError, "prefix '/api/' must begin"),
        (lambda app: app.mount("/api", object()), TypeError, "mounted is object, expected Rat or Router"),
        (lambda app: app.mount("/api", app), ValueError, "would contain itself"),
        (lambda app: app.errorhandler("x"), TypeError, "errorhandler for 'x', expected"),
        (lambda app: app.errorhandler(BaseException), TypeError, "expected a status code or an exception class"),
        (lambda app: app.on_startup("x"), TypeError, "on_startup got str, expected a function"),
        (lambda app: app.middleware(3), TypeError, "middleware is int"),
    ],
)
def test_declarations_that_cannot_be_meant(action: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        action(Rat())


async def test_routers_mount_under_a_prefix_with_what_holds_for_them() -> None:
    app, api, deep = Rat(), Router(), Router()

    @deep.get("/{n:int}")
    async def number(request: Request, shelf: str, n: int) -> Any:
        if n == 0:
            raise LookupError("zero")
        return {"shelf": shelf, "n": n}

    @deep.get("")
    async def index(request: Request, shelf: str) -> str:
        return f"index of {shelf}"

    @api.errorhandler(LookupError)
    async def lookup(request: Request, error: LookupError) -> Any:
        return {"lookup": str(error)}, 410

    @api.middleware
    async def mark(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-api"] = "1"
        return response

    app.mount("/api", api)
    api.mount("/shelves/{shelf}", deep)
    app.get("/plain")(nothing)

    response = await answer(app, target="/api/shelves/a/7")
    assert await json_of(response) == {"shelf": "a", "n": 7}
    assert response.headers["x-api"] == "1"
    assert await content_of(await answer(app, target="/api/shelves/a")) == b"index of a"
    response = await answer(app, target="/api/shelves/a/0")
    assert (response.status, await json_of(response)) == (410, {"lookup": "zero"})
    assert response.headers["x-api"] == "1"
    assert "x-api" not in (await answer(app, target="/plain")).headers
    assert "x-api" not in (await answer(app, target="/api/nothing")).headers
    assert [str(route) for route in app.routes] == [
        "GET /api/shelves/{shelf}/{n:int} (number)",
        "GET /api/shelves/{shelf} (index)",
        "GET /plain (nothing)",
    ]
    assert app.path_for("number", shelf="x y", n=3) == "/api/shelves/x%20y/3"
    with pytest.raises(KeyError, match="no route is named 'none'"):
        app.path_for("none")


async def test_a_mounted_application_shares_the_hub() -> None:
    app, router, inner = Rat(), Router(), Rat()
    app.mount("/r", router)
    router.mount("/i", inner)
    assert inner.hub is app.hub
    hub = app.hub
    await app.startup()
    await app.shutdown()
    assert app.hub is not hub
    await app.hub.close()


async def test_bounds_come_from_the_route_else_from_the_server() -> None:
    app = Rat()
    app.post("/own", max_body=10, timeout=2.0)(nothing)
    app.post("/none", max_body=None, timeout=None)(nothing)
    app.post("/default")(nothing)

    def bounds(target: str) -> tuple[int | None, float | None]:
        endpoint, _ = app.match(head("POST", target))
        return endpoint.max_body, endpoint.timeout

    app.prepare()
    assert bounds("/default") == (8 << 20, None)
    app.prepare(ServerConfig(limits=Limits(body=100), timeouts=Timeouts(request=7.0)))
    assert bounds("/own") == (10, 2.0)
    assert bounds("/none") == (None, None)
    assert bounds("/default") == (100, 7.0)
    assert bounds("/missing") == (100, 7.0)
    app.prepare()
    assert bounds("/default") == (100, 7.0)


def test_a_coroutine_function_in_a_thread_is_refused() -> None:
    app = Rat()
    app.get("/", thread=True)(Callable())
    with pytest.raises(TypeError, match="thread=True is for plain ones"):
        app.prepare()


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


async def test_where_handlers_run() -> None:
    app = Rat()
    variable.set("outside")

    @app.post("/inline")
    def inline(request: Request) -> Any:
        return [threading.get_ident(), variable.get(), request.content_json()]

    @app.post("/thread", thread=True)
    def thread(request: Request) -> Any:
        return [threading.get_ident(), variable.get(), request.content_json()]

    mine = threading.get_ident()
    assert await json_of(await answer(app, "POST", "/inline", body=body_reader(b"[1", b"]"))) == [mine, "outside", [1]]
    ident, value, content = await json_of(await answer(app, "POST", "/thread", body=body_reader(b"[1", b"]")))
    assert ident != mine
    assert (value, content) == ("outside", [1])
    app.prepare()
    assert [app.match(head("POST", path))[0].reads_content for path in ("/inline", "/thread")] == [True, False]


@pytest.mark.parametrize("around", [False, True], ids=["bare", "behind middleware"])
async def test_coroutines_and_generators_never_leak_into_answers(around: bool) -> None:
    app = Rat()
    if around:

        @app.middleware
        async def middleware(request: Request, call_next: Any) -> Any:
            return await call_next(request)

    async def later(value: Any) -> Any:
        return value

    @app.get("/twice")
    async def twice(request: Request) -> Any:
        return later(later({"a": 1}))

    @app.get("/plain")
    def plain(request: Request) -> Any:
        return later("text")

    @app.get("/plain-error")
    def plain_error(request: Request) -> Any:
        async def fail() -> None:
            raise HTTPError(418, "teapot")

        return fail()

    @app.get("/generator")
    def generator(request: Request) -> Iterator[str]:
        yield "a"
        yield "é"

    @app.get("/async-generator")
    async def async_generator(request: Request) -> AsyncIterator[bytes | str]:
        yield b"a"
        yield "b"

    @app.get("/returned")
    async def returned(request: Request) -> Any:
        return (number for number in ("1", "2")), 206, {"x-a": "b"}

    assert await json_of(await answer(app, target="/twice")) == {"a": 1}
    assert await content_of(await answer(app, target="/plain")) == b"text"
    response = await answer(app, target="/plain-error")
    assert (response.status, (await json_of(response))["detail"]) == (418, "teapot")
    response = await answer(app, target="/generator")
    assert await content_of(response) == "aé".encode()
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.is_open_ended
    response = await answer(app, target="/async-generator")
    assert await content_of(response) == b"ab"
    assert response.headers["content-type"] == "application/octet-stream"
    response = await answer(app, target="/returned")
    assert (response.status, response.headers["x-a"], await content_of(response)) == (206, "b", b"12")


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_generator_that_fails_before_its_first_piece_becomes_an_answer(is_async: bool) -> None:
    app = Rat()

    if is_async:

        @app.get("/")
        async def handler(request: Request) -> AsyncIterator[str]:
            request.query.integer("count")
            yield "never"
    else:

        @app.get("/")
        def plain_handler(request: Request) -> Iterator[str]:
            request.query.integer("count")
            yield "never"

    response = await answer(app)
    assert response.status == 400
    assert (await json_of(response))["detail"] == "query parameter count is missing"


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_generator_whose_first_piece_is_none_is_an_answer_with_an_error_id(is_async: bool) -> None:
    app, ended = Rat(), []

    if is_async:

        @app.get("/")
        async def handler(request: Request) -> AsyncIterator[Any]:
            try:
                yield {"a": 1}
            finally:
                ended.append("async")
    else:

        @app.get("/")
        def plain_handler(request: Request) -> Iterator[Any]:
            try:
                yield {"a": 1}
            finally:
                ended.append("plain")

    response = await answer(app)
    assert response.status == 500
    assert "error_id" in await json_of(response)
    assert ended == ["async" if is_async else "plain"]


async def test_a_generator_without_pieces_is_an_empty_answer() -> None:
    app = Rat()

    @app.get("/")
    async def handler(request: Request) -> AsyncIterator[str]:
        nothing: tuple[str, ...] = ()
        for piece in nothing:
            yield piece

    response = await answer(app)
    assert (response.status, response.body) == (200, b"")


async def test_a_generator_reads_the_content_while_it_answers() -> None:
    app = Rat()

    @app.post("/")
    async def echo(request: Request) -> AsyncIterator[bytes]:
        async for piece in request.body:
            yield piece.upper()

    reader = BodyReader(limit=None, high_water=10, low_water=5)
    reader.feed(b"one")
    response = await answer(app, "POST", body=reader)
    body = response.body
    assert isinstance(body, AsyncIterator)
    assert await anext(body) == b"ONE"
    reader.feed(b"two")
    reader.feed_eof()
    assert [piece async for piece in body] == [b"TWO"]


async def test_startup_and_shutdown_run_in_order() -> None:
    seen: list[str] = []

    def lifespan(name: str) -> Any:
        @asynccontextmanager
        async def run(app: Rat) -> AsyncIterator[None]:
            seen.append(f"enter {name}")
            app.state.ready = True
            yield
            seen.append(f"leave {name}")

        return run

    app, inner = Rat(lifespan=lifespan("outer")), Rat(lifespan=lifespan("inner"))
    app.mount("/inner", inner)

    @app.on_startup
    async def first() -> None:
        await asyncio.sleep(0)
        seen.append("first")

    @app.on_startup
    def second() -> None:
        seen.append("second")

    inner.on_startup(lambda: seen.append("inner start"))
    app.on_drain(lambda: seen.append("drain"))
    app.on_shutdown(lambda: seen.append("stop 1"))

    @app.on_shutdown
    async def stop() -> None:
        seen.append("stop 2")

    await app.startup()
    assert app.state.ready
    assert inner.state.ready
    await app.drain()
    await app.shutdown()
    assert seen == [
        "enter outer",
        "enter inner",
        "first",
        "second",
        "inner start",
        "drain",
        "stop 2",
        "stop 1",
        "leave inner",
        "leave outer",
    ]


async def test_a_start_that_fails_leaves_what_was_entered(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Rat) -> AsyncIterator[None]:
        try:
            yield
        finally:
            seen.append("left")

    app = Rat(lifespan=lifespan)

    @app.on_startup
    def fail() -> None:
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"):
        await app.startup()
    assert seen == ["left"]
    await app.shutdown()
    assert seen == ["left"]


async def test_everything_is_stopped_though_something_fails(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Rat) -> AsyncIterator[None]:
        yield
        seen.append("left")
        raise OSError("lifespan")

    app = Rat(lifespan=lifespan)
    app.on_shutdown(lambda: seen.append("last"))

    @app.on_shutdown
    def fail() -> None:
        raise ValueError("hook")

    @app.on_drain
    def fail_drain() -> None:
        raise ValueError("drain")

    await app.startup()
    await app.drain()
    with pytest.raises(ValueError, match="hook"):
        await app.shutdown()
    assert seen == ["last", "left"]
    assert [record.message for record in caplog.records] == [
        "a drain hook failed",
        "a shutdown hook failed",
        "a lifespan failed at its end",
    ]


async def test_calls_answer_over_http() -> None:
    app = Rat()

    @app.call("add")
    async def add(request: Request, a: int, b: int = 1) -> int:
        return a + b

    @app.call("count")
    async def count(request: Request, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    @app.call("plain")
    def plain(request: Request) -> Any:
        return {"path": request.path}

    json = [("content-type", "application/json")]

    async def call(name: str, content: bytes) -> tuple[int, bytes]:
        response = await answer(app, "POST", f"/_call/{name}", json, content)
        return response.status, await content_of(response)

    assert await call("add", b"[2, 3]") == (200, b"5")
    assert await call("add", b'{"a": 2}') == (200, b"3")
    assert await call("count", b"[3]") == (200, b"0\n1\n2\n")
    assert await call("plain", b"") == (200, b'{"path":"/_call/plain"}')
    for content, detail in [
        (b"[]", b"call add: missing a required argument: 'a'"),
        (b"[1, 2, 3]", b"call add: too many positional arguments"),
        (b"5", b"arguments of call add are int, expected a list or a map"),
        (b"[", b"content is not JSON at offset 1 of 1"),
    ]:
        status, text = await call("add", content)
        assert status == 400
        assert detail in text
    assert (await answer(app, "POST", "/_call/none", json, b"[]")).status == 404
    assert (await answer(app, "POST", "/_call/add", [("content-type", "text/plain")], b"[]")).status == 415
    assert set(app.calls) == {"add", "count", "plain"}
    twice = Rat()
    twice.call("x")(nothing)
    with pytest.raises(ValueError, match="call 'x' is declared twice"):
        twice.call("x")(nothing)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="inspect.markcoroutinefunction is of 3.12")
async def test_a_handler_that_is_marked_as_a_coroutine_function_gives_any_awaitable() -> None:
    app = Rat()

    def marked(request: Request) -> Any:
        return asyncio.ensure_future(asyncio.sleep(0, "marked"))

    app.get("/")(getattr(inspect, "markcoroutinefunction")(marked))  # noqa: B009
    assert await content_of(await answer(app)) == b"marked"
    async with serving(app) as server, connect(server) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer()).content == b"marked"
