"""The codec in C: `rat.codec.reference` to the byte, and many times faster.

Importing it raises ImportError where it was not built; `rat.codec` takes the reference then.
"""

from __future__ import annotations

from rat.codec.native._codec import (
    Cursor,
    Decoder,
    Encoder,
    decode,
    decode_batch,
    encode,
    encode_batch,
    encode_into,
    encode_segments,
)

__all__ = [
    "Cursor",
    "Decoder",
    "Encoder",
    "decode",
    "decode_batch",
    "encode",
    "encode_batch",
    "encode_into",
    "encode_segments",
]
