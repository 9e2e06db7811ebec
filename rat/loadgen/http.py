"""HTTP load: many connections, each with some requests in flight, for a time or at a rate.

Knows sockets and the clock, and nothing of terminals.  With a rate, latency counts from the moment at which a request
was due, not from the moment at which it could be sent: a server that stalls is charged for all that waited
(coordinated omission).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic, process_time
from typing import cast

from rat.errors import reason
from rat.loadgen.answers import Answer, AnswerParser, BadAnswer
from rat.loadgen.histogram import Histogram
from rat.loadgen.processes import cpu_seconds
from rat.loadgen.requests import Target

__all__ = ["HttpLoad", "HttpResult", "Plan"]

_LAST_ANSWERS = 5.0
"""Seconds that answers may still take when the time is over."""
_RECONNECTS = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """What load to make.  Seconds; *rate* in requests per second over all connections; None: no pause."""

    target: Target
    requests: Sequence[bytes]
    connections: int = 1
    duration: float = 10.0
    pipeline: int = 1
    rate: float | None = None
    warmup: float = 0.0
    count: int | None = None
    expect_content: bool = True
    server_pid: int | None = None


@dataclass(slots=True)
class HttpResult:
    """What came of it, in the measured window only (warm-up excluded)."""

    answers: int = 0
    content_bytes: int = 0
    sent_bytes: int = 0
    seconds: float = 0.0
    client_cpu: float = 0.0
    server_cpu: float | None = None
    unanswered: int = 0
    reconnects: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)
    """With a rate: latency from the moment of sending, uncorrected."""
    lateness: Histogram = field(default_factory=Histogram)
    """With a rate: how late the generator itself was when a connection was free."""

    @property
    def rate(self) -> float:
        """Right answers per second."""
        return self.answers / self.seconds if self.seconds else 0.0

    @property
    def client_share(self) -> float:
        """Share of its own core that the generator used, 0 to 1."""
        return self.client_cpu / self.seconds if self.seconds else 0.0


class HttpLoad:
    """One run of a plan.  ``await run()`` once."""

    def __init__(
        self,
        plan: Plan,
        judge: Callable[[Answer], str | None],
        *,
        progress: Callable[[float, HttpResult], None] | None = None,
    ) -> None:
        """*progress* is called a few times a second with the share of the time that is over and the result so far."""
        self.plan = plan
        self.judge = judge
        self.result = HttpResult()
        self.heads: dict[bytes, tuple[int, object, int, bool]] = {}
        self.idle: deque[_Connection] = deque()
        self.waiting: deque[float] = deque()
        self.open: set[_Connection] = set()
        self._progress = progress
        self._next = 0
        self._running = False
        self._measured = 0
        self._ended = asyncio.Event()
        self._settled = asyncio.Event()

    async def run(self) -> HttpResult:
        """Raises OSError when not even the first connections could be made."""
        loop = asyncio.get_running_loop()
        plan = self.plan
        await self.connect()  # alone: what is wrong with the address is told once
        for start in range(1, plan.connections, 256):
            await asyncio.gather(*(self.connect() for _ in range(start, min(start + 256, plan.connections))))
        self._running = True
        begin = monotonic() + plan.warmup
        pacer = loop.create_task(self._pace(begin)) if plan.rate else None
        if pacer is None:
            for connection in list(self.open):
                connection.fill()
        if plan.warmup:
            await asyncio.sleep(plan.warmup)
            self.result = HttpResult()
        watcher = loop.create_task(self._watch(monotonic())) if self._progress else None
        before = self._server_cpu()
        cpu, started = process_time(), monotonic()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), plan.duration)
        result = self.result
        result.seconds = monotonic() - started
        result.client_cpu = process_time() - cpu
        after = self._server_cpu()
        if before is not None and after is not None:
            result.server_cpu = after - before
        self._running = False
        for task in (pacer, watcher):
            if task is not None:
                task.cancel()
        never_sent = len(self.waiting)
        for due in self.waiting:
            result.latency.record(monotonic() - due)  # a lower bound: they would have waited longer still
        self.waiting.clear()
        # What arrives from here on is judged but no longer timed: the window is closed.
        self.result = HttpResult()
        self.settle()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), _LAST_ANSWERS)
        result.faults.update(self.result.faults)
        result.unanswered = sum(len(connection.sent) for connection in self.open) + never_sent
        for connection in list(self.open):
            connection.abort()
        return result

    async def connect(self) -> None:
        """Open one more connection."""
        target = self.plan.target
        await asyncio.get_running_loop().create_connection(lambda: _Connection(self), target.host, target.port)

    def next_request(self) -> bytes:
        """The request whose turn it is."""
        requests = self.plan.requests
        self._next = (self._next + 1) % len(requests)
        return requests[self._next]

    def wants_more(self) -> bool:
        """Whether requests are still to be sent."""
        return self._running

    def count(self, answer: Answer) -> None:
        """Judge *answer*, and count it."""
        fault = self.judge(answer)
        if fault is None:
            self.result.answers += 1
            self.result.content_bytes += answer.size
        else:
            self.result.faults[fault] += 1
        limit = self.plan.count
        if limit is not None:
            self._measured += 1
            if self._measured >= limit:
                self._running = False
                self._ended.set()

    def settle(self) -> None:
        """Called when a connection may have nothing in flight any more."""
        if not self._running and not any(connection.sent for connection in self.open):
            self._settled.set()

    def lost(self, connection: _Connection, reason: str | None) -> None:
        """A connection ended; another takes its place while the run lasts."""
        self.open.discard(connection)
        if reason is not None and (connection.sent or reason != "closed"):
            self.result.faults[f"connection {reason}"] += max(1, len(connection.sent))
        if not self._running:
            self.settle()
            return
        self.result.reconnects += 1
        if self.result.reconnects > _RECONNECTS and self.result.answers < self.result.reconnects / 2:
            self._running = False
            self._ended.set()
            return
        task = asyncio.get_running_loop().create_task(self._replace())
        task.add_done_callback(_forget)

    async def _replace(self) -> None:
        try:
            await self.connect()
        except OSError as error:
            self.result.faults[f"connect: {reason(error)}"] += 1
            if not self.open:
                self._ended.set()

    async def _pace(self, begin: float) -> None:
        # Timers are as coarse as a millisecond, so the last stretch before a request is due is spun through: the
        # generator has a core of its own.
        assert self.plan.rate is not None
        interval = 1.0 / self.plan.rate
        due = monotonic()
        while True:
            now = monotonic()
            while due <= now:
                self.waiting.append(due)
                if self.idle:
                    self.result.lateness.record(now - due)
                due += interval
                self.dispatch()
            gap = due - monotonic()
            await asyncio.sleep(gap - 0.0015 if gap > 0.002 else 0)

    def dispatch(self) -> None:
        """Send what is due, on connections that have room."""
        while self.waiting and self.idle:
            connection = self.idle[0]
            connection.send_one(self.waiting.popleft())
            if not connection.has_room:
                self.idle.popleft()

    async def _watch(self, started: float) -> None:
        assert self._progress is not None
        while True:
            await asyncio.sleep(0.2)
            self._progress(min(1.0, (monotonic() - started) / self.plan.duration), self.result)

    def _server_cpu(self) -> float | None:
        return None if self.plan.server_pid is None else cpu_seconds(self.plan.server_pid)


def _forget(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


class _Connection(asyncio.Protocol):
    """One connection: requests go out in batches of the pipeline's depth, answers come back in order."""

    def __init__(self, load: HttpLoad) -> None:
        self.load = load
        self.sent: deque[tuple[float, float]] = deque()
        self.parser = AnswerParser(expect_content=load.plan.expect_content, heads=load.heads)  # type: ignore[arg-type]
        self._transport: asyncio.WriteTransport
        self._reason: str | None = None

    @property
    def has_room(self) -> bool:
        return len(self.sent) < self.load.plan.pipeline

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self.load.open.add(self)
        if self.load.plan.rate is not None:
            self.load.idle.append(self)
            self.load.dispatch()
        elif self.load.wants_more():
            self.fill()

    def fill(self) -> None:
        """Send a batch, as one write."""
        load = self.load
        depth = load.plan.pipeline
        now = monotonic()
        if depth == 1:
            data = load.next_request()
            self.sent.append((now, now))
        else:
            data = b"".join([load.next_request() for _ in range(depth)])
            self.sent.extend([(now, now)] * depth)
        load.result.sent_bytes += len(data)
        self._transport.write(data)

    def send_one(self, due: float) -> None:
        """Send one request that was to be sent at *due*."""
        data = self.load.next_request()
        self.sent.append((due, monotonic()))
        self.load.result.sent_bytes += len(data)
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        load = self.load
        try:
            answers = self.parser.feed(data)
        except BadAnswer as fault:
            self._fail(str(fault))
            return
        if not answers:
            return
        now = monotonic()
        sent = self.sent
        paced = load.plan.rate is not None
        was_full = not self.has_room
        result = load.result
        for answer in answers:
            if not sent:
                self._fail("answer to no request")
                return
            due, moment = sent.popleft()
            result.latency.record(now - due)
            if paced:
                result.service.record(now - moment)
            load.count(answer)
            if answer.closes:
                self._close()
                return
        if paced:
            if was_full:
                load.idle.append(self)
            load.dispatch()
        elif not sent and load.wants_more():
            self.fill()
        if not sent:
            load.settle()

    def eof_received(self) -> bool:
        try:
            answers = self.parser.feed_eof()
        except BadAnswer as fault:
            self._fail(str(fault))
            return False
        for answer in answers:
            if self.sent:
                due, _ = self.sent.popleft()
                self.load.result.latency.record(monotonic() - due)
                self.load.count(answer)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if self in self.load.idle:
            self.load.idle.remove(self)
        reason = self._reason or ("closed" if error is None else f"broken: {error}")
        self.load.lost(self, reason if self.sent or reason != "closed" else None)

    def abort(self) -> None:
        self.load.open.discard(self)
        self._transport.abort()

    def _fail(self, reason: str) -> None:
        self._reason = f"given up: {reason}"
        self.parser = AnswerParser()
        self._transport.abort()

    def _close(self) -> None:
        # RFC 9112, section 9.6: requests behind a closing answer were not processed; they count as unanswered here.
        self._transport.close()
