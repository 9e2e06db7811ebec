"""What is logged of answers: a line for each in ``rat.access``, and what went wrong with one in ``rat.server``."""

from __future__ import annotations

import logging
from typing import Any

from rat.events import RequestReceived
from rat.responses import Response
from rat.sendfile import FileShrank

__all__ = ["close", "log_access", "log_cut", "log_refused"]

log = logging.getLogger("rat.server")
access = logging.getLogger("rat.access")


def _name(head: RequestReceived | None) -> str:
    return "a request" if head is None else f"{head.method} {head.target.decode('latin-1')}"


def log_access(client: Any, head: RequestReceived, status: int | str, seconds: float) -> None:
    """A line for an answer; *client* is its address, and no tuple on a Unix socket.

    *status* has ``cut`` behind it where the answer is not whole, and ``-`` in its place where there is none.
    """
    address = client[0] if isinstance(client, tuple) else "-"
    target = head.target.decode("latin-1")
    access.info('%s "%s %s" %s %.2fms', address, head.method, target, status, seconds * 1e3)


def log_cut(head: RequestReceived | None, error: BaseException, *, begun: bool) -> None:
    """The connection is cut, since the answer to *head* cannot be completed."""
    state = "after its head was sent" if begun else "before its head was sent"
    if isinstance(error, FileShrank):
        log.error("answer to %s cut %s: %s", _name(head), state, error)
    else:
        log.error("answer to %s failed %s; the connection is cut", _name(head), state, exc_info=error)


def log_refused(head: RequestReceived | None, error: Exception, error_id: str) -> None:
    """The answer to *head* is none, and a 500 goes in its place."""
    log.error("error %s: answer to %s cannot be sent: %s", error_id, _name(head), error)


def close(response: Response) -> None:
    """Run what the application wants to be run behind *response*; what that raises is logged."""
    try:
        response.close()
    except Exception:
        log.exception("what was to be closed with an answer failed")
