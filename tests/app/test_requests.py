"""The request: what it says of the head, and its content in every way to read it."""

from __future__ import annotations

from typing import Any

import pytest

from rat import Address, ContentTooLarge, HTTPError, Rat, Request
from rat.codec import encode
from rat.stream.body import BodyReader
from tests.app.support import LocalConnection, body_reader, head, request


def asked(
    method: str = "GET",
    target: str | bytes = "/",
    fields: list[tuple[str, str]] | None = None,
    content: bytes = b"",
    streamed: bool = False,
) -> Request:
    received = head(method, target, fields or (), None if streamed else content)
    pieces = [content[i : i + 3] for i in range(0, len(content), 3)]
    return request(Rat(), received, body=body_reader(*pieces) if streamed else None)


def test_what_the_head_says() -> None:
    one = asked("PUT", "/a%20%C3%A9%FF?x=1&x=2", [("Cookie", "a=1; b=2"), ("Cookie", "c=3"), ("X-A", "1")])
    assert one.method == "PUT"
    assert one.target == b"/a%20%C3%A9%FF?x=1&x=2"
    assert one.path == "/a é�"
    assert one.query.getlist("x") == ["1", "2"]
    assert one.query is one.query
    assert one.headers["x-a"] == "1"
    assert one.headers is one.headers
    assert one.cookies == {"a": "1", "b": "2", "c": "3"}
    assert one.http_version == "1.1"
    assert one.host == "example.test"
    assert one.scheme == "http"
    assert one.client == Address("127.0.0.1", 40000)
    assert one.content_length == 0
    assert one.is_disconnected is False
    one.state.user = "ada"
    assert one.state.user == "ada"
    assert repr(one) == "Request(PUT b'/a%20%C3%A9%FF?x=1&x=2')"


@pytest.mark.parametrize(
    ("client", "address"),
    [(None, None), (("::1", 5, 0, 0), Address("::1", 5)), (("127.0.0.1", 5), Address("127.0.0.1", 5))],
)
def test_the_client(client: Any, address: Address | None) -> None:
    class Elsewhere(LocalConnection):
        pass

    Elsewhere.client = client
    assert Request(Rat(), head(), Elsewhere(), None, None, {}).client == address


def test_departure_is_known_from_the_exchange() -> None:
    class Gone:
        is_disconnected = True

    assert Request(Rat(), head(), LocalConnection(), Gone(), None, {}).is_disconnected is True


@pytest.mark.parametrize(
    ("target", "fields", "expected"),
    [
        ("/", [], None),
        ("/", [("Last-Event-ID", "7")], "7"),
        ("/?last_event_id=8", [], "8"),
        ("/?last_event_id=8", [("Last-Event-ID", "7")], "7"),
        ("/", [("Last-Event-ID", "é".encode().decode("latin-1"))], "é"),
    ],
)
def test_the_last_event_id(target: str, fields: list[tuple[str, str]], expected: str | None) -> None:
    assert asked("GET", target, fields).last_event_id == expected


STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@STREAMED
async def test_the_content_is_read_whole_and_again(streamed: bool) -> None:
    one = asked("POST", content=b'{"a": [1, 2]}', streamed=streamed)
    assert await one.read() == b'{"a": [1, 2]}'
    assert await one.json() == {"a": [1, 2]}
    assert one.content == b'{"a": [1, 2]}'
    assert one.content_json() == {"a": [1, 2]}
    assert await one.text() == '{"a": [1, 2]}'
    assert b"".join([piece async for piece in one.body]) == b'{"a": [1, 2]}'


@STREAMED
async def test_the_content_as_a_stream_is_read_once(streamed: bool) -> None:
    one = asked("POST", content=b"abcdefg", streamed=streamed)
    assert b"".join([piece async for piece in one.body]) == b"abcdefg"
    assert [piece async for piece in one.body] == []


async def test_no_content_is_an_empty_stream() -> None:
    assert [piece async for piece in asked().body] == []
    assert await asked().read() == b""


def test_content_that_is_still_on_its_way() -> None:
    with pytest.raises(RuntimeError, match="the content has not been read"):
        _ = asked(streamed=True).content


async def test_content_past_the_limit_raises() -> None:
    reader = BodyReader(limit=4, high_water=100, low_water=10)
    reader.feed(b"abc")
    reader.feed(b"de")
    one = request(Rat(), head(content=None), body=reader)
    with pytest.raises(ContentTooLarge, match="larger than the limit of 4 bytes"):
        await one.read()


JSON = ("content-type", "application/json")


@pytest.mark.parametrize(
    ("fields", "content", "method", "status", "message"),
    [
        ([JSON], b"[1,", "json", 400, "content is not JSON at offset 3 of 3"),
        ([], b"", "json", 400, "content is empty, expected JSON"),
        ([("content-type", "text/plain; charset=klingon")], b"x", "text", 415, "charset 'klingon' is not known"),
        ([], b"ab\xff", "text", 400, "content is not utf-8 at offset 2 of 3"),
        (
            [("content-type", "text/xml")],
            b"<a/>",
            "value",
            415,
            "content type 'text/xml', expected application/json or",
        ),
        ([], b"x", "value", 415, "content without a type, expected application/json or"),
        ([("content-type", "application/vnd.rat.datavalue")], b"\xff", "value", 400, "content is not a DataValue"),
        ([JSON], b"{}", "form", 415, "content type 'application/json', expected application/x-www-form-urlencoded or"),
        ([JSON], b"{}", "parts", 415, "content type 'application/json', expected multipart/form-data"),
    ],
)
@STREAMED
async def test_content_that_is_not_what_was_asked_for(
    fields: list[tuple[str, str]], content: bytes, method: str, status: int, message: str, streamed: bool
) -> None:
    one = asked("POST", "/", fields, content, streamed)
    reading = anext(one.parts()) if method == "parts" else getattr(one, method)()
    with pytest.raises(HTTPError, match=message) as caught:
        await reading
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/json; charset=utf-8", b'{"a":1}'),
        ("application/problem+json", b'{"a":1}'),
        ("application/vnd.rat.datavalue", encode({"a": 1})),
    ],
)
async def test_a_value_by_its_content_type(kind: str, content: bytes) -> None:
    assert await asked("POST", "/", [("content-type", kind)], content, streamed=True).value() == {"a": 1}


async def test_text_by_its_charset() -> None:
    one = asked("POST", "/", [("content-type", 'text/plain; charset="latin-1"')], b"caf\xe9")
    assert await one.text() == "café"


@STREAMED
async def test_trailers_come_after_the_content(streamed: bool) -> None:
    lines = [(b"X-Sum", b"5")]
    received = head("POST", content=None if streamed else b"abc", trailers=() if streamed else lines)
    one = request(Rat(), received, body=body_reader(b"abc", trailers=lines) if streamed else None)
    await one.read()
    assert one.trailers["x-sum"] == "5"
    assert "x-sum" not in one.headers
