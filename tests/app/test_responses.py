"""Answers: what a value becomes, its fields, its end."""

from __future__ import annotations

import io
import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from rat import EventStream, JSONResponse, RedirectResponse, Response, ServerSentEvent
from rat.codec import decode
from rat.errors import CodecError
from rat.events import Buffer, FileRegion
from rat.returned import normalise
from tests.app.support import answer, content_of

TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
JSON = "application/json"


async def pieces() -> AsyncIterator[bytes | str]:
    yield b"a"
    yield "é"


def sync_pieces() -> Iterator[str]:
    yield "a"
    yield threading.current_thread().name


class Text(str):
    __slots__ = ()


class Map(dict[str, int]):
    pass


@pytest.mark.parametrize(
    ("value", "status", "content", "kind"),
    [
        ({"a": 1}, 200, b'{"a":1}', JSON),
        ([1, None], 200, b"[1,null]", JSON),
        ({}, 200, b"{}", JSON),
        (Map(a=1), 200, b'{"a":1}', JSON),
        ("é", 200, "é".encode(), TEXT),
        (Text("t"), 200, b"t", TEXT),
        ("", 200, b"", TEXT),
        (b"b", 200, b"b", BYTES),
        (bytearray(b"b"), 200, b"b", BYTES),
        (memoryview(b"b"), 200, b"b", BYTES),
        (None, 204, b"", None),
        (("x", 201), 201, b"x", TEXT),
        (({"a": 1}, HTTPStatus.ACCEPTED), 202, b'{"a":1}', JSON),
        ((None, 200), 200, b"", None),
        (("<p>", 200, {"Content-Type": "text/html"}), 200, b"<p>", "text/html"),
        ((b"x", 200, [("content-type", "image/png")]), 200, b"x", "image/png"),
        (("x", 200, None), 200, b"x", TEXT),
    ],
)
async def test_what_a_handler_may_return(value: Any, status: int, content: bytes, kind: str | None) -> None:
    response = normalise(value)
    assert response.status == status
    assert type(response.status) is int
    assert await content_of(response) == content
    assert response.headers.get("content-type") == kind
    assert response.is_open_ended is False


async def test_a_response_stays_itself() -> None:
    response = Response("x", 418)
    assert normalise(response) is response
    assert normalise((response, 201, {"x-a": "b"})) is response
    assert (response.status, response.headers["x-a"]) == (201, "b")


async def test_iterators_are_streams() -> None:
    response = normalise(pieces())
    assert await content_of(response) == "aé".encode()
    assert response.is_open_ended
    response = normalise(sync_pieces())
    text = (await content_of(response)).decode()
    assert text[0] == "a"
    assert text[1:] != threading.current_thread().name
    response = normalise((pieces(), 200, {"content-length": "3"}))
    assert response.is_open_ended is False
    assert response.headers["content-length"] == "3"


@pytest.mark.parametrize("how", [normalise, Response])
async def test_a_file_is_read_in_pieces_and_closed(how: Any, tmp_path: Path) -> None:
    # Not in lines: this one has no end.
    (tmp_path / "file").write_bytes(b"x" * 600_000)
    with (tmp_path / "file").open("rb") as file:
        file.seek(50_000)
        response = how(file)
        assert isinstance(response.body, AsyncIterable)
        assert not response.is_open_ended
        sizes = [len(piece) async for piece in response.body]
        assert sum(sizes) == 550_000
        assert max(sizes) <= 256 * 1024
        assert file.closed
    with (tmp_path / "file").open("rb") as file:
        await how(file).body.aclose()
        assert file.closed
    assert await content_of(Response(io.StringIO("ä"))) == "ä".encode()


async def test_a_stream_of_something_else_is_a_type_error() -> None:
    async def numbers() -> AsyncIterator[Any]:
        yield 1

    with pytest.raises(TypeError, match="a stream yielded int, expected bytes or str"):
        await content_of(Response(numbers()))


async def test_a_source_is_closed_whether_it_was_started_or_not() -> None:
    seen: list[str] = []

    class Source:
        def __aiter__(self) -> Source:
            return self

        async def __anext__(self) -> bytes:
            return b"x"

        async def aclose(self) -> None:
            seen.append("closed")

    for started in (False, True):
        body: Any = Response(Source()).body
        if started:
            assert await anext(body) == b"x"
        await body.aclose()
    assert seen == ["closed", "closed"]


@pytest.mark.parametrize("body", [5, {"a": 1}, {b"a"}, object(), 1.5])
def test_a_body_of_another_type_is_refused(body: Any) -> None:
    with pytest.raises(TypeError, match=f"body is {type(body).__name__}, expected bytes, str or an iterable"):
        Response(body)


async def test_large_views_are_not_copied() -> None:
    data = bytearray(b"x" * 70_000)
    response = Response(memoryview(data))
    assert isinstance(response.body, list)
    data[0:1] = b"y"
    assert (await content_of(response))[:2] == b"yx"
    assert response.headers["content-length"] == "70000"
    parts: list[Buffer | FileRegion] = [b"ab", memoryview(b"cd")]
    response = Response(parts)
    assert response.headers["content-length"] == "4"
    assert await content_of(response) == b"abcd"


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, TEXT),
        ({"content_type": "text/html"}, "text/html"),
        ({"headers": {"Content-Type": "text/css"}}, "text/css"),
        ({"headers": {"X-A": "1"}}, TEXT),
        ({"headers": {"Content-Type": "text/css"}, "content_type": "text/html"}, "text/html"),
    ],
)
def test_the_content_type(options: dict[str, Any], kind: str) -> None:
    response = Response("x", **options)
    assert response.headers.getlist("content-type") == [kind]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"status": 99}, ValueError, "status is 99, expected a number from 200 to 599"),
        ({"status": 600}, ValueError, "status is 600"),
        ({"status": "200"}, TypeError, "status is '200'"),
        ({"headers": {"X-A": "a\r\nb"}}, ValueError, "value of field X-A has"),
        ({"headers": [("X A", "a")]}, ValueError, "field name 'X A' is not a token"),
        ({"content_type": "a\nb"}, ValueError, "value of field content-type has"),
        ({"trailers": {"x": "a\0"}}, ValueError, "value of field x has"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_construction(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Response("x", **options)


def test_field_lines_follow_the_headers() -> None:
    response = Response(b"x", headers={"X-A": "1"})
    assert response.field_lines() == [(b"content-type", b"application/octet-stream"), (b"x-a", b"1")]
    response.headers.add("x-a", "2")
    response.headers["Content-Type"] = "image/png"
    assert response.field_lines() == [(b"content-type", b"image/png"), (b"x-a", b"1"), (b"x-a", b"2")]
    one, other = normalise({"a": 1}), normalise({"a": 1})
    one.headers["x-mine"] = "1"
    assert "x-mine" not in other.headers


def test_trailers_are_field_lines_or_made_at_the_end() -> None:
    given = Response(pieces(), trailers={"X-Sum": "1"}).trailers
    assert given is not None
    assert given() == [(b"x-sum", b"1")]
    count = 0
    later = Response(pieces(), trailers=lambda: [("X-Count", str(count))]).trailers
    count = 5
    assert later is not None
    assert later() == [(b"x-count", b"5")]
    assert Response("x").trailers is None


def test_closers_run_once_last_first_though_one_fails() -> None:
    response = Response()
    seen: list[int] = []
    response.on_close(lambda: seen.append(1))
    response.on_close(lambda: 1 / 0)
    response.on_close(lambda: seen.append(3))
    with pytest.raises(ZeroDivisionError):
        response.close()
    assert seen == [3, 1]
    response.close()
    assert seen == [3, 1]
    assert response.goodbye() is None


async def test_json_response() -> None:
    response = JSONResponse("text", 201, {"X-A": "1"})
    assert (response.status, response.body) == (201, b'"text"')
    assert list(response.headers) == [("x-a", "1"), ("content-type", "application/json")]
    response = JSONResponse({"a": [1]}, indent=True, headers={"content-type": "application/vnd.api+json"})
    assert response.body == b'{\n  "a": [\n    1\n  ]\n}'
    assert response.headers["content-type"] == "application/vnd.api+json"
    assert list(JSONResponse(None).headers) == [("content-type", "application/json")]
    with pytest.raises(CodecError, match=r"at \$\[0\]"):
        JSONResponse([object()])


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        ("/a?b=c#d", "/a?b=c#d"),
        ("https://example.test/é ü?q=%20", "https://example.test/%C3%A9%20%C3%BC?q=%20"),
        ("//[::1]:80/", "//[::1]:80/"),
    ],
)
def test_redirects(location: str, sent: str) -> None:
    response = RedirectResponse(location)
    assert (response.status, response.headers["location"]) == (307, sent)


def test_redirects_that_cannot_be_meant() -> None:
    with pytest.raises(ValueError, match="status 200 is no redirection"):
        RedirectResponse("/", 200)
    with pytest.raises(ValueError, match="value of field location has"):
        RedirectResponse("/\r\nx: y")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", JSON),
        ("application/vnd.rat.datavalue", "application/vnd.rat.datavalue"),
        ("application/vnd.rat.datavalue;q=0.1, application/json", JSON),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_value_is_json_or_data_value_as_the_client_asks(accept: str, kind: str, is_async: bool) -> None:
    from rat import Rat

    app = Rat()
    if is_async:

        @app.get("/")
        async def handler(request: Any) -> Any:
            return {"a": [1, True]}, 203
    else:
        app.get("/")(lambda request: ({"a": [1, True]}, 203))
    response = await answer(app, fields=[("Accept", accept)])
    assert response.status == 203
    assert response.headers["content-type"] == kind
    assert response.headers["vary"] == "accept"
    content = await content_of(response)
    assert content == b'{"a":[1,true]}' if kind == JSON else decode(content) == {"a": [1, True]}


async def events() -> AsyncIterator[Any]:
    yield "one"
    yield ServerSentEvent("two", event="e", id="7")
    yield {"three": 3}


async def test_an_event_stream() -> None:
    response = EventStream(events(), heartbeat=None, retry=2.5, headers={"X-A": "1"})
    assert list(response.headers) == [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("x-a", "1"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
    ]
    assert response.is_open_ended
    assert await content_of(response) == (
        b'retry: 2500\n\ndata: one\n\nevent: e\nid: 7\ndata: two\n\ndata: {"three":3}\n\n'
    )
    farewell = response.goodbye()
    assert b"event: rat.close\n" in farewell
    delay = int(farewell.split(b"retry: ")[1].split(b"\n")[0])
    assert 2500 <= delay <= 5000
    with pytest.raises(TypeError, match="events are list, expected an async iterable"):
        EventStream([1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="retry is -1"):
        EventStream(events(), retry=-1)


@pytest.mark.parametrize("shape", ["stream", "iterable", "generator", "plain generator", "refusal"])
async def test_routes_of_event_streams(shape: str) -> None:
    from rat import HTTPError, Rat

    app = Rat()
    if shape == "stream":

        @app.sse("/")
        async def stream(request: Any) -> EventStream:
            return EventStream(events(), heartbeat=None)
    elif shape == "iterable":

        @app.sse("/")
        async def iterable(request: Any) -> Any:
            return events()
    elif shape == "generator":

        @app.sse("/")
        async def generator(request: Any) -> AsyncIterator[Any]:
            async for event in events():
                yield event
    elif shape == "plain generator":

        @app.sse("/")
        def plain(request: Any) -> Iterator[Any]:
            yield "one"
            yield ServerSentEvent("two", event="e", id="7")
            yield {"three": 3}
    else:

        @app.sse("/")
        async def refusal(request: Any) -> Any:
            raise HTTPError(403, "not you")

    response = await answer(app)
    if shape == "refusal":
        assert response.status == 403
        return
    assert isinstance(response, EventStream)
    assert (await content_of(response)).startswith(b"data: one\n\nevent: e\n")
