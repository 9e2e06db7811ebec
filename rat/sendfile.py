"""Regions of files to sockets, without the bytes passing through Python where the platform allows it.

uvloop has no ``loop.sendfile``; what works on every selector loop is to wait for writability of a duplicate of the
transport's descriptor.  TLS transports, and platforms without ``os.sendfile``, read and write.
"""

from __future__ import annotations

import asyncio
import os

from rat.errors import ClientDisconnected, RatError
from rat.events import FileRegion
from rat.flow import Flow

__all__ = ["FileShrank", "send_region"]

_AT_ONCE = 1024 * 1024
"""Most bytes asked of one ``sendfile`` call, so that one fast client does not hold the loop."""
_CALLS_PER_TURN = 4
_READ_SIZE = 256 * 1024


class FileShrank(RatError):
    """A file ended before the region that was promised; the connection must be cut."""


async def send_region(flow: Flow, region: FileRegion) -> None:
    """Send *region* behind everything that was written before.

    The caller is the connection's only writer until this returns.  Raises FileShrank, ClientDisconnected or OSError of
    the file; cancellation leaves the transport usable but the message short, so the caller must cut the connection.
    """
    transport = flow.transport
    if region.count == 0:
        return
    socket = transport.get_extra_info("socket")
    if socket is None or transport.get_extra_info("sslcontext") is not None or not hasattr(os, "sendfile"):
        await _read_and_write(flow, region)
        return
    await flow.drain_all()
    descriptor = os.dup(socket.fileno())
    try:
        await _sendfile(flow, region, descriptor)
    finally:
        os.close(descriptor)


async def _sendfile(flow: Flow, region: FileRegion, descriptor: int) -> None:
    file = region.file.fileno()
    offset, end = region.offset, region.offset + region.count
    calls = 0
    while offset < end:
        if flow.lost:
            raise ClientDisconnected(f"the connection was lost with {end - offset} bytes of a file unsent")
        try:
            sent = os.sendfile(descriptor, file, offset, min(end - offset, _AT_ONCE))
        except (BlockingIOError, InterruptedError):
            await _wait_writable(flow, descriptor)
            calls = 0
            continue
        except (BrokenPipeError, ConnectionError) as error:
            raise ClientDisconnected(f"the connection was lost with {end - offset} bytes of a file unsent") from error
        if sent == 0:
            raise FileShrank(f"the file ended at byte {offset}, {end - offset} bytes before the region's end")
        offset += sent
        flow.region_progress += sent
        calls += 1
        if calls >= _CALLS_PER_TURN:
            calls = 0
            await asyncio.sleep(0)


async def _wait_writable(flow: Flow, descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_writer(descriptor, wake)
    flow.on_lost = wake
    try:
        await ready
    finally:
        flow.on_lost = None
        loop.remove_writer(descriptor)


async def _read_and_write(flow: Flow, region: FileRegion) -> None:
    loop = asyncio.get_running_loop()
    file = region.file.fileno()
    offset, end = region.offset, region.offset + region.count
    while offset < end:
        data = await loop.run_in_executor(None, os.pread, file, min(end - offset, _READ_SIZE), offset)
        if not data:
            raise FileShrank(f"the file ended at byte {offset}, {end - offset} bytes before the region's end")
        offset += len(data)
        flow.write((data,))
        await flow.drain()
