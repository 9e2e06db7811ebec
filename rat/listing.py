"""The names in a directory as a page, for those who asked for it.

Names only what ``rat.static`` would serve: no dot files, no links that lead outside, nothing but files and directories.
Everything here blocks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from html import escape
from itertools import islice
from urllib.parse import quote

__all__ = ["MOST_NAMES", "list_below", "listing_page"]

MOST_NAMES = 10_000
"""Names in one page; the page says so when there are more."""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
</head>
<body>
<h1>{title}</h1>
<ul>
{items}
</ul>{rest}
</body>
</html>
"""


def list_below(root: str, relative: str, *, hidden: bool = False) -> list[str] | None:
    """The names in the directory *relative* below the real path *root*, at most MOST_NAMES and one more.

    Directories come first and end with a slash.  None when there is no such directory, or it may not be read.
    """
    path = os.path.realpath(os.path.join(root, relative))
    if not _is_below(root, path):
        return None
    try:
        with os.scandir(path) as entries:
            names = list(islice(_served(root, entries, hidden), MOST_NAMES + 1))
    except OSError:
        return None
    return sorted(names, key=lambda name: (name[-1] != "/", name))


def _is_below(root: str, path: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def _served(root: str, entries: Iterator[os.DirEntry[str]], hidden: bool) -> Iterator[str]:
    for entry in entries:
        name = entry.name
        if (name.startswith(".") and not hidden) or "\\" in name or not _is_text(name):
            continue
        try:
            if entry.is_symlink() and not _is_below(root, os.path.realpath(entry.path, strict=True)):
                continue
            if entry.is_dir():
                yield name + "/"
            elif entry.is_file():
                yield name
        except OSError:
            # Gone meanwhile, or a link in a circle.
            continue


def _is_text(name: str) -> bool:
    """The name can be asked for: paths of requests are UTF-8."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def listing_page(title: str, names: list[str], *, parent: bool) -> bytes:
    """An HTML page of links to *names*, and to the directory above when there is a *parent*."""
    items = ['<li><a href="../">../</a></li>'] if parent else []
    # A colon is encoded as well, or what stands before it would be a scheme.
    items += [f'<li><a href="{quote(name, safe="/")}">{escape(name)}</a></li>' for name in names[:MOST_NAMES]]
    rest = f"\n<p>There are more than these {MOST_NAMES}.</p>" if len(names) > MOST_NAMES else ""
    return _PAGE.format(title=escape(title), items="\n".join(items), rest=rest).encode("utf-8")
