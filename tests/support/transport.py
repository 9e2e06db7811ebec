"""A transport in memory, with real water marks: what asyncio's and uvloop's transports promise, and nothing more.

The contract tests in ``tests/contract`` run on this one and on both real ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["FakeTransport"]


class FakeTransport(asyncio.Transport):
    """Keeps what is written; the *room* says how many bytes the peer takes before it stops reading.

    ``fail_at`` makes the n-th write raise OSError at the transport, as a lost connection.
    """

    def __init__(
        self, protocol: asyncio.BaseProtocol, loop: asyncio.AbstractEventLoop, *, room: int | None = None
    ) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8000)})
        self._protocol = protocol
        self._loop = loop
        self._room = room
        self._buffer = bytearray()
        self._high, self._low = 64 * 1024, 16 * 1024
        self._writing_paused = False
        self._closing = False
        self._lost = False
        self._eof = False
        self.sent = bytearray()
        self.writes: list[int] = []
        self.reading_paused = False
        self.aborted = False

    # -- what the protocol calls

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def write(self, data: Any) -> None:
        if self._lost:
            return
        assert not self._eof, "write after write_eof"
        self.writes.append(len(data))
        self._buffer += data
        self._send()
        self._maybe_pause()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 64 * 1024 if high is None else high
        self._low = self._high // 4 if low is None else low
        self._maybe_pause()

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._eof = True

    def pause_reading(self) -> None:
        assert not self.reading_paused, "already paused"
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False

    def is_reading(self) -> bool:
        return not self.reading_paused

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if not self._buffer:
                self._loop.call_soon(self.lose, None)

    def abort(self) -> None:
        self.aborted = True
        self._closing = True
        self._buffer.clear()
        self._loop.call_soon(self.lose, None)

    # -- what the test plays

    @property
    def eof_written(self) -> bool:
        return self._eof

    @property
    def is_lost(self) -> bool:
        return self._lost

    def take(self, count: int | None = None) -> None:
        """The peer reads *count* bytes more, or from now on all."""
        self._room = None if count is None else (self._room or 0) + count
        self._send()
        if self._writing_paused and len(self._buffer) <= self._low:
            self._writing_paused = False
            self._protocol.resume_writing()
        if self._closing and not self._buffer and not self._lost:
            self._loop.call_soon(self.lose, None)

    def lose(self, error: Exception | None) -> None:
        """The connection is lost."""
        if not self._lost:
            self._lost = True
            self._closing = True
            self._protocol.connection_lost(error)

    def _send(self) -> None:
        count = len(self._buffer) if self._room is None else min(self._room, len(self._buffer))
        self.sent += self._buffer[:count]
        del self._buffer[:count]
        if self._room is not None:
            self._room -= count

    def _maybe_pause(self) -> None:
        if len(self._buffer) > self._high and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()
