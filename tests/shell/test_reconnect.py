"""A server that stops hands its subscribers to another one on the same broker: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from rat import EventStream, Rat, RatServer, Request
from rat.stream.broker import MemoryBroker
from rat.stream.hub import Hub
from rat.stream.sse import EncodedEvent
from tests.support.serving import connect, serving
from tests.support.sse import EventSource

CLIENTS = 20


def app_on(broker: MemoryBroker) -> Rat:
    app = Rat()
    app.hub = Hub(broker=broker)

    @app.sse("/numbers")
    async def numbers(request: Request) -> EventStream:
        return EventStream(app.hub.subscribe("numbers", after=request.last_event_id))

    @app.sse("/iterated")
    async def iterated(request: Request) -> EventStream:
        # Not the hub's short way to the transport: what a handler does that looks at events on their way.
        async def pass_on() -> AsyncIterator[EncodedEvent]:
            async with app.hub.subscribe("numbers", after=request.last_event_id) as subscription:
                async for event in subscription:
                    yield event

        return EventStream(pass_on())

    return app


class Listener:
    """An EventSource: comes back with the last id that it saw, wherever *servers* then points."""

    def __init__(self, path: str, servers: list[RatServer]) -> None:
        self.path = path
        self.servers = servers
        self.numbers: list[int] = []
        self.goodbyes = 0
        self.last_event_id = ""
        self.changed = asyncio.Event()

    async def run(self) -> None:
        while True:
            async with connect(self.servers[0]) as client:
                fields = f"Last-Event-ID: {self.last_event_id}\r\n" if self.last_event_id else ""
                await client.send(f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode())
                status, _ = await client.head()
                assert status == 200  # anything else, and an EventSource never comes back
                source = EventSource()
                while piece := await client.chunk():
                    source.feed(piece)
                    self._take(source)
                assert await client.reader.readexactly(2) == b"\r\n"  # the stream ended, it was not cut
                assert source.retry is not None
                assert 1000 <= source.retry <= 2000

    def _take(self, source: EventSource) -> None:
        for event in source.events:
            if event.event == "rat.close":
                self.goodbyes += 1
            else:
                self.numbers.append(int(event.data))
        self.last_event_id = source.last_event_id or self.last_event_id
        source.events.clear()
        self.changed.set()

    async def until(self, number: int) -> None:
        async with asyncio.timeout(10):
            while number not in self.numbers:
                self.changed.clear()
                await self.changed.wait()


@pytest.mark.parametrize("path", ["/numbers", "/iterated"])
async def test_subscribers_move_to_another_server_without_losing_or_doubling_an_event(path: str) -> None:
    broker = MemoryBroker(keep_events=1000)
    first, second = app_on(broker), app_on(broker)
    stopping = RatServer(first, port=0)
    await stopping.start()
    servers = [stopping]
    listeners = [Listener(path, servers) for _ in range(CLIENTS)]
    published = 0

    async def publish(app: Rat, count: int) -> None:
        nonlocal published
        for _ in range(count):
            await app.hub.publish("numbers", published)
            published += 1

    async with serving(second) as other:
        tasks = [asyncio.create_task(listener.run()) for listener in listeners]
        try:
            async with asyncio.timeout(10):
                while len(first.hub.presence("numbers")) < CLIENTS:
                    await asyncio.sleep(0)
            await publish(first, 5)
            for listener in listeners:
                await listener.until(4)
            # Events go on, while streams end and clients come back one after the other.
            servers[0] = other
            async with asyncio.timeout(2):
                closing = asyncio.create_task(stopping.close(grace=2))
                while not closing.done():
                    await publish(second, 1 if published < 200 else 0)
                    await asyncio.sleep(0)
                assert await closing == 0
            for listener in listeners:
                await listener.until(published - 1)
            await publish(second, 5)
            for listener in listeners:
                await listener.until(published - 1)
                assert listener.numbers == list(range(published))
                assert listener.goodbyes == 1
            assert len(second.hub.presence("numbers")) == CLIENTS
            assert not any(task.done() for task in tasks)
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks)


async def test_a_hub_is_set_before_it_is_used() -> None:
    app = Rat()
    hub = app.hub
    with pytest.raises(RuntimeError, match="has a hub already"):
        app.hub = Hub()
    assert app.hub is hub
    await hub.close()
