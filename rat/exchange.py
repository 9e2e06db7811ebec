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
from rat.coding import plain_fields
from rat.errors import ClientDisconnected, ContentTooLarge, RemoteProtocolError
from rat.events import NEED_DATA, ContentReceived, EndOfMessage, FieldLines, InformationalResponse, RequestReceived
from rat.messages import Request, new_request
from rat.responses import Deferred, Response
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

    def start(self, head: RequestReceived) -> bytes | None:
        """Begin to answer *head*: gives the answer, for the caller to write, where it is plain and here already.

        Most are, and this is all of their way.  None for the others: they are held or sent from where they come.
        """
        service = self.service
        service.counters.requests += 1
        self.stage = _HANDLING
        app = service.app
        endpoint = app.fixed.get(head.route_key)
        params: dict[str, Any] = {}
        if endpoint is None:
            endpoint, params = app.match(head)
        if service.access_log:
            self.started = monotonic()
        content = head.content
        body = None
        if content is None:
            endpoint, body = self._expect_content(endpoint, head)
        elif content and endpoint.max_body is not None and len(content) > endpoint.max_body:
            endpoint = app.too_large(endpoint.max_body)
        request = new_request(app, head, self._owner, self, body, params)
        if endpoint.waits or (body is not None and endpoint.reads_content):
            # One that has waited is taken for one that will; and a plain function gets its content read.
            self._run_apart(endpoint, request)
            return None
        standing = service.standing_task
        response: Any
        fields: FieldLines | None
        try:
            if endpoint.respond is None:
                response = service.context.copy().run(endpoint.begin, request)
            else:
                response = standing.call(endpoint.begin, request)
            answer = response.body if type(response) is Response and response.closers is None and body is None else None
        except BaseException as error:
            self._raised(endpoint, head, error)
            standing.put_back()
            return None
        if type(answer) is not bytes:
            self._go_on(endpoint, request, response)
            return None
        standing.put_back()
        wire = None
        try:
            if response.status < service.notable_status:
                if len(answer) >= service.plain_below:
                    fields = plain_fields(response, head)
                elif response._headers is None:
                    # Its field_lines, without the call.
                    fields = response._fields
                else:
                    fields = response.field_lines()
                if fields is not None:
                    wire = self.engine.answer(response.status, fields, answer)
        except Exception:
            wire = None  # what is wrong with it is found again, and told, where it is sent below
        if wire is None:
            self._note(endpoint, head)
            self._send_now(response, request)
        else:
            self.stage = _IDLE
        return wire

    def _expect_content(self, endpoint: Endpoint, head: RequestReceived) -> tuple[Endpoint, BodyReader]:
        """The reader of content that is still to come, and who is to be called."""
        limit, length = endpoint.max_body, head.content_length
        body = self._new_body(limit)
        if limit is not None and length is not None and length > limit:
            body.fail(ContentTooLarge(limit, length))
            return self.service.app.too_large(limit), body
        self.body = body
        self.body_waited = 0.0
        if not self.engine.needs_continue:
            self.pump()
        return endpoint, body

    def _note(self, endpoint: Endpoint, head: RequestReceived) -> None:
        """Know what an exchange that is not over at once needs."""
        self.head = head
        timeout = endpoint.timeout
        self.deadline = None if timeout is None else self.service.clock.now + timeout

    def _run_apart(self, endpoint: Endpoint, request: Request) -> None:
        """Have the handler called in a task of its own."""
        if endpoint.waits:
            endpoint.waits -= 1
        self._note(endpoint, request.head)
        self._spawn(self._run(endpoint, request))

    def _go_on(self, endpoint: Endpoint, request: Request, response: Response) -> None:
        """Send *response*, whatever it is, with whose first half the task that stands ready is still busy."""
        if response is NotImplemented:
            self._run_apart(endpoint, request)
            return
        self._note(endpoint, request.head)
        standing = self.service.standing_task
        later: Response | None = response
        if endpoint.respond is None:
            self._send_now(response, request)
            return
        if type(response) is not Deferred:
            try:
                # What is to be closed with an answer is closed as the task that made it.
                later = standing.call(self._send_at_once, response, request.head)
            except BaseException as error:
                self._raised(endpoint, request.head, error)
                later = None
        if later is None:
            standing.put_back()
        else:
            self.task = standing.go_on(self._send_later(later, request))
            if self.task is not None:
                endpoint.waits = _WAITS

    def _send_now(self, response: Response, request: Request) -> None:
        """Send *response*, in a task of its own what cannot be sent at once."""
        try:
            later = self._send_at_once(response, request.head)
        except BaseException as error:
            self._failed(error)
        else:
            if later is not None:
                self._spawn(self._send_later(later, request))

    def _raised(self, endpoint: Endpoint, head: RequestReceived, error: BaseException) -> None:
        """The handler has raised what is no answer."""
        self.head = head
        if isinstance(error, asyncio.CancelledError) and endpoint.respond is not None:
            # Its task was cancelled.
            self._break_off()
            self._owner.abort()
        else:
            self._failed(error)

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
