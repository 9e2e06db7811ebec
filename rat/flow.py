"""What flows between one transport and whoever reads and writes it: gathered writes, and pressure both ways.

Knows transports, and nothing of what the bytes mean.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any

from rat.errors import ClientDisconnected
from rat.events import Buffer

if sys.platform == "linux":
    import fcntl
    from termios import TIOCOUTQ as _SIOCOUTQ  # one number under two names

    _WAKES = True
else:
    fcntl = None
    _SIOCOUTQ = 0
    _WAKES = False

__all__ = ["Flow"]

_JOIN_BELOW = 64 * 1024
"""Buffers that add up to less are copied into one; more go to ``writelines``.  Measured: copying 64 KiB is cheaper than
the second system call, from there on it is not."""


_GATHER = 4
"""While the socket takes all that it is given, writes are gathered up to this many times the high water mark: one
system call, and one wake-up of the reader, for 256 KiB cost half of what four for 64 KiB do (bench: chunked)."""


# Shared by all who do not pause, and that is nearly all: a set of its own for each costs 240 bytes a connection.
_NONE: frozenset[str] = frozenset()


def _unacknowledged(sock: Any) -> int:
    """Bytes in the kernel that the peer has not acknowledged; 0 where that cannot be told."""
    if sock is None or fcntl is None:
        return 0
    size = bytearray(4)
    try:
        fcntl.ioctl(sock.fileno(), _SIOCOUTQ, size)
    except OSError:
        return 0
    return int.from_bytes(size, sys.byteorder)


class Flow:
    """The two directions of one connection.

    Bytes given to :meth:`write` leave when :meth:`flush` is called, or at the end of the loop's turn, or when there are
    many.  :meth:`drain` waits until the transport has taken enough of them.  Reading pauses while there is any reason
    to.

    Not safe across threads.  After :meth:`connection_lost` writes are dropped and waiting raises ClientDisconnected.
    """

    __slots__ = (
        "_flush_handle",
        "_gather",
        "_loop",
        "_paused",
        "_pending_size",
        "_waiter",
        "high_water",
        "holding",
        "lost",
        "low_water",
        "on_lost",
        "pending",
        "reasons",
        "region_progress",
        "region_waits",
        "transport",
        "wakes_at",
        "write_paused",
        "written",
    )

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop, *, high_water: int, low_water: int) -> None:
        self._loop = loop
        self.pending: list[Buffer] = []
        """What waits for the next flush."""
        self._pending_size = 0
        self._flush_handle: asyncio.Handle | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self.high_water = high_water
        self._gather = high_water
        self.low_water = low_water
        self.reasons: frozenset[str] = _NONE
        self.holding = False
        """A task that may write more has been made and not taken its first step: the flush waits for that step."""
        self.lost = False
        self.on_lost: Callable[[], None] | None = None
        """Called when the connection is lost, for a waiter that does not wait here."""
        self.wakes_at = 1
        """Bytes that the socket waits for before it is read: see :meth:`wake_at`."""
        self.write_paused = False
        self.written = 0
        """Bytes handed to the transport so far."""
        self.region_progress = 0
        """Bytes of file regions that the kernel has taken so far."""
        self.region_waits = False
        """A file region waits for room in the socket, which no count of the transport shows."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take the transport and set its water marks."""
        self.transport = transport
        transport.set_write_buffer_limits(high=self.high_water, low=self.low_water)

    def connection_lost(self) -> None:
        """Nothing can be written any more; who waits is told."""
        self.lost = True
        self.pending.clear()
        self._pending_size = 0
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        self._wake(ClientDisconnected("the connection was lost while an answer was being sent"))
        if self.on_lost is not None:
            self.on_lost()

    # -- writing

    def write(self, data: Iterable[Buffer]) -> None:
        """Queue buffers; they leave with the next :meth:`flush`, at the latest when the loop's turn ends."""
        if self.lost:
            return
        size = self._pending_size
        for buffer in data:
            self.pending.append(buffer)
            size += len(buffer)
        self._pending_size = size
        if size >= self._gather:
            self.flush()
            # A peer that takes less than it is given is given no more than the high water mark.
            taken = not self.transport.get_write_buffer_size()
            self._gather = self.high_water * _GATHER if taken else self.high_water
        elif self._flush_handle is None:
            self._flush_handle = self._loop.call_soon(self._flush_at_end_of_turn)

    def hold(self, data: Buffer) -> None:
        """Queue one buffer for a caller that promises to call :meth:`flush` or :meth:`flush_soon` in this very turn."""
        self.pending.append(data)
        self._pending_size = size = self._pending_size + len(data)
        if size >= self.high_water:
            self.flush()

    def write_at_once(self, data: Buffer) -> None:
        """Write *data*, behind what is queued."""
        transport = self.transport
        if self.pending or transport.is_closing():
            self.hold(data)
            self.flush()
        else:
            self.written += len(data)
            transport.write(data)

    def write_through(self, data: list[Buffer]) -> None:
        """Write *data*, large buffers that are not joined, behind what is queued; the list is given away."""
        transport = self.transport
        if self.pending or transport.is_closing():
            self.write(data)
            self.flush()
        else:
            self.written += sum(map(len, data))
            self._write_lines(data)

    def _write_lines(self, data: list[Buffer]) -> None:
        transport = self.transport
        transport.writelines(data)
        if not self.write_paused and transport.get_write_buffer_size() > self.high_water:
            # CPython 3.12.0 to 3.12.8 and 3.13.0 to 3.13.1 forget to pause the protocol here (CVE-2024-12254);
            # setting the limits makes the transport look.
            transport.set_write_buffer_limits(high=self.high_water, low=self.low_water)

    def flush_soon(self) -> None:
        """Let what is queued leave when the loop's turn ends."""
        if self.pending and self._flush_handle is None:
            self._flush_handle = self._loop.call_soon(self._flush_at_end_of_turn)

    def _flush_at_end_of_turn(self) -> None:
        if self.holding:
            self._flush_handle = self._loop.call_soon(self._flush_at_end_of_turn)
            return
        self._flush_handle = None
        self.flush()

    def flush(self) -> None:
        """Hand everything queued to the transport, in one write."""
        pending = self.pending
        if not pending:
            return
        size = self._pending_size
        self._pending_size = 0
        if self.transport.is_closing():
            # It may have failed without having told yet, and asyncio logs each write that comes after.
            pending.clear()
            return
        self.written += size
        if len(pending) == 1:
            data = pending[0]
            pending.clear()
            self.transport.write(data)
        elif size < _JOIN_BELOW:
            data = b"".join(pending)
            pending.clear()
            self.transport.write(data)
        else:
            self.pending = []
            self._write_lines(pending)

    def write_eof(self) -> bool:
        """Flush, and say that nothing follows; False when that cannot be said any more."""
        self.flush()
        transport = self.transport
        if transport.is_closing() or not transport.can_write_eof():
            return False
        try:
            transport.write_eof()
        except OSError:
            # A reset that the loop has not read yet.
            return False
        return True

    @property
    def waits_for_peer(self) -> bool:
        """Something has been written that the peer must take before more can be."""
        return self.write_paused or self.region_waits or self.transport.get_write_buffer_size() > 0

    def progress(self) -> int:
        """Bytes that the peer has taken so far, as the kernel tells; stands still when the peer does not read.

        A socket says that it can be written to when a third of its buffer is free: a slow reader may have taken much
        until then.
        """
        transport = self.transport
        left = transport.get_write_buffer_size() + _unacknowledged(transport.get_extra_info("socket"))
        return self.written + self.region_progress - left

    def unsent(self) -> int:
        """Bytes that wait here or in the transport."""
        return self._pending_size + self.transport.get_write_buffer_size()

    # -- pressure from the peer

    def pause_writing(self) -> None:
        """The transport holds more than the high water mark."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """The transport is at the low water mark or below."""
        self.write_paused = False
        self._wake(None)

    async def drain(self) -> None:
        """Flush, and wait until the transport is below its marks.  Raises ClientDisconnected when the peer is gone."""
        self.flush()
        await self._writable()

    async def drain_all(self) -> None:
        """Flush, and wait until the transport holds nothing at all."""
        self.flush()
        if self.lost or self.transport.get_write_buffer_size() == 0:
            await self._writable()
            return
        self.transport.set_write_buffer_limits(high=0, low=0)
        try:
            await self._writable()
        finally:
            if not self.lost:
                self.transport.set_write_buffer_limits(high=self.high_water, low=self.low_water)

    async def _writable(self) -> None:
        while self.write_paused and not self.lost:
            if self._waiter is None:
                self._waiter = self._loop.create_future()
            # Shielded by nothing: there is one writer, and a cancelled wait leaves a future that the next one replaces.
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.lost:
            raise ClientDisconnected("the connection was lost while an answer was being sent")

    def _wake(self, error: BaseException | None) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

    # -- reading

    def wake_at(self, size: int) -> None:
        """Read when *size* bytes have come, of a peer that owes as many, and not with each packet; 1 for any byte.

        Linux wakes for fewer when it takes no more, and for the end of the stream (SO_RCVLOWAT: socket(7), tcp_poll).
        """
        self.wakes_at = size
        transport = self.transport
        sock = transport.get_extra_info("socket")
        # What TLS has read of a record and not given out yet does not come again.
        if (
            _WAKES
            and sock is not None
            and not transport.is_closing()
            and transport.get_extra_info("sslcontext") is None
        ):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)

    # -- pressure on the peer

    def pause(self, reason: str) -> None:
        """Stop reading for *reason*; reasons add up."""
        self.reasons |= {reason}
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self, reason: str) -> None:
        """Take *reason* back; reading goes on when none is left."""
        self.reasons -= {reason}
        if self._paused and not self.reasons and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def resume_all(self) -> None:
        """Take every reason back."""
        for reason in tuple(self.reasons):
            self.resume(reason)
