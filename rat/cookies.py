"""Set-Cookie: the text of the field, judged by RFC 6265, section 4.1 and by what user agents refuse."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime

__all__ = ["cookie_field"]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_COOKIE_VALUE = re.compile(r'[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*|"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"')
_ATTRIBUTE_VALUE = re.compile(r"[\x20-\x3a\x3c-\x7e]*")
_DOMAIN = re.compile(r"\.?[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?(\.[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?)*")
_SAME_SITE = {"lax": "Lax", "strict": "Strict", "none": "None"}


def _date(moment: datetime | float) -> str:
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment, UTC)
    if moment.tzinfo is None:
        raise ValueError("expires is a naive datetime, expected one with a time zone")
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def cookie_field(
    name: str,
    value: str,
    *,
    max_age: int | None = None,
    expires: datetime | float | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    httponly: bool = False,
    samesite: str | None = "lax",
    partitioned: bool = False,
) -> str:
    """The value of a Set-Cookie field.  Raises ValueError that says which part is wrong."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"cookie name {name!r} is not a token")
    if not _COOKIE_VALUE.fullmatch(value):
        raise ValueError(f"value of cookie {name} has a character that RFC 6265 does not allow: {value!r}")
    if len(name) + len(value) > 4096:
        raise ValueError(f"cookie {name} has {len(name) + len(value)} bytes, user agents keep 4096")
    parts = [f"{name}={value}"]
    if expires is not None:
        parts.append(f"Expires={_date(expires)}")
    if max_age is not None:
        parts.append(f"Max-Age={int(max_age)}")
    if domain is not None:
        if not _DOMAIN.fullmatch(domain):
            raise ValueError(f"domain of cookie {name} is {domain!r}, expected a host name")
        parts.append(f"Domain={domain}")
    if path is not None:
        if not path.startswith("/") or not _ATTRIBUTE_VALUE.fullmatch(path):
            raise ValueError(f"path of cookie {name} is {path!r}, expected a path from / without ';'")
        parts.append(f"Path={path}")
    if secure:
        parts.append("Secure")
    if httponly:
        parts.append("HttpOnly")
    if samesite is not None:
        if samesite.lower() not in _SAME_SITE:
            raise ValueError(f"samesite of cookie {name} is {samesite!r}, expected lax, strict or none")
        if samesite.lower() == "none" and not secure:
            raise ValueError(f"cookie {name} with samesite none must be secure")
        parts.append(f"SameSite={_SAME_SITE[samesite.lower()]}")
    if partitioned:
        if not secure:
            raise ValueError(f"partitioned cookie {name} must be secure")
        parts.append("Partitioned")
    if name.startswith("__Secure-") and not secure:
        raise ValueError(f"cookie {name} must be secure")
    if name.startswith("__Host-") and not (secure and path == "/" and domain is None):
        raise ValueError(f"cookie {name} must be secure, with path / and without a domain")
    return "; ".join(parts)
