"""The server: listens, hands connections to their protocol, sweeps their deadlines and stops gracefully.

Never touches signals; ``rat serve`` does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from types import TracebackType
from typing import Any

from rat.app import Rat
from rat.clock import TICK, Clock
from rat.config import ServerConfig
from rat.errors import BindError
from rat.frames_protocol import FramesProtocol
from rat.listening import Acceptor, accept_on, adopt, bind, bind_unix
from rat.protocol import HttpProtocol
from rat.service import Service

__all__ = ["RatServer"]

log = logging.getLogger("rat.server")

_SPARE_DESCRIPTORS = 64
_EVICT_ABOVE = 0.8


class RatServer:
    """Serves *app* on one address of one event loop.

    ``async with RatServer(app, port=0) as server:`` starts it, and closes it with the configured grace.  *port* 0 takes
    a free port, which :attr:`port` tells.  *uds* is the path of a Unix socket, *fd* a descriptor that listens already;
    either takes the place of *host* and *port*.  *config* takes the place of the application's own.

    Frames are spoken on the same address, their first byte tells them from HTTP; *frames_port* on *host* (0 for a free
    one, which :attr:`frames_port` tells) and *frames_uds* are for addresses where nothing else is.

    Raises BindError at :meth:`start` when the address cannot be bound; what the application's start-up raises passes.
    """

    def __init__(
        self,
        app: Rat,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        uds: str | None = None,
        fd: int | None = None,
        frames_port: int | None = None,
        frames_uds: str | None = None,
        config: ServerConfig | None = None,
        access_log: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.app = app
        self.config = config or app.config or ServerConfig()
        self._host = host
        self._port = port
        self._uds = uds
        self._fd = fd
        self._access_log = access_log
        self._clock = clock or Clock()
        self._frames_port = frames_port
        self._frames_uds = frames_uds
        self._listeners: list[socket.socket] = []
        self._frames_listeners: list[socket.socket] = []
        self._acceptors: list[Acceptor] = []
        self._service: Service | None = None
        self._sweep_handle: asyncio.TimerHandle | None = None
        self._accepting = False
        self._resume_task: asyncio.Task[None] | None = None
        self._closed: asyncio.Event | None = None
        self._all_gone: asyncio.Event | None = None
        self._started_app = False

    # -- what it is

    @property
    def service(self) -> Service:
        """What the connections share; there after :meth:`start`."""
        if self._service is None:
            raise RuntimeError("the server has not been started")
        return self._service

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening sockets."""
        return tuple(self._listeners)

    @property
    def port(self) -> int:
        """The port that is listened on; 0 for a Unix socket."""
        if not self._listeners:
            raise RuntimeError("the server has not been started")
        name = self._listeners[0].getsockname()
        return int(name[1]) if isinstance(name, tuple) else 0

    @property
    def frames_port(self) -> int:
        """The port on which frames alone are spoken; 0 without one."""
        names = (listener.getsockname() for listener in self._frames_listeners)
        return next((int(name[1]) for name in names if isinstance(name, tuple)), 0)

    @property
    def address(self) -> str:
        """Where a client finds the server, as a URL or the path of a Unix socket."""
        name = self._listeners[0].getsockname()
        return f"http://{_authority(name)}" if isinstance(name, tuple) else f"unix:{name}"

    @property
    def frames_addresses(self) -> tuple[str, ...]:
        """Where frames alone are spoken, as ``rat.connect`` takes it."""
        names = [listener.getsockname() for listener in self._frames_listeners]
        return tuple(
            f"rat://{_authority(name)}" if isinstance(name, tuple) else f"rat+unix://{os.path.abspath(name)}"
            for name in names
        )

    def statistics(self) -> dict[str, Any]:
        """Counts since the start, and the connections that are open now."""
        return self.service.statistics()

    # -- start

    async def __aenter__(self) -> RatServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Bind, run the application's start-up, and accept connections."""
        if self._service is not None:
            raise RuntimeError("the server has been started already")
        loop = asyncio.get_running_loop()
        self.app.prepare(self.config)
        self._bind_all()
        most = min(self.config.connections, max(1, _descriptor_limit() - _SPARE_DESCRIPTORS))
        try:
            await self.app.startup()
            self._started_app = True
            self._clock.tick()
            service = Service(self.app, self.config, loop, self._clock, access_log=self._access_log)
            service.most_connections = most
            service.on_full = self._full
            service.on_room = self._room
            self._service = service
            self.app.serving = service.statistics
            self._closed = asyncio.Event()
            self._all_gone = asyncio.Event()
            self._make_acceptors()
            await self._accept()
        except BaseException:
            self.app.serving = None
            self._close_listeners()
            if self._started_app:
                self._started_app = False
                await self.app.shutdown()
            raise
        service.standing_task.stand()
        self._sweep_handle = loop.call_later(TICK, self._tick)

    def _bind_all(self) -> None:
        """Bind every address, or none."""
        try:
            backlog = self.config.backlog
            if self._fd is not None:
                self._listeners = [adopt(self._fd, backlog)]
            elif self._uds is not None:
                self._listeners = [bind_unix(self._uds, backlog)]
            else:
                self._listeners = bind(self._host, self._port, backlog)
            if self._frames_port is not None:
                self._frames_listeners += bind(self._host, self._frames_port, backlog)
            if self._frames_uds is not None:
                self._frames_listeners.append(bind_unix(self._frames_uds, backlog))
        except BindError:
            self._close_listeners()
            raise

    def _protocol(self) -> asyncio.Protocol:
        return HttpProtocol(self.service)

    def _frames_protocol(self) -> asyncio.BaseProtocol:
        return FramesProtocol(self.service)

    def _make_acceptors(self) -> None:
        service = self.service
        self._acceptors = [
            accept_on(
                service.loop,
                listener,
                factory,
                backlog=self.config.backlog,
                room=lambda: service.most_connections - len(service.connections),
                exhausted=self._exhausted,
            )
            for listeners, factory in (
                (self._listeners, self._protocol),
                (self._frames_listeners, self._frames_protocol),
            )
            for listener in listeners
        ]

    async def _accept(self) -> None:
        """Take connections, on every listener or on none."""
        self._accepting = True
        try:
            for acceptor in self._acceptors:
                await acceptor.start()
        except BaseException:
            self._stop_accepting()
            raise
        if not self._accepting:
            # Full meanwhile.
            self._stop_accepting()

    def _stop_accepting(self) -> None:
        self._accepting = False
        for acceptor in self._acceptors:
            acceptor.stop()

    def _close_listeners(self) -> None:
        self._stop_accepting()
        for listener in (*self._listeners, *self._frames_listeners):
            ours = self._fd is None or listener not in self._listeners
            name = listener.getsockname() if ours and listener.family == getattr(socket, "AF_UNIX", None) else None
            listener.close()
            if name and os.path.exists(name):
                os.unlink(name)

    # -- while it runs

    async def serve_forever(self) -> None:
        """Start if that has not been done, and return when :meth:`close` has ended."""
        if self._service is None:
            await self.start()
        assert self._closed is not None
        await self._closed.wait()

    def _tick(self) -> None:
        self._sweep_handle = self.service.loop.call_later(TICK, self._tick)
        self.sweep()

    def sweep(self) -> None:
        """Read the clock, enforce every deadline that has passed, and make room when connections run out.

        Runs by itself each ``rat.clock.TICK`` seconds.
        """
        service = self.service
        self._clock.tick()
        now = self._clock.now
        connections = service.connections
        for connection in tuple(connections):
            connection.check(now)
        excess = len(connections) - int(service.most_connections * _EVICT_ABOVE)
        if excess > 0:
            self._evict(excess)
        if not self._accepting:
            self._accept_again()

    def _evict(self, count: int) -> None:
        """Close the *count* connections that have been idle longest."""
        idle = sorted((c for c in self.service.connections if c.is_idle), key=lambda c: c.touched)
        for connection in idle[:count]:
            self.service.counters.idle_evicted += 1
            connection.drain()

    def _full(self) -> None:
        """The last connection that is allowed has been made: leave the others in the kernel's queue."""
        service = self.service
        if self._accepting:
            service.counters.times_full += 1
            if service.counters.times_full == 1:
                log.warning("%d connections are open, the most that are allowed", len(service.connections))
            self._stop_accepting()

    def _exhausted(self, error: OSError) -> None:
        """The process may have no descriptor more: leave connections in the kernel's queue until the next sweep."""
        service = self.service
        service.counters.times_exhausted += 1
        if service.counters.times_exhausted == 1:
            log.warning("no connection can be accepted for now: %s", error.strerror or error)
        self._stop_accepting()

    def _room(self) -> None:
        """A connection has gone: accept again, or, when the server stops, end the wait for the last one."""
        service = self.service
        if service.draining:
            if not service.connections and self._all_gone is not None:
                self._all_gone.set()
        elif not self._accepting:
            self._accept_again()

    def _accept_again(self) -> None:
        service = self.service
        if service.draining or self._resume_task is not None or len(service.connections) >= service.most_connections:
            return
        # Not by the loop's task factory: one that is eager would be through before the task has its place here.
        self._resume_task = asyncio.Task(self._resume(), loop=service.loop)

    async def _resume(self) -> None:
        try:
            await self._accept()
        except OSError as error:
            self._exhausted(error)
        finally:
            self._resume_task = None

    # -- the end

    async def close(self, grace: float | None = None) -> int:
        """Stop accepting, let what is in flight end within *grace* seconds, cut the rest.

        Returns how many connections were cut.  *grace* defaults to ``Timeouts.graceful``.
        """
        service = self._service
        if service is None or self._closed is None or self._all_gone is None:
            return 0
        if service.draining:
            await self._closed.wait()
            return 0
        service.draining = True
        self._stop_accepting()
        if self._resume_task is not None:
            self._resume_task.cancel()
        if grace is None:
            grace = self.config.timeouts.graceful
        deadline = service.loop.time() + grace
        try:
            async with asyncio.timeout_at(deadline):
                await self.app.drain()
        except TimeoutError:
            log.warning("the drain hooks were not through after a grace of %g seconds", grace)
        for connection in tuple(service.connections):
            connection.drain()
        cut = 0
        try:
            async with asyncio.timeout_at(deadline):
                if service.connections:
                    await self._all_gone.wait()
        except TimeoutError:
            cut = len(service.connections)
            were = "connection was" if cut == 1 else "connections were"
            log.warning("%d %s cut after a grace of %g seconds", cut, were, grace)
        finally:
            if service.connections:
                self._all_gone.clear()
                for connection in tuple(service.connections):
                    connection.abort()
                await self._all_gone.wait()
            if service.departing:
                # What they clean up belongs before the application's own end.
                await asyncio.wait(service.departing, timeout=max(grace, 1.0))
            if self._sweep_handle is not None:
                self._sweep_handle.cancel()
            self._close_listeners()
            await service.standing_task.close()
            try:
                if self._started_app:
                    self._started_app = False
                    await self.app.shutdown()
            finally:
                self.app.serving = None
                self._closed.set()
        return cut


def _authority(name: tuple[Any, ...]) -> str:
    """Host and port of a socket's *name*, as a URL has them (RFC 3986, section 3.2.2)."""
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def _descriptor_limit() -> int:
    if sys.platform == "win32":
        return 1 << 20
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 20
