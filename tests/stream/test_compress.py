"""Content codings of answers that are made as they are sent."""

from __future__ import annotations

import asyncio
import importlib
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.stream.compress import (
    CompressedPieces,
    available_codings,
    choose_coding,
    coded_fields,
    compress,
    is_worth_coding,
    make_encoder,
)

CODINGS = available_codings()


def decoder(coding: str) -> Callable[[bytes], bytes]:
    """Decodes piece by piece: what it answers can be read at that moment."""
    if coding == "gzip":
        return zlib.decompressobj(31).decompress
    if coding == "br":
        stream: Any = importlib.import_module("brotli").Decompressor()

        def all_of(data: bytes) -> bytes:
            # This binding hands out a highly compressed piece in parts.
            parts = [stream.process(data)]
            while parts[-1]:
                parts.append(stream.process(b""))
            return b"".join(parts)

        return all_of
    if sys.version_info >= (3, 14):
        stream = importlib.import_module("compression.zstd").ZstdDecompressor()
    else:
        stream = importlib.import_module("zstandard").ZstdDecompressor().decompressobj()
    return lambda data: bytes(stream.decompress(data))


class Source:
    """Pieces, then perhaps an error; counts how often it was closed."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.pieces = list(pieces)
        self.error = error
        self.closed = 0

    def __aiter__(self) -> Source:
        return self

    async def __anext__(self) -> bytes:
        if self.pieces:
            return self.pieces.pop(0)
        raise self.error or StopAsyncIteration

    async def aclose(self) -> None:
        self.closed += 1


def test_all_three_codings_are_tested_here() -> None:
    assert CODINGS == ("zstd", "br", "gzip")


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("coding", CODINGS)
async def test_each_piece_can_be_read_when_it_comes(coding: str, small: bool) -> None:
    pieces = [b"data: %d\n\n" % number for number in range(50)] + [b"x" * 200_000, b"end"]
    coded = CompressedPieces(Source(*pieces), coding, small=small)
    decode = decoder(coding)
    for piece in pieces:
        assert decode(await anext(coded)) == piece
    assert [decode(tail) async for tail in coded] == [b""]


@pytest.mark.parametrize("coding", CODINGS)
@given(pieces=st.lists(st.binary(max_size=200)))
def test_what_goes_in_comes_out(coding: str, pieces: list[bytes]) -> None:
    async def run() -> bytes:
        return b"".join([piece async for piece in CompressedPieces(Source(*pieces), coding)])

    assert decoder(coding)(asyncio.run(run())) == b"".join(pieces)


@pytest.mark.parametrize("coding", CODINGS)
def test_in_one_piece(coding: str) -> None:
    data = b"all work and no play " * 1000
    coded = compress(data, coding)
    assert len(coded) < len(data) / 20
    assert decoder(coding)(coded) == data
    assert decoder(coding)(compress(b"", coding)) == b""


@pytest.mark.parametrize("coding", CODINGS)
async def test_an_error_leaves_the_coding_unfinished(coding: str) -> None:
    coded = CompressedPieces(Source(b"half", error=OSError("disk")), coding)
    seen = await anext(coded)
    with pytest.raises(OSError, match="disk"):
        await anext(coded)
    assert [piece async for piece in coded] == []
    if coding == "gzip":
        stream = zlib.decompressobj(31)
        assert stream.decompress(seen) == b"half"
        assert not stream.eof


@pytest.mark.parametrize("started", [False, True])
async def test_aclose_closes_the_source(started: bool) -> None:
    source = Source(b"a", b"b")
    coded = CompressedPieces(source, "gzip")
    if started:
        await anext(coded)
    await coded.aclose()
    assert source.closed == 1
    assert [piece async for piece in coded] == []


async def test_a_large_piece_lets_others_run_and_survives_a_cancellation() -> None:
    data = bytes(range(256)) * 2000
    coded = CompressedPieces(Source(data), "gzip")
    waiting = asyncio.ensure_future(anext(coded))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert decoder("gzip")(b"".join([piece async for piece in coded])) == data


async def test_a_cancelled_wait_for_the_source_loses_nothing() -> None:
    queue: asyncio.Queue[bytes] = asyncio.Queue()

    class Queued(Source):
        async def __anext__(self) -> bytes:
            return await queue.get()

    coded = CompressedPieces(Queued(), "gzip")
    waiting = asyncio.ensure_future(anext(coded))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    queue.put_nowait(b"late")
    assert decoder("gzip")(await anext(coded)) == b"late"


@pytest.mark.parametrize(
    ("accepted", "small", "coding"),
    [
        (["zstd", "br", "gzip", None], False, "zstd"),
        (["br", "gzip", None], False, "br"),
        (["gzip", None], False, "gzip"),
        ([None, "gzip"], False, None),
        ([None], False, None),
        ([], False, None),
        (["deflate", "gzip"], False, "gzip"),
        (["zstd", "br", "gzip", None], True, "gzip"),
        (["zstd", None, "gzip"], True, "zstd"),
        (["zstd", None], True, "zstd"),
        ([None, "gzip"], True, None),
    ],
)
def test_the_choice(accepted: list[str | None], small: bool, coding: str | None) -> None:
    assert choose_coding(accepted, small=small) == coding


@pytest.mark.parametrize(
    ("status", "fields", "size", "worth"),
    [
        (200, [(b"content-type", b"text/html; charset=utf-8")], 1024, True),
        (200, [(b"content-type", b"text/html")], 1023, False),
        (200, [(b"content-type", b"text/plain")], None, True),
        (200, [(b"content-type", b"Application/JSON")], 5000, True),
        (200, [(b"content-type", b"application/problem+json")], 5000, True),
        (200, [(b"content-type", b"image/svg+xml")], 5000, True),
        (200, [(b"content-type", b"image/png")], 5000, False),
        (200, [(b"content-type", b"application/octet-stream")], 5000, False),
        (200, [(b"content-type", b"text/event-stream")], None, False),
        (200, [], 5000, False),
        (404, [(b"content-type", b"text/html")], 5000, True),
        (204, [(b"content-type", b"text/html")], 5000, False),
        (206, [(b"content-type", b"text/html")], 5000, False),
        (304, [(b"content-type", b"text/html")], 5000, False),
        (101, [(b"content-type", b"text/html")], 5000, False),
        (200, [(b"content-type", b"text/html"), (b"content-encoding", b"br")], 5000, False),
        (200, [(b"content-type", b"text/html"), (b"content-range", b"bytes 0-1/2")], 5000, False),
        (200, [(b"content-type", b"text/html"), (b"cache-control", b"public, No-Transform")], 5000, False),
    ],
)
def test_what_is_worth_it(status: int, fields: list[tuple[bytes, bytes]], size: int | None, worth: bool) -> None:
    assert is_worth_coding(status, fields, size) is worth


@pytest.mark.parametrize(
    ("fields", "coding", "expected"),
    [
        (
            [(b"content-length", b"9"), (b"etag", b'"a"'), (b"accept-ranges", b"bytes"), (b"x", b"y")],
            "gzip",
            [(b"etag", b'W/"a"'), (b"x", b"y"), (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")],
        ),
        (
            [(b"content-length", b"9"), (b"etag", b'"a"')],
            None,
            [(b"content-length", b"9"), (b"etag", b'"a"'), (b"vary", b"accept-encoding")],
        ),
        (
            [(b"etag", b'W/"a"'), (b"vary", b"Accept, Accept-Encoding")],
            "br",
            [(b"etag", b'W/"a"'), (b"vary", b"Accept, Accept-Encoding"), (b"content-encoding", b"br")],
        ),
        ([(b"vary", b"*")], None, [(b"vary", b"*")]),
        ([(b"vary", b"origin")], None, [(b"vary", b"origin"), (b"vary", b"accept-encoding")]),
    ],
)
def test_the_fields(fields: list[tuple[bytes, bytes]], coding: str | None, expected: list[tuple[bytes, bytes]]) -> None:
    assert coded_fields(fields, coding) == expected


def test_a_coding_that_is_not_there() -> None:
    with pytest.raises(LookupError, match="content coding 'deflate' is not available, only zstd, br, gzip"):
        make_encoder("deflate")


def test_a_small_window_is_what_the_stream_announces() -> None:
    encoder = make_encoder("zstd", small=True)
    head = encoder.encode(b"x") + encoder.flush()
    # RFC 8878, section 3.1.1.1: no single segment, and the window's logarithm less 10 in the upper five bits.
    assert head[:4] == b"\x28\xb5\x2f\xfd"
    assert not head[4] & 0x20
    assert head[5] >> 3 == 12 - 10


async def test_nothing_is_made_of_an_empty_piece() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield b""
        yield b"a"
        yield b""

    coded = CompressedPieces(source(), "gzip")
    pieces = [piece async for piece in coded]
    assert len(pieces) == 2
    assert decoder("gzip")(b"".join(pieces)) == b"a"
