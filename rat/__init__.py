"""A streaming server straight on ``asyncio.Protocol``.

The public names.  They are loaded when first used, so that ``import rat.codec`` starts no server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rat.app import Rat
    from rat.config import Limits, ServerConfig, StreamLimits, Timeouts
    from rat.errors import ClientDisconnected, CodecError, ContentTooLarge, HTTPError, RatError
    from rat.eventstream import EventStream
    from rat.fields import Headers, MutableHeaders, QueryParams
    from rat.files import FileResponse
    from rat.forms import Form
    from rat.messages import Address, Request
    from rat.responses import JSONResponse, RedirectResponse, Response
    from rat.router import Router
    from rat.server import RatServer
    from rat.stream.sse import ServerSentEvent
    from rat.uploads import UploadFile

_EXPORTS = {
    "Address": "rat.messages",
    "ClientDisconnected": "rat.errors",
    "CodecError": "rat.errors",
    "ContentTooLarge": "rat.errors",
    "EventStream": "rat.eventstream",
    "FileResponse": "rat.files",
    "Form": "rat.forms",
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
}

__version__ = "0.1.0"
__all__ = [
    "Address",
    "ClientDisconnected",
    "CodecError",
    "ContentTooLarge",
    "EventStream",
    "FileResponse",
    "Form",
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
]


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
