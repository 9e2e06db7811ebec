"""The server's side of a frames connection: calls in, the application's answers out.

One task for each call whose handler waits; a plain handler is answered in the turn that read its call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from rat.call_tasks import CallTasks
from rat.errors import CallError, ClientDisconnected, CodecError, RemoteProtocolError
from rat.frames import events
from rat.frames.lane import VALUE_TYPES, FastFramesEngine
from rat.frames.reader import Frame
from rat.peer import Link, Peer
from rat.procedures import CallRequest, blame, failure
from rat.stream.inbox import nothing
from rat.tasks import raise_from_loop

if TYPE_CHECKING:
    from rat.app import Rat
    from rat.messages import Address
    from rat.protocol import HttpProtocol
    from rat.service import Service

__all__ = ["FramesProtocol", "hand_over"]

log = logging.getLogger("rat.server")

_PING: Final = b"rat ping"
_NOBODY: Final = asyncio.Protocol()


class FramesProtocol(Peer):
    """One connection of a frames client."""

    engine: FastFramesEngine
    __slots__ = ("_asked_since", "_work", "client", "made", "server", "service")

    def __init__(self, service: Service) -> None:
        config = service.config
        super().__init__(
            service.loop,
            FastFramesEngine(config.frames, is_client=False),
            high_water=config.limits.write_high_water,
            low_water=config.limits.write_low_water,
        )
        self.service = service
        self.client: Address | None = None
        self.server: Address | None = None
        self.made = self.touched = service.clock.now
        self._work: CallTasks | None = None
        self._asked_since = 0.0

    # -- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        super().connection_made(transport)
        self.client = transport.get_extra_info("peername") or None
        service = self.service
        self.server = service.local_address(transport)
        service.add(self)
        if service.draining:
            self.drain()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: its handlers are cancelled."""
        super().connection_lost(exc)
        if self._work:
            self.service.counters.disconnects += 1
            self._work.cancel_all()
        self.service.remove(self)

    def now(self) -> float:
        """The service's clock."""
        return self.service.clock.now

    def lost_error(self) -> Exception:
        """For handlers that read a stream."""
        return ClientDisconnected("the client left before the stream was whole")

    def refused(self, error: RemoteProtocolError) -> None:
        """The client broke the rules."""
        self.service.counters.protocol_errors += 1
        if self._work:
            self._work.cancel_all()
        log.debug("refused frames from %s: %s", self.client, error)

    def finish(self) -> None:
        """The client sends no more, or the server stops: finite answers are finished, streams end at once."""
        if self.engine.is_at_end:
            for inbox in self.inboxes.values():
                inbox.fail(self.lost_error())
            if self._work:
                self._work.cancel_streams()
        super().finish()

    def _probe(self) -> None:
        """A client that has left looks like one that has closed its side, until something is sent to it."""
        if self.engine.calls_in_flight:
            self.engine.ping(_PING)
            self.flush()

    # -- what handlers see of it

    @property
    def app(self) -> Rat:
        """The application that answers."""
        return self.service.app

    def items_of(self, stream_id: int) -> AsyncIterator[Any]:
        """What the caller sends on the call."""
        inbox = self.inboxes.get(stream_id)
        return inbox if inbox is not None else nothing()

    # -- calls

    def take_over(self, data: bytes) -> None:
        """*data* was read before this protocol had the connection."""
        self.engine.receive_data(data)
        self.pump()

    def call_received(self, call: events.Call) -> None:
        """Answer, or begin to."""
        service = self.service
        service.counters.requests += 1
        name, stream_id = call.name, call.stream_id
        procedure = service.calls.get(name)
        if procedure is None:
            self.engine.error(stream_id, "not_found", f"there is no call {name!r:.80}")
            return
        request = CallRequest((self, stream_id, name))
        if call.is_open:
            self.open_inbox(stream_id)
        try:
            result = service.context.copy().run(procedure.invoke, request, call.args, call.kwargs)
            if type(result) in VALUE_TYPES:
                self.engine.result(stream_id, result)
                if call.is_open:
                    self.let_go(stream_id)
                return
        except BaseException as error:
            self.fail(name, stream_id, error)
            return
        self._begin(call, result, procedure.timeout)

    def fast_lane(self) -> bool:
        """Answer plain calls where they lie, or begin to; whether there were any."""
        if self.engine.reader.has_large:
            return False
        service = self.service
        count, left = self.engine.answer_calls(
            service.quick_calls, service.later_calls, CallRequest, self, service.context.copy, self._go_on, self._step
        )
        service.counters.requests += count
        if left is not None:
            self.call_received(left)
            return True
        return count > 0

    def answer_large(self, frame: Frame) -> bool:
        """Answer a call with a blob straight, or begin to; whether that was done."""
        service = self.service
        count, left = self.engine.answer_large(
            frame, service.quick_calls, CallRequest, self, service.context.copy, self._go_on
        )
        if count < 0:
            return False
        service.counters.requests += count
        if left is not None:
            self.call_received(left)
        return True

    def _step(self, name: str, work: Any) -> Any:
        """What *work* gives in its first step: its rest if it waits.  *work* itself where that needs its own task."""
        service = self.service
        if type(work) is not CoroutineType or name in service.waits:
            return work
        result = service.standing_task.step(work)
        return work if result is NotImplemented else result

    def _go_on(self, stream_id: int, name: str, result: Any, error: BaseException | None) -> None:
        """The fast lane has called the handler, which gave no value yet."""
        if error is not None:
            self.fail(name, stream_id, blame(error, name))
        elif type(result) in VALUE_TYPES:
            try:
                self.engine.result(stream_id, result)
            except CodecError as unsendable:
                self.fail(name, stream_id, unsendable)
        else:
            self._working().begin(stream_id, name, result)

    def _begin(self, call: events.Call, result: Any, seconds: float | None) -> None:
        """Go on with a call whose handler gave no value yet, for *seconds* or as long as the caller says."""
        stream_id = call.stream_id
        work = self._working()
        asked = call.options.get("deadline") if call.options else None
        if isinstance(asked, int | float) and not isinstance(asked, bool) and asked >= 0:
            seconds = asked if seconds is None else min(seconds, asked)
        if seconds is not None:
            work.deadlines[stream_id] = self.now() + seconds
        work.begin(stream_id, call.name, result)

    def _working(self) -> CallTasks:
        """Where handlers that wait are at work; made for the first of them."""
        if self._work is None:
            self._work = CallTasks(self)
        return self._work

    def fail(self, name: str, stream_id: int, error: BaseException) -> None:
        """Tell the caller of *error*, as far as that is its business."""
        if isinstance(error, asyncio.CancelledError | SystemExit | KeyboardInterrupt):
            told = CallError("cancelled", "the call was cancelled by the server")
            if not isinstance(error, asyncio.CancelledError):
                raise_from_loop(self.loop, error)
        else:
            told = failure(error, name)
        if told.code == "internal":
            self.service.counters.handler_errors += 1
        if not self.engine.is_live(stream_id) or self.link is Link.LOST:
            return
        try:
            self.engine.error(stream_id, told.code, told.message, told.detail)
        except CodecError:
            self.engine.error(stream_id, told.code, told.message)
        self.let_go(stream_id)

    def cancel_received(self, cancel: events.Cancel) -> None:
        """The caller wants no more."""
        self._end(cancel.stream_id, CallError("cancelled", "the caller cancelled the call"))

    def given_up(self, stream_id: int, error: CallError) -> None:
        """The handler does not read what the caller sends."""
        log.debug("call %d of %s given up: %s", stream_id, self.client, error)
        self._end(stream_id, error)

    def _end(self, stream_id: int, error: CallError) -> None:
        self.let_go(stream_id, error)
        if self._work:
            self._work.cancel(stream_id)

    # -- deadlines and the end

    @property
    def is_idle(self) -> bool:
        """No call is in flight, and no part of a frame has come."""
        return self.link is Link.OPEN and not self.engine.calls_in_flight and not self.engine.is_inside_frame

    def drain(self) -> None:
        """Take no new calls, finish those that run, then close; the service is draining."""
        if self.link is Link.OPEN:
            self.engine.goaway("the server is stopping")
            self.flush()
            self.finish()

    def check(self, now: float) -> None:
        """Enforce the deadlines that have passed at *now*."""
        timeouts = self.service.config.timeouts
        frame_timeout = self.service.config.frames.frame_timeout
        if self.stalled_writing(now, timeouts.write_stall):
            self.service.counters.write_stalls += 1
            self.abort()
        elif self.link is Link.LINGERING:
            if now - self.linger_since >= timeouts.linger:
                self.close()
            return
        elif self.link is Link.CLOSING or self.link is Link.LOST:
            return
        elif not self.has_hello:
            if now - self.made >= timeouts.head:
                self._late_peer("head_timeouts", f"no HELLO after {timeouts.head:g} seconds")
        elif self.engine.is_at_end:
            self._probe()
        elif self.stalled_reading(now, frame_timeout):
            self._late_peer("body_timeouts", f"a frame was not complete after {frame_timeout:g} seconds")
        else:
            self._check_silence(now, timeouts.keep_alive, frame_timeout)
        if self._work:
            self._work.check(now)
        elif self._work is not None:
            self._work = None  # an idle connection costs less without

    def _late_peer(self, counter: str, message: str) -> None:
        counters = self.service.counters
        setattr(counters, counter, getattr(counters, counter) + 1)
        if self._work:
            self._work.cancel_all()
        self.engine.fail("timeout", message)
        self.linger()

    def _check_silence(self, now: float, keep_alive: float, patience: float) -> None:
        """Ask a peer that has been silent for long whether it is there; leave it when it does not answer."""
        if self.flow.reasons or now - self.touched < keep_alive:
            return
        if self._asked_since <= self.touched:
            self._asked_since = now
            self.engine.ping(_PING)
            self.flush()
        elif now - self._asked_since >= patience:
            self.service.counters.idle_timeouts += 1
            self.abort()


def hand_over(http: HttpProtocol, data: bytes) -> None:
    """The first byte on a connection was 0, which begins a HELLO and no HTTP request: frames from here on."""
    transport, service = http.transport, http.service
    service.connections.discard(http)
    service.counters.connections_accepted -= 1
    protocol = FramesProtocol(service)
    # uvloop chooses between data_received and get_buffer when reading starts.
    transport.pause_reading()
    # It also keeps the data_received of the last protocol that had one, and with it all that HTTP needs: 1.1 KiB.
    transport.set_protocol(_NOBODY)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    transport.resume_reading()
    protocol.take_over(data)
