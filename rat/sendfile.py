"""Regions of files to sockets, without the bytes passing through Python where the platform allows it.

uvloop has no ``loop.sendfile``; what works on every selector loop is to wait for writability of a duplicate of the
transport's descriptor.  TLS transports, and platforms without ``os.sendfile``, read and write.
"""

from __future__ import annotations

import asyncio
import errno
import os
from typing import Any

from rat.errors import ClientDisconnected, RatError
from rat.events import FileRegion
from rat.flow import Flow
from rat.threads import in_thread

__all__ = ["FileShrank", "send_region"]

_AT_ONCE = 1024 * 1024
"""Most bytes asked of one ``sendfile`` call, so that one fast client does not hold the loop."""
_CALLS_PER_TURN = 4
_READ_SIZE = 128 * 1024
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
"""The file system, or the platform, has no ``sendfile`` for this file."""
_GONE = {errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN}
"""The connection, not the file; beside the subclasses of ConnectionError."""


class FileShrank(RatError):
    """A file ended before the region that was promised; the connection must be cut."""


async def send_region(flow: Flow, region: FileRegion) -> None:
    """Send *region* behind everything that was written before.

    The caller is the connection's only writer until this returns.  Raises FileShrank, ClientDisconnected or OSError of
    the file; cancellation leaves the transport usable but the message short, so the caller must cut the connection.
    """
    transport = flow.transport
    offset, end = region.offset, region.offset + region.count
    if offset == end:
        return
    socket = transport.get_extra_info("socket")
    if socket is not None and transport.get_extra_info("sslcontext") is None and hasattr(os, "sendfile"):
        await flow.drain_all()
        offset = await _sendfile(flow, socket, region.file.fileno(), offset, end)
    if offset < end:
        await _read_and_write(flow, region.file.fileno(), offset, end)


async def _sendfile(flow: Flow, socket: Any, file: int, offset: int, end: int) -> int:
    """Send from *offset* to *end*; how far that went, which is less only where ``sendfile`` cannot be used."""
    transport = flow.transport
    # Only a client slower than the file needs one.
    room: _Room | None = None
    calls = 0
    try:
        while offset < end:
            if transport.is_closing():
                raise ClientDisconnected(f"the connection was lost with {end - offset} bytes of a file unsent")
            try:
                sent = os.sendfile(socket.fileno(), file, offset, min(end - offset, _AT_ONCE))
            except (BlockingIOError, InterruptedError):
                if room is None:
                    try:
                        room = _Room(flow, os.dup(socket.fileno()))
                    except OSError:
                        # No descriptor is left, or none that can be watched: the transport itself can wait.
                        return offset
                await room.wait()
                calls = 0
                continue
            except OSError as error:
                if error.errno in _CANNOT:
                    return offset
                if isinstance(error, ConnectionError) or error.errno in _GONE:
                    lost = f"the connection was lost with {end - offset} bytes of a file unsent"
                    raise ClientDisconnected(lost) from error
                raise
            if sent == 0:
                raise FileShrank(f"the file ended at byte {offset}, {end - offset} bytes before the region's end")
            offset += sent
            flow.region_progress += sent
            calls += 1
            if calls >= _CALLS_PER_TURN:
                calls = 0
                await asyncio.sleep(0)
        return offset
    finally:
        if room is not None:
            room.close()


class _Room:
    """Room in the socket of *flow*, as *duplicate* of its descriptor shows it; loops refuse to watch a transport's own.

    Watched from the beginning to ``close``, not for each wait anew: that would be six system calls on uvloop.
    """

    __slots__ = ("_duplicate", "_flow", "_loop", "_waiter")

    def __init__(self, flow: Flow, duplicate: int) -> None:
        self._flow = flow
        self._duplicate = duplicate
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        try:
            self._loop.add_writer(duplicate, self._wake)
        except BaseException:
            os.close(duplicate)
            raise
        flow.on_lost = self._wake

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Until there is room again, or the connection is lost; after a call that found none."""
        self._waiter = self._loop.create_future()
        self._flow.region_waits = True
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._flow.region_waits = False

    def close(self) -> None:
        """Watch no longer, and close the duplicate."""
        self._flow.on_lost = None
        self._loop.remove_writer(self._duplicate)
        os.close(self._duplicate)


async def _read_and_write(flow: Flow, file: int, offset: int, end: int) -> None:
    while offset < end:
        data = await in_thread(os.pread, file, min(end - offset, _READ_SIZE), offset)
        if not data:
            raise FileShrank(f"the file ended at byte {offset}, {end - offset} bytes before the region's end")
        offset += len(data)
        flow.write((data,))
        await flow.drain()
