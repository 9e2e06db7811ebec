"""Nothing missed and nothing twice, however publishing, replay, pressure, departures and two hubs mix."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import orjson
import pytest

from rat.stream.broker import MemoryBroker
from rat.stream.hub import Hub
from rat.stream.subscription import Subscription
from tests.stream.hubs import Reader, Wire, make_hub
from tests.support.sse import EventSource, Received
from tests.support.timers import FakeTimers

TOPICS = ["a", "b", "r/1", "r/2", "r/3"]
WANTED = {
    ("a",): {"a"},
    ("a", "b"): {"a", "b"},
    ("r/*",): {"r/1", "r/2", "r/3"},
    ("r/*", "a", "r/2"): {*TOPICS} - {"b"},
}


@dataclass
class Client:
    """An EventSource that comes and goes, and remembers all that it was ever told."""

    topics: tuple[str, ...]
    last_id: str = ""
    start: int = 0
    seen: list[Received] = field(default_factory=list)
    subscription: Subscription | None = None
    reader: Reader | None = None
    wire: Wire | None = None

    def connect(self, hub: Hub, rng: random.Random, max_events: int | None) -> None:
        self.leave()
        if not self.last_id:
            # It has seen nothing, which is not the same as everything so far.
            self.last_id = f"e-{hub.sequence}"
            self.start = hub.sequence
        self.subscription = hub.subscribe(*self.topics, after=self.last_id, max_events=max_events)
        if rng.random() < 0.5:
            self.wire = Wire(room=rng.choice([1, 2, 1000]))
            self.subscription.attach(self.wire, heartbeat=rng.choice([None, 5]))
        else:
            self.reader = Reader(self.subscription)

    def act(self, rng: random.Random, most: int) -> None:
        if self.reader is not None:
            self.note(self.reader.source, self.reader.take, most)
        elif self.wire is not None and self.subscription is not None:
            if self.wire.room <= 0:
                self.wire.room = most
                self.subscription.resume()
            self.note(self.wire.source)

    def note(self, source: EventSource, take: object = None, most: int = 0) -> None:
        if callable(take):
            take(most)
        self.seen += source.events
        source.events.clear()
        self.last_id = source.last_event_id or self.last_id

    def leave(self) -> None:
        if self.subscription is not None:
            if self.wire is not None:
                self.note(self.wire.source)
            self.subscription.close()
        self.subscription = self.reader = self.wire = None


async def run(
    seed: int, *, hubs: int, max_events: int | None = None, **bounds: int
) -> tuple[list[Client], list[tuple[int, str]]]:
    rng = random.Random(seed)
    timers = FakeTimers()
    broker = MemoryBroker(epoch="e", clock=timers.time, keep_events=10_000)
    servers = [make_hub(timers, broker=broker, **bounds) for _ in range(hubs)]
    clients = [Client(rng.choice(list(WANTED))) for _ in range(6)]
    published: list[tuple[int, str]] = []
    for client in clients:
        client.connect(rng.choice(servers), rng, max_events)
    for _ in range(300):
        chance = rng.random()
        client = rng.choice(clients)
        if chance < 0.5:
            topic = rng.choice(TOPICS)
            number = len(published) + 1
            data = f"{number}" + "." * rng.randrange(60)
            assert await rng.choice(servers).publish(topic, data) == f"e-{number}"
            published.append((number, topic))
        elif chance < 0.85:
            client.act(rng, rng.choice([1, 3, 100]))
        elif chance < 0.97:
            client.connect(rng.choice(servers), rng, max_events)
        else:
            timers.advance(rng.choice([0.5, 3, 10]))
    for client in clients:
        for _ in range(3):
            client.act(rng, 1_000_000)
    for server in servers:
        statistics = server.statistics()
        assert statistics.published == len(published)
    return clients, published


def wanted(client: Client, published: list[tuple[int, str]]) -> list[int]:
    topics = WANTED[client.topics]
    return [number for number, topic in published if topic in topics and number > client.start]


def covered(names: list[str]) -> set[str]:
    return {topic for topic in TOPICS for name in names if name == topic or (name == "r/*" and topic.startswith("r/"))}


@pytest.mark.parametrize("hubs", [1, 2])
@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_missed_and_nothing_comes_twice(seed: int, hubs: int) -> None:
    clients, published = asyncio.run(run(seed, hubs=hubs, subscriber_events=10_000, replay_events=10_000))
    for client in clients:
        numbers = [int(event.data.partition(".")[0]) for event in client.seen]
        assert numbers == wanted(client, published)
        assert [event.last_event_id for event in client.seen] == [f"e-{number}" for number in numbers]


@pytest.mark.parametrize("seed", range(80))
def test_within_tight_bounds_every_hole_is_said_at_its_place(seed: int) -> None:
    clients, published = asyncio.run(
        run(seed, hubs=1 + seed % 2, max_events=3, replay_events=8, replay_bytes=400, replay_seconds=8)
    )
    holes = 0
    for client in clients:
        topics = WANTED[client.topics]
        topic_of = dict(published)
        owed = {
            topic: [number for number in wanted(client, published) if topic_of[number] == topic] for topic in topics
        }
        told: set[str] = set()
        last = 0
        for event in client.seen:
            if event.event == "rat.gap":
                gap = orjson.loads(event.data)
                told |= topics if gap["reason"] == "overflow" else covered(gap["topics"])
                continue
            number = int(event.data.partition(".")[0])
            assert number > last, "twice, or out of order"
            last = number
            topic = topic_of[number]
            missed = owed[topic].index(number)
            assert missed == 0 or topic in told, f"{owed[topic][:missed]} of {topic} were missed without a word"
            holes += missed
            del owed[topic][: missed + 1]
            told.discard(topic)
        for topic, rest in owed.items():
            assert not rest or topic in told, f"{rest} of {topic} were missed without a word at the end"
    assert holes > 0, "the bounds were never passed: this proves nothing"


def test_two_servers_share_a_broker_and_late_ones_catch_up() -> None:
    async def scenario() -> None:
        broker = MemoryBroker(epoch="e", keep_events=100, clock=FakeTimers().time)
        first = make_hub(broker=broker)
        leaver = Reader(first.subscribe("t", after="e-0"))
        await first.publish("t", "1")
        second = make_hub(broker=broker)
        await second.publish("t", "2")
        assert leaver.data() == ["1", "2"]
        await first.close()
        await second.publish("t", "3")
        stayer = Reader(second.subscribe("t", after="e-2"))
        assert stayer.data() == ["3"]
        assert Reader(second.subscribe("t", after="e-0")).data() == ["1", "2", "3"]
        await broker.close()
        with pytest.raises(RuntimeError, match="the broker is closed"):
            await second.publish("t", "4")
        with pytest.raises(RuntimeError, match="the broker is closed"):
            make_hub(broker=broker)

    asyncio.run(scenario())


def test_what_the_broker_let_go_before_a_hub_came_is_said() -> None:
    async def scenario() -> None:
        broker = MemoryBroker(epoch="e", keep_events=2, clock=FakeTimers().time)
        first = make_hub(broker=broker)
        for number in range(1, 6):
            await first.publish("t", str(number))
        late = make_hub(broker=broker)
        assert Reader(late.subscribe("t", after="e-3")).data() == ["4", "5"]
        assert Reader(late.subscribe("t", after="e-2")).data() == ["gap expired t", "4", "5"]

    asyncio.run(scenario())
