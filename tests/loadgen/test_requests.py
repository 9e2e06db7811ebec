from __future__ import annotations

import h11
import pytest

from rat.loadgen.requests import BROWSER_FIELDS, Target, build_requests, parse_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000", Target("127.0.0.1", 8000, "/", "127.0.0.1:8000")),
        ("127.0.0.1:8000/a?b=c", Target("127.0.0.1", 8000, "/a?b=c", "127.0.0.1:8000")),
        ("http://[::1]:81/x", Target("::1", 81, "/x", "[::1]:81")),
        ("http://localhost/", Target("localhost", 80, "/", "localhost")),
    ],
)
def test_urls(url: str, expected: Target) -> None:
    assert parse_url(url) == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [("https://localhost/", "scheme 'https', only http is spoken"), ("http:///x", "no host in 'http:///x'")],
)
def test_urls_that_cannot_be_loaded(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_url(url)


def test_no_two_varied_requests_have_the_same_target_or_cookie() -> None:
    requests = build_requests(parse_url("http://h/p?a=b"), fields=BROWSER_FIELDS, vary=True)
    targets, cookies = set(), set()
    for wire in requests:
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(wire)
        request = connection.next_event()
        assert isinstance(request, h11.Request)
        assert isinstance(connection.next_event(), h11.EndOfMessage)
        targets.add(request.target)
        cookies.add(dict(request.headers)[b"cookie"])
        assert dict(request.headers)[b"host"] == b"h"
    assert len(requests) == len(targets) == len(cookies) == 1024


def test_contents_are_gone_through_in_turn() -> None:
    requests = build_requests(parse_url("http://h/"), method="POST", contents=[b"one", b"three"])
    assert requests == [
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\none",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nthree",
    ]
