"""What went wrong as an answer: problem details or text, error handlers, error ids, and nothing of the inside."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import pytest

from rat import ClientDisconnected, ContentTooLarge, HTTPError, Rat, Request, Response
from rat.errors import RemoteProtocolError
from rat.problems import problem, reason
from rat.stream.body import BodyReader
from tests.app.support import answer, content_of, head, json_of, request

PROBLEM = "application/problem+json"
TEXT = "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, PROBLEM),
        ("*/*", PROBLEM),
        ("application/json", PROBLEM),
        ("application/problem+json", PROBLEM),
        ("application/*;q=0.1", PROBLEM),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT),
        ("text/plain, application/json;q=0.5", TEXT),
        ("text/html", TEXT),
        ("image/png", TEXT),
        ("application/json;q=0", TEXT),
        ("text/event-stream", TEXT),
    ],
)
async def test_the_form_of_an_error_is_what_the_client_takes(accept: str | None, kind: str) -> None:
    fields = [] if accept is None else [("accept", accept)]
    response = await answer(Rat(), target="/none", fields=fields)
    assert response.status == 404
    assert response.headers["content-type"] == kind
    if kind == PROBLEM:
        assert await json_of(response) == {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "no such path",
        }
    else:
        assert await content_of(response) == b"404 Not Found\nno such path\n"


def test_an_error_without_a_request_is_text() -> None:
    response = Rat().error_response(431, "head of 40000 bytes, limit 32768", headers={"x-a": "1"})
    assert response.status == 431
    assert response.body == b"431 Request Header Fields Too Large\nhead of 40000 bytes, limit 32768\n"
    assert list(response.headers) == [("content-type", TEXT), ("x-a", "1")]
    assert problem(404).body == b"404 Not Found\n"
    assert problem(304, headers={"etag": '"x"'}).headers.get("content-type") is None


@pytest.mark.parametrize(
    ("status", "phrase"), [(404, "Not Found"), (599, "Server Error"), (499, "Client Error"), (299, "Status")]
)
def test_reason_phrases(status: int, phrase: str) -> None:
    assert reason(status) == phrase


def raising(error: BaseException, *, is_async: bool, thread: bool = False) -> Rat:
    app = Rat()
    if is_async:

        @app.route("/", methods="*")
        async def handler(request: Request) -> None:
            raise error
    else:

        @app.route("/", methods="*", thread=thread)
        def plain_handler(request: Request) -> None:
            raise error

    return app


KINDS = pytest.mark.parametrize(
    "kind", [{"is_async": True}, {"is_async": False}, {"is_async": False, "thread": True}], ids=str
)


@KINDS
async def test_an_http_error_is_the_answer(kind: Any) -> None:
    error = HTTPError(429, "slow down", headers={"Retry-After": "5"})
    response = await answer(raising(error, **kind))
    assert response.status == 429
    assert response.headers["retry-after"] == "5"
    assert (await json_of(response))["detail"] == "slow down"


@KINDS
async def test_an_exception_is_a_500_with_an_id_that_is_in_the_log(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    response = await answer(raising(ValueError("secret"), **kind), target="/?q=1")
    assert response.status == 500
    members = await json_of(response)
    assert set(members) == {"type", "title", "status", "error_id"}
    assert re.fullmatch("[0-9a-f]{16}", members["error_id"])
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("rat.error", logging.ERROR)
    assert record.getMessage() == f"error {members['error_id']} while answering GET /?q=1"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "secret"


async def test_the_text_of_a_500_has_the_id_too(caplog: pytest.LogCaptureFixture) -> None:
    response = await answer(raising(ValueError("secret"), is_async=True), fields=[("accept", "text/html")])
    text = (await content_of(response)).decode()
    assert re.fullmatch("500 Internal Server Error\nerror id [0-9a-f]{16}\n", text)
    assert text[-17:-1] in caplog.text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "a handler returned int, expected Response, dict, list, str"),
        ({1, 2}, "a handler returned set"),
        (("a", 200, {}, 4), "a tuple of 4 was returned"),
        (("a", "200"), "status is '200', expected a number from 200 to 599"),
        (("a", True), "status is True"),
        (("a", 99), "status is 99"),
        (("a", 600), "status is 600"),
        ((("a", 1), 200), "the body of a returned tuple is a tuple itself"),
        (("a", 200, "x"), "headers are str, expected a mapping"),
        (("a", 200, 5), "headers are int, expected a mapping"),
        (("a", 200, {"x": "a\r\nb"}), "value of field x has"),
        ({"a": object()}, r"type is not JSON serializable: object at \$\.a"),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
async def test_what_a_handler_may_not_return_is_a_500_and_clear_in_the_log(
    value: Any, message: str, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = Rat()
    if is_async:

        @app.get("/")
        async def handler(request: Request) -> Any:
            return value
    else:
        app.get("/")(lambda request: value)
    response = await answer(app)
    assert response.status == 500
    (record,) = caplog.records
    assert record.exc_info is not None
    assert re.search(message, str(record.exc_info[1]))
    assert message not in str(response.body)


@pytest.mark.parametrize("is_async", [True, False])
async def test_departure_and_cancellation_go_through(is_async: bool) -> None:
    for error in (ClientDisconnected("gone"), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            await answer(raising(error, is_async=is_async))


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (ContentTooLarge(10, 12), 413, "content of 12 bytes is larger than the limit of 10 bytes"),
        (RemoteProtocolError("chunk of 3 digits, limit 2"), 400, "chunk of 3 digits, limit 2"),
        (RemoteProtocolError("too slow", status=408), 408, "too slow"),
    ],
)
async def test_what_reading_the_content_raises_is_the_clients_error(
    error: Exception, status: int, detail: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = Rat()

    @app.post("/")
    async def handler(request: Request) -> Any:
        return {"size": len(await request.read())}

    reader = BodyReader(limit=None, high_water=10, low_water=5)
    reader.feed(b"x")
    reader.fail(error)
    response = await answer(app, "POST", body=reader)
    assert (response.status, (await json_of(response))["detail"]) == (status, detail)
    assert not caplog.records


class Base(Exception):
    pass


class Derived(Base):
    pass


class Mine(HTTPError):
    pass


def handlers_app(keys: list[Any], error: Exception, *, handler_is_async: bool, is_async: bool) -> Rat:
    app = raising(error, is_async=is_async)
    for key in keys:
        name = key if isinstance(key, int) else key.__name__
        if handler_is_async:

            async def answer_later(request: Request, error: Exception, name: Any = name) -> Any:
                return {"by": name}

            app.errorhandler(key)(answer_later)
        else:
            app.errorhandler(key)(lambda request, error, name=name: {"by": name})
    return app


@pytest.mark.parametrize("handler_is_async", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(
    ("keys", "error", "status", "by"),
    [
        ([Base, Derived], Derived(), 500, "Derived"),
        ([Base, Exception], Derived(), 500, "Base"),
        ([Exception, 500], Derived(), 500, "Exception"),
        ([500], Derived(), 500, 500),
        ([404, HTTPError], HTTPError(404), 404, 404),
        ([405, HTTPError], HTTPError(404), 404, "HTTPError"),
        ([Mine, 404], Mine(404), 404, "Mine"),
        ([404, Exception], Mine(404), 404, 404),
        ([413], ContentTooLarge(1), 413, 413),
        ([RemoteProtocolError], RemoteProtocolError("x"), 400, "RemoteProtocolError"),
    ],
)
async def test_error_handlers_by_class_and_code(
    keys: list[Any],
    error: Exception,
    status: int,
    by: Any,
    is_async: bool,
    handler_is_async: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    response = await answer(handlers_app(keys, error, handler_is_async=handler_is_async, is_async=is_async))
    assert (response.status, await json_of(response)) == (status, {"by": by})
    # What no class claimed is still a bug, and logged.
    assert bool(caplog.records) is (by == 500)


@pytest.mark.parametrize("handler_is_async", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
async def test_an_error_handler_that_fails_is_a_500(
    is_async: bool, handler_is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = raising(Base(), is_async=is_async)
    if handler_is_async:

        @app.errorhandler(Base)
        async def fail_later(request: Request, error: Base) -> None:
            raise KeyError("second")
    else:

        @app.errorhandler(Base)
        def fail(request: Request, error: Base) -> Any:
            return object()

    response = await answer(app)
    assert response.status == 500
    assert (await json_of(response))["error_id"] in caplog.text


async def test_error_handlers_answer_for_404_and_405_too() -> None:
    app = Rat()
    app.get("/x")(lambda request: "x")

    @app.errorhandler(404)
    def missing(request: Request, error: HTTPError) -> Any:
        return f"nothing at {request.path}"

    @app.errorhandler(405)
    def refused(request: Request, error: HTTPError) -> Any:
        return Response("no", 405, headers=error.headers)

    response = await answer(app, target="/y")
    assert (response.status, await content_of(response)) == (404, b"nothing at /y")
    response = await answer(app, "POST", "/x")
    assert (response.status, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_a_plain_value_of_an_error_handler_keeps_the_fields_of_the_error() -> None:
    app = Rat()
    app.get("/x")(lambda request: "x")
    app.errorhandler(405)(lambda request, error: "no")
    response = await answer(app, "POST", "/x")
    assert (response.status, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_fields_of_an_error_that_cannot_be_sent_are_a_500(caplog: pytest.LogCaptureFixture) -> None:
    response = await answer(raising(HTTPError(400, "x", headers={"x": "a\nb"}), is_async=True))
    assert response.status == 500
    assert (await json_of(response))["error_id"] in caplog.text


async def test_declaring_an_error_handler_twice_is_refused() -> None:
    app = Rat()
    app.errorhandler(404)(lambda request, error: None)
    with pytest.raises(ValueError, match="errorhandler for 404 is declared twice"):
        app.errorhandler(404)(lambda request, error: None)


async def test_respond_never_raises() -> None:
    app = raising(Base("x"), is_async=False)
    app.prepare()
    received = head()
    endpoint, params = app.match(received)
    response = endpoint.begin(request(app, received, params))
    assert isinstance(response, Response)
    assert response.status == 500
