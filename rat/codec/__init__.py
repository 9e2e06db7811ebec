"""Values to bytes and back.

The codec is `rat.codec.native` (C) where it could be built, else `rat.codec.reference` (plain Python): same names,
same bytes.  The environment variable ``RAT_CODEC`` (``native`` or ``reference``) decides for those who want to.
Knows no socket, no HTTP and no asyncio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rat.compiled import compiled
from rat.errors import CodecError

if TYPE_CHECKING:
    from rat.codec.data_value import DataValue, from_data_value, parse_data_value, to_data_value
    from rat.codec.pool import BufferPool
    from rat.codec.reference import (
        Decoder,
        Encoder,
        decode,
        decode_batch,
        encode,
        encode_batch,
        encode_into,
        encode_segments,
    )
    from rat.codec.stream import Piece, PieceKind, StreamDecoder, StreamEncoder
    from rat.codec.views import View, view

__all__ = [
    "BufferPool",
    "CodecError",
    "DataValue",
    "Decoder",
    "Encoder",
    "Piece",
    "PieceKind",
    "StreamDecoder",
    "StreamEncoder",
    "View",
    "decode",
    "decode_batch",
    "encode",
    "encode_batch",
    "encode_into",
    "encode_segments",
    "from_data_value",
    "implementation",
    "parse_data_value",
    "to_data_value",
    "view",
]

_CODEC = ("Decoder", "Encoder", "decode", "decode_batch", "encode", "encode_batch", "encode_into", "encode_segments")
_EXPORTS = {
    "BufferPool": "rat.codec.pool",
    "DataValue": "rat.codec.data_value",
    "Piece": "rat.codec.stream",
    "PieceKind": "rat.codec.stream",
    "StreamDecoder": "rat.codec.stream",
    "StreamEncoder": "rat.codec.stream",
    "View": "rat.codec.views",
    "from_data_value": "rat.codec.data_value",
    "parse_data_value": "rat.codec.data_value",
    "to_data_value": "rat.codec.data_value",
    "view": "rat.codec.views",
}

implementation: str
"""``native`` or ``reference``: which codec the names of this module are."""


def _choose() -> str:
    name = "reference" if compiled("rat.codec.native._codec", "RAT_CODEC") is None else "native"
    module = import_module(f"rat.codec.{name}")
    globals().update({public: getattr(module, public) for public in _CODEC})
    return name


implementation = _choose()


if not TYPE_CHECKING:  # to a type checker it would say that every name is there

    def __getattr__(name: str) -> Any:
        module = _EXPORTS.get(name)
        if module is None:
            raise AttributeError(f"module 'rat.codec' has no attribute {name!r}")
        value = getattr(import_module(module), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
