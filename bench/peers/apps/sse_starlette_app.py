"""Event streams by sse-starlette."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bench.peers.apps.common import HELLO, Ticker, event_data

ticker = Ticker(lambda number: ServerSentEvent(event_data(number), id=str(number)))


async def hello(request: Request) -> Response:
    return PlainTextResponse(HELLO)


async def events(request: Request) -> Response:
    async def stream() -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(comment="hello")
        queue = ticker.subscribe()
        try:
            while True:
                yield await queue.get()
        finally:
            ticker.unsubscribe(queue)

    return EventSourceResponse(stream())


app = Starlette(routes=[Route("/", hello), Route("/events", events)])
