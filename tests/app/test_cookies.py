"""Set-Cookie, as RFC 6265 and user agents have it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from rat import Response

CASES: list[tuple[str, str, dict[str, Any], str]] = [
    ("a", "1", {}, "a=1; Path=/; SameSite=Lax"),
    ("a", "", {"samesite": None, "path": None}, "a="),
    ("a", '"1"', {"path": "/x", "samesite": "STRICT"}, 'a="1"; Path=/x; SameSite=Strict'),
    (
        "sid",
        "x",
        {"max_age": 60, "domain": "example.test", "secure": True, "httponly": True, "samesite": "none"},
        "sid=x; Max-Age=60; Domain=example.test; Path=/; Secure; HttpOnly; SameSite=None",
    ),
    ("a", "1", {"expires": 0}, "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; SameSite=Lax"),
    (
        "a",
        "1",
        {"expires": datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1)))},
        "a=1; Expires=Wed, 02 Jan 2030 02:04:05 GMT; Path=/; SameSite=Lax",
    ),
    ("__Host-a", "1", {"secure": True}, "__Host-a=1; Path=/; Secure; SameSite=Lax"),
    ("a", "1", {"secure": True, "partitioned": True}, "a=1; Path=/; Secure; SameSite=Lax; Partitioned"),
]


@pytest.mark.parametrize(("name", "value", "options", "field"), CASES)
def test_set_cookie(name: str, value: str, options: dict[str, Any], field: str) -> None:
    response = Response()
    response.set_cookie(name, value, **options)
    assert response.headers.getlist("set-cookie") == [field]


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("a b", "1", {}, "cookie name 'a b' is not a token"),
    ("", "1", {}, "is not a token"),
    ("a", "1;2", {}, "value of cookie a has a character"),
    ("a", "1 2", {}, "value of cookie a has a character"),
    ("a", "1\r\nx: y", {}, "value of cookie a has a character"),
    ("a", "é", {}, "value of cookie a has a character"),
    ("a", "x" * 4096, {}, "cookie a has 4097 bytes, user agents keep 4096"),
    ("a", "1", {"path": "x"}, "path of cookie a is 'x'"),
    ("a", "1", {"path": "/x;y"}, "path of cookie a is '/x;y'"),
    ("a", "1", {"path": "/\r\n"}, "path of cookie a"),
    ("a", "1", {"domain": "a b"}, "domain of cookie a is 'a b'"),
    ("a", "1", {"domain": "a\n"}, "domain of cookie a"),
    ("a", "1", {"samesite": "maybe"}, "samesite of cookie a is 'maybe'"),
    ("a", "1", {"samesite": "none"}, "with samesite none must be secure"),
    ("a", "1", {"partitioned": True}, "partitioned cookie a must be secure"),
    ("a", "1", {"expires": datetime(2030, 1, 1)}, "expires is a naive datetime"),
    ("__Secure-a", "1", {}, "cookie __Secure-a must be secure"),
    ("__Host-a", "1", {"secure": True, "path": "/x"}, "with path / and without a domain"),
]


@pytest.mark.parametrize(("name", "value", "options", "message"), REFUSED)
def test_a_cookie_that_user_agents_would_refuse_is_refused(
    name: str, value: str, options: dict[str, Any], message: str
) -> None:
    response = Response()
    with pytest.raises(ValueError, match=message):
        response.set_cookie(name, value, **options)
    assert "set-cookie" not in response.headers


def test_any_number_of_cookies_and_their_removal() -> None:
    response = Response("x")
    for number in range(3):
        response.set_cookie(f"c{number}", str(number), samesite=None, path=None)
    response.delete_cookie("__Host-old")
    assert response.headers.getlist("set-cookie") == [
        "c0=0",
        "c1=1",
        "c2=2",
        "__Host-old=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; Secure; SameSite=Lax",
    ]


def test_an_aware_time_is_said_in_gmt() -> None:
    response = Response()
    response.set_cookie("a", "1", expires=datetime(2030, 6, 1, tzinfo=UTC), samesite=None, path=None)
    assert response.headers["set-cookie"] == "a=1; Expires=Sat, 01 Jun 2030 00:00:00 GMT"
