"""Content codings of answers: whether one is compressed, and what becomes of it (RFC 9110, section 8.4).

The bytes are ``rat.stream.compress``'s business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from rat.events import FieldLines, RequestReceived
from rat.eventstream import EventStream
from rat.http1.fieldsearch import combined_value
from rat.negotiation import accepted_codings
from rat.responses import Response
from rat.stream.compress import (
    COMPRESS_FROM,
    CompressedPieces,
    choose_coding,
    coded_fields,
    compress,
    is_worth_coding,
    uncoded_fields,
)

__all__ = ["COMPRESS_FROM", "coded", "plain_fields"]

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
    coding = choose_coding(_accepted(head), small=is_events)
    coded_lines = coded_fields(fields, coding)
    if isinstance(body, bytes):
        # The application may keep its answer and return it again: it is left as it was.
        if coding is not None and len(body) > _AT_ONCE:
            sent = Response(CompressedPieces(_once(body), coding))
            sent.is_open_ended = False
            sent.status = response.status
        else:
            sent = Response.of(body if coding is None else compress(body, coding), coded_lines, response.status)
        sent.replace_fields(coded_lines)
        sent.on_close(response.close)
        return sent
    if coding is not None:
        response.body = CompressedPieces(body, coding, small=is_events)
    response.replace_fields(coded_lines)
    return response


def plain_fields(response: Response, head: RequestReceived) -> FieldLines | None:
    """The fields of *response*, whose content is bytes, for a client that gets it as it is; None: ask ``coded``."""
    fields = response.field_lines()
    if response.compress is False:
        return fields
    if type(fields) is not tuple:
        return None
    varying = uncoded_fields(response.status, fields)
    if varying is None:
        return fields
    return varying if choose_coding(_accepted(head)) is None else None


def _accepted(head: RequestReceived) -> tuple[str | None, ...]:
    return accepted_codings(combined_value(head.field_section, b"accept-encoding"))


async def _once(piece: bytes) -> AsyncIterator[bytes]:
    yield piece
