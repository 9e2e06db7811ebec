"""Content codings for answers that are made as they are sent: zstd, brotli and gzip, in one piece or as a stream.

Which coding a client takes is judged elsewhere; here it is whether there is anything to gain, what changes in the
fields, and the bytes.  zstd is part of CPython 3.14 and the package ``zstandard`` before, brotli the package
``brotli``; what is not installed is not offered.  Knows no request and no connection.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import importlib.util
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any, Protocol

from rat.events import FieldLines
from rat.stream.sse import close_source

__all__ = [
    "COMPRESS_FROM",
    "CompressedPieces",
    "Encoder",
    "available_codings",
    "choose_coding",
    "coded_fields",
    "compress",
    "is_worth_coding",
    "make_encoder",
]

COMPRESS_FROM = 1024
"""Bytes below which an answer is sent as it is."""
_SLICE = 64 * 1024
"""Content is compressed in slices of this many bytes, and other connections have their turn in between."""
_SMALL_WINDOW = 12
"""Window of a stream that stays open, in bits.  With gzip a stream then costs 18 KiB instead of 268, and small events
come out 5 % larger; zstd's usual window would cost 820 KiB, brotli's 4.5 MiB."""

_TEXTUAL = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/manifest+json",
        "application/toml",
        "application/wasm",
        "application/x-ndjson",
        "application/xml",
        "application/yaml",
        "image/svg+xml",
        "image/x-icon",
    }
)


class Encoder(Protocol):
    """One stream of one coding."""

    def encode(self, data: bytes | memoryview) -> bytes:
        """What comes out for *data* so far; may be nothing."""

    def flush(self) -> bytes:
        """What makes everything that was encoded readable now."""

    def finish(self) -> bytes:
        """The end of the stream."""


# -- what to do


@functools.cache
def available_codings() -> tuple[str, ...]:
    """The codings that this interpreter has, the best first."""
    found = [name for name, modules in _MODULES.items() if any(map(_has_module, modules))]
    return (*found, "gzip")


def choose_coding(accepted: Iterable[str | None], *, small: bool = False) -> str | None:
    """The coding for a client that accepts *accepted*, the best first (None: the content as it is); None for none.

    A stream that stays open (*small*) takes gzip before the others, if the client takes it at all: it costs the least
    memory and is the best of them on small events.
    """
    codings = list(accepted)
    if small and "gzip" in codings and None not in codings[: codings.index("gzip")]:
        return "gzip"
    for coding in codings:
        if coding is None or coding in available_codings():
            return coding
    return None


def is_worth_coding(status: int, fields: FieldLines, size: int | None) -> bool:
    """Whether an answer with these fields (names in lower case) and *size* bytes (None: unknown) gains by a coding.

    Event streams do not count: they are compressed only when the application asks for it.
    """
    if status < 200 or status in (204, 206, 304) or (size is not None and size < COMPRESS_FROM):
        return False
    kind = b""
    for name, value in fields:
        if name == b"content-type":
            kind = value
        elif name in (b"content-encoding", b"content-range"):
            return False
        elif name == b"cache-control" and b"no-transform" in value.lower():
            # RFC 9111, section 5.2.2.6.
            return False
    media_type = kind.partition(b";")[0].strip().lower().decode("latin-1")
    if media_type.startswith("text/"):
        return media_type != "text/event-stream"
    return media_type in _TEXTUAL or media_type.endswith(("+json", "+xml"))


def coded_fields(fields: FieldLines, coding: str | None) -> list[tuple[bytes, bytes]]:
    """The fields of an answer whose content is sent in *coding*; None: as it is, though it could have been coded.

    Vary names Accept-Encoding either way (RFC 9110, section 12.5.5).  With a coding, the length is no longer known, no
    ranges are offered, and a strong ETag becomes weak: the same bytes need not come out again (section 8.8.1).
    """
    lines = []
    varies = False
    for name, value in fields:
        if coding is not None and name in (b"content-length", b"accept-ranges", b"content-encoding"):
            continue
        if name == b"etag" and coding is not None and not value.startswith(b"W/"):
            value = b"W/" + value
        elif name == b"vary":
            members = {member.strip().lower() for member in value.split(b",")}
            varies = varies or b"accept-encoding" in members or b"*" in members
        lines.append((name, value))
    if coding is not None:
        lines.append((b"content-encoding", coding.encode()))
    if not varies:
        lines.append((b"vary", b"accept-encoding"))
    return lines


@functools.lru_cache(maxsize=128)
def uncoded_fields(status: int, fields: tuple[tuple[bytes, bytes], ...]) -> FieldLines | None:
    """``coded_fields`` without a coding, for long content whose fields are a constant; None where none is worth it."""
    return tuple(coded_fields(fields, None)) if is_worth_coding(status, fields, None) else None


# -- the bytes


def make_encoder(coding: str, *, small: bool = False) -> Encoder:
    """A new stream of *coding*; *small* for one that stays open.  Raises LookupError for a coding that is not there."""
    if coding not in available_codings():
        raise LookupError(f"content coding {coding!r} is not available, only {', '.join(available_codings())}")
    return _ENCODERS[coding](small)


def compress(data: bytes, coding: str) -> bytes:
    """All of *data* in *coding*."""
    encoder = make_encoder(coding)
    return encoder.encode(data) + encoder.finish()


class CompressedPieces(AsyncIterator[bytes]):
    """The pieces of a body in a content coding: what was put in can be read as soon as its piece comes out.

    One task may iterate at a time; a cancelled ``__anext__`` has consumed nothing.  ``aclose`` closes the source, also
    if it was never started.  After an error of the source the coding is never finished, so nothing looks whole.
    """

    __slots__ = ("_encoder", "_iterator", "_made", "_rest", "_source")

    def __init__(self, source: AsyncIterable[bytes], coding: str, *, small: bool = False) -> None:
        self._source = source
        self._iterator: AsyncIterator[bytes] | None = None
        self._encoder: Encoder | None = make_encoder(coding, small=small)
        self._rest: memoryview = memoryview(b"")
        self._made: list[bytes] = []

    def __aiter__(self) -> CompressedPieces:
        return self

    async def __anext__(self) -> bytes:
        if self._iterator is None:
            self._iterator = aiter(self._source)
        while (encoder := self._encoder) is not None:
            if not self._rest:
                try:
                    self._rest = memoryview(await anext(self._iterator))
                except StopAsyncIteration:
                    self._encoder = None
                    return encoder.finish()
                except asyncio.CancelledError:
                    raise
                except BaseException:
                    self._encoder = None
                    raise
            if data := await self._encode(encoder):
                return data
        raise StopAsyncIteration

    async def _encode(self, encoder: Encoder) -> bytes:
        """All of the piece at hand, made readable.  A cancellation between two slices keeps what was made."""
        while self._rest:
            slice_, self._rest = self._rest[:_SLICE], self._rest[_SLICE:]
            self._made.append(encoder.encode(slice_))
            if self._rest:
                await asyncio.sleep(0)
            else:
                self._made.append(encoder.flush())
        data = b"".join(self._made)
        self._made.clear()
        return data

    def end_with(self, data: bytes) -> bytes:
        """Break the source off: what was made and not taken, *data*, and the end of the coding."""
        encoder, self._encoder = self._encoder, None
        if encoder is None:
            return b""
        made = b"".join(self._made)
        self._made.clear()
        self._rest = memoryview(b"")
        return made + encoder.encode(data) + encoder.finish()

    async def aclose(self) -> None:
        """Close the source; nothing more comes."""
        self._encoder = None
        self._rest = memoryview(b"")
        self._made.clear()
        await close_source(self._source, self._iterator)


class _Gzip:
    def __init__(self, small: bool) -> None:
        # zlib's manual: memory is (1 << (window + 2)) + (1 << (level + 9)) bytes; + 16 asks for the gzip container.
        window, level = (_SMALL_WINDOW, 2) if small else (15, 8)
        self._stream = zlib.compressobj(5, zlib.DEFLATED, 16 + window, level)
        self.encode: Callable[[bytes | memoryview], bytes] = self._stream.compress

    def flush(self) -> bytes:
        return self._stream.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._stream.flush(zlib.Z_FINISH)


class _Brotli:
    def __init__(self, small: bool) -> None:
        module = importlib.import_module("brotli")
        # Quality 4 is for content that is made as it is sent: 5 and above search several times as long.
        self._stream = module.Compressor(quality=4, lgwin=_SMALL_WINDOW if small else 19)

    def encode(self, data: bytes | memoryview) -> bytes:
        return bytes(self._stream.process(bytes(data)))

    def flush(self) -> bytes:
        return bytes(self._stream.flush())

    def finish(self) -> bytes:
        return bytes(self._stream.finish())


class _StandardZstd:
    """zstd of CPython 3.14."""

    def __init__(self, small: bool) -> None:
        module = importlib.import_module("compression.zstd")
        parameter = module.CompressionParameter
        options: dict[Any, int] = {parameter.compression_level: 3}
        if small:
            options.update(
                {
                    parameter.window_log: _SMALL_WINDOW,
                    parameter.hash_log: _SMALL_WINDOW,
                    parameter.chain_log: _SMALL_WINDOW,
                }
            )
        self._stream = module.ZstdCompressor(options=options)

    def encode(self, data: bytes | memoryview) -> bytes:
        return bytes(self._stream.compress(data))

    def flush(self) -> bytes:
        return bytes(self._stream.flush(self._stream.FLUSH_BLOCK))

    def finish(self) -> bytes:
        return bytes(self._stream.flush(self._stream.FLUSH_FRAME))


class _PackagedZstd:
    """zstd of the package ``zstandard``."""

    def __init__(self, small: bool) -> None:
        module = importlib.import_module("zstandard")
        logs = dict.fromkeys(("window_log", "hash_log", "chain_log"), _SMALL_WINDOW) if small else {}
        parameters = module.ZstdCompressionParameters.from_level(3, **logs)
        self._stream = module.ZstdCompressor(compression_params=parameters).compressobj()
        self._flush_block = module.COMPRESSOBJ_FLUSH_BLOCK

    def encode(self, data: bytes | memoryview) -> bytes:
        return bytes(self._stream.compress(data))

    def flush(self) -> bytes:
        return bytes(self._stream.flush(self._flush_block))

    def finish(self) -> bytes:
        return bytes(self._stream.flush())


def _has_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        # The package above it is not there: ``compression`` is new in CPython 3.14.
        return False


def _zstd(small: bool) -> Encoder:
    return _StandardZstd(small) if _has_module("compression.zstd") else _PackagedZstd(small)


_MODULES = {"zstd": ("compression.zstd", "zstandard"), "br": ("brotli",)}
_ENCODERS: dict[str, Callable[[bool], Encoder]] = {"zstd": _zstd, "br": _Brotli, "gzip": _Gzip}
