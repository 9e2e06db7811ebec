"""A directory as routes: files below it and nothing else, precompressed siblings, index files.

Knows the names that are asked for; ``rat.opening`` sees to it that no name leads outside.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rat.errors import ConfigError, HTTPError
from rat.events import FieldLines
from rat.fields import HeaderSource, field_lines
from rat.files import CONDITIONAL, answer_file, answer_whole, file_fields
from rat.http1.fieldsearch import begins_any, combined_value
from rat.listing import list_below, listing_page
from rat.mediatypes import guess_media_type
from rat.negotiation import CODINGS, accepted_codings
from rat.opening import FileCache, Opened, open_below
from rat.responses import RedirectResponse, Response
from rat.threads import in_thread

if TYPE_CHECKING:
    from rat.messages import Request

__all__ = ["StaticFiles", "with_slash"]

_RECHECK = 0.002
"""Seconds for which a small file is not looked at again: requests that come together share one stat."""
_PLAIN: tuple[str | None, ...] = (None,)
_VARY = (b"vary", b"accept-encoding")
_PAGE_FIELDS: FieldLines = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"default-src 'none'"),
)


class StaticFiles:
    """The files below *directory*.

    *index*: names tried for a path that ends with ``/``.  *precompressed*: serve ``name.zst``, ``.br`` and ``.gz`` to
    clients that take them, if they are not older than ``name``.  *headers* go with every file, such as Cache-Control.
    *hidden*: serve names that begin with a dot, too.  *listing*: a path that ends with ``/`` where there is no index
    gives a page of the names in it.  Raises ConfigError when there is no such directory.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        index: Sequence[str] = ("index.html",),
        precompressed: bool = True,
        headers: HeaderSource | None = None,
        hidden: bool = False,
        listing: bool = False,
    ) -> None:
        self.root = os.path.realpath(directory)
        if not os.path.isdir(self.root):
            raise ConfigError(f"static directory {os.fspath(directory)!r} does not exist")
        self.index = tuple(index)
        self.precompressed = precompressed
        self.hidden = hidden
        self.listing = listing
        self.headers = tuple(field_lines(headers or ()))
        self._cache = FileCache(recheck=_RECHECK)

    def answer(self, request: Request, path: str) -> Response:
        """The handler: *path* is percent-decoded and relative.  HTTPError 404 or 403 for what is not served."""
        fields = request.head.field_section
        conditional = begins_any(fields, CONDITIONAL)
        codings = accepted_codings(combined_value(fields, b"accept-encoding")) if self.precompressed else _PLAIN
        known = self._cache.get((path, codings))
        if known is not None:
            return answer_file(request, *known) if conditional else answer_whole(*known)
        self._check(path)
        return _Opening(self, path, codings)

    def _check(self, path: str) -> None:
        # Judged after decoding, so that no encoding of a separator or a dot gets past.
        if "\0" in path or "\\" in path:
            raise HTTPError(404, "no such file")
        segments = path.split("/")
        for place, segment in enumerate(segments):
            if not segment and place < len(segments) - 1:
                raise HTTPError(404, "no such file")
            if segment in (".", "..") or (segment.startswith(".") and not self.hidden):
                raise HTTPError(404, "no such file")

    def find(self, path: str, codings: Sequence[str | None]) -> tuple[Opened, FieldLines] | bytes | None:
        """Open what *path* names, in the first of *codings* that there is; None for a directory that wants a slash.

        The page of its names for a directory that is listed.

        Blocks.  HTTPError 404 or 403, OSError for a failure of the disk.
        """
        if path and not path.endswith("/"):
            opened = open_below(self.root, path)
            if opened is None:
                found = self._index_or_names(path + "/")
                if isinstance(found, tuple):
                    found[0].close()
                return None
        else:
            found = self._index_or_names(path)
            if isinstance(found, list):
                return listing_page(f"/{path}", found, parent=bool(path))
            opened, path = found
        extra: FieldLines = ()
        if self.precompressed:
            opened, extra = self._choose(path, codings, opened)
        return opened, file_fields(opened, (*self.headers, *extra), guess_media_type(path))

    def _index_or_names(self, path: str) -> tuple[Opened, str] | list[str]:
        try:
            return self._open_index(path)
        except HTTPError:
            names = list_below(self.root, path, hidden=self.hidden) if self.listing else None
            if names is None:
                raise
            return names

    def _open_index(self, path: str) -> tuple[Opened, str]:
        for name in self.index:
            try:
                opened = open_below(self.root, path + name)
            except HTTPError as error:
                if error.status != 404:
                    raise
                continue
            if opened is not None:
                return opened, path + name
        raise HTTPError(404, "no such file")

    def _choose(self, path: str, codings: Sequence[str | None], plain: Opened) -> tuple[Opened, FieldLines]:
        """The sibling of *plain* that fits *codings* best, or *plain*; and Vary, where there was a choice."""
        siblings: dict[str | None, Opened] = {}
        chosen = plain
        try:
            for coding, extension in CODINGS.items():
                sibling = self._open_sibling(path + extension, coding, plain)
                if sibling is not None:
                    siblings[coding] = sibling
            known = {**siblings, None: plain}
            chosen = next((known[coding] for coding in codings if coding in known), plain)
            return chosen, (_VARY,) if siblings else ()
        finally:
            for one in (plain, *siblings.values()):
                if one is not chosen:
                    one.close()

    def _open_sibling(self, path: str, coding: str, plain: Opened) -> Opened | None:
        if not os.path.lexists(os.path.join(self.root, path)):
            return None
        try:
            sibling = open_below(self.root, path, encoding=coding)
        except HTTPError:
            return None
        if sibling is not None and int(sibling.modified) < int(plain.modified):
            # It was made of another version of the file.
            sibling.close()
            return None
        if sibling is not None:
            sibling.original = plain.path, plain.state
        return sibling

    def keep(self, path: str, codings: tuple[str | None, ...], found: tuple[Opened, FieldLines] | None) -> None:
        """Remember a small file for *path*; or that there is none."""
        if found is None:
            self._cache.drop((path, codings))
        else:
            self._cache.put((path, codings), *found)


def with_slash(request: Request) -> Response:
    """To the same path with a slash behind it: without one, relative links of an index lead elsewhere."""
    query = b"?" + request.head.query if request.head.query else b""
    return RedirectResponse((request.head.path + b"/" + query).decode("latin-1"), 308)


class _Opening(Response):
    """The answer while the file is still to be opened."""

    __slots__ = ("_codings", "_files", "_path")

    def __init__(self, files: StaticFiles, path: str, codings: tuple[str | None, ...]) -> None:
        super().__init__(compress=False)
        self._files = files
        self._path = path
        self._codings = codings

    async def prepare(self, request: Request) -> Response:
        try:
            found = await in_thread(self._files.find, self._path, self._codings or _PLAIN, discard=_close)
        except Exception:
            self._files.keep(self._path, self._codings, None)
            raise
        self._files.keep(self._path, self._codings, found if isinstance(found, tuple) else None)
        if found is None:
            return with_slash(request)
        if isinstance(found, bytes):
            return Response.of(found, (*_PAGE_FIELDS, *self._files.headers))
        return answer_file(request, *found)


def _close(found: tuple[Opened, FieldLines] | bytes | None) -> None:
    if isinstance(found, tuple):
        found[0].close()
