"""The shell around the HTTP/1.1 engine: a transport's callbacks on one side, the engine's verbs on the other.

Owns what belongs to the connection as a whole: when to read, and which request is next.  How the connection ends is the
half of it in :mod:`rat.link`; what belongs to one request is the exchange's.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from rat.errors import RemoteProtocolError
from rat.events import CLOSED, NEED_DATA, PAUSED, RequestReceived
from rat.exchange import Exchange
from rat.flow import Flow
from rat.http1.engine import HttpEngine, HttpState
from rat.link import HttpLink, Link, Step
from rat.stages import Cause, Stage

if TYPE_CHECKING:
    from rat.service import Service

__all__ = ["HttpProtocol"]

log = logging.getLogger("rat.server")

# Looking a member up on its class costs 50 ns in CPython 3.11, a global 5.
_OPEN: Final = Link.OPEN
_NO_REQUEST: Final = Stage.IDLE
_BETWEEN: Final = HttpState.IDLE

_TURN: Final = 64
"""Requests that one connection may have answered before others have their turn: one read can bring ten thousand, which
would take 100 ms, and the loop may read 32 times in a row."""


class HttpProtocol(HttpLink):
    """One HTTP/1.1 connection."""

    __slots__ = ("_advancing", "client", "scheme", "server")

    def __init__(self, service: Service) -> None:
        super().__init__(service)
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
        self.client: Any = None
        self.server: Any = None
        self.scheme = "http"
        self._advancing = False

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
        if self._head_since is not None and not data[0] and self._is_fresh:
            # A HELLO frame begins with 0, and no HTTP request does.
            from rat.frames_protocol import hand_over

            hand_over(self, data)
            return
        self.touched = self.service.clock.now
        if self.link is not _OPEN:
            self._discard(len(data))
            return
        exchange, flow = self.exchange, self.flow
        if exchange.stage is _NO_REQUEST and not (flow.write_paused or flow.reasons):
            request = self.engine.receive_request(data)
            if request is None:
                self.advance()
                return
            self._head_since = None
            answer = exchange.start(request)
            if answer is not None:
                flow.write_at_once(answer)
                return
            if flow.pending:
                self._flush()
            self._close_if_last()
            return
        self.engine.receive_data(data)
        if exchange.stage is _NO_REQUEST:
            self.advance()
        elif exchange.body is not None:
            if not exchange.body.is_full:
                exchange.pump()
        elif self.engine.unread > self.service.config.limits.head:
            # Until then reading goes on, for that is how a client is seen to leave.
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
        # First: what the application does about it may raise what ends the process, which must not wait for this.
        self.service.remove(self)
        self.exchange.depart()

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
        exchange, flow = self.exchange, self.flow
        next_event, start, hold = self.engine.next_event, exchange.start, flow.hold
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
                event = next_event()
                if type(event) is RequestReceived:
                    left -= 1
                    self._head_since = None
                    answer = start(event)
                    if answer is not None:
                        hold(answer)
                    else:
                        self._close_if_last()
                elif event is NEED_DATA:
                    self._wait_for_more()
                    break
                elif event is CLOSED:
                    self.close()
                elif event is PAUSED:
                    break
        except RemoteProtocolError as error:
            self._refuse(error)
        finally:
            self._advancing = False
        self._flush()

    def _wait_for_more(self) -> None:
        """All that came has been answered."""
        state = self.engine.state
        if state is _BETWEEN:
            self._head_since = None
        elif self._head_since is None or state is not self._waits_in:
            self._head_since = self.touched
            self._waits_in = state
        if self.flow.reasons:
            self.flow.resume_all()

    def _give_way(self) -> None:
        """Go on in the loop's next turn, with what is here already."""
        if "turn" not in self.flow.reasons:
            self.flow.pause("turn")
            self.service.loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self.flow.resume("turn")
        if self.link is _OPEN:
            self.advance()

    def _close_if_last(self) -> None:
        """Close if the answer that is complete now was the last of the connection."""
        if self.exchange.stage is _NO_REQUEST and (self.engine.must_close or self.service.draining):
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
