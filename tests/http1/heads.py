"""Heads for both ways of reading them: plain ones, odd ones, and plain ones with something changed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from rat.http1 import fastlane

__all__ = ["CLIENTS", "mutated", "wires"]

METHODS = [
    b"GET",
    b"POST",
    b"PUT",
    b"DELETE",
    b"HEAD",
    b"OPTIONS",
    b"PROPFIND",
    b"HELLO",
    b"CONNECT",
    b"get",
    b"M-SEARCH",
    b"",
]
TARGETS = [
    b"/", b"/users/42", b"/a?b=c", b"/a?", b"/?a?b", b"/%20/x", b"/a[1]|{}", b"//double", b"/a#b", b"/a?b#c", b"*",
    b"http://other/x?y", b"HTTPS://other:99", b"example.org:80", b"/a b", b"/caf\xc3\xa9", b"/\x01", b"", b"a",
]  # fmt: skip
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"HTTP/11"]
HOSTS = [
    b"Host: example.org", b"host:a", b"HOST: a", b"Host: 127.0.0.1:8000", b"Host:\ta:65535 ", b"Host: a:65536",
    b"Host: a:99999", b"Host: [::1]:80", b"Host: [::g]", b"Host:", b"Host: a b", b"Host: a,b", b"Host: a@b",
    b"Host : a",
    b"Host: a:", b"Host: a:0080", b"Host: a_b.c~d", b"Host: %41", b"Host: a/b", b"Host: a\x7f", b"Hos: a", b"Hosts: a",
]  # fmt: skip
FIELDS = [
    b"Cookie: a=b; c=d", b"cookie:x", b"Accept: */*", b"Connection: keep-alive", b"Connection: close",
    b"connection:Close",
    b"Connection: Keep-Alive, Upgrade", b"CONNECTION: close", b"Connection: ,close", b"Content-Length: 0",
    b"Content-Length: 5", b"content-length:5", b"Content-length: 5 ", b"Content-Length: +5", b"Content-Length: 5, 5",
    b"CONTENT-LENGTH: 5", b"Content-Length: " + b"9" * 20, b"Content-Length: 0005", b"Content-Length:",
    b"Content-Type: application/json", b"Content-Lengths: 5", b"Transfer-Encoding: chunked", b"transfer-encoding: gzip",
    b"TRANSFER-ENCODING: Chunked", b"Transfer-Encoding: gzip, chunked", b"TE: trailers", b"Trailer: x", b"T: u",
    b"Expect: 100-continue", b"expect: x", b"EXPECT: 100-Continue", b"Expected: 1", b"E: f", b"H: i", b"C: d",
    b"Hostname: x",
    b"Upgrade: h2c", b"X-Empty:", b"X-Space: \t ", b"X-Obs: \xe4\xff", b"X-Nul: \x00", b"X-Bell: \x07", b"X-Del: \x7f",
    b"X-Tab: a\tb", b"X Y: z", b": z", b"X\xe4: z", b"X-Colon : z", b" folded", b"\tfolded", b"no colon", b"X-CR: a\rb",
    b"X-LF: a\nb", b"!#$%&'*+-.^_`|~: token", b"Date: now", b"X-Long: " + b"v" * 300, b"(x): y",
]  # fmt: skip
CONTENT = [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: next\r\n\r\n"]
PLAIN_FIELDS = [
    field
    for field in FIELDS
    if fastlane.reference_reader(9, 1000)(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % field, 0)
]


def plain_heads(source: random.Random) -> bytes:
    """Heads that are meant to be accepted."""
    names = [b"X-%d" % source.randrange(50), b"Accept", b"User-Agent", b"cookie", b"Hx", b"Ex", b"Tx", b"Cx"]
    fields = [b"Host: " + source.choice([b"a", b"a.b:80", b"127.0.0.1:8000"])]
    fields += source.sample(PLAIN_FIELDS, source.randrange(4))
    fields += [
        b"%b: %b" % (source.choice(names), source.randbytes(3).hex().encode()) for _ in range(source.randrange(5))
    ]
    source.shuffle(fields)
    target = source.choice(TARGETS[:8]) + b"%d" % source.randrange(1000)
    return b"%b %b HTTP/1.1\r\n%b\r\n\r\n" % (source.choice(METHODS[:8]), target, b"\r\n".join(fields))


def odd_heads(source: random.Random) -> bytes:
    """Heads of parts of which any may be wrong."""
    fields = source.choices(HOSTS, k=source.choice([0, 1, 1, 1, 1, 2])) + source.choices(FIELDS, k=source.randrange(4))
    source.shuffle(fields)
    line = b"%b %b %b" % (source.choice(METHODS), source.choice(TARGETS), source.choice([b"HTTP/1.1"] * 5 + VERSIONS))
    return line + b"\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def with_one_oddity(source: random.Random) -> bytes:
    """A plain head, but for one part of it."""
    lines = plain_heads(source)[:-4].split(b"\r\n")
    method, target, version = lines[0].split(b" ")
    odd = source.randrange(5)
    if odd == 0:
        lines[0] = b"%b %b %b" % (source.choice(METHODS), target, version)
    elif odd == 1:
        lines[0] = b"%b %b %b" % (method, source.choice(TARGETS), version)
    elif odd == 2:
        lines[0] = b"%b %b %b" % (method, target, source.choice(VERSIONS))
    elif odd == 3:
        lines = [line for line in lines if not line.startswith(b"Host")] + source.choices(
            HOSTS, k=source.choice([0, 1, 1, 1])
        )
    else:
        lines.insert(source.randrange(1, len(lines) + 1), source.choice(FIELDS))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def mutated(source: random.Random, wire: bytes) -> bytes:
    """A plain head with some bytes changed, dropped, doubled, or moved."""
    data = bytearray(wire)
    for _ in range(source.choice([1, 1, 2, 5])):
        at = source.randrange(len(data))
        kind = source.randrange(5)
        if kind == 0:
            data[at] = (
                source.choice(b"\x00\t\n\r :;,#?@[]%/aA0\x7f\x80\xff")
                if source.random() < 0.7
                else source.randrange(256)
            )
        elif kind == 1 and len(data) > 1:
            del data[at]
        elif kind == 2:
            data.insert(at, source.choice(b"\t\n\r :,a0"))
        elif kind == 3:
            data[at:at] = data[at : at + source.randrange(1, 20)]
        else:
            data[at : at + 1] = bytes(data[at : at + 1]).swapcase()
    return bytes(data)


def wires(seed: int, count: int) -> Iterator[bytes]:
    source = random.Random(seed)
    for number in range(count):
        head = plain_heads(source)
        if number % 4 == 1:
            head = odd_heads(source)
        elif number % 4 == 2:
            head = mutated(source, head)
        elif number % 4 == 3:
            head = with_one_oddity(source)
        yield head + source.choice(CONTENT) + source.choice([b"", b"", plain_heads(source)])


def _request(start: str, *fields: str, content: str = "") -> bytes:
    return "\r\n".join([f"{start} HTTP/1.1", *fields, "", content]).encode("latin-1")


CLIENTS = {
    "curl": _request("GET /a?b=c", "Host: 127.0.0.1:8000", "User-Agent: curl/8.5.0", "Accept: */*"),
    "curl posting": _request(
        "POST /echo",
        "Host: localhost:8000",
        "User-Agent: curl/8.5.0",
        "Accept: */*",
        "Content-Length: 11",
        "Content-Type: application/x-www-form-urlencoded",
        content="hello=world",
    ),
    "wrk": _request("GET /", "Host: 127.0.0.1:8000"),
    "Firefox": _request(
        "GET /",
        "Host: localhost:8000",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "Accept-Language: de,en-US;q=0.7,en;q=0.3",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "DNT: 1",
        "Connection: keep-alive",
        "Cookie: session=7f3a; theme=dark",
        "Upgrade-Insecure-Requests: 1",
        "Sec-Fetch-Dest: document",
        "Priority: u=0, i",
        'If-None-Match: "5e0c-61f"',
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
        "Range: bytes=0-99",
        "TE: trailers",
    ),
    "Chrome's EventSource": _request(
        "GET /events",
        "Host: localhost:8000",
        "Connection: keep-alive",
        'sec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"',
        "Accept: text/event-stream",
        "Cache-Control: no-cache",
        "Last-Event-ID: 17-4",
        "Referer: http://localhost:8000/",
    ),
    "requests": _request(
        "DELETE /users/1",
        "Host: example.org",
        "User-Agent: python-requests/2.32.3",
        "Accept-Encoding: gzip, deflate",
        "Accept: */*",
        "Connection: keep-alive",
        "Content-Length: 0",
    ),
    "undici": _request(
        "PUT /a",
        "host: 10.0.0.1:3000",
        "connection: keep-alive",
        "content-type: application/json",
        "content-length: 2",
        content="{}",
    ),
    "Go": _request("HEAD /", "Host: example.org", "User-Agent: Go-http-client/1.1", "Connection: close"),
    "a proxy": _request(
        "GET /",
        "Host: example.org",
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Proto: https",
        "Forwarded: for=203.0.113.9;proto=https",
        "Via: 1.1 proxy",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "CF-Connecting-IP: 203.0.113.9",
    ),
}
"""What clients send, as they write it."""
