"""Bytes of any size as pieces, whatever they come from.  Knows files and iterators, and no connection."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TextIO, TypeAlias

from rat.events import Buffer
from rat.stream.iterators import threaded

__all__ = ["Blob", "BlobSource", "FilePieces"]

_PIECE = 256 * 1024

BlobSource: TypeAlias = (
    "bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO | Iterable[Buffer] | AsyncIterable[Buffer]"
)


class FilePieces(Iterator[bytes | str]):
    """What *file*, open for reading, has from where it stands to its end; ``close`` closes it.

    Not its lines, which is what iterating it would give: one of them may be as long as the file.  Blocks.
    """

    __slots__ = ("_file",)

    def __init__(self, file: BinaryIO | TextIO) -> None:
        self._file = file

    def __next__(self) -> bytes | str:
        data = self._file.read(_PIECE)
        if not data:
            raise StopIteration
        return data

    def close(self) -> None:
        """Close the file; any number of times."""
        self._file.close()


class Blob:
    """Bytes that are sent as they are, piece by piece: return one from a call, or give one to an upload.

    *source*: a buffer, the path of a file, a file open for reading, or an iterable or async iterable of buffers.  Files
    are read in a thread, *piece* bytes at a time; one that was given open is left open.  Used once.
    """

    __slots__ = ("_piece", "_source")

    def __init__(self, source: BlobSource, *, piece: int = _PIECE) -> None:
        if piece < 1:
            raise ValueError(f"piece of {piece} bytes, and it must be at least 1")
        self._source = source
        self._piece = piece

    def __aiter__(self) -> AsyncIterator[Buffer]:
        # What is asynchronous by itself needs nothing around it, and is closed by whoever closes this iterator.
        return aiter(self._source) if isinstance(self._source, AsyncIterable) else self._pieces()

    async def _pieces(self) -> AsyncIterator[Buffer]:
        source = self._source
        if isinstance(source, bytes | bytearray | memoryview):
            view = memoryview(source).cast("B")
            for start in range(0, len(view), self._piece):
                yield view[start : start + self._piece]
        elif isinstance(source, str | os.PathLike):
            file = await asyncio.to_thread(Path(source).open, "rb")
            try:
                while data := await asyncio.to_thread(file.read, self._piece):
                    yield data
            finally:
                file.close()
        elif hasattr(source, "read"):
            while data := await asyncio.to_thread(source.read, self._piece):
                yield data
        elif not isinstance(source, AsyncIterable):
            pieces = threaded(source)
            try:
                async for given in pieces:
                    yield given
            finally:
                await pieces.aclose()
