"""A blob's pieces, whatever it is made of."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from rat.stream.blob import Blob

DATA = bytes(range(256)) * 10


def pieces() -> Iterator[bytes]:
    yield DATA[:1000]
    yield DATA[1000:]


async def later() -> AsyncIterator[bytes]:
    for piece in pieces():
        yield piece


@pytest.mark.parametrize(
    "make",
    [lambda: DATA, lambda: bytearray(DATA), lambda: memoryview(DATA), lambda: io.BytesIO(DATA), pieces, later],
    ids=["bytes", "bytearray", "memoryview", "file", "iterable", "async iterable"],
)
async def test_every_source_gives_the_same_bytes(make: Any) -> None:
    got = [bytes(piece) async for piece in Blob(make(), piece=700)]
    assert b"".join(got) == DATA
    assert len(got) in (2, 4)


async def test_a_path_is_opened_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(DATA)
    for source in (path, str(path)):
        assert b"".join([bytes(piece) async for piece in Blob(source, piece=1000)]) == DATA
    with pytest.raises(FileNotFoundError):
        await anext(aiter(Blob(tmp_path / "nothing")))


def test_a_piece_has_at_least_one_byte() -> None:
    with pytest.raises(ValueError, match="piece of 0 bytes, and it must be at least 1"):
        Blob(b"", piece=0)


async def test_an_asynchronous_iterator_is_closed_with_its_blob() -> None:
    closed = []

    async def source() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            yield b"two"
        finally:
            closed.append("closed")

    blob: Any = aiter(Blob(source()))
    assert await anext(blob) == b"one"
    await blob.aclose()
    assert closed == ["closed"]
