"""zstd for frame payloads, with a bound on what comes out.  Knows no frames.

CPython 3.14 has it in ``compression.zstd``; before, it is the package ``zstandard`` of the ``compress`` extra.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from rat.errors import CodecError

__all__ = ["COMPRESS_FROM", "Compressor", "is_available"]

COMPRESS_FROM: Final = 1024
"""Bytes below which a payload is sent as it is."""
_LEVEL: Final = 3


def _module() -> Any:
    """``compression.zstd``, ``zstandard``, or None; imported when first used, not at start."""
    for name in ("compression.zstd", "zstandard"):
        if importlib.util.find_spec(name.partition(".")[0]) is not None:
            return importlib.import_module(name)
    return None


def is_available() -> bool:
    """Whether this interpreter has zstd."""
    return any(importlib.util.find_spec(name) is not None for name in ("compression", "zstandard"))


class Compressor:
    """Both directions of one connection; made when the first compressed frame comes or goes."""

    __slots__ = ("_content_size", "_decompress", "_error", "compress")

    compress: Callable[[bytes], bytes]
    """The payload as one zstd frame that states its content size."""

    def __init__(self) -> None:
        module = _module()
        if module is None:
            raise RuntimeError("zstd needs CPython 3.14 or the package zstandard")
        self._error: type[Exception] = module.ZstdError
        if module.__name__ == "zstandard":
            self.compress = module.ZstdCompressor(level=_LEVEL).compress
            self._decompress: Callable[[bytes], bytes] = partial(
                module.ZstdDecompressor().decompress, allow_extra_data=False
            )
            self._content_size: Callable[[bytes], int | None] = module.frame_content_size
        else:
            self.compress = module.compress
            self._decompress = module.decompress
            self._content_size = lambda data: module.get_frame_info(data).decompressed_size

    def decompress(self, data: bytes | memoryview, limit: int) -> bytes:
        """What a payload holds.

        Raises CodecError when the zstd frame does not state its content size (RFC 8878, section 3.1.1.1.4), states more
        than *limit* bytes, is damaged, or is not all there is.
        """
        data = bytes(data)
        try:
            size = self._content_size(data)
            if size is None or size < 0:
                raise CodecError(f"compressed payload of {len(data)} bytes does not state its content size", offset=0)
            if size > limit:
                raise CodecError(f"compressed payload states a content of {size} bytes, limit {limit}", offset=0)
            out = self._decompress(data)
        except self._error as bad:
            raise CodecError(f"compressed payload of {len(data)} bytes is damaged: {bad}", offset=0) from None
        if len(out) != size:
            raise CodecError(f"compressed payload states a content of {size} bytes and holds {len(out)}", offset=0)
        return out
