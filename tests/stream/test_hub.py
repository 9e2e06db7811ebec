"""Publishing and subscribing: topics, ids, replay, gaps, ends and counts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rat.errors import HTTPError
from rat.stream.broker import HubEvent, parse_id
from rat.stream.delivery import EndReason
from rat.stream.hub import Hub
from rat.stream.sse import ServerSentEvent
from rat.stream.statistics import Counts
from tests.stream.hubs import Reader, make_hub
from tests.support.sse import Received
from tests.support.timers import FakeTimers


async def publish(hub: Hub, topic: str, *data: Any) -> list[str]:
    return [await hub.publish(topic, each) for each in data]


async def test_an_event_reaches_all_who_are_subscribed_and_nobody_else() -> None:
    hub = make_hub()
    readers = {
        names: Reader(hub.subscribe(*names))
        for names in [("a",), ("b",), ("a", "b"), ("rooms/*",), ("rooms/1",), ("a", "rooms/*", "rooms/1"), ("*",)]
    }
    await publish(hub, "a", "1")
    await publish(hub, "rooms/1", "2")
    await publish(hub, "rooms/1/users", "3")
    await publish(hub, "b", "4")
    await publish(hub, "rooms/2", "5")
    assert {names: reader.data() for names, reader in readers.items()} == {
        ("a",): ["1"],
        ("b",): ["4"],
        ("a", "b"): ["1", "4"],
        ("rooms/*",): ["2", "5"],
        ("rooms/1",): ["2"],
        ("a", "rooms/*", "rooms/1"): ["1", "2", "5"],
        ("*",): ["1", "4"],
    }


async def test_what_a_client_sees() -> None:
    hub = make_hub()
    reader = Reader(hub.subscribe("t"))
    assert await hub.publish("t", {"a": "x\ny"}, event="tick") == "e-1"
    assert await hub.publish("t", "one\r\ntwo") == "e-2"
    assert await hub.publish("t", None) == "e-3"
    assert reader.take() == [
        Received("tick", '{"a":"x\\ny"}', "e-1"),
        Received("message", "one\ntwo", "e-2"),
        Received("message", "null", "e-3"),
    ]


async def test_an_event_is_encoded_once() -> None:
    hub = make_hub()
    one, other = hub.subscribe("t"), hub.subscribe("*")
    await hub.publish("t", "x")
    first, second = await anext(one), await anext(other)
    assert first is second


async def test_filters_see_the_event() -> None:
    hub = make_hub()
    seen: list[tuple[str, str | None, str, str | None]] = []

    def large(event: HubEvent) -> bool:
        seen.append((event.id, event.event, event.data, event.key))
        return bool(event.json() > 5)

    reader = Reader(hub.subscribe("t", where=large))
    for number in (3, 7):
        await hub.publish("t", number, event="n", key="k")
    assert reader.data() == ["7"]
    assert seen == [("e-1", "n", "3", "k"), ("e-2", "n", "7", "k")]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (None, []),
        ("", []),
        ("e-0", ["1", "2", "3"]),
        ("e-1", ["2", "3"]),
        ("e-3", []),
        ("earliest", ["1", "2", "3"]),
        ("e-4", ["gap unknown", "1", "2", "3"]),
        ("f-1", ["gap unknown", "1", "2", "3"]),
        ("e-+1", ["gap unknown", "1", "2", "3"]),
        ("nonsense", ["gap unknown", "1", "2", "3"]),
    ],
)
async def test_replay_then_live(after: str | None, expected: list[str]) -> None:
    hub = make_hub()
    await publish(hub, "t", "1", "2", "3")
    reader = Reader(hub.subscribe("t", after=after))
    await publish(hub, "t", "4")
    first = reader.data(2)
    await publish(hub, "t", "5")
    assert first + reader.data() == [*expected, "4", "5"]


async def test_several_topics_are_replayed_in_order() -> None:
    hub = make_hub()
    for number in range(200):
        await hub.publish(f"t/{number % 3}", str(number))
    reader = Reader(hub.subscribe("t/*", "t/1", "other", after="earliest"))
    assert reader.data() == [str(number) for number in range(200)]
    assert reader.subscription.counts().replayed == 200


@pytest.mark.parametrize(
    ("limits", "held"),
    [
        ({"replay_events": 2}, ["3", "4"]),
        ({"replay_events": 0}, []),
        ({"replay_bytes": 20}, ["4"]),
        ({"replay_bytes": 40}, ["3", "4"]),
        ({"replay_bytes": 10}, []),
        ({"replay_seconds": 25.0}, ["3", "4"]),
        ({"replay_seconds": 20.0}, ["4"]),
        ({}, ["1", "2", "3", "4"]),
    ],
)
async def test_what_a_ring_let_go_is_said(limits: dict[str, Any], held: list[str]) -> None:
    timers = FakeTimers()
    hub = make_hub(timers, **limits)
    for data in "1234":
        await hub.publish("t", data)
        timers.advance(10)
    gap = [] if len(held) == 4 else ["gap expired t"]
    assert Reader(hub.subscribe("t", after="e-0")).data() == [*gap, *held]
    assert Reader(hub.subscribe("t", after="earliest")).data() == held
    if held:
        last_gone = 4 - len(held)
        assert Reader(hub.subscribe("t", after=f"e-{last_gone}")).data() == held


async def test_a_ring_that_moves_on_under_a_slow_reader_is_said() -> None:
    hub = make_hub(replay_events=100)
    await publish(hub, "t", *map(str, range(100)))
    reader = Reader(hub.subscribe("t", after="earliest"))
    assert reader.data(1) == ["0"]
    await publish(hub, "t", *map(str, range(100, 200)))
    assert reader.data() == [*map(str, range(1, 64)), "gap expired t", *map(str, range(100, 200))]
    assert reader.subscription.counts().gaps == 1


async def test_a_reader_in_replay_holds_no_queue() -> None:
    hub = make_hub()
    await publish(hub, "t", "0")
    reader = Reader(hub.subscribe("t", after="earliest"))
    await publish(hub, "t", *map(str, range(1, 900)))
    assert reader.subscription.queued_events == 0
    assert len(reader.data()) == 900


async def test_live_events_of_a_topic_without_replay_keep_their_place() -> None:
    hub = make_hub()
    hub.topic("live", replay_events=0)
    await publish(hub, "kept", "1")
    reader = Reader(hub.subscribe("kept", "live", after="earliest"))
    await publish(hub, "live", "2")
    await publish(hub, "kept", "3")
    assert reader.data() == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("drop_oldest", ["gap overflow 2", "3", "4", "5"]),
        ("drop_newest", ["1", "2", "3", "gap overflow 2"]),
        ("coalesce", ["4", "5"]),
        ("disconnect", ["close: it did not keep up"]),
    ],
)
@pytest.mark.parametrize("given_to", ["topic", "pattern", "subscription"])
async def test_full_queues(policy: str, expected: list[str], given_to: str) -> None:
    hub = make_hub()
    if given_to != "subscription":
        hub.topic("t/1" if given_to == "topic" else "t/*", policy=policy)
    reader = Reader(hub.subscribe("t/1", max_events=3, policy=policy if given_to == "subscription" else None))
    for number, key in enumerate("ababa", 1):
        await hub.publish("t/1", str(number), key=key)
    assert reader.data() == expected
    statistics = hub.statistics()
    assert statistics.counts == reader.subscription.counts()
    assert statistics.published == 5
    assert statistics.ended == ({"overflow": 1} if policy == "disconnect" else {})


async def test_settings_are_checked() -> None:
    hub = make_hub()
    with pytest.raises(ValueError, match="'drop_all' is not a valid Policy"):
        hub.topic("t", policy="drop_all")
    with pytest.raises(ValueError, match="topic 't' has a negative bound"):
        hub.topic("t", replay_events=-1)
    with pytest.raises(ValueError, match="a queue of 0 events and 5 bytes holds nothing"):
        hub.subscribe("t", max_events=0, max_bytes=5)
    with pytest.raises(ValueError, match="needs at least one topic"):
        hub.subscribe()
    assert hub.statistics().subscriptions == 0


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", "topic name of 0 characters, and must have 1 to 512"),
        ("x" * 513, "topic name of 513 characters"),
        ("a\nb", r"has the control character '\\n' at 1"),
        ("a/*", "is a pattern, and only subscriptions take patterns"),
    ],
)
async def test_names_of_topics(name: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        await make_hub().publish(name, "x")


async def test_what_cannot_be_published() -> None:
    hub = make_hub()
    with pytest.raises(ValueError, match="event 'a\\\\nb' has"):
        await hub.publish("t", "x", event="a\nb")
    with pytest.raises(TypeError, match="of type set is no JSON"):
        await hub.publish("t", {1})
    with pytest.raises(TypeError, match="not a ServerSentEvent: the id is the broker's"):
        await hub.publish("t", ServerSentEvent("x"))
    assert await hub.publish("t", "x") == "e-1"


async def test_who_may_subscribe() -> None:
    hub = make_hub(authorise=lambda topic, identity: topic != "secret/*" or identity == "root")
    hub.subscribe("secret/*", identity="root")
    with pytest.raises(HTTPError, match="subscribing to 'secret/\\*' is not allowed") as caught:
        hub.subscribe("open", "secret/*", identity="ada")
    assert caught.value.status == 403
    assert hub.statistics().subscriptions == 1


async def test_who_has_to_be_awaited_decides_nothing() -> None:
    # A coroutine is true: it would let everybody in, and every event through.
    async def later(*_: object) -> bool:
        return False

    hub = make_hub(authorise=later)
    with pytest.raises(TypeError, match="authorise gave coroutine, expected a bool at once"):
        hub.subscribe("t")
    hub.authorise = None
    with pytest.raises(TypeError, match="where is a coroutine function"):
        hub.subscribe("t", where=later)  # type: ignore[arg-type]
    assert hub.statistics().subscriptions == 0


async def test_who_is_there() -> None:
    timers = FakeTimers(100.0)
    hub = make_hub(timers)
    ada = hub.subscribe("rooms/1", identity="ada")
    timers.advance(5)
    hub.subscribe("rooms/*", identity="grace")
    hub.subscribe("other", identity="alan")
    assert [(each.identity, each.since) for each in hub.presence("rooms/1")] == [("ada", 100.0), ("grace", 105.0)]
    assert [each.identity for each in hub.presence("rooms/2")] == ["grace"]
    ada.close()
    assert [each.identity for each in hub.presence("rooms/1")] == ["grace"]
    assert hub.disconnect(lambda each: each.identity == "grace") == 1
    assert hub.presence("rooms/1") == []
    assert hub.statistics().ended == {"closed": 1, "disconnected": 1}


async def test_a_subscription_ends_when_its_time_is_over() -> None:
    timers = FakeTimers()
    hub = make_hub(timers)
    reader = Reader(hub.subscribe("t", lifetime=60))
    await publish(hub, "t", "1")
    timers.advance(59.9)
    assert reader.data() == ["1"]
    timers.advance(0.1)
    await publish(hub, "t", "2")
    assert reader.data() == ["close: its time is over"]
    assert reader.data() == []
    assert reader.subscription.end_reason is EndReason.EXPIRED
    assert hub.presence("t") == []


async def test_a_closed_subscription_leaves_nothing() -> None:
    timers = FakeTimers()
    hub = make_hub(timers)
    async with hub.subscribe("t", "a/*", lifetime=60, after="earliest") as subscription:
        await publish(hub, "a/1", "x")
    subscription.close()
    await subscription.aclose()
    assert [event async for event in subscription] == []
    assert timers.pending == 0
    assert hub.statistics().subscriptions == 0
    assert {name: topic.subscribers for name, topic in hub.statistics().topics.items()} == {"a/1": 0}


async def test_a_waiting_reader_is_woken_and_a_cancelled_one_loses_nothing() -> None:
    hub = make_hub()
    subscription = hub.subscribe("t")
    waiting = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another task reads"):
        await anext(subscription)
    with pytest.raises(RuntimeError, match="that is being iterated"):
        subscription.attach(lambda data: True)
    await publish(hub, "t", "1")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert Reader(subscription).data() == ["1"]
    waiting = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    subscription.close()
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_closing_the_hub_ends_all() -> None:
    hub = Hub()
    subscription = hub.subscribe("t")
    waiting = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    await hub.close()
    assert b"event: rat.close\n" in (await waiting).wire
    with pytest.raises(RuntimeError, match="the hub is closed"):
        await hub.publish("t", "x")
    with pytest.raises(RuntimeError, match="the hub is closed"):
        hub.subscribe("t")


async def test_a_filter_that_raises_ends_its_subscription_alone(caplog: pytest.LogCaptureFixture) -> None:
    hub = make_hub()
    bad, good = Reader(hub.subscribe("t", where=lambda event: event.json() > 1)), Reader(hub.subscribe("t"))
    await publish(hub, "t", "no number", "2")
    assert bad.data() == ["close: its filter or its sink raised"]
    assert good.data() == ["no number", "2"]
    assert "the filter of a subscription to t raised" in caplog.text


async def test_a_filter_that_subscribes_and_publishes_disturbs_nobody() -> None:
    hub = make_hub()
    late: list[Reader] = []

    def meddle(event: HubEvent) -> bool:
        if event.data == "1":
            late.append(Reader(hub.subscribe("t", after="e-0")))
            late.append(Reader(hub.subscribe("t")))
            coroutine = hub.publish("t", "2")
            with pytest.raises(StopIteration):
                coroutine.send(None)
        return True

    meddler, other = Reader(hub.subscribe("t", where=meddle)), Reader(hub.subscribe("t"))
    await publish(hub, "t", "1", "3")
    assert [meddler.data(), other.data(), late[0].data()] == [["1", "2", "3"]] * 3
    assert late[1].data() == ["2", "3"]


async def test_forgotten_topics_are_bounded_and_said() -> None:
    hub = make_hub(max_topics=10)
    everything = Reader(hub.subscribe("x/*"))
    named = Reader(hub.subscribe("x/0"))
    replaying = Reader(hub.subscribe("x/*", after="e-0"))
    for number in range(50):
        await hub.publish(f"x/{number}", str(number))
        assert len(hub.statistics().topics) <= 10
    assert everything.data() == [str(number) for number in range(50)]
    assert named.data() == ["0"]
    seen = replaying.data()
    assert seen[0].startswith("gap expired x/")
    assert seen[-1] == "49"
    assert Reader(hub.subscribe("x/*", after="e-1")).data()[0].endswith(" x/*")
    assert Reader(hub.subscribe("x/7", after="e-1")).data() == ["gap expired x/7"]
    assert Reader(hub.subscribe("x/7", after="e-50")).data() == []


async def test_old_topics_are_swept_while_others_are_published() -> None:
    timers = FakeTimers()
    hub = make_hub(timers, replay_seconds=10.0)
    await publish(hub, "old", "1")
    timers.advance(20)
    await publish(hub, "new", "2")
    assert set(hub.statistics().topics) == {"new"}
    assert Reader(hub.subscribe("old", after="e-0")).data() == ["gap expired old"]


async def test_statistics() -> None:
    hub = make_hub()
    reader = Reader(hub.subscribe("t", max_events=2))
    gone = hub.subscribe("t")
    await publish(hub, "t", "1", "2", "3")
    gone.close()
    assert reader.data(2) == ["gap overflow 1", "2"]
    statistics = hub.statistics()
    assert (statistics.subscriptions, statistics.subscribed, statistics.published) == (1, 2, 3)
    assert statistics.counts == Counts(delivered=1, gaps=1, dropped_oldest=1)
    assert (statistics.queued_events, statistics.queued_bytes) == (1, len(b"id: e-3\ndata: 3\n\n"))
    assert statistics.topics["t"].held_events == 3
    assert statistics.topics["t"].held_bytes == 3 * len(b"id: e-3\ndata: 3\n\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("e-1", ("e", 1)),
        ("a-b-007", ("a-b", 7)),
        ("-1", None),
        ("e-", None),
        ("e", None),
        ("", None),
        ("e-1_0", None),
        ("e- 1", None),
        ("e-\u0661", None),
        ("e-" + "9" * 21, None),
    ],
)
def test_ids(text: str, expected: tuple[str, int] | None) -> None:
    assert parse_id(text) == expected
