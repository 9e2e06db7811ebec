"""Load by calls over frames: some connections, each with many calls in flight.

Knows the frame header (length, kind, flags, reserved, stream id), and of values those of errors alone: the payloads
are given as bytes.  The calls that the answers of one read make room for leave in one write.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, process_time
from typing import cast

from rat.codec import decode
from rat.errors import CodecError
from rat.loadgen.histogram import Histogram
from rat.loadgen.processes import cpu_seconds

__all__ = ["FramesLoad", "FramesPlan", "FramesResult"]

HELLO, CALL, RESULT, ERROR = 1, 2, 3, 6
_HEADER = struct.Struct(">IBBHI")
_REPLY_WAIT = 10.0


@dataclass(frozen=True, slots=True)
class FramesPlan:
    """What calls to make.  *hello* and *call* are payloads.  Seconds.

    *expected* is the payload of the right answer; None: all must equal the first.
    """

    host: str
    port: int
    hello: bytes
    call: bytes
    expected: bytes | None = None
    connections: int = 1
    in_flight: int = 64
    duration: float = 10.0
    count: int | None = None
    server_pid: int | None = None


@dataclass(slots=True)
class FramesResult:
    """What came of it, in the measured window."""

    answers: int = 0
    content_bytes: int = 0
    seconds: float = 0.0
    client_cpu: float = 0.0
    server_cpu: float | None = None
    unanswered: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)

    @property
    def rate(self) -> float:
        """Right answers per second."""
        return self.answers / self.seconds if self.seconds else 0.0

    @property
    def client_share(self) -> float:
        """Share of its own core that the generator used, 0 to 1."""
        return self.client_cpu / self.seconds if self.seconds else 0.0


class FramesLoad:
    """One run of a plan.  ``await run()`` once."""

    def __init__(self, plan: FramesPlan, *, progress: Callable[[float, FramesResult], None] | None = None) -> None:
        self.plan = plan
        self.result = FramesResult()
        self.expected = plan.expected
        self.running = True
        self.ended = asyncio.Event()
        self._progress = progress

    async def run(self) -> FramesResult:
        """Raises OSError when a connection cannot be made, TimeoutError when no HELLO comes."""
        loop = asyncio.get_running_loop()
        plan = self.plan
        peers = [_Caller(self) for _ in range(plan.connections)]
        for peer in peers:
            await loop.create_connection(lambda one=peer: one, plan.host, plan.port)  # type: ignore[misc]
        async with asyncio.timeout(_REPLY_WAIT):
            await asyncio.gather(*(peer.agreed.wait() for peer in peers))
        before = None if plan.server_pid is None else cpu_seconds(plan.server_pid)
        cpu, started = process_time(), monotonic()
        for peer in peers:
            peer.call(plan.in_flight)
        while (left := plan.duration - (monotonic() - started)) > 0 and not self.ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), min(0.2, left))
            if self._progress is not None:
                self._progress(min(1.0, (monotonic() - started) / plan.duration), self.result)
        result = self.result
        result.seconds = monotonic() - started
        result.client_cpu = process_time() - cpu
        if before is not None and plan.server_pid is not None:
            result.server_cpu = cpu_seconds(plan.server_pid) - before
        self.running = False
        self.result = FramesResult(faults=result.faults)
        deadline = monotonic() + _REPLY_WAIT
        for peer in peers:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(peer.settled(), max(0.0, deadline - monotonic()))
            result.unanswered += len(peer.sent)
            peer.abort()
        return result

    def count(self, answers: int) -> None:
        """*answers* more were right."""
        self.result.answers += answers
        self.result.content_bytes += answers * len(self.expected or b"")
        if self.plan.count is not None and self.result.answers >= self.plan.count:
            self.running = False
            self.ended.set()


class _Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: FramesLoad) -> None:
        self.load = load
        self.agreed = asyncio.Event()
        self.sent: dict[int, float] = {}
        self._idle = asyncio.Event()
        self._transport: asyncio.WriteTransport
        self._rest = b""
        self._next = 1
        self._aborted = False

    async def settled(self) -> None:
        """Until nothing is in flight."""
        while self.sent and not self._aborted:
            self._idle.clear()
            await self._idle.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        hello = self.load.plan.hello
        self._transport.write(_HEADER.pack(8 + len(hello), HELLO, 0, 0, 0) + hello)

    def call(self, count: int) -> None:
        """Send *count* calls, as one write."""
        payload = self.load.plan.call
        size = 8 + len(payload)
        pack = _HEADER.pack
        now = monotonic()
        frames = []
        number = self._next
        for _ in range(count):
            self.sent[number] = now
            frames.append(pack(size, CALL, 0, 0, number))
            frames.append(payload)
            number += 2
        self._next = number
        self._transport.write(b"".join(frames))

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        load = self.load
        expected = load.expected
        record = load.result.latency.record
        unpack = _HEADER.unpack_from
        position, end = 0, len(data)
        answers = 0
        now = monotonic()
        while end - position >= 12:
            length, kind, _, _, number = unpack(data, position)
            stop = position + 4 + length
            if stop > end:
                break
            if kind == RESULT:
                moment = self.sent.pop(number, None)
                if moment is None:
                    self._fail(f"RESULT on stream {number}, which has no call")
                    return
                if expected is None:
                    expected = load.expected = data[position + 12 : stop]
                if data[position + 12 : stop] == expected:
                    record(now - moment)
                    answers += 1
                else:
                    load.result.faults[f"RESULT of {length - 8} bytes {data[position + 12 : stop][:40]!r}"] += 1
            elif kind == HELLO:
                self.agreed.set()
            else:
                self.sent.pop(number, None)
                load.result.faults[_fault(kind, data[position + 12 : stop])] += 1
            position = stop
        self._rest = data[position:]
        if answers:
            load.count(answers)
            if load.running:
                self.call(answers)
        if not self.sent:
            self._idle.set()
            if load.running and self._next > 1:
                # Every call was refused: nothing more will come.
                load.ended.set()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._aborted:
            self._aborted = True
            self.load.result.faults["connection closed" if error is None else f"connection broken: {error}"] += 1
            self.load.ended.set()
        self._idle.set()
        self.agreed.set()

    def abort(self) -> None:
        self._aborted = True
        self._transport.abort()

    def _fail(self, reason: str) -> None:
        self.load.result.faults[reason] += 1
        self.abort()
        self.load.ended.set()


def _fault(kind: int, payload: bytes) -> str:
    """What came in place of a RESULT."""
    if kind == ERROR:
        with contextlib.suppress(CodecError):
            match decode(payload):
                case {"code": str() as code, "message": str() as message}:
                    return f"{code}: {message}"
    return f"frame of kind {kind}: {payload[:80]!r}"
