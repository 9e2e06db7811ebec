"""Load by event streams: many subscribers on one URL, each counting what it is given.

Knows sockets and the clock, nothing of terminals.  An event may carry JSON with ``n`` (a number that grows by one) and
``t`` (the publisher's monotonic clock, same machine): then gaps are counted and the time on the way is measured.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, process_time
from typing import cast

from rat.loadgen.histogram import Histogram
from rat.loadgen.processes import cpu_seconds, resident_bytes
from rat.loadgen.requests import Target

__all__ = ["SseLoad", "SsePlan", "SseResult"]

_CONNECT_AT_ONCE = 100
_HEAD_WAIT = 30.0
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)[^\r\n]*\r\n")


@dataclass(frozen=True, slots=True)
class SsePlan:
    """What streams to open.  Seconds."""

    target: Target
    clients: int = 100
    duration: float = 10.0
    warmup: float = 1.0
    fields: tuple[tuple[str, str], ...] = ()
    server_pid: int | None = None


@dataclass(slots=True)
class SseResult:
    """What came of it, in the measured window only."""

    clients: int = 0
    events: int = 0
    comments: int = 0
    content_bytes: int = 0
    seconds: float = 0.0
    client_cpu: float = 0.0
    server_cpu: float | None = None
    memory_per_client: float | None = None
    gaps: int = 0
    silent: int = 0
    """Subscribers that were given no event at all."""
    faults: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)

    @property
    def rate(self) -> float:
        """Events delivered per second, over all subscribers."""
        return self.events / self.seconds if self.seconds else 0.0

    @property
    def client_share(self) -> float:
        """Share of its own core that the generator used, 0 to 1."""
        return self.client_cpu / self.seconds if self.seconds else 0.0


class SseLoad:
    """One run of a plan.  ``await run()`` once."""

    def __init__(self, plan: SsePlan, *, progress: Callable[[float, SseResult], None] | None = None) -> None:
        self.plan = plan
        self.result = SseResult()
        self.open: set[_Subscriber] = set()
        self.parsed: dict[bytes, tuple[int | None, float | None]] = {}
        self._progress = progress
        self._running = True

    async def run(self) -> SseResult:
        """Raises OSError when the first connection cannot be made, TimeoutError when heads do not come."""
        plan = self.plan
        loop = asyncio.get_running_loop()
        empty = None if plan.server_pid is None else resident_bytes(plan.server_pid)
        fields = "".join(f"{name}: {value}\r\n" for name, value in plan.fields)
        request = (
            f"GET {plan.target.path} HTTP/1.1\r\nHost: {plan.target.authority}\r\nAccept: text/event-stream\r\n"
            f"{fields}\r\n"
        ).encode("ascii")
        subscribers: list[_Subscriber] = []
        for start in range(0, plan.clients, _CONNECT_AT_ONCE):
            some = [_Subscriber(self, request) for _ in range(start, min(start + _CONNECT_AT_ONCE, plan.clients))]
            for subscriber in some:
                await loop.create_connection(lambda one=subscriber: one, plan.target.host, plan.target.port)  # type: ignore[misc]
            subscribers += some
        async with asyncio.timeout(_HEAD_WAIT):
            await asyncio.gather(*(subscriber.subscribed.wait() for subscriber in subscribers))
        await asyncio.sleep(plan.warmup)
        faults = self.result.faults
        self.result = result = SseResult(faults=faults)
        for subscriber in subscribers:
            subscriber.events = 0
        if empty is not None and plan.server_pid is not None:
            result.memory_per_client = (resident_bytes(plan.server_pid) - empty) / plan.clients
        before = None if plan.server_pid is None else cpu_seconds(plan.server_pid)
        cpu, started = process_time(), monotonic()
        while (passed := monotonic() - started) < plan.duration:
            await asyncio.sleep(min(0.2, plan.duration - passed))
            if self._progress:
                self._progress(min(1.0, (monotonic() - started) / plan.duration), result)
        result.seconds = monotonic() - started
        result.client_cpu = process_time() - cpu
        if before is not None and plan.server_pid is not None:
            result.server_cpu = cpu_seconds(plan.server_pid) - before
        self._running = False
        result.clients = len(self.open)
        result.silent = sum(not subscriber.events for subscriber in subscribers)
        for subscriber in list(self.open):
            subscriber.abort()
        return result

    def lost(self, subscriber: _Subscriber, reason: str) -> None:
        """A stream ended."""
        self.open.discard(subscriber)
        if self._running:
            self.result.faults[reason] += 1

    def understand(self, event: bytes) -> tuple[int | None, float | None]:
        """(n, t) of an event's data, if it has them.  The same event goes to all, so it is parsed once."""
        known = self.parsed.get(event)
        if known is None:
            number = moment = None
            data = b"\n".join(line[5:].lstrip(b" ") for line in event.splitlines() if line.startswith(b"data:"))
            try:
                value = json.loads(data)
                if isinstance(value, dict):
                    number, moment = value.get("n"), value.get("t")
            except ValueError:
                number = None
            if len(self.parsed) > 1000:
                self.parsed.clear()
            self.parsed[event] = known = (number, moment)
        return known


class _Subscriber(asyncio.Protocol):
    """One event stream.  Takes the chunk framing off, cuts at empty lines (WHATWG, #event-stream-interpretation)."""

    def __init__(self, load: SseLoad, request: bytes) -> None:
        self.load = load
        self.subscribed = asyncio.Event()
        self.events = 0
        self._request = request
        self._transport: asyncio.WriteTransport
        self._chunked = False
        self._rest = b""
        self._text = b""
        self._number: int | None = None
        self._in_body = False
        self._reason = "stream ended by the server"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self.load.open.add(self)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if not self._in_body:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._rest = data
                return
            head = data[: end + 4].lower()
            data = data[end + 4 :]
            if not head.startswith((b"http/1.1 200", b"http/1.0 200")):
                self._fail(f"status {data_status(head)}")
                return
            if b"\r\ncontent-type: text/event-stream" not in head:
                self._fail("content type is not text/event-stream")
                return
            self._chunked = b"\r\ntransfer-encoding: chunked" in head
            self._in_body = True
            self.subscribed.set()
        text = self._unchunk(data) if self._chunked else data
        if text is None:
            self._fail("broken chunk")
        elif text:
            self._count(text)

    def _unchunk(self, data: bytes) -> bytes | None:
        pieces = []
        position = 0
        while position < len(data):
            match = _CHUNK.match(data, position)
            if match is None:
                if len(data) - position > 64:
                    return None
                break
            stop = match.end() + int(match[1], 16)
            if stop + 2 > len(data):
                break
            if data[stop : stop + 2] != b"\r\n":
                return None
            pieces.append(data[match.end() : stop])
            position = stop + 2
        self._rest = data[position:]
        return b"".join(pieces)

    def _count(self, text: bytes) -> None:
        if self._text:
            text = self._text + text
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
        *events, self._text = text.split(b"\n\n")
        if not events:
            return
        now = monotonic()
        load = self.load
        result = load.result
        for event in events:
            if b"data:" not in event:
                result.comments += 1
                continue
            result.events += 1
            result.content_bytes += len(event) + 2
            self.events += 1
            number, moment = load.understand(event)
            if number is not None:
                if self._number is not None and number != self._number + 1:
                    result.gaps += 1
                self._number = number
            if moment is not None:
                result.latency.record(now - moment)

    def connection_lost(self, error: Exception | None) -> None:
        self.subscribed.set()
        self.load.lost(self, self._reason if error is None else f"connection broken: {error}")

    def abort(self) -> None:
        self._transport.abort()

    def _fail(self, reason: str) -> None:
        self._reason = reason
        self._transport.abort()


def data_status(head: bytes) -> str:
    """The status code in a head, or the first bytes of what is no head."""
    parts = head.split(b" ", 2)
    return parts[1].decode("ascii", "replace") if len(parts) > 1 else repr(head[:20])
