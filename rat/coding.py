"""Content codings of answers: whether one is compressed, and what becomes of it (RFC 9110, section 8.4).

The bytes are ``rat.stream.compress``'s business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from rat.events import RequestReceived
from rat.eventstream import EventStream
from rat.negotiation import ACCEPT_ENCODING, accepted_codings
from rat.responses import Response
from rat.stream.compress import (
    COMPRESS_FROM,
    CompressedPieces,
    choose_coding,
    coded_fields,
    compress,
    is_worth_coding,
)

__all__ = ["COMPRESS_FROM", "coded"]

_AT_ONCE = 64 * 1024
"""Content up to this size is compressed in one go; more goes in slices, so that other connections have their turn."""


def coded(response: Response, head: RequestReceived) -> Response:
    """*response* in the coding that the client of *head* likes best; itself where nothing is gained.

    ``compress=False`` on the answer forbids; event streams are compressed only with ``compress=True``.
    """
    body = response.body
    if response.compress is False or isinstance(body, list):
        return response
    size = len(body) if isinstance(body, bytes) else None
    fields = response.field_lines()
    is_events = isinstance(response, EventStream)
    if not (is_events and response.compress) and not is_worth_coding(response.status, fields, size):
        return response
    coding = choose_coding(accepted_codings(head.scan(ACCEPT_ENCODING)), small=is_events)
    lines = coded_fields(fields, coding)
    if isinstance(body, bytes):
        # The application may keep its answer and return it again: it is left as it was.
        if coding is not None and len(body) > _AT_ONCE:
            sent = Response(CompressedPieces(_once(body), coding))
            sent.is_open_ended = False
            sent.status = response.status
        else:
            sent = Response.of(body if coding is None else compress(body, coding), lines, response.status)
        sent.replace_fields(lines)
        sent.on_close(response.close)
        return sent
    if coding is not None:
        response.body = CompressedPieces(body, coding, small=is_events)
    response.replace_fields(lines)
    return response


async def _once(piece: bytes) -> AsyncIterator[bytes]:
    yield piece
