"""A streaming server straight on ``asyncio.Protocol``.

The public names.  They are loaded when first used, so that ``import rat.codec`` starts no server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rat.config import Limits, ServerConfig, StreamLimits, Timeouts
    from rat.errors import ClientDisconnected, CodecError, ContentTooLarge, HTTPError, RatError

_EXPORTS = {
    "ClientDisconnected": "rat.errors",
    "CodecError": "rat.errors",
    "ContentTooLarge": "rat.errors",
    "HTTPError": "rat.errors",
    "Limits": "rat.config",
    "RatError": "rat.errors",
    "ServerConfig": "rat.config",
    "StreamLimits": "rat.config",
    "Timeouts": "rat.config",
}

__version__ = "0.1.0"
__all__ = [
    "ClientDisconnected",
    "CodecError",
    "ContentTooLarge",
    "HTTPError",
    "Limits",
    "RatError",
    "ServerConfig",
    "StreamLimits",
    "Timeouts",
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
