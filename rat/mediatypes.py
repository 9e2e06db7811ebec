"""The media type that a file's name tells, and the field that gives a download its name.

The table is the same on every machine: nothing is read from the system.
"""

from __future__ import annotations

import functools
import mimetypes
from urllib.parse import quote

__all__ = ["content_disposition", "guess_media_type"]

_OCTETS = "application/octet-stream"
_TABLE = mimetypes.MimeTypes(filenames=())
for _extension, _kind in {
    ".avif": "image/avif",
    ".csv": "text/csv",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".toml": "application/toml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".yaml": "application/yaml",
}.items():
    _TABLE.add_type(_kind, _extension)
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


@functools.lru_cache(maxsize=1024)
def guess_media_type(name: str) -> str:
    """The Content-Type of a file called *name*; text is taken for UTF-8."""
    kind, encoding = _TABLE.guess_type(name.rpartition("/")[2], strict=False)
    if encoding is not None:
        # The file is what it is, compressed: no Content-Encoding that a client would undo.
        return _COMPRESSED.get(encoding, _OCTETS)
    if kind is None:
        return _OCTETS
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def content_disposition(filename: str, *, inline: bool = False) -> str:
    """A Content-Disposition value (RFC 6266), with ``filename*`` (RFC 8187) where ASCII does not do."""
    kind = "inline" if inline else "attachment"
    name = filename.encode("utf-8", "replace").decode("utf-8")
    plain = "".join(char if " " <= char <= "~" else "_" for char in name)
    # Recipients disagree about backslashes and percent signs in quoted names: RFC 6266, appendix D.
    safe = plain.replace("\\", "_").replace('"', "_").replace("%", "_")
    if safe == name:
        return f'{kind}; filename="{safe}"'
    return f"{kind}; filename=\"{safe}\"; filename*=UTF-8''{quote(name, safe='!#$&+-.^_`|~')}"
