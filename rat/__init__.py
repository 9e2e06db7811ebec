"""A streaming server straight on ``asyncio.Protocol``.

The public names.  They are loaded when first used, so that ``import rat.codec`` starts no server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rat.app import Rat
    from rat.client import connect
    from rat.config import FrameLimits, Limits, ServerConfig, StreamLimits, Timeouts
    from rat.dispatch import CallNext
    from rat.errors import (
        CallError,
        ClientDisconnected,
        CodecError,
        ConnectionLost,
        ContentTooLarge,
        HTTPError,
        RatError,
    )
    from rat.eventstream import EventStream
    from rat.fields import Headers, MutableHeaders, QueryParams
    from rat.files import FileResponse
    from rat.forms import Form
    from rat.messages import Address, Request
    from rat.procedures import CallRequest
    from rat.responses import JSONResponse, RedirectResponse, Response
    from rat.router import Router
    from rat.server import RatServer
    from rat.stream.blob import Blob
    from rat.stream.sse import ServerSentEvent
    from rat.uploads import UploadFile

_EXPORTS = {
    "Address": "rat.messages",
    "Blob": "rat.stream.blob",
    "CallError": "rat.errors",
    "CallNext": "rat.dispatch",
    "CallRequest": "rat.procedures",
    "ClientDisconnected": "rat.errors",
    "CodecError": "rat.errors",
    "ConnectionLost": "rat.errors",
    "ContentTooLarge": "rat.errors",
    "EventStream": "rat.eventstream",
    "FileResponse": "rat.files",
    "Form": "rat.forms",
    "FrameLimits": "rat.config",
    "HTTPError": "rat.errors",
    "Headers": "rat.fields",
    "JSONResponse": "rat.responses",
    "Limits": "rat.config",
    "MutableHeaders": "rat.fields",
    "QueryParams": "rat.fields",
    "Rat": "rat.app",
    "RatError": "rat.errors",
    "RatServer": "rat.server",
    "RedirectResponse": "rat.responses",
    "Request": "rat.messages",
    "Response": "rat.responses",
    "Router": "rat.router",
    "ServerConfig": "rat.config",
    "ServerSentEvent": "rat.stream.sse",
    "StreamLimits": "rat.config",
    "Timeouts": "rat.config",
    "UploadFile": "rat.uploads",
    "connect": "rat.client",
}

__version__ = "0.1.0"
__all__ = [
    "Address",
    "Blob",
    "CallError",
    "CallNext",
    "CallRequest",
    "ClientDisconnected",
    "CodecError",
    "ConnectionLost",
    "ContentTooLarge",
    "EventStream",
    "FileResponse",
    "Form",
    "FrameLimits",
    "HTTPError",
    "Headers",
    "JSONResponse",
    "Limits",
    "MutableHeaders",
    "QueryParams",
    "Rat",
    "RatError",
    "RatServer",
    "RedirectResponse",
    "Request",
    "Response",
    "Router",
    "ServerConfig",
    "ServerSentEvent",
    "StreamLimits",
    "Timeouts",
    "UploadFile",
    "connect",
]


if not TYPE_CHECKING:  # to a type checker it would say that every name is there

    def __getattr__(name: str) -> Any:
        try:
            module = _EXPORTS[name]
        except KeyError:
            raise AttributeError(f"module 'rat' has no attribute {name!r}") from None
        value = getattr(import_module(module), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
