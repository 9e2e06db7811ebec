"""Files, opened for an answer: in one go, never outside a root, and small ones kept with a check of their state.

Everything here blocks, but for the look into the cache.  Knows no request.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TypeAlias

from rat.clock import TICK
from rat.errors import HTTPError
from rat.events import FieldLines

__all__ = ["SMALL", "FileCache", "Opened", "Signature", "open_below", "open_path"]

SMALL = 64 * 1024
"""Bytes up to which a file is read on the way, and kept: sendfile gains nothing below."""

_ENTRY = 1024
_SETTLES = 0.1
"""Seconds after which a file's times tell one state from the next; ticks are of 1 to 10 ms, and 16 on Windows."""

_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_WALKS = os.open in os.supports_dir_fd and bool(_NOFOLLOW)
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.EISDIR, errno.ENXIO}

Signature: TypeAlias = tuple[int, int, int, int, int]
"""Device, inode, size, and the times of the last change of content and of state: equal means unchanged."""


def signature(status: os.stat_result) -> Signature:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@dataclass(slots=True)
class Opened:
    """A regular file: its *content* when it is small, else the open *file*, which the holder closes.

    *path* is the name by which it was asked for, links not resolved.  *size* in bytes; *modified* in seconds since the
    epoch; *encoding* is the content coding of a precompressed sibling, *original* the path and the state of the file
    that it was made from; *looked* is when its state was looked at, by the file system's clock.
    """

    path: str
    size: int
    modified: float
    state: Signature
    content: bytes | None
    file: FileIO | None
    encoding: str | None = None
    original: tuple[str, Signature] | None = None
    looked: float = 0.0

    @property
    def etag(self) -> bytes:
        """A strong entity tag: changes whenever the file does; each content coding has its own."""
        coding = f"-{self.encoding}" if self.encoding else ""
        return f'"{self.state[3]:x}-{self.size:x}{coding}"'.encode("ascii")

    @property
    def last_modified(self) -> float:
        """What is told of *modified*, in seconds since the epoch.

        RFC 9110, section 8.8.2.1: no later than Date, which may be one tick old.
        """
        return min(self.modified, self.looked - TICK)

    def is_unchanged(self) -> bool:
        """What its name leads to, and the file that it was made from, are as they were when it was opened."""
        try:
            if signature(os.stat(self.path)) != self.state:
                return False
            return self.original is None or signature(os.stat(self.original[0])) == self.original[1]
        except OSError:
            return False

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


def _from_descriptor(descriptor: int, path: str, encoding: str | None) -> Opened | None:
    """What *descriptor*, which is taken over, is open on; None if that is no regular file."""
    file = FileIO(descriptor, "rb")
    try:
        looked = time.time()
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            file.close()
            return None
        state = signature(status)
        opened = Opened(path, status.st_size, status.st_mtime, state, None, file, encoding, looked=looked)
        if status.st_size <= SMALL:
            content = file.read(SMALL + 1)
            if len(content) == status.st_size and signature(os.fstat(descriptor)) == state:
                opened.content, opened.file = content, None
                file.close()
            else:
                file.seek(0)
    except BaseException:
        file.close()
        raise
    return opened


def _refusal(error: OSError) -> HTTPError | None:
    """The answer to a file that cannot be opened; None for what is no fault of the name."""
    if error.errno in _ABSENT:
        return HTTPError(404, "no such file")
    if error.errno in (errno.EACCES, errno.EPERM):
        return HTTPError(403, "the file may not be read")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return HTTPError(503, "too many files are open", headers={"Retry-After": "1"})
    return None


def open_path(path: str | Path) -> Opened:
    """Open the file *path*.  HTTPError 404 or 403 when there is none that can be read, OSError for other failures.

    HTTPError 503 when this process may open no more.
    """
    text = os.fspath(path)
    try:
        if not stat.S_ISREG(os.stat(text).st_mode):
            raise HTTPError(404, "not a regular file")
        opened = _from_descriptor(os.open(text, _FLAGS), text, None)
    except ValueError:  # NUL
        raise HTTPError(404, "no such file") from None
    except OSError as error:
        refusal = _refusal(error)
        if refusal is None:
            raise
        raise refusal from None
    if opened is None:
        raise HTTPError(404, "not a regular file")
    return opened


def open_below(root: str, relative: str, *, encoding: str | None = None) -> Opened | None:
    """Open the file *relative* below the real path *root*, symbolic links followed as long as they stay below it.

    None for a directory.  HTTPError and OSError as ``open_path``.
    """
    try:
        name = os.path.join(root, relative)
        path = os.path.realpath(name, strict=True)
        inside = os.path.relpath(path, root)
        if inside == os.curdir:
            return None
        parts = inside.split(os.sep)
        if parts[0] == os.pardir:
            raise HTTPError(404, "no such file")
        descriptor = _walk(root, parts) if _WALKS else _plain(path)
        return None if descriptor is None else _from_descriptor(descriptor, name, encoding)
    except ValueError:
        raise HTTPError(404, "no such file") from None
    except OSError as error:
        refusal = _refusal(error)
        if refusal is None:
            raise
        raise refusal from None


def _plain(path: str) -> int | None:
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        return None
    if not stat.S_ISREG(mode):
        raise HTTPError(404, "not a regular file")
    return os.open(path, _FLAGS)


def _walk(root: str, parts: list[str]) -> int | None:
    """Open step by step without following links: what was resolved cannot be exchanged for a link meanwhile."""
    directory = os.open(root, os.O_RDONLY | _DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | _DIRECTORY | _NOFOLLOW, dir_fd=directory)
            os.close(directory)
            directory = inner
        mode = os.stat(parts[-1], dir_fd=directory, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            return None
        if not stat.S_ISREG(mode):
            raise HTTPError(404, "not a regular file")
        return os.open(parts[-1], _FLAGS | _NOFOLLOW, dir_fd=directory)
    finally:
        os.close(directory)


@dataclass(slots=True)
class _Kept:
    found: tuple[Opened, FieldLines]
    resolved: float
    """When somebody last set out to open it."""
    checked: float
    """When the file was last found unchanged."""


class FileCache:
    """Small files in memory, the one longest kept given up first.

    A file is given out when a stat of its name found it unchanged less than *recheck* seconds ago.  Every *fresh*
    seconds one caller is sent to open it again, because a better fitting file may have turned up beside it; the others
    go on with what is kept.  A file that was opened just after it was written is not kept: the next change might fall
    into the same tick of the file system's clock, and would not show.

    *clock* gives seconds that never run backwards.
    """

    def __init__(
        self,
        *,
        most_bytes: int = 16 * 1024 * 1024,
        recheck: float = 0.0,
        fresh: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most_bytes
        self._recheck = recheck
        self._fresh = fresh
        self._clock = clock
        self._kept: dict[object, _Kept] = {}
        self.size = 0
        """Bytes held, with what an entry costs besides its content."""

    def get(self, key: object) -> tuple[Opened, FieldLines] | None:
        """What was kept under *key*, if it is still true; None for a caller that shall open it."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        now = self._clock()
        if now - kept.checked < self._recheck:
            return kept.found
        if not kept.found[0].is_unchanged():
            self.drop(key)
            return None
        kept.checked = now
        if now - kept.resolved >= self._fresh:
            kept.resolved = now
            return None
        return kept.found

    def put(self, key: object, opened: Opened, fields: FieldLines) -> None:
        """Keep a small file and the fields that it is sent with, in place of what was kept."""
        self.drop(key)
        if opened.content is None or opened.looked - opened.state[4] / 1e9 < _SETTLES:
            return
        now = self._clock()
        self._kept[key] = _Kept((opened, fields), now, now)
        self.size += _ENTRY + opened.size
        while self.size > self._most:
            self.drop(next(iter(self._kept)))

    def drop(self, key: object) -> None:
        """Keep nothing under *key*."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.size -= _ENTRY + kept.found[0].size
