"""Content on its way to a file, and multipart content cut into its parts (RFC 7578), neither ever held in memory.

The parser of multipart is the extra ``multipart``; its exceptions stay in here.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from rat.config import Limits
from rat.errors import ContentTooLarge, HTTPError
from rat.fields import Headers
from rat.threads import in_thread
from rat.values import media_type

if TYPE_CHECKING:
    from rat.messages import Request

__all__ = ["Part", "UploadFile", "iterate_parts", "safe_filename", "save_stream"]

_BATCH = 1024 * 1024
"""Bytes gathered for one trip to a thread: a trip costs about as much as moving 100 KB."""
_SPOOL = 1024 * 1024
"""Bytes of an uploaded file that are kept in memory; above them it goes to disk."""
_HEADERS_OF_PART = 16
_BOUNDARY = 70  # RFC 2046, section 5.1.1


async def _batches(pieces: AsyncIterable[bytes]) -> AsyncIterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    async for piece in pieces:
        batch.append(piece)
        size += len(piece)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write_all(file: FileIO, batch: list[bytes]) -> int:
    written = 0
    for piece in batch:
        view = memoryview(piece)
        while view:
            count = file.write(view)
            written += count
            view = view[count:]
    return written


async def save_stream(pieces: AsyncIterable[bytes], path: str | Path) -> int:
    """Write *pieces* to the file *path*; the number of bytes.

    The file appears under its name, or replaces what has it, when it is whole; on an error nothing is left behind.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}.part")
    try:
        file = await in_thread(FileIO, partial, "xb", discard=FileIO.close)
        size = 0
        with file:
            async for batch in _batches(pieces):
                size += await in_thread(_write_all, file, batch)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return size


def safe_filename(name: str | None) -> str:
    """The last component of a client's file name, without what would make it special: never empty, no leading dot."""
    text = (name or "").replace("\\", "/").rpartition("/")[2]
    text = "".join(char for char in text if char.isprintable() and char not in '<>:"|?*').strip(" .")
    while len(text.encode("utf-8", "ignore")) > 200:
        stem, dot, extension = text.rpartition(".")
        text = f"{stem[:-1]}.{extension}" if dot and len(stem) > 1 and len(extension) < 50 else text[:-1]
    return text.encode("utf-8", "ignore").decode("utf-8") or "upload"


class Part:
    """One part of multipart content, as an async iterator of bytes.

    It can be read until the next part is asked for; what is left of it then is skipped.
    """

    def __init__(self, segment: Any, source: _Parts) -> None:
        self.name: str = segment.name
        self.filename: str | None = segment.filename
        """As the client sent it; see ``safe_filename``."""
        self.content_type: str | None = segment.content_type
        self.charset: str | None = segment.charset
        self.headers = Headers(
            [(name.lower().encode("utf-8"), value.encode("latin-1", "replace")) for name, value in segment.headerlist]
        )
        self._source = source
        self._ended = False

    @property
    def safe_filename(self) -> str:
        """The file name without directories, leading dots and control characters."""
        return safe_filename(self.filename)

    def __aiter__(self) -> Part:
        return self

    async def __anext__(self) -> bytes:
        if self._source.current is not self:
            raise RuntimeError(f"part {self.name!r} was left for the next one, it cannot be read any more")
        if self._ended:
            raise StopAsyncIteration
        data = await self._source.next_event()
        if data is None:
            self._ended = True
            raise StopAsyncIteration
        return cast(bytes, data)

    async def read(self, limit: int = Limits().body) -> bytes:
        """All that is left of the part.  Raises ContentTooLarge past *limit* bytes."""
        pieces, size = [], 0
        async for piece in self:
            size += len(piece)
            if size > limit:
                raise ContentTooLarge(limit)
            pieces.append(piece)
        return b"".join(pieces)

    async def save(self, path: str | Path) -> int:
        """Stream what is left of the part to the file *path*; the number of bytes.  See ``save_stream``."""
        return await save_stream(self, path)

    def __repr__(self) -> str:
        return f"Part({self.name!r}, filename={self.filename!r})"


class _Parts:
    """The parser and where its bytes come from.  One reader at a time."""

    def __init__(self, parser: Any, error: type[Exception], body: AsyncIterator[bytes]) -> None:
        self.current: Part | None = None
        self._parser = parser
        self._error = error
        self._body = body
        self._events: Iterator[Any] = iter(())
        self._nothing = object()

    async def next_event(self) -> Any:
        """A segment, bytes, or None at the end of a segment; StopAsyncIteration at the end of all."""
        while True:
            try:
                event = next(self._events, self._nothing)
                if event is not self._nothing:
                    return event
                piece = await anext(self._body, b"")
                if not piece:
                    self._parser.close()
                    raise StopAsyncIteration
                self._events = self._parser.parse(piece)
            except self._error as error:
                text = str(error.args[0] if error.args else error)
                raise HTTPError(400, f"multipart content is broken: {text[:1].lower()}{text[1:]}") from None


async def iterate_parts(request: Request) -> AsyncIterator[Part]:
    """The parts of *request*'s content.  HTTPError 415, 413 or 400 as ``Request.form`` says."""
    kind, parameters = media_type(request.headers.get("content-type"))
    if kind != "multipart/form-data":
        from rat.messages import unsupported

        raise unsupported(kind, "multipart/form-data")
    boundary = parameters.get("boundary", "")
    if not 1 <= len(boundary) <= _BOUNDARY or not boundary.isascii() or not boundary.isprintable():
        raise HTTPError(400, f"multipart boundary of {len(boundary)} characters, allowed are 1 to {_BOUNDARY}")
    try:
        from multipart import MultipartError, PushMultipartParser
    except ImportError:
        raise RuntimeError("multipart content needs the extra: pip install 'rat-server[multipart]'") from None

    limits = request.app.config.limits if request.app.config is not None else Limits()
    parser = PushMultipartParser(
        boundary, max_header_size=limits.multipart_head, max_header_count=_HEADERS_OF_PART, header_charset="utf-8"
    )
    source = _Parts(parser, MultipartError, request.body)
    count = 0
    while True:
        try:
            event = await source.next_event()
        except StopAsyncIteration:
            return
        count += 1
        if count > limits.multipart_parts:
            raise HTTPError(413, f"multipart content of more than {limits.multipart_parts} parts")
        size = sum(len(name) + len(value) + 4 for name, value in event.headerlist)
        if size > limits.multipart_head:
            raise HTTPError(400, f"part head of {size} bytes, limit {limits.multipart_head}")
        part = source.current = Part(event, source)
        yield part
        async for _ in part:
            pass


class UploadFile:
    """A file of a form: in memory while it is small, else in a temporary file that goes when this object does.

    *size* in bytes.  ``file`` is the open file, for plain ``def`` handlers.
    """

    def __init__(self, part: Part) -> None:
        self.name = part.name
        self.filename = part.filename
        self.content_type = part.content_type
        self.headers = part.headers
        self.size = 0
        self.file = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=_SPOOL))  # noqa: SIM115

    @property
    def safe_filename(self) -> str:
        """The file name without directories, leading dots and control characters."""
        return safe_filename(self.filename)

    @property
    def _on_disk(self) -> bool:
        return self.size > _SPOOL

    async def fill(self, pieces: AsyncIterable[bytes], *, inline: bool = False) -> None:
        """Take all of *pieces* and go back to the start; *inline*: never wait for a thread."""
        async for batch in _batches(pieces):
            self.size += sum(map(len, batch))
            if self._on_disk and not inline:
                await in_thread(self.file.writelines, batch)
            else:
                self.file.writelines(batch)
        self.file.seek(0)

    async def read(self, size: int = -1) -> bytes:
        """Up to *size* bytes from where the last read ended; all by default."""
        if self._on_disk:
            return await in_thread(self.file.read, size)
        return self.file.read(size)

    async def seek(self, offset: int) -> None:
        """Go to *offset* from the start."""
        self.file.seek(offset)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.read(_BATCH):
            yield piece

    async def save(self, path: str | Path) -> int:
        """Write the whole file to *path*; the number of bytes."""
        self.file.seek(0)
        return await save_stream(self, path)

    def close(self) -> None:
        """Close the file, and so remove it from the disk."""
        self.file.close()

    def __del__(self) -> None:
        file = getattr(self, "file", None)
        if file is not None:
            file.close()

    def __repr__(self) -> str:
        return f"UploadFile({self.filename!r}, {self.size} bytes)"
