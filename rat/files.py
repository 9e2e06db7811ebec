"""Files as answers: preconditions and ranges judged, regions given to the shell, which moves them.

One trip to a thread opens the file; small files come from memory.  RFC 9110, sections 13 and 14.
"""

from __future__ import annotations

import os
import secrets
from email.utils import formatdate
from typing import TYPE_CHECKING, cast

from rat.config import Limits
from rat.events import Buffer, FieldLines, FileRegion, KeptFields
from rat.fields import HeaderSource, field_lines
from rat.http1.conditional import ByteRange, judge
from rat.http1.fieldsearch import begins_any
from rat.mediatypes import content_disposition, guess_media_type
from rat.opening import FileCache, Opened, open_path
from rat.problems import problem
from rat.responses import Response, checked_status
from rat.threads import in_thread

if TYPE_CHECKING:
    from rat.messages import Request

__all__ = ["CONDITIONAL", "FileResponse", "answer_file", "answer_whole", "file_fields"]

CONDITIONAL = (b"if-", b"range:")
"""How the fields begin that make a request a conditional one, or one for a part."""
_OF_304 = {b"cache-control", b"content-location", b"etag", b"expires", b"last-modified", b"set-cookie", b"vary"}

_cache = FileCache()


def file_fields(opened: Opened, extra: FieldLines, content_type: str) -> KeptFields:
    """The fields that the file is sent with, but for its length; *extra* comes from the application and wins."""
    known = {name for name, _ in extra}
    fields = [
        (b"content-type", content_type.encode("latin-1", "replace")),
        (b"etag", opened.etag),
        (b"last-modified", formatdate(int(opened.last_modified), usegmt=True).encode("ascii")),
        (b"accept-ranges", b"bytes"),
    ]
    if opened.encoding is not None:
        fields.append((b"content-encoding", opened.encoding.encode("ascii")))
    return KeptFields((*(line for line in fields if line[0] not in known), *extra))


def _value(fields: FieldLines, name: bytes) -> bytes:
    return next(value for known, value in fields if known == name)


def _pieces(opened: Opened, part: ByteRange) -> list[Buffer | FileRegion]:
    if opened.content is not None:
        return [opened.content[part.start : part.stop]]
    assert opened.file is not None
    return [FileRegion(opened.file, part.start, part.stop - part.start)]


def answer_file(request: Request, opened: Opened, fields: FieldLines, status: int = 200) -> Response:
    """The answer that sends *opened*, or what *request* wants of it.  The answer closes the file when it is closed.

    *fields*: as ``file_fields`` gives them.  Preconditions and ranges hold for GET and HEAD with *status* 200.
    """
    head = request.head
    # Where there is neither a precondition nor a range, no field is parsed.
    if status != 200 or head.method not in ("GET", "HEAD") or not begins_any(head.field_section, CONDITIONAL):
        return answer_whole(opened, fields, status)
    limits = request.app.config.limits if request.app.config is not None else Limits()
    verdict = judge(
        head.method,
        head.fields,
        etag=_value(fields, b"etag"),
        last_modified=opened.last_modified,
        size=opened.size,
        most_ranges=limits.ranges,
    )
    if verdict.status == 200:
        return answer_whole(opened, fields)
    if verdict.status == 206:
        return _partial(opened, fields, verdict.ranges)
    opened.close()
    if verdict.status == 304:
        return Response.of(b"", [line for line in fields if line[0] in _OF_304], 304)
    if verdict.status == 416:
        # RFC 9110, section 15.5.17: say how long it is.
        extent = {"content-range": f"bytes */{opened.size}", "accept-ranges": "bytes"}
        return problem(416, f"no range lies within the {opened.size} bytes of the file", head=head, headers=extent)
    return problem(412, "the file is not in the state that was asked for", head=head)


def _holding(opened: Opened, body: list[Buffer | FileRegion], fields: FieldLines, status: int) -> Response:
    """An answer of pieces of a file; the engine tells the length of those that are in memory."""
    if opened.file is None:
        response = Response.of(b"".join(cast(list[bytes], body)), fields, status)
    else:
        length = (b"content-length", b"%d" % sum(len(piece) for piece in body))
        response = Response.of(b"", [*fields, length], status)
        response.body = body
        response.on_close(opened.close)
    response.compress = False
    return response


def answer_whole(opened: Opened, fields: FieldLines, status: int = 200) -> Response:
    """The answer that sends all of *opened*, whatever the request says."""
    if opened.content is None:
        return _holding(opened, _pieces(opened, ByteRange(0, opened.size)), fields, status)
    response = Response.of(opened.content, fields, status)
    response.compress = False
    return response


def _partial(opened: Opened, fields: FieldLines, ranges: tuple[ByteRange, ...]) -> Response:
    kind = _value(fields, b"content-type")
    rest = [line for line in fields if line[0] != b"content-type"]
    body: list[Buffer | FileRegion] = []
    if len(ranges) == 1:
        body += _pieces(opened, ranges[0])
        rest += [(b"content-type", kind), (b"content-range", ranges[0].content_range(opened.size))]
    else:
        # RFC 9110, section 14.6: no Content-Range of the whole, one in each part.
        boundary = secrets.token_hex(16).encode("ascii")
        for part in ranges:
            lines = (boundary, kind, part.content_range(opened.size))
            body.append(b"\r\n--%b\r\ncontent-type: %b\r\ncontent-range: %b\r\n\r\n" % lines)
            body += _pieces(opened, part)
        body.append(b"\r\n--%b--\r\n" % boundary)
        rest.append((b"content-type", b"multipart/byteranges; boundary=" + boundary))
    return _holding(opened, body, rest, 206)


class FileResponse(Response):
    """The file *path*, or what the request wants of it; opened when the answer is prepared, not before.

    *filename* makes it a download of that name (RFC 6266), *inline* names it and still shows it.  HTTPError 404 or 403
    when it cannot be read.  An ETag, Last-Modified or Content-Type among *headers* replaces the file's own.
    """

    __slots__ = ("_filename", "path")

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        filename: str | None = None,
        inline: bool = False,
        content_type: str | None = None,
        status: int = 200,
        headers: HeaderSource | None = None,
    ) -> None:
        self.status = 200 if status == 200 else checked_status(status)
        self.body = b""
        self.compress = False
        self.is_open_ended = False
        self.closers = None
        self._headers = None
        self._trailers = None
        self._fields = () if headers is None else field_lines(headers)
        self.path = os.fspath(path)
        self._filename = filename
        if content_type is not None:
            self.headers["content-type"] = content_type
        if filename is not None:
            self.headers["content-disposition"] = content_disposition(filename, inline=inline)

    @property
    def _key(self) -> tuple[str, str | None, FieldLines]:
        return self.path, self._filename, tuple(self.field_lines())

    def at_once(self, request: Request) -> Response | None:
        """The answer from what is held in memory; None when the file has to be opened first."""
        found = _cache.get(self._key)
        return None if found is None else self._answer(request, *found)

    async def prepare(self, request: Request) -> Response:
        """The answer after a look at the file, in a thread.  HTTPError 404 when there is none."""
        key = self._key
        found = _cache.get(key)
        if found is None:
            opened = await in_thread(open_path, self.path, discard=Opened.close)
            found = opened, file_fields(opened, key[2], guess_media_type(self._filename or self.path))
            _cache.put(key, *found)
        return self._answer(request, *found)

    def _answer(self, request: Request, opened: Opened, fields: FieldLines) -> Response:
        response = answer_file(request, opened, fields, self.status)
        if self.closers is not None:
            response.on_close(self.close)
        return response
