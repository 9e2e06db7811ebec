"""The shell around the HTTP/1.1 engine: a transport's callbacks on one side, the engine's verbs on the other.

Owns what belongs to the connection as a whole: when to read, when to close and how, and the deadlines between requests.
What belongs to one request is the exchange's.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from rat.clock import TICK
from rat.errors import RemoteProtocolError
from rat.events import CLOSED, NEED_DATA, PAUSED, CompleteResponse, RequestReceived
from rat.exchange import Exchange
from rat.flow import Flow
from rat.http1.engine import HttpEngine, HttpState
from rat.stages import Cause, Stage

if TYPE_CHECKING:
    from rat.service import Service

__all__ = ["HttpProtocol", "Link"]

log = logging.getLogger("rat.server")


class Link(enum.Enum):
    """What this side still does with the connection."""

    OPEN = "requests are read and answered"
    LINGERING = "the last answer is out; what still comes is thrown away so that the answer can be read"
    CLOSING = "what is unsent is being sent"
    CUT = "the connection is being cut, and what is unsent is lost"
    LOST = "the transport is gone"


class Step(enum.Enum):
    """What happens to the connection."""

    LAST_ANSWER = "nothing more will be answered, and the client owes nothing"
    EARLY_ANSWER = "nothing more will be answered, and the client may still be sending"
    PEER_CLOSED = "the client has closed its side"
    DEADLINE = "the time for it is over"
    GIVEN_UP = "this side wants no more of it"
    LOST = "the transport is gone"


TRANSITIONS: Final = {
    # link          sees               becomes
    (Link.OPEN, Step.LAST_ANSWER): Link.CLOSING,
    (Link.OPEN, Step.EARLY_ANSWER): Link.LINGERING,
    (Link.OPEN, Step.GIVEN_UP): Link.CUT,
    (Link.OPEN, Step.LOST): Link.LOST,
    (Link.LINGERING, Step.PEER_CLOSED): Link.CLOSING,
    (Link.LINGERING, Step.DEADLINE): Link.CLOSING,
    (Link.LINGERING, Step.GIVEN_UP): Link.CUT,
    (Link.LINGERING, Step.LOST): Link.LOST,
    (Link.CLOSING, Step.GIVEN_UP): Link.CUT,
    (Link.CLOSING, Step.LOST): Link.LOST,
    (Link.CUT, Step.LOST): Link.LOST,
}

# Looking a member up on its class costs 50 ns in CPython 3.11, a global 5.
_OPEN: Final = Link.OPEN
_NO_REQUEST: Final = Stage.IDLE
_SENDING: Final = Stage.SENDING
_HEAD: Final = HttpState.HEAD
_TURN: Final = 64
"""Requests that one connection may have answered before others have their turn: one read can bring ten thousand, which
would take 100 ms, and the loop may read 32 times in a row."""
_BETWEEN: Final = HttpState.IDLE


class HttpProtocol(asyncio.Protocol):
    """One HTTP/1.1 connection."""

    __slots__ = (
        "_advancing",
        "_head_since",
        "_linger_left",
        "_linger_until",
        "_progress",
        "_progress_since",
        "_waits_in",
        "client",
        "engine",
        "exchange",
        "flow",
        "link",
        "peer_done",
        "scheme",
        "server",
        "service",
        "touched",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, service: Service) -> None:
        self.service = service
        config = service.config
        limits = config.limits
        header = config.server_header
        self.engine = HttpEngine(
            limits,
            date=service.clock.date,
            server_header=header.encode("ascii") if header is not None else None,
            http=config.http,
        )
        self.flow = Flow(service.loop, high_water=limits.write_high_water, low_water=limits.write_low_water)
        self.exchange = Exchange(self, service, self.engine, self.flow)
        self.link = _OPEN
        self.client: Any = None
        self.server: Any = None
        self.scheme = "http"
        self.peer_done = False
        self.touched = service.clock.now
        # Since when the engine has waited inside of something that begins no exchange, and in which state.
        self._head_since: float | None = self.touched
        self._waits_in = _HEAD
        self._linger_until = 0.0
        self._linger_left = 0
        self._advancing = False
        self._progress = 0
        self._progress_since = self.touched

    # -- the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self.transport = cast(asyncio.Transport, transport)
        self.flow.connection_made(self.transport)
        self.client = transport.get_extra_info("peername") or None
        if transport.get_extra_info("sslcontext") is not None:
            self.scheme = "https"
        service = self.service
        self.server = service.local_address(transport)
        service.add(self)
        if service.draining:
            self.close()

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        if not data[0] and self._is_fresh:
            # A HELLO frame begins with 0, and no HTTP request does.
            from rat.frames_protocol import hand_over

            hand_over(self, data)
            return
        self.touched = self.service.clock.now
        if self.link is not _OPEN:
            self._discard(len(data))
            return
        exchange = self.exchange
        if exchange.stage is _NO_REQUEST and not self._advancing and not (self.flow.write_paused or self.flow.reasons):
            request = self.engine.receive_request(data)
            if request is None:
                self.advance()
            else:
                self._advancing = exchange.is_alone = True
                try:
                    self._start(request)
                finally:
                    self._advancing = exchange.is_alone = False
                if self.flow.pending:
                    self._flush()
            return
        self.engine.receive_data(data)
        if exchange.stage is _NO_REQUEST:
            self.advance()
        elif exchange.body is not None:
            if not exchange.body.is_full:
                exchange.pump()
        else:
            self.flow.pause("pipeline")

    @property
    def _is_fresh(self) -> bool:
        """No byte has come on this connection."""
        return self._head_since is not None and self.engine.state is _BETWEEN and self.link is _OPEN

    def eof_received(self) -> bool:
        """The client has closed its side; it may still read."""
        self.peer_done = True
        if self.link is not _OPEN:
            if self.link is Link.LINGERING:
                self._close_transport(Step.PEER_CLOSED)
            return True
        self.engine.receive_eof()
        exchange = self.exchange
        if exchange.stage is _NO_REQUEST:
            self.advance()
        elif exchange.body is not None:
            exchange.pump()
        if exchange.is_open_ended:
            exchange.cancel(Cause.HALF_CLOSED)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self._move(Step.LOST)
        self.flow.connection_lost()
        self.exchange.depart()
        self.service.remove(self)

    def pause_writing(self) -> None:
        """The transport is full."""
        self.flow.write_paused = True

    def resume_writing(self) -> None:
        """The transport takes bytes again."""
        self.flow.resume_writing()
        self.exchange.resume_writing()
        if self.exchange.stage is _NO_REQUEST and self.link is _OPEN:
            self.advance()

    # -- one request after the other

    def advance(self) -> None:
        """Take events of the engine until it has none that can be acted on."""
        if self._advancing:
            return
        self._advancing = True
        engine, exchange, flow = self.engine, self.exchange, self.flow
        left = _TURN
        try:
            while exchange.stage is _NO_REQUEST and self.link is _OPEN:
                if not left:
                    self._give_way()
                    break
                if flow.write_paused:
                    # The client does not read: it gets no more answers to be kept, and is not read either.
                    flow.pause("inflight")
                    return
                event = engine.next_event()
                if event is NEED_DATA:
                    state = engine.state
                    if state is _BETWEEN:
                        self._head_since = None
                    elif self._head_since is None or state is not self._waits_in:
                        self._head_since = self.touched
                        self._waits_in = state
                    if flow.reasons:
                        flow.resume_all()
                    break
                if type(event) is RequestReceived:
                    left -= 1
                    self._start(event)
                elif event is CLOSED:
                    self.close()
                elif event is PAUSED:
                    break
        except RemoteProtocolError as error:
            self._refuse(error)
        finally:
            self._advancing = False
        self._flush()

    def _give_way(self) -> None:
        """Go on in the loop's next turn, with what is here already."""
        if "turn" not in self.flow.reasons:
            self.flow.pause("turn")
            self.service.loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self.flow.resume("turn")
        if self.link is _OPEN:
            self.advance()

    def _start(self, request: RequestReceived) -> None:
        """Have *request* answered, as far as that goes without waiting."""
        self._head_since = None
        exchange = self.exchange
        exchange.start(request)
        if exchange.stage is _NO_REQUEST and (self.engine.must_close or self.service.draining):
            self.close()

    def _flush(self) -> None:
        flow = self.flow
        if flow.holding:
            flow.flush_soon()
        else:
            flow.flush()

    def exchange_done(self) -> None:
        """The answer is complete: close, or go on with what has come meanwhile."""
        if self.link is not _OPEN:
            return
        self.touched = self.service.clock.now
        if self._advancing:
            return
        engine, flow = self.engine, self.flow
        if engine.must_close or self.service.draining:
            self.close()
        elif engine.is_quiet and not flow.reasons:
            flow.flush()
        else:
            self.advance()

    def _refuse(self, error: RemoteProtocolError) -> None:
        """The client broke the rules between two requests: say so if that can be said, and close."""
        self.service.counters.protocol_errors += 1
        if self.service.loop.get_debug() or log.isEnabledFor(logging.DEBUG):
            log.debug("refused a request from %s: %s", self.client, error)
        if error.status is not None and not (self.peer_done and error.status == 408):
            self.answer_error(error.status, str(error))
        self.close(linger=not self.peer_done)

    def answer_error(self, status: int, detail: str) -> None:
        """Answer outside any handler."""
        response = self.service.app.error_response(status, detail)
        if status >= 500:
            self.service.counters.responses_5xx += 1
        else:
            self.service.counters.responses_4xx += 1
        self.flow.write(
            cast(
                Any,
                self.engine.send(CompleteResponse(status, response.field_lines(), cast(bytes, response.body))),
            )
        )

    # -- the end

    @property
    def is_idle(self) -> bool:
        """No request is in flight and no part of one has come."""
        return self.exchange.stage is _NO_REQUEST and self.link is _OPEN and self.engine.state is _BETWEEN

    @property
    def is_lost(self) -> bool:
        """The transport is gone."""
        return self.link is Link.LOST

    def close(self, *, linger: bool = False) -> None:
        """Send what is unsent and close; linger first when the client may still be sending (RFC 9112, section 9.6)."""
        if self.link is not _OPEN:
            return
        flow = self.flow
        if (linger or self.engine.content_outstanding) and not self.peer_done and flow.write_eof():
            self._move(Step.EARLY_ANSWER)
            config = self.service.config
            self._linger_until = self.service.clock.now + config.timeouts.linger
            self._linger_left = config.limits.linger
            flow.resume_all()
        else:
            flow.flush()
            self._close_transport(Step.LAST_ANSWER)

    def _discard(self, size: int) -> None:
        self._linger_left -= size
        if self._linger_left < 0:
            self.abort()

    def _move(self, step: Step) -> None:
        self.link = TRANSITIONS[self.link, step]

    def _close_transport(self, step: Step) -> None:
        self._move(step)
        self.transport.close()

    def abort(self) -> None:
        """Cut the connection now."""
        if self.link is Link.LOST or self.link is Link.CUT:
            return
        self._move(Step.GIVEN_UP)
        self.exchange.cancel(Cause.ABORTED)
        self.transport.abort()

    def drain(self) -> None:
        """Finish what is in flight, say goodbye on endless answers, then close; the service is draining."""
        if self.link is not _OPEN:
            return
        exchange = self.exchange
        if exchange.stage is _NO_REQUEST:
            self.close()
            return
        self.engine.close_after_answer()
        if exchange.is_event_stream:
            exchange.cancel(Cause.DRAINING)

    # -- deadlines

    def check(self, now: float) -> None:
        """Enforce the deadlines that have passed at *now*."""
        timeouts = self.service.config.timeouts
        counters = self.service.counters
        exchange = self.exchange
        if self.link is Link.LINGERING:
            if now >= self._linger_until:
                self._close_transport(Step.DEADLINE)
            return
        if self._is_stalled(now):
            counters.write_stalls += 1
            self.abort()
            return
        if self.link is not _OPEN:
            return
        if exchange.stage is _NO_REQUEST:
            if self._head_since is not None:
                self._check_head(now - self._head_since)
            elif now - self.touched >= timeouts.keep_alive:
                counters.idle_timeouts += 1
                self.close()
        elif exchange.deadline is not None and now >= exchange.deadline:
            exchange.cancel(Cause.DEADLINE)
        elif exchange.body is not None and exchange.body.is_waiting:
            self._check_body(now)

    def _is_stalled(self, now: float) -> bool:
        """The client has taken nothing of what waits for it, for too long."""
        flow = self.flow
        if flow.waits_for_peer:
            progress = flow.progress()
            if progress == self._progress:
                return now - self._progress_since >= self.service.config.timeouts.write_stall
            self._progress = progress
        self._progress_since = now
        return False

    def _check_head(self, waited: float) -> None:
        timeouts = self.service.config.timeouts
        state = self.engine.state
        if state is HttpState.DRAIN:
            # The rest of a request that has been answered may not take for ever, however it dribbles.
            if waited >= timeouts.body_stall:
                self.service.counters.body_timeouts += 1
                self.close()
            return
        if waited < timeouts.head:
            return
        self.service.counters.head_timeouts += 1
        if state is _HEAD:
            self.answer_error(408, f"the head was not complete after {timeouts.head:g} seconds")
            self.close(linger=True)
        else:
            self.close()

    def _check_body(self, now: float) -> None:
        """A reader waits for content: is it coming at all, and fast enough?"""
        exchange = self.exchange
        body = exchange.body
        if body is None:
            return
        timeouts = self.service.config.timeouts
        exchange.body_waited += TICK
        waited = exchange.body_waited
        # The time that a handler took before it asked is not the client's silence.
        silent = now - max(self.touched, exchange.asked)
        if silent >= timeouts.body_stall:
            error = f"no content came for {silent:.0f} seconds, limit {timeouts.body_stall:g}"
        elif waited > timeouts.body_rate_grace and body.received < timeouts.body_rate * waited:
            rate = body.received / waited
            error = f"content came at {rate:.0f} bytes per second, at least {timeouts.body_rate:g} are due"
        else:
            return
        self.service.counters.body_timeouts += 1
        exchange.body = None
        self.engine.close_after_answer()
        body.fail(RemoteProtocolError(error, status=408))
