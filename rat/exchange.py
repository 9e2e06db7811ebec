"""Drives one request at a time of one connection: from its head to the end of its answer.

Cancellation, deadlines, departures and errors of handlers are settled here and nowhere else; what is sent, by the half
of it that speaks (:class:`rat.answer_sender.AnswerSender`).  Knows nothing of how bytes are parsed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from rat.answer_sender import AnswerSender, Owner
from rat.errors import ClientDisconnected, ContentTooLarge, RemoteProtocolError
from rat.events import NEED_DATA, ContentReceived, EndOfMessage, InformationalResponse, RequestReceived
from rat.messages import Request
from rat.responses import Response
from rat.stages import Cause, Stage
from rat.stream.body import BodyReader, BodyState
from rat.tasks import EAGER, spawn

if TYPE_CHECKING:
    from rat.flow import Flow
    from rat.http1.engine import HttpEngine
    from rat.routing import Endpoint
    from rat.service import Service

__all__ = ["Exchange"]

_WAITS = 64
"""A handler that has waited gets so many tasks of its own before it is tried without."""

# Looking a member up on its class costs 50 ns in CPython 3.11, a global 5.
_IDLE: Final = Stage.IDLE
_HANDLING: Final = Stage.HANDLING
_new: Final = object.__new__


class Exchange(AnswerSender):
    """The request in flight on one connection; the object is used again for the next one.

    Handlers run in a task of their own, or inline when they are plain functions.  A handler is cancelled when the
    client has left, when its time is over, or when the server stops; the answer that it had begun is then ended if it
    has no end of its own, and cut otherwise.
    """

    __slots__ = ("asked", "body_waited")

    def __init__(self, owner: Owner, service: Service, engine: HttpEngine, flow: Flow) -> None:
        super().__init__(owner, service, engine, flow)
        self.body_waited = 0.0
        """Seconds that a reader of the content has waited for the peer, as counted by the sweeps."""
        self.asked = 0.0
        """When content was last wanted, or came."""

    @property
    def is_disconnected(self) -> bool:
        """The client is known to have left."""
        return self._owner.is_lost

    # -- the request

    def start(self, head: RequestReceived) -> None:
        """Begin to answer *head*.  A plain handler has been answered when this returns."""
        service = self.service
        app = service.app
        service.counters.requests += 1
        self.stage = _HANDLING
        self.head = head
        self.cause = None
        endpoint = app.fixed.get(head.route_key)
        params: dict[str, Any] = {}
        if endpoint is None:
            endpoint, params = app.match(head)
        if service.access_log:
            self.started = monotonic()
        content = head.content
        limit = endpoint.max_body
        if content is None:
            length = head.content_length
            if limit is not None and length is not None and length > limit:
                endpoint = app.too_large(limit)
                body = self._new_body(limit)
                body.fail(ContentTooLarge(limit, length))
            else:
                self.body = body = self._new_body(limit)
                self.body_waited = 0.0
                if not self.engine.needs_continue:
                    self.pump()
        else:
            body = None
            if limit is not None and len(content) > limit:
                endpoint = app.too_large(limit)
        # Its __init__, without the call.
        request: Request = _new(Request)
        request.app = app
        request.head = head
        request._connection = self._owner
        request._exchange = self
        request._body = body
        request.path_params = params
        timeout = endpoint.timeout
        self.deadline = None if timeout is None else service.clock.now + timeout
        if body is not None and endpoint.reads_content:
            self._spawn(self._run(endpoint, request))
        elif endpoint.respond is None:
            try:
                response = service.context.copy().run(endpoint.begin, request)
                later = self._send_at_once(response, head)
            except BaseException as error:
                self._failed(error)
            else:
                if later is not None:
                    self._spawn(self._send_later(later, request))
        elif endpoint.waits:
            endpoint.waits -= 1
            self._spawn(self._run(endpoint, request))
        elif service.standing_task.is_ready():
            self._step(endpoint, request)
        else:
            self._spawn(self._run(endpoint, request))

    def _step(self, endpoint: Endpoint, request: Request) -> None:
        """Call the handler as the task that stands ready, which goes on with it if it waits."""
        standing = self.service.standing_task
        later = None
        try:
            later = standing.call(self._begin, endpoint, request)
        except asyncio.CancelledError:
            self._break_off()
            self._owner.abort()
        except BaseException as error:
            self._failed(error)
        if later is None:
            standing.put_back()
        else:
            self.task = standing.go_on(self._send_later(later, request))
            if self.task is not None:
                endpoint.waits = _WAITS

    def _begin(self, endpoint: Endpoint, request: Request) -> Response | None:
        return self._send_at_once(endpoint.begin(request), request.head)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run *coroutine* as the task of this request; what it writes in its first step leaves in one write."""
        service = self.service
        self.flow.holding = not EAGER
        task = spawn(service.loop, service.context, coroutine)
        if not task.done():
            self.task = task

    def _new_body(self, limit: int | None) -> BodyReader:
        high_water = self.service.config.limits.body_high_water
        return BodyReader(limit=limit, high_water=high_water, low_water=high_water // 4, on_wanted=self.pump)

    def pump(self) -> None:
        """Move content from the engine to its reader, until the reader is full or the engine wants bytes."""
        body = self.body
        if body is None:
            return
        self.asked = self.service.clock.now
        engine = self.engine
        if engine.needs_continue:
            self.flow.write(cast(Any, engine.send(InformationalResponse(100))))
            self.flow.flush()
        try:
            while not body.is_full:
                event = engine.next_event()
                if type(event) is ContentReceived:
                    body.feed(event.data)
                    if body.state is BodyState.FAILED:
                        # Past its limit: the rest is neither read nor waited for.
                        self.body = None
                        self.engine.close_after_answer()
                        break
                elif type(event) is EndOfMessage:
                    self.body = None
                    body.feed_eof(event.trailers)
                    self.flow.resume("body")
                    return
                elif event is NEED_DATA:
                    # All that came has been read: reading may have paused before this request was begun, too.
                    self.flow.resume_all()
                    return
                else:
                    self.body = None
                    body.fail(ClientDisconnected("the client closed the connection inside the content"))
                    return
        except RemoteProtocolError as error:
            self.service.counters.protocol_errors += 1
            self.body = None
            body.fail(error)
            return
        self.flow.pause("body")

    # -- the handler

    async def _run(self, endpoint: Endpoint, request: Request) -> None:
        self.flow.holding = False
        try:
            if endpoint.respond is not None:
                response = await endpoint.respond(request)
            else:
                try:
                    await request.read()
                except ContentTooLarge as error:
                    response = self.service.app.too_large(error.limit).begin(request)
                except RemoteProtocolError as error:
                    response = self.service.app.error_response(error.status or 400, str(error), head=request.head)
                else:
                    response = endpoint.begin(request)
            later = self._send_at_once(response, request.head)
            if later is None:
                self._owner.exchange_done()
            else:
                await self._send(later, request)
        except asyncio.CancelledError:
            if not await self._cancelled():
                raise
        except GeneratorExit:
            # The loop is gone, and nobody runs this any more.
            raise
        except BaseException as error:
            self._failed(error)

    async def _send_later(self, response: Response, request: Request) -> None:
        self.flow.holding = False
        try:
            await self._send(response, request)
        except asyncio.CancelledError:
            if not await self._cancelled():
                raise
        except GeneratorExit:
            # The loop is gone, and nobody runs this any more.
            raise
        except BaseException as error:
            self._failed(error)

    async def _cancelled(self) -> bool:
        """Settle a cancellation; False when it was not ours."""
        cause = self.cause
        if cause is None:
            self._break_off()
            self._owner.abort()
            return False
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        if cause is Cause.DEADLINE and self.stage is _HANDLING and not self._owner.is_lost:
            self.service.counters.request_timeouts += 1
            late = self.service.app.error_response(503, "the handler did not answer in time", head=self.head)
            self._answer(late, late.field_lines())
            self._owner.exchange_done()
            return True
        self._break_off()
        if cause is not Cause.DEPARTED:
            self._owner.abort()
        return True

    # -- from outside

    def cancel(self, cause: Cause) -> None:
        """Cancel the handler for *cause*; the first cause counts."""
        task = self.task
        if self.stage is _IDLE or self.cause is not None:
            return
        response, subscription = self.response, self.subscription
        if subscription is not None and cause in (Cause.DRAINING, Cause.HALF_CLOSED) and response is not None:
            goodbye = response.goodbye() if cause is Cause.DRAINING else None
            self._end_broadcast(subscription, goodbye or b"")
            return
        self.cause = cause
        if task is None or task.done():
            return
        if self.flow.holding:
            # Its first step is due: one that was cancelled before would settle nothing, and close nothing.
            self.service.loop.call_soon(task.cancel)
        else:
            task.cancel()

    def depart(self) -> None:
        """The connection is gone."""
        if self.stage is _IDLE:
            return
        self.service.counters.disconnects += 1
        body, self.body = self.body, None
        if body is not None:
            body.fail(ClientDisconnected("the client left inside the content"))
        if self.task is None:
            self._break_off()
        else:
            self.service.watch(self.task)
            self.cause = None
            self.cancel(Cause.DEPARTED)
