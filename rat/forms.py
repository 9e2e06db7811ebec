"""Forms: urlencoded content, and multipart content whose files are spooled to disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from rat.config import Limits
from rat.errors import ContentTooLarge, HTTPError
from rat.fields import MultiMapping, parse_urlencoded
from rat.messages import unsupported
from rat.uploads import Part, UploadFile, iterate_parts

if TYPE_CHECKING:
    from rat.messages import Request

__all__ = ["Form", "read_form"]


class Form(MultiMapping[str | UploadFile]):
    """The fields of a form, repeated names kept: text, or an UploadFile where the field is a file."""

    __slots__ = ()

    def text(self, name: str, default: str | None = None) -> str:
        """The first value of *name*.  HTTPError 400 when it is missing without *default*, or a file."""
        value = self.get(name, default)
        if isinstance(value, str):
            return value
        raise HTTPError(400, f"form field {name} is {'missing' if value is None else 'a file, expected text'}")

    def file(self, name: str) -> UploadFile:
        """The first file of *name*.  HTTPError 400 when there is none, or none was chosen."""
        found = self.getlist(name)
        for value in found:
            # WHATWG HTML, "constructing the entry list": without a choice, an empty file with no name.
            if isinstance(value, UploadFile) and (value.filename or value.size):
                return value
        lacking = "missing"
        if found:
            lacking = "text, expected a file" if isinstance(found[0], str) else "a file that nobody chose"
        raise HTTPError(400, f"form field {name} is {lacking}")

    def close(self) -> None:
        """Remove the temporary files now; they go with the request otherwise."""
        for _, value in self.pairs():
            if isinstance(value, UploadFile):
                value.close()


async def read_form(request: Request, *, inline: bool = False) -> Form:
    """The form in *request*'s content; *inline*: files are written without a thread."""
    kind = request.content_type
    limits = request.app.config.limits if request.app.config is not None else Limits()
    if kind == "application/x-www-form-urlencoded":
        return Form(parse_urlencoded(await request.read(), limit=limits.multipart_parts))
    if kind == "multipart/form-data":
        return Form([pair async for pair in _fields(iterate_parts(request), limits.body, inline=inline)])
    raise unsupported(kind, "application/x-www-form-urlencoded or multipart/form-data")


async def _fields(
    parts: AsyncIterator[Part], limit: int, *, inline: bool
) -> AsyncIterator[tuple[str, str | UploadFile]]:
    """*limit*: bytes of all text fields together, which stay in memory."""
    left = limit
    async for part in parts:
        if part.filename is not None:
            file = UploadFile(part)
            await file.fill(part, inline=inline)
            yield part.name, file
            continue
        try:
            data = await part.read(left)
        except ContentTooLarge:
            raise ContentTooLarge(limit) from None
        left -= len(data)
        charset = part.charset or "utf-8"
        try:
            yield part.name, data.decode(charset)
        except LookupError:
            raise HTTPError(415, f"charset {charset[:40]!r} of form field {part.name} is not known") from None
        except UnicodeDecodeError as error:
            raise HTTPError(400, f"form field {part.name} is not {charset} at offset {error.start}") from None
