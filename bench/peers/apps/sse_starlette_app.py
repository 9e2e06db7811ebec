"""Event streams by sse-starlette."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bench.peers.apps.common import HELLO, TOKENS, Ticker, event_data, token

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


async def tokens(request: Request) -> Response:
    async def stream() -> AsyncIterator[ServerSentEvent]:
        for number in range(TOKENS):
            yield ServerSentEvent(orjson.dumps(token(number)).decode(), sep="\n")

    return EventSourceResponse(stream(), sep="\n")


app = Starlette(routes=[Route("/", hello), Route("/events", events), Route("/tokens", tokens)])
