"""The hub over real sockets: many subscribers, one that does not read, one that comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from rat import EventStream, Rat, RatServer, Request
from rat.config import ServerConfig, StreamLimits
from rat.stream.policy import Policy
from rat.stream.topics import TopicSettings
from tests.support.serving import Client, connect, serving
from tests.support.sse import Received
from tests.support.sse import parse as parse_source

HOST = b"Host: localhost\r\n"


def parse(text: bytes) -> list[Received]:
    """The events of a stream, as a browser would dispatch them."""
    return list(parse_source(text).events)


def make_app() -> Rat:
    app = Rat()

    @app.sse("/ticks")
    async def ticks(request: Request) -> EventStream:
        return EventStream(app.hub.subscribe("ticks", after=request.last_event_id), retry=3.0)

    @app.sse("/small")
    async def small(request: Request) -> EventStream:
        return EventStream(app.hub.subscribe("ticks", policy="drop_oldest", max_events=4), heartbeat=None)

    return app


async def subscribers(app: Rat, count: int) -> None:
    async with asyncio.timeout(10):
        while len(app.hub.presence("ticks")) != count:
            await asyncio.sleep(0)


async def events(client: Client, count: int) -> bytes:
    """The text of the stream up to and with *count* events that carry data."""
    text = b""
    async with asyncio.timeout(10):
        while text.count(b"\ndata:") + text.startswith(b"data:") < count:
            piece = await client.chunk()
            assert piece, text
            text += piece
    return text


async def test_every_subscriber_gets_every_event() -> None:
    app = make_app()
    async with serving(app) as server, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(server)) for _ in range(3)]
        for client in clients:
            await client.send(b"GET /ticks HTTP/1.1\r\n" + HOST + b"\r\n")
            status, fields = await client.head()
            assert status == 200
            assert dict(fields)["content-type"].startswith("text/event-stream")
            assert dict(fields)["cache-control"] == "no-store"
        await subscribers(app, 3)
        ids = [await app.hub.publish("ticks", {"number": number}) for number in range(5)]
        for client in clients:
            parsed = parse(await events(client, 5))
            assert [event.data for event in parsed] == [f'{{"number":{number}}}' for number in range(5)]
            assert [event.last_event_id for event in parsed] == ids


async def test_who_comes_back_misses_nothing() -> None:
    app = make_app()
    async with serving(app) as server:
        first = await app.hub.publish("ticks", "one")
        await app.hub.publish("ticks", "two")
        async with connect(server) as client:
            await client.send(b"GET /ticks HTTP/1.1\r\n" + HOST + b"Last-Event-ID: " + first.encode() + b"\r\n\r\n")
            await client.head()
            await subscribers(app, 1)
            await app.hub.publish("ticks", "three")
            assert [event.data for event in parse(await events(client, 2))] == ["two", "three"]


async def test_the_end_of_a_client_is_the_end_of_its_subscription() -> None:
    app = make_app()
    async with serving(app) as server:
        for leave in ("reset", "half_close"):
            async with connect(server) as client:
                await client.send(b"GET /ticks HTTP/1.1\r\n" + HOST + b"\r\n")
                await client.head()
                await subscribers(app, 1)
                getattr(client, leave)()
                await subscribers(app, 0)
                async with asyncio.timeout(10):
                    while server.statistics()["connections_open"]:
                        await asyncio.sleep(0)


GET = b"GET /ticks HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.mark.parametrize("leave", ["reset", "half_close"])
@pytest.mark.parametrize("together", [False, True])
async def test_a_subscriber_that_asks_for_more_behind_its_stream_is_seen_to_leave(together: bool, leave: str) -> None:
    app = make_app()
    async with serving(app) as server:
        async with connect(server) as client:
            await client.send(GET + GET if together else GET)
            await client.head()
            await subscribers(app, 1)
            if not together:
                await client.send(GET)
                (connection,) = server.service.connections
                async with asyncio.timeout(10):
                    while not connection.engine.unread:  # type: ignore[attr-defined]
                        await asyncio.sleep(0)
            getattr(client, leave)()
            # No heartbeat is due for 15 seconds.
            await subscribers(app, 0)
            async with asyncio.timeout(10):
                while server.statistics()["connections_open"]:
                    await asyncio.sleep(0)


async def test_a_client_that_asks_for_much_behind_its_stream_is_read_no_more() -> None:
    app = make_app()
    async with serving(app) as server, connect(server) as client:
        await client.send(GET)
        await client.head()
        await subscribers(app, 1)
        (connection,) = server.service.connections
        flow = connection.flow  # type: ignore[attr-defined]
        await client.send(b"x" * server.service.config.limits.head)
        async with asyncio.timeout(10):
            while connection.engine.unread < server.service.config.limits.head:  # type: ignore[attr-defined]
                await asyncio.sleep(0)
        assert not flow.reasons
        await client.send(b"x")
        async with asyncio.timeout(10):
            while not flow.reasons:
                await asyncio.sleep(0)


async def test_old_clients_get_events_without_chunks() -> None:
    app = make_app()
    async with serving(app) as server, connect(server) as client:
        await client.send(b"GET /ticks HTTP/1.0\r\n\r\n")
        await subscribers(app, 1)
        await app.hub.publish("ticks", "one")
        await app.hub.close()
        answer = await client.answer()
        assert answer.field("transfer-encoding") is None
        assert parse(answer.content)[0].data == "one"


async def test_a_subscriber_that_does_not_read_costs_its_queue_and_no_more() -> None:
    app = make_app()
    data = "x" * 10_000
    async with (
        serving(app, send_buffer=4096) as server,
        connect(server, receive_buffer=4096) as slow,
        connect(server) as quick,
    ):
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await slow.send(b"GET /small HTTP/1.1\r\n" + HOST + b"\r\n")
        await subscribers(app, 1)
        stuck = next(one for one in server.service.connections if not one.is_idle)
        await quick.send(b"GET /ticks HTTP/1.1\r\n" + HOST + b"\r\n")
        await quick.head()
        await subscribers(app, 2)
        for number in range(100):
            await app.hub.publish("ticks", f"{number} {data}")
            if number % 10 == 9:
                got = parse(await events(quick, 10))
                assert [event.data.split()[0] for event in got] == [str(n) for n in range(number - 9, number + 1)]
        assert stuck.flow.unsent() < 64 * 1024 + 2 * 10_100  # type: ignore[attr-defined]
        assert len(app.hub.presence("ticks")) == 2
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await slow.head()
        text = b""
        while b"data: 99 " not in text:
            text += await slow.chunk()
        numbers = [int(event.data.split()[0]) for event in parse(text) if event.event == "message"]
        assert numbers == sorted(numbers)
        assert numbers[-4:] == [96, 97, 98, 99]


async def test_a_server_that_stops_says_goodbye_to_subscribers() -> None:
    app = make_app()
    server = RatServer(app, port=0)
    await server.start()
    async with connect(server) as client:
        await client.send(b"GET /ticks HTTP/1.1\r\n" + HOST + b"\r\n")
        await subscribers(app, 1)
        await app.hub.publish("ticks", "one")
        assert await server.close(grace=10) == 0
        answer = await client.answer()
        names = [event.event for event in parse(answer.content)]
        assert names == ["message", "rat.close"]
        assert answer.content.startswith(b"retry: 3000\n\n")


@pytest.mark.parametrize("method", [b"HEAD"])
async def test_a_head_request_subscribes_nobody(method: bytes) -> None:
    app = make_app()
    async with serving(app) as server, connect(server) as client:
        await client.send(method + b" /ticks HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await client.answer("HEAD")).status == 200
        await subscribers(app, 0)


@pytest.mark.parametrize("kind", ["generator", "subscription", "compressed"])
async def test_a_stream_has_the_heartbeat_that_the_server_is_told(kind: str) -> None:
    app = Rat()

    async def silent() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield "never"

    @app.get("/")
    async def stream(request: Request) -> EventStream:
        return EventStream(silent() if kind == "generator" else app.hub.subscribe("t"), compress=kind == "compressed")

    config = ServerConfig(stream=StreamLimits(heartbeat=0.02))
    async with serving(app, config=config) as server, connect(server) as client:
        await client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await client.head()
        async with asyncio.timeout(10):
            assert await client.chunk() == b":\n\n"


async def test_a_hub_that_was_used_before_has_the_bounds_that_the_server_is_told() -> None:
    app = Rat()
    app.hub.topic("rooms/*", replay_events=7)
    app.hub.topic("rooms/1", policy="coalesce")
    app.hub.topic("kept", replay_seconds=9)
    await app.hub.publish("other", "x")
    app.prepare(ServerConfig(stream=StreamLimits(subscriber_events=3, replay_events=2, replay_bytes=5)))
    settings = app.hub._table.settings
    assert settings("other") == TopicSettings(2, 300.0, 5)
    assert settings("rooms/2") == TopicSettings(7, 300.0, 5)
    assert settings("rooms/1") == TopicSettings(7, 300.0, 5, Policy.COALESCE)
    assert settings("kept") == TopicSettings(2, 9, 5)
    assert app.hub.limits.subscriber_events == 3
    await app.shutdown()
