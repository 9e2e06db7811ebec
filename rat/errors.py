"""Every exception that leaves this package, in one tree.

Standard library only: this is the ground floor, and everything may import it.

::

    RatError
    ├── ProtocolError                 .status: the answer that fits, or None
    │   ├── LocalProtocolError        our caller broke the rules of the protocol
    │   └── RemoteProtocolError       the peer broke them
    ├── CodecError (ValueError)       .path where in the value, .offset where in the bytes
    ├── CallError                     a call over frames failed: .code, .message, .detail
    │   └── ConnectionLost            the connection ended before the answer came
    ├── ClientDisconnected            the peer left before the message was whole
    ├── HTTPError                     raise it in a handler to answer with .status
    │   └── ContentTooLarge           413: the content passed its limit
    ├── ConfigError (ValueError)      a setting that cannot be used
    ├── AppLoadError                  the application could not be loaded
    └── BindError                     the address could not be bound
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = [
    "AppLoadError",
    "BindError",
    "CallError",
    "ClientDisconnected",
    "CodecError",
    "ConfigError",
    "ConnectionLost",
    "ContentTooLarge",
    "HTTPError",
    "LocalProtocolError",
    "ProtocolError",
    "RatError",
    "RemoteProtocolError",
    "reason",
]


class RatError(Exception):
    """The root of the tree."""


class ProtocolError(RatError):
    """A rule of the protocol was broken.

    *status* is the HTTP status code that answers it, or None where no answer fits.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class LocalProtocolError(ProtocolError):
    """Our own caller broke the rules: a bug on this side."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the rules."""

    def __init__(self, message: str, *, status: int | None = 400) -> None:
        super().__init__(message, status=status)


class CodecError(RatError, ValueError):
    """A value that cannot be encoded, or bytes that cannot be decoded.

    *path* is the place in the value (``$.users[3].avatar``), *offset* the place in the input in bytes; the one that
    does not apply is None.
    """

    def __init__(self, message: str, *, path: str | None = None, offset: int | None = None) -> None:
        self.message = message
        self.path = path
        self.offset = offset
        place = f" at {path}" if path is not None else f" at offset {offset}" if offset is not None else ""
        super().__init__(message + place)


class CallError(RatError):
    """A call over frames failed.  Raised by the client; raise it in a handler to answer a call with it.

    *code* is for programs (``not_found``, ``bad_arguments``, ``internal``, or the application's own), *message* for
    people, *detail* any value.
    """

    def __init__(self, code: str, message: str = "", detail: Any = None) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.detail = detail


class ConnectionLost(CallError):
    """The connection ended before the answer came; whether the call was carried out is not known."""

    def __init__(self, message: str = "the connection was lost") -> None:
        super().__init__("connection_lost", message)


class ClientDisconnected(RatError):
    """The peer left before the message was whole."""


class HTTPError(RatError):
    """An answer by exception: raise it in a handler.

    *status* is sent with *detail* as the explanation that the client may see; *headers* are added to the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    ) -> None:
        super().__init__(f"{status} {detail}" if detail else str(status))
        self.status = status
        self.detail = detail
        self.headers = list(headers.items() if isinstance(headers, Mapping) else headers or ())


class ContentTooLarge(HTTPError):
    """The content of a request passed its limit (RFC 9110, section 15.5.14)."""

    def __init__(self, limit: int, size: int | None = None) -> None:
        came = "content" if size is None else f"content of {size} bytes"
        super().__init__(413, f"{came} is larger than the limit of {limit} bytes")
        self.limit = limit


class ConfigError(RatError, ValueError):
    """A setting that cannot be used; the message names it."""


class AppLoadError(RatError):
    """The application could not be loaded; ``__cause__`` holds its own error, if it raised one."""


class BindError(RatError):
    """The address could not be bound."""


def reason(error: OSError) -> str:
    """What the system says, in its words alone: asyncio puts its own where the number stands for more."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)
