"""Sockets that listen, and taking connections from them: as many as there is room for, and never in a spin.

Knows nothing of what is spoken on a connection.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import sys
from collections.abc import Callable
from typing import Protocol, TypeAlias

from rat.errors import BindError

__all__ = ["Acceptor", "accept_on", "adopt", "bind", "bind_unix"]

Factory: TypeAlias = Callable[[], asyncio.BaseProtocol]

_PER_TURN = 64
"""Connections taken before others have their turn."""
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def bind(host: str | None, port: int, backlog: int) -> list[socket.socket]:
    """Listen on every address of *host*; *port* 0 takes a free one, the same for all.  Raises BindError."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise BindError(f"cannot resolve {host!r}: {error.strerror or error}") from error
    except UnicodeError as error:
        # A label that is empty, or longer than 63 characters (RFC 1035, section 2.3.4).
        raise BindError(f"cannot resolve {host!r}: it is no host name") from error
    listeners: list[socket.socket] = []
    for family, kind, protocol, _, address in dict.fromkeys(found):
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address[0], port, *address[2:]))
            listener.listen(backlog)
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            for other in listeners:
                other.close()
            reason = error.strerror or str(error)
            raise BindError(f"cannot bind {address[0]} port {port}: {reason}") from error
        listeners.append(listener)
        port = port or listener.getsockname()[1]
    return listeners


def bind_unix(path: str, backlog: int) -> socket.socket:
    """Listen on a Unix socket, in the place of one where nobody listens any more.  Raises BindError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            listener.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _is_stale(path):
                raise
            os.unlink(path)
            listener.bind(path)
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise BindError(f"cannot bind the Unix socket {path}: {error.strerror or error}") from error
    return listener


def adopt(descriptor: int, backlog: int) -> socket.socket:
    """Listen on a duplicate of *descriptor*, which stays the caller's.  Raises BindError."""
    try:
        listener = socket.socket(fileno=os.dup(descriptor))
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError as error:
        raise BindError(f"cannot listen on descriptor {descriptor}: {error.strerror or error}") from error
    return listener


def _is_stale(path: str) -> bool:
    """A Unix socket lies at *path*, and nobody listens on it."""
    # Linux refuses a connection to a plain file in the same way as one to a socket that was left behind.
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        return False
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    finally:
        probe.close()
    return False


class Acceptor(Protocol):
    """Takes connections from one listening socket, which it does not own."""

    async def start(self) -> None:
        """Take connections from now on.  OSError when that cannot be."""

    def stop(self) -> None:
        """Take none from now on; they stay in the kernel's queue."""


def accept_on(
    loop: asyncio.AbstractEventLoop,
    listener: socket.socket,
    factory: Factory,
    *,
    backlog: int,
    room: Callable[[], int],
    exhausted: Callable[[OSError], None],
) -> Acceptor:
    """An acceptor for *loop*.

    *room* says how many connections more are allowed; *exhausted* is called when the process can have no more of them,
    after which the acceptor has stopped.
    """
    if sys.platform == "win32":
        # Its loop has no readers.
        return _LoopAcceptor(loop, listener, factory, backlog)
    # Without descriptors asyncio's own server logs a traceback for each place in the backlog, over and over, and
    # libuv's spins now and then (bench/survive, starved_files).  A connection taken here costs 30 us more than libuv's.
    return _Acceptor(loop, listener, factory, room, exhausted)


class _LoopAcceptor:
    """The loop's own server, on a duplicate: a server that is closed takes its socket with it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, listener: socket.socket, factory: Factory, backlog: int
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._factory = factory
        self._backlog = backlog
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        duplicate = self._listener.dup()
        duplicate.setblocking(False)
        if duplicate.family == getattr(socket, "AF_UNIX", None):
            self._server = await self._loop.create_unix_server(self._factory, sock=duplicate, backlog=self._backlog)
        else:
            self._server = await self._loop.create_server(self._factory, sock=duplicate, backlog=self._backlog)

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


class _Acceptor:
    """Reads connections off the socket, as many as there is room for."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listener: socket.socket,
        factory: Factory,
        room: Callable[[], int],
        exhausted: Callable[[OSError], None],
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._factory = factory
        self._room = room
        self._exhausted = exhausted
        self._making: set[asyncio.Task[object]] = set()

    async def start(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._take)

    def stop(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener.fileno())

    def _take(self) -> None:
        for _ in range(min(_PER_TURN, self._room() - len(self._making))):
            try:
                sock, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self.stop()
                self._exhausted(error)
                return
            sock.setblocking(False)
            task: asyncio.Task[object] = self._loop.create_task(self._make(sock))
            self._making.add(task)
            task.add_done_callback(self._making.discard)

    async def _make(self, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, sock)
        except OSError:
            # Gone before it was made.
            sock.close()
