"""Heads by h11, the reference: reads a request head that the screen has passed, and writes the heads of answers.

Content never goes through h11: the engine counts it (bench/micro_http1.py says what that saves).
"""

from __future__ import annotations

import h11

from rat.errors import LocalProtocolError, RemoteProtocolError
from rat.http1.answer import REASONS
from rat.http1.screen import Head

__all__ = ["read_request", "write_head"]

_PLAIN_REQUEST = b"GET / HTTP/1.1\r\nHost: \r\n\r\n"


def read_request(raw: bytes, head: Head) -> None:
    """Let h11 read the *raw* head and hold its reading against what the screen made of it.

    Raises RemoteProtocolError with h11's status if it refuses.
    """
    request = _parse(raw)
    if request.method != head.method or request.target != head.target:
        raise RemoteProtocolError(f"request line is ambiguous: {request.target[:64]!r}, {head.target[:64]!r}")


def write_head(status: int, lines: list[tuple[bytes, bytes]]) -> bytes:
    """The head of an answer or of an interim answer.  Raises LocalProtocolError if h11 does."""
    connection = h11.Connection(h11.SERVER)
    reason = REASONS.get(status, b"")
    try:
        if status < 200 or (lines and lines[-1][0] == b"Transfer-Encoding"):
            # h11 writes interim answers, and a transfer coding, only for a client that spoke HTTP/1.1 first.
            connection.receive_data(_PLAIN_REQUEST)
            connection.next_event()
        if status < 200:
            return connection.send(h11.InformationalResponse(status_code=status, headers=lines, reason=reason))
        return connection.send(h11.Response(status_code=status, headers=lines, reason=reason))
    except h11.LocalProtocolError as error:
        raise LocalProtocolError(str(error)) from error


def _parse(raw: bytes) -> h11.Request:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=len(raw))
    connection.receive_data(raw)
    try:
        request = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise RemoteProtocolError(str(error), status=error.error_status_hint) from error
    if not isinstance(request, h11.Request):
        raise RemoteProtocolError(f"head of {len(raw)} bytes is not a whole one")
    return request
