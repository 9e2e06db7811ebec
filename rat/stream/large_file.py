"""A file as server-sent events, for clients that have nothing else: base64 in chunks, a checksum, and a way to go on.

Base64 costs a third more bytes than the file; an ordinary answer with ranges is better wherever it can be had.
Knows no connection; reading, hashing and encoding run on a thread.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import Generator, Iterator
from typing import BinaryIO

from rat.config import KIB, MIB
from rat.stream.broker import parse_id
from rat.stream.iterators import ThreadedIterator, threaded
from rat.stream.sse import EncodedEvent, ServerSentEvent, check_name, encode_event

__all__ = ["FileEvents", "send_large_file"]

_MAX_CHUNK = 1 * MIB
_HASH_STEP = 64 * MIB
"""How much of what the client has already is hashed between two signs of life."""


async def send_large_file(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    name: str | None = None,
    chunk_size: int = 32 * KIB,
    progress_every: int = 32,
    after: str | None = None,
    version: str | None = None,
) -> ThreadedIterator[EncodedEvent]:
    """The events that carry a file: ``EventStream(await send_large_file(path, after=request.last_event_id))``.

    ``start``     name, size, chunk_size, chunks, and the offset where this stream begins
    ``chunk``     index, offset, and data in base64; its id makes it the place to go on from
    ``progress``  sent and size, after every *progress_every* chunks (0: never)
    ``complete``  size and sha256 of the whole file, whatever part of it this stream carried

    *after* is the Last-Event-ID of a client that comes back; when the file has changed since, it starts anew.
    *source* is a path, or a seekable binary file, which is closed in any case.  *version* tells one state of it from
    another; for a path it is size and time of change, for anything else it has to be given if clients are to go on.
    *chunk_size* is in bytes of the file.  Raises OSError when the file cannot be opened, ValueError for sizes that
    cannot be.
    """
    if not 1 <= chunk_size <= _MAX_CHUNK:
        raise ValueError(f"chunks of {chunk_size} bytes, and must be of 1 to {_MAX_CHUNK}")
    if progress_every < 0:
        raise ValueError(f"progress after every {progress_every} chunks, and must not be negative")
    check_name("version", version)
    events = await asyncio.to_thread(_open, source, name, chunk_size, progress_every, after, version)
    return threaded(events)


def _open(
    source: str | os.PathLike[str] | BinaryIO,
    name: str | None,
    chunk_size: int,
    progress_every: int,
    after: str | None,
    version: str | None,
) -> FileEvents:
    if isinstance(source, str | os.PathLike):
        file: BinaryIO = open(source, "rb")  # noqa: SIM115 -- closed by FileEvents
        status = os.fstat(file.fileno())
        version = version or f"{status.st_size:x}.{status.st_mtime_ns:x}"
        name = name or os.path.basename(os.fspath(source))
    else:
        file = source
    try:
        return FileEvents(file, name or "", chunk_size, progress_every, after, version)
    except BaseException:
        file.close()
        raise


class FileEvents(Iterator[EncodedEvent]):
    """The events of one file, made as they are asked for; ``close`` closes the file, also when none was."""

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        chunk_size: int,
        progress_every: int,
        after: str | None,
        version: str | None,
    ) -> None:
        self._file = file
        self._name = name
        self._size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self._chunk_size = chunk_size
        self._chunks = -(-self._size // chunk_size)
        self._progress_every = progress_every
        # The chunk size belongs to the version: with another one the same index would be another place.
        self._epoch = None if version is None else f"{version}.{chunk_size:x}"
        self._first = self._begin_after(after)
        self._steps = self._run()

    def _begin_after(self, after: str | None) -> int:
        """The index of the chunk to begin with."""
        parsed = parse_id(after) if after and self._epoch is not None else None
        if parsed is None or parsed[0] != self._epoch or parsed[1] >= self._chunks:
            return 0
        return parsed[1] + 1

    def __next__(self) -> EncodedEvent:
        return next(self._steps)

    def close(self) -> None:
        """Close the file; any number of times."""
        self._steps.close()
        self._file.close()

    def _run(self) -> Generator[EncodedEvent, None, None]:
        begin = min(self._first * self._chunk_size, self._size)
        yield _event(
            "start",
            {
                "name": self._name,
                "size": self._size,
                "chunk_size": self._chunk_size,
                "chunks": self._chunks,
                "offset": begin,
            },
        )
        digest = hashlib.sha256()
        hashed = 0
        while hashed < begin:
            for _ in range(min(begin - hashed, _HASH_STEP) // self._chunk_size or 1):
                data = self._read(min(self._chunk_size, begin - hashed), hashed)
                digest.update(data)
                hashed += len(data)
            yield EncodedEvent(b": %d of %d bytes hashed\n\n" % (hashed, begin))
        offset = begin
        for index in range(self._first, self._chunks):
            data = self._read(min(self._chunk_size, self._size - offset), offset)
            digest.update(data)
            yield self._chunk(index, offset, data)
            offset += len(data)
            if self._progress_every and (index + 1) % self._progress_every == 0:
                yield _event("progress", {"sent": offset, "size": self._size})
        yield _event("complete", {"size": self._size, "sha256": digest.hexdigest()})

    def _chunk(self, index: int, offset: int, data: bytes) -> EncodedEvent:
        # By hand, because base64 needs no JSON escapes: the encoder would look at every byte once more.
        body = b'event: chunk\ndata: {"index":%d,"offset":%d,"data":"%b"}\n\n' % (
            index,
            offset,
            base64.b64encode(data),
        )
        return EncodedEvent(body if self._epoch is None else b"id: %b-%d\n%b" % (self._epoch.encode(), index, body))

    def _read(self, size: int, offset: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise OSError(f"the file ended at byte {offset + len(data)} of {self._size} while it was sent")
        return data


def _event(name: str, data: dict[str, str | int]) -> EncodedEvent:
    return EncodedEvent(encode_event(ServerSentEvent(event=name, data=data)))
