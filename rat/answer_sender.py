"""The half of an exchange that speaks: sends one answer at a time, and lets go of everything when it is whole or cut.

Knows the engine's verbs and the flow, and nothing of handlers.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from rat.answer_log import close, log_access, log_cut, log_refused
from rat.coding import COMPRESS_FROM, coded, plain_fields
from rat.errors import ClientDisconnected, LocalProtocolError
from rat.events import (
    CompleteResponse,
    FieldLines,
    FileRegion,
    RequestReceived,
    ResponseContent,
    ResponseEnd,
    ResponseStart,
    Wire,
)
from rat.eventstream import EventStream
from rat.messages import Request
from rat.piece_sender import send_pieces
from rat.problems import problem
from rat.responses import Deferred, Response
from rat.sendfile import send_region
from rat.stages import Cause, Stage
from rat.stream.compress import CompressedPieces
from rat.tasks import raise_from_loop

if TYPE_CHECKING:
    from rat.flow import Flow
    from rat.http1.engine import HttpEngine
    from rat.service import Service
    from rat.stream.body import BodyReader
    from rat.stream.subscription import Subscription

__all__ = ["AnswerSender", "Owner"]

# Looking a member up on its class costs 50 ns in CPython 3.11, a global 5.
_IDLE: Final = Stage.IDLE
_HANDLING: Final = Stage.HANDLING
_SENDING: Final = Stage.SENDING


class Owner(Protocol):
    """The connection, as its exchange sees it."""

    def exchange_done(self) -> None:
        """The answer is complete; the next request may begin."""

    def abort(self) -> None:
        """Cut the connection."""

    client: Any
    server: Any
    scheme: str

    @property
    def is_lost(self) -> bool: ...

    @property
    def peer_done(self) -> bool:
        """The client has closed its side."""


class AnswerSender:
    """What is sent on one connection, an answer at a time.

    An answer that cannot be whole is never made to look whole: the connection is cut.
    """

    __slots__ = (
        "_owner",
        "body",
        "cause",
        "deadline",
        "engine",
        "flow",
        "head",
        "response",
        "service",
        "stage",
        "started",
        "subscription",
        "task",
    )

    def __init__(self, owner: Owner, service: Service, engine: HttpEngine, flow: Flow) -> None:
        self._owner = owner
        self.service = service
        self.engine = engine
        self.flow = flow
        self.stage = _IDLE
        self.head: RequestReceived | None = None
        self.body: BodyReader | None = None
        self.task: asyncio.Task[None] | None = None
        self.cause: Cause | None = None
        self.response: Response | None = None
        self.subscription: Subscription | None = None
        """What writes straight to the transport, past this object, while it lasts."""
        self.deadline: float | None = None
        self.started = 0.0

    @property
    def is_open_ended(self) -> bool:
        """An answer whose end is not known is being sent."""
        return self.stage is _SENDING and self.response is not None and self.response.is_open_ended

    @property
    def is_event_stream(self) -> bool:
        """Events are being sent: a stream that can be ended at any time."""
        return self.stage is _SENDING and isinstance(self.response, EventStream)

    def resume_writing(self) -> None:
        """The transport takes bytes again."""
        if self.subscription is not None:
            self.subscription.resume()

    def _coded(self, response: Response, head: RequestReceived) -> Response:
        """*response* as this server sends it, in the content coding that suits the client."""
        if isinstance(response, EventStream):
            response.default_heartbeat(self.service.config.stream.heartbeat)
        if response.compress is False or not self.service.config.compress:
            return response
        return coded(response, head)

    def _send_at_once(self, response: Response, head: RequestReceived) -> Response | None:
        """Send *response* if all of it is here; else the answer that is still to be sent."""
        content = response.body
        if type(content) is bytes and type(response) is not Deferred:
            if len(content) < COMPRESS_FROM or not self.service.config.compress:
                self._answer(response, response.field_lines())
                return None
            fields = plain_fields(response, head)
            if fields is not None:
                self._answer(response, fields)
                return None
        if type(response) is Deferred:
            return response
        response = self._coded(response, head)
        if type(response.body) is not bytes:
            return response
        self._answer(response, response.field_lines())
        return None

    def _answer(self, response: Response, fields: FieldLines) -> None:
        """Send a complete answer with *fields*; the caller flushes."""
        status = response.status
        flow = self.flow
        content = response.body
        try:
            wire = self.engine.answer(status, fields, content)
            parts = None if wire is not None else self.engine.send(CompleteResponse(status, fields, content))  # type: ignore[arg-type]
        except LocalProtocolError as error:
            # Nothing of it was begun.
            wire, parts, status = None, self._refused(error), 500
        if wire is not None:
            flow.hold(wire)
        else:
            for part in parts or ():
                flow.hold(part)  # type: ignore[arg-type]
        self._finish(response, status)

    def _refused(self, error: LocalProtocolError) -> Wire:
        """The application declared what is not so, such as a length: what to write in the place of its answer."""
        self.service.counters.handler_errors += 1
        error_id = secrets.token_hex(8)
        log_refused(self.head, error, error_id)
        own = problem(500, head=self.head, error_id=error_id)
        return self.engine.send(CompleteResponse(500, own.field_lines(), cast(bytes, own.body)))

    async def _send(self, response: Response, request: Request) -> None:
        if type(response) is Deferred:
            response = self._coded(await response.prepare(request), request.head)
        self.response = response
        body = response.body
        if isinstance(body, bytes):
            self._answer(response, response.field_lines())
            self._owner.exchange_done()
            return
        engine, flow = self.engine, self.flow
        # Whole answers do not share the fate of one that may be cut.
        flow.flush()
        flow.write(cast(Any, engine.send(ResponseStart(response.status, response.field_lines()))))
        self.stage = _SENDING
        self.deadline = None
        if isinstance(body, list):
            if engine.content_allowed:
                await self._send_regions(body)
        elif isinstance(body, bytearray | memoryview):
            flow.write(cast(Any, engine.send(ResponseContent(body))))
        else:
            subscription = response.subscription if isinstance(response, EventStream) else None
            if subscription is not None and engine.content_allowed and not self._is_ending:
                self._broadcast(cast(EventStream, response), subscription)
                return
            await self._send_pieces(response, body)
        self._end_answer(response)

    @property
    def _is_ending(self) -> bool:
        return self._owner.peer_done or self.service.draining

    async def _send_regions(self, parts: Wire) -> None:
        for part in parts:
            for out in self.engine.send(ResponseContent(part)):
                if isinstance(out, FileRegion):
                    await send_region(self.flow, out)
                else:
                    self.flow.write((out,))
                    if self.flow.write_paused:
                        await self.flow.drain()

    async def _send_pieces(self, response: Response, body: AsyncIterable[bytes]) -> None:
        engine, flow = self.engine, self.flow
        iterator = body.__aiter__()
        goodbye = b""
        try:
            if not engine.content_allowed:
                return
            if response.is_open_ended and self._owner.peer_done:
                self.cause = Cause.HALF_CLOSED
                raise asyncio.CancelledError
            if self.service.draining and isinstance(response, EventStream):
                # It was still being made when the others were told.
                self.cause = Cause.DRAINING
                raise asyncio.CancelledError
            await send_pieces(self, iterator)
        except asyncio.CancelledError:
            if self.cause not in (Cause.DRAINING, Cause.HALF_CLOSED) or not isinstance(response, EventStream):
                # An answer that is broken off must not look whole.
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            goodbye = response.goodbye() if self.cause is Cause.DRAINING else b""
            if isinstance(iterator, CompressedPieces):
                goodbye = iterator.end_with(goodbye)
            self.cause = None
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()
        if goodbye:
            flow.write(cast(Any, engine.send(ResponseContent(goodbye))))

    def _broadcast(self, response: EventStream, subscription: Subscription) -> None:
        """Let the hub write to the transport itself, one call for an event.

        Nothing waits meanwhile: a task for each of many thousand subscribers would be most of what they cost.
        """
        flow = self.flow
        if response.opening:
            flow.write(cast(Any, self.engine.send(ResponseContent(response.opening))))
        flow.flush()
        # RFC 9112, section 7.1: chunked is for HTTP/1.1; to older clients the events go bare, until the close.
        chunked = self.head is None or self.head.http_version != "1.0"
        self.subscription = subscription
        self.task = None
        # It will not be iterated, nor the request asked for anything: they can go.
        response.body = b""
        if not self.service.access_log:
            self.head = None
        subscription.attach(
            self._take_events, chunked=chunked, heartbeat=response.heartbeat, on_end=self._subscription_ended
        )

    def _take_events(self, data: bytes) -> bool:
        """Write events that the hub has framed; False when it shall wait for ``resume_writing``."""
        flow = self.flow
        transport = flow.transport
        if transport.is_closing():
            return False
        flow.written += len(data)
        transport.write(data)
        return not flow.write_paused

    def _subscription_ended(self, reason: object) -> None:
        # The hub is in the middle of its rounds: what follows here waits until it is through.
        if self.subscription is not None:
            self.service.loop.call_soon(self._end_broadcast, self.subscription)

    def _end_broadcast(self, subscription: Subscription, goodbye: bytes = b"") -> None:
        """End the stream that the hub has written, if it has not ended otherwise meanwhile."""
        response = self.response
        if self.subscription is not subscription or response is None:
            return
        self.subscription = None
        subscription.close()
        try:
            if goodbye:
                self.flow.write(cast(Any, self.engine.send(ResponseContent(goodbye))))
            self._end_answer(response)
        except Exception as error:
            self._failed(error)

    def _end_answer(self, response: Response) -> None:
        trailers = response.trailers
        end = ResponseEnd(trailers() if callable(trailers) else trailers or ())
        self.flow.write(cast(Any, self.engine.send(end)))
        self._finish(response, response.status)
        self._owner.exchange_done()

    def _failed(self, error: BaseException) -> None:
        """The answer cannot be completed.  What the client has must not look whole, so the connection is cut.

        An *error* that ends the process goes on to do so from the loop's next turn.
        """
        head = self.head
        begun = self.stage is _SENDING
        self._break_off()
        if not isinstance(error, ClientDisconnected):
            self.service.counters.handler_errors += 1
            log_cut(head, error, begun=begun)
        elif not self._owner.is_lost:
            # The transport knew before it told.
            self.service.counters.disconnects += 1
        self._owner.abort()
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise_from_loop(self.service.loop, error)

    def _finish(self, response: Response, status: int) -> None:
        """The answer is whole: count it, log it, let go of everything."""
        if status >= 400:
            counters = self.service.counters
            if status >= 500:
                counters.responses_5xx += 1
            else:
                counters.responses_4xx += 1
        if self.service.access_log and self.head is not None:
            # The loop's own time stands still in a turn, and is whole milliseconds on uvloop.
            log_access(self._owner.client, self.head, status, monotonic() - self.started)
        self.response = None
        if response.closers is not None:
            close(response)
        if self.body is not None:
            self._drop_body()
        self._let_go()

    def _break_off(self) -> None:
        """The answer will not be whole: let go of everything."""
        if self.stage is _HANDLING:
            # The answers before it are whole, and the cut would take what has not been written.
            self.flow.flush()
        subscription, self.subscription = self.subscription, None
        if subscription is not None:
            subscription.close()
        response, self.response = self.response, None
        if self.service.access_log and self.head is not None:
            status = "-" if response is None else response.status
            log_access(self._owner.client, self.head, f"{status} cut", monotonic() - self.started)
        if response is not None:
            close(response)
        self._drop_body()
        self._let_go()

    def _let_go(self) -> None:
        self.stage = _IDLE
        self.head = None
        self.task = None
        self.cause = None

    def _drop_body(self) -> None:
        body, self.body = self.body, None
        if body is not None:
            body.fail(ClientDisconnected("the answer was complete before the content was read"))
            self.flow.resume("body")
