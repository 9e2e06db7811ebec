"""What all connections of one server share: the application, its bounds, the clock and the counts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rat.clock import Clock
from rat.config import ServerConfig
from rat.procedures import begins_later
from rat.stream.compress import COMPRESS_FROM
from rat.tasks import StandingTask

if TYPE_CHECKING:
    from rat.app import Rat

__all__ = ["Connection", "Counters", "Service"]


class Connection(Protocol):
    """What a server can ask of any of its connections, whatever they speak."""

    touched: float

    @property
    def is_idle(self) -> bool: ...

    def check(self, now: float) -> None:
        """Enforce the deadlines that have passed at *now*."""

    def drain(self) -> None:
        """Finish what is in flight, then close; at once when idle."""

    def abort(self) -> None:
        """Close now, losing what is unsent."""


@dataclass(slots=True)
class Counters:
    """Counts since the server started; each cause of a cut connection has its own."""

    connections_accepted: int = 0
    times_full: int = 0
    times_exhausted: int = 0
    requests: int = 0
    responses_4xx: int = 0
    responses_5xx: int = 0
    handler_errors: int = 0
    protocol_errors: int = 0
    head_timeouts: int = 0
    idle_timeouts: int = 0
    body_timeouts: int = 0
    request_timeouts: int = 0
    write_stalls: int = 0
    disconnects: int = 0
    idle_evicted: int = 0

    def as_dict(self) -> dict[str, int]:
        """All counts by name."""
        return asdict(self)


def _nothing() -> None:
    return


class Service:
    """Shared by the connections of one server; belongs to one event loop."""

    __slots__ = (
        "_local",
        "access_log",
        "app",
        "calls",
        "clock",
        "config",
        "connections",
        "context",
        "counters",
        "departing",
        "draining",
        "later_calls",
        "loop",
        "most_connections",
        "notable_status",
        "on_full",
        "on_room",
        "plain_below",
        "quick_calls",
        "standing_task",
        "waits",
    )

    def __init__(
        self, app: Rat, config: ServerConfig, loop: asyncio.AbstractEventLoop, clock: Clock, *, access_log: bool = False
    ) -> None:
        self.app = app
        self.calls = app.procedures()
        quick = {name: call.handler for name, call in self.calls.items() if call.timeout is None}
        self.later_calls = {name: handler for name, handler in quick.items() if begins_later(handler)}
        """Those whose handlers may be called without a look at anything but their arguments, and then awaited."""
        self.quick_calls = {name: handler for name, handler in quick.items() if name not in self.later_calls}
        """Those whose handlers may do all their work when they are called so."""
        self.waits: dict[str, int] = {}
        """Calls whose handler waited for something, and how many more get a task of their own before that is tried."""
        self.config = config
        self.loop = loop
        self.clock = clock
        self.access_log = access_log
        self.notable_status = 0 if access_log else 400
        """The lowest status of answers that are counted or logged each."""
        self.plain_below = COMPRESS_FROM if config.compress else sys.maxsize
        """The size from which on content may be compressed, in bytes."""
        self.context = copy_context()
        """What each request's context is copied from."""
        self.standing_task = StandingTask(loop, self.context)
        self.counters = Counters()
        self.connections: set[Connection] = set()
        self.draining = False
        self.departing: set[asyncio.Task[None]] = set()
        """Handlers that have been cancelled because their client has gone, and are not through yet."""
        self.most_connections = config.connections
        self._local: Any = None
        self.on_full: Callable[[], None] = _nothing
        """Called when the last connection that is allowed has been made."""
        self.on_room: Callable[[], None] = _nothing
        """Called when a connection has gone while there was no room, and when the last one has gone in draining."""

    def local_address(self, transport: asyncio.BaseTransport) -> Any:
        """Where *transport* ends on this side, or None; one object for the many that end at the same place."""
        address = transport.get_extra_info("sockname") or None
        if address != self._local:
            self._local = address
        return self._local

    def add(self, connection: Connection) -> None:
        """A connection has been made."""
        self.connections.add(connection)
        self.counters.connections_accepted += 1
        if len(self.connections) >= self.most_connections:
            self.on_full()

    def remove(self, connection: Connection) -> None:
        """A connection has gone."""
        count = len(self.connections)
        self.connections.discard(connection)
        if count >= self.most_connections or (self.draining and count <= 1):
            self.on_room()

    def watch(self, task: asyncio.Task[None]) -> None:
        """Know *task*, which outlives its connection, until it has ended."""
        if not task.done():
            self.departing.add(task)
            task.add_done_callback(self.departing.discard)

    def statistics(self) -> dict[str, Any]:
        """The counts, and how many connections are open now."""
        return {"connections_open": len(self.connections), **self.counters.as_dict()}
