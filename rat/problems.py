"""Answers to what went wrong: problem details (RFC 9457) for clients that take JSON, a short text for the others.

Nothing of what happened inside reaches the client: an unexpected exception becomes an error id, which stands in the
log (``rat.error``) beside the traceback.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from rat.errors import ClientDisconnected, HTTPError, RemoteProtocolError
from rat.fields import field_lines
from rat.http1.answer import REASONS
from rat.responses import Response
from rat.returned import normalise
from rat.values import quality

if TYPE_CHECKING:
    from rat.events import RequestReceived
    from rat.messages import Request

__all__ = ["ErrorHandler", "ErrorHandlers", "answer_error", "problem", "reason"]

log = logging.getLogger("rat.error")

ErrorHandler = Callable[..., Any]
ErrorHandlers = dict["int | type[Exception]", ErrorHandler]


def reason(status: int) -> str:
    """The reason phrase of a status code (RFC 9110, section 15), or its class for one that has none."""
    known = REASONS.get(status)
    if known is not None:
        return known.decode("ascii")
    return "Server Error" if status >= 500 else "Client Error" if status >= 400 else "Status"


def _takes_json(head: RequestReceived | None) -> bool:
    if head is None:
        return False
    values = [value for name, value in head.fields if name == b"accept"]
    accept = b", ".join(values).decode("latin-1") if values else None
    json = max(quality(accept, "application/problem+json"), quality(accept, "application/json"))
    return json > 0.0 and json >= max(quality(accept, "text/plain"), quality(accept, "text/html"))


def problem(
    status: int,
    detail: str | None = None,
    *,
    head: RequestReceived | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    error_id: str | None = None,
) -> Response:
    """The answer of *status*, in the form that *head* asks for."""
    title = reason(status)
    fields = field_lines(headers)
    if status < 400:
        return Response.of((detail or "").encode("utf-8"), fields, status)
    if _takes_json(head):
        members: dict[str, object] = {"type": "about:blank", "title": title, "status": status}
        if detail is not None:
            members["detail"] = detail
        if error_id is not None:
            members["error_id"] = error_id
        content, kind = orjson.dumps(members), b"application/problem+json"
    else:
        text = f"{status} {title}\n"
        if detail is not None:
            text += f"{detail}\n"
        if error_id is not None:
            text += f"error id {error_id}\n"
        content, kind = text.encode("utf-8", "replace"), b"text/plain; charset=utf-8"
    return Response.of(content, [(b"content-type", kind), *fields], status)


def _find(error: Exception, scopes: Sequence[ErrorHandlers]) -> ErrorHandler | None:
    """The handler for *error*: the innermost scope first, there by the order of the classes that it is of."""
    for handlers in reversed(scopes):
        for kind in type(error).__mro__:
            if kind is HTTPError and isinstance(error, HTTPError) and error.status in handlers:
                return handlers[error.status]
            if kind in handlers:
                return handlers[kind]
    return None


def _find_status(status: int, scopes: Sequence[ErrorHandlers]) -> ErrorHandler | None:
    return next((handlers[status] for handlers in reversed(scopes) if status in handlers), None)


def _log(error: BaseException, request: Request) -> str:
    error_id = secrets.token_hex(8)
    log.error(
        "error %s while answering %s %s", error_id, request.method, request.target.decode("latin-1"), exc_info=error
    )
    return error_id


def answer_error(error: Exception, request: Request, scopes: Sequence[ErrorHandlers]) -> Response | Awaitable[Response]:
    """The answer to an exception of a handler; an awaitable where the application's error handler is a coroutine."""
    error_id: str | None = None
    handler = _find(error, scopes)
    if isinstance(error, HTTPError):
        status = error.status
    elif isinstance(error, RemoteProtocolError) and error.status is not None:
        # The content broke the rules while the handler was reading it.
        status = error.status
        if handler is None:
            return problem(status, str(error), head=request.head)
    else:
        status = 500
        if handler is None:
            error_id = _log(error, request)
            handler = _find_status(500, scopes)
    if handler is None:
        return _default(error, status, request, error_id)
    try:
        value = handler(request, error)
        if isinstance(value, Awaitable):
            return _finish_later(value, status, error, request)
        return _finish(value, status, error)
    except ClientDisconnected:
        raise
    except Exception as second:
        return _default(second, 500, request, _log(second, request))


async def _finish_later(value: Awaitable[Any], status: int, error: Exception, request: Request) -> Response:
    try:
        response = _finish(await value, status, error)
        return response if response.prepare is None else await response.prepare(request)
    except ClientDisconnected:
        raise
    except Exception as second:
        return _default(second, 500, request, _log(second, request))


def _finish(value: Any, status: int, error: Exception) -> Response:
    """What an error handler returned; a plain value is sent with the status of the error."""
    response = normalise(value)
    if not isinstance(value, Response | tuple):
        response.status = status
        if isinstance(error, HTTPError):
            for name, text in error.headers:
                response.headers.setdefault(name, text)
    return response


def _default(error: Exception, status: int, request: Request, error_id: str | None) -> Response:
    if error_id is None and isinstance(error, HTTPError):
        try:
            return problem(status, error.detail, head=request.head, headers=error.headers)
        except (TypeError, ValueError) as broken:
            error_id, status = _log(broken, request), 500
    return problem(status, None, head=request.head, error_id=error_id)
