"""Requests built beforehand, each a little different from the last.

Knows no socket.  Targets and one cookie vary from request to request, because a server that remembers whole heads
would otherwise look faster than it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

__all__ = ["BROWSER_FIELDS", "Target", "build_requests", "parse_url"]

BROWSER_FIELDS: tuple[tuple[str, str], ...] = (
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Referer", "http://localhost/an/earlier/page?with=a&query=string"),
    ("DNT", "1"),
    ("Connection", "keep-alive"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-User", "?1"),
    ("Priority", "u=0, i"),
    ("Cache-Control", "max-age=0"),
)
"""What a browser sends with a page load: about 700 bytes beside Host and Cookie."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and how their request line and Host read."""

    host: str
    port: int
    path: str
    authority: str = field(default="")


def parse_url(url: str) -> Target:
    """Split an ``http://`` URL.  Raises ValueError for another scheme, and when there is no host."""
    if "://" not in url:
        url = f"http://{url}"
    parts = urlsplit(url)
    if parts.scheme != "http":
        raise ValueError(f"scheme {parts.scheme!r}, only http is spoken")
    if not parts.hostname:
        raise ValueError(f"no host in {url!r}")
    path = parts.path or "/"
    if parts.query:
        path += f"?{parts.query}"
    return Target(parts.hostname, parts.port or 80, path, parts.netloc.rpartition("@")[2])


def build_requests(
    target: Target,
    *,
    method: str = "GET",
    fields: Iterable[tuple[str, str]] = (),
    contents: Sequence[bytes] = (),
    vary: bool = False,
    count: int = 1024,
) -> list[bytes]:
    """Whole requests on the wire.

    With *vary* there are *count* of them and no two have the same target or the same cookie.  *contents* are gone
    through in turn, one for each request; without them requests have no content.
    """
    extra = "".join(f"{name}: {value}\r\n" for name, value in fields)
    built = []
    for number in range(count if vary else max(1, len(contents))):
        path = target.path
        cookie = ""
        if vary:
            path += f"{'&' if '?' in path else '?'}n={number:06d}"
            cookie = f"Cookie: theme=dark; session={number * 2654435761 % (1 << 32):08x}{number:08x}\r\n"
        content = contents[number % len(contents)] if contents else None
        length = "" if content is None else f"Content-Length: {len(content)}\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: {target.authority}\r\n{extra}{cookie}{length}\r\n"
        built.append(head.encode("ascii") + (content or b""))
    return built
