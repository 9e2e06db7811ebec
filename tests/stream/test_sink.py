"""A subscription that writes straight to a transport: pressure, replay, heartbeats, ends."""

from __future__ import annotations

import asyncio

import pytest

from rat.stream.delivery import TRANSITIONS, EndReason, SubscriptionState, frame_chunk
from rat.stream.sse import HEARTBEAT
from tests.stream.hubs import Reader, Wire, make_hub
from tests.stream.test_hub import publish
from tests.support.timers import FakeTimers


async def test_events_go_straight_through_framed_once() -> None:
    hub = make_hub()
    one, other = Wire(), Wire()
    for wire in (one, other):
        hub.subscribe("t").attach(wire)
    await publish(hub, "t", "1", "2")
    assert one.data() == other.data() == ["1", "2"]
    assert len(one.calls) == 2
    assert all(first is second for first, second in zip(one.calls, other.calls, strict=True))


async def test_without_chunks_the_event_itself_is_written() -> None:
    hub = make_hub()
    calls: list[bytes] = []

    def sink(data: bytes) -> bool:
        calls.append(data)
        return True

    await publish(hub, "t", "1", "2")
    hub.subscribe("t", after="earliest").attach(sink, chunked=False)
    await publish(hub, "t", "3")
    assert calls == [b"id: e-1\ndata: 1\n\nid: e-2\ndata: 2\n\n", b"id: e-3\ndata: 3\n\n"]


async def test_what_was_held_comes_first_in_few_writes() -> None:
    hub = make_hub()
    await publish(hub, "t", *map(str, range(100)))
    subscription = hub.subscribe("t", after="e-0")
    await publish(hub, "t", "100")
    wire = Wire()
    subscription.attach(wire)
    assert subscription.is_direct
    await publish(hub, "t", "101")
    assert wire.data() == list(map(str, range(102)))
    assert len(wire.calls) == 2
    assert subscription.counts().delivered == 102
    assert subscription.counts().replayed == 101


async def test_large_backlogs_are_written_in_parts_while_there_is_room() -> None:
    hub = make_hub()
    await publish(hub, "t", *["x" * 10_000] * 50)
    wire = Wire(room=3)
    subscription = hub.subscribe("t", after="earliest")
    subscription.attach(wire)
    assert subscription.state is SubscriptionState.REPLAYING
    assert max(map(len, wire.calls)) < 64 * 1024 + 10_100
    first = len(wire.data())
    assert 15 <= first <= 25
    wire.room = 1_000
    subscription.resume()
    assert len(wire.data()) == 50 - first
    assert subscription.is_direct


async def test_under_pressure_the_queue_takes_over_until_resume() -> None:
    hub = make_hub()
    subscription = hub.subscribe("t", max_events=3)
    wire = Wire(room=2)
    subscription.attach(wire)
    await publish(hub, "t", "1", "2", "3", "4", "5", "6")
    assert wire.data() == ["1", "2"]
    assert subscription.state is SubscriptionState.QUEUED
    assert subscription.queued_events == 3
    wire.room = 10
    subscription.resume()
    assert wire.data() == ["gap overflow 1", "4", "5", "6"]
    assert subscription.is_direct
    assert subscription.queued_events == 0
    assert subscription.counts().dropped_oldest == 1
    subscription.resume()
    await publish(hub, "t", "7")
    assert wire.data() == ["7"]
    assert len(wire.calls) == 4


async def test_heartbeats_break_the_silence_of_a_sink() -> None:
    timers = FakeTimers()
    hub = make_hub(timers)
    wire, silent = Wire(), Wire()
    subscription = hub.subscribe("t")
    subscription.attach(wire, heartbeat=15)
    hub.subscribe("t").attach(silent, heartbeat=None)
    timers.advance(10)
    await publish(hub, "t", "1")
    timers.advance(14)
    assert len(wire.calls) == 1
    timers.advance(2)
    assert wire.calls[1:] == [frame_chunk(HEARTBEAT)]
    timers.advance(30)
    assert wire.calls[1:] == [frame_chunk(HEARTBEAT)] * 3
    assert len(silent.calls) == 1
    subscription.close()
    timers.advance(30)
    assert len(wire.calls) == 4


async def test_a_heartbeat_feels_pressure_too() -> None:
    timers = FakeTimers()
    hub = make_hub(timers)
    wire = Wire(room=1)
    subscription = hub.subscribe("t")
    subscription.attach(wire)
    timers.advance(100)
    assert wire.calls == [frame_chunk(HEARTBEAT)]
    await publish(hub, "t", "1")
    wire.room = 9
    subscription.resume()
    assert wire.data() == ["1"]


async def test_no_timer_runs_when_no_sink_is_attached() -> None:
    timers = FakeTimers()
    hub = make_hub(timers)
    subscription = hub.subscribe("t")
    assert timers.pending == 0
    subscription.attach(Wire())
    assert timers.pending == 1
    subscription.close()
    assert timers.pending == 0


@pytest.mark.parametrize(
    ("end", "reason", "said"),
    [
        (lambda hub, timers: timers.advance(60), EndReason.EXPIRED, ["close: its time is over"]),
        (lambda hub, timers: hub.disconnect(lambda who: True), EndReason.DISCONNECTED, ["close: it was told to leave"]),
    ],
)
async def test_ends_are_said_and_told(end: object, reason: EndReason, said: list[str]) -> None:
    timers = FakeTimers()
    hub = make_hub(timers)
    wire = Wire()
    hub.subscribe("t", lifetime=60).attach(wire, on_end=wire.ended.append, heartbeat=None)
    assert callable(end)
    end(hub, timers)
    await publish(hub, "t", "1")
    assert wire.data() == said
    assert wire.ended == [reason]


async def test_disconnect_by_policy_writes_nothing_more() -> None:
    hub = make_hub()
    wire = Wire(room=1)
    hub.subscribe("t", max_events=2, policy="disconnect").attach(wire, on_end=wire.ended.append)
    await publish(hub, "t", "1", "2", "3", "4")
    assert wire.data() == ["1"]
    assert wire.ended == [EndReason.OVERFLOW]


async def test_the_owner_who_closes_is_not_told() -> None:
    hub = make_hub()
    wire = Wire()
    subscription = hub.subscribe("t")
    subscription.attach(wire, on_end=wire.ended.append)
    subscription.close()
    await hub.close()
    assert wire.ended == []
    assert wire.calls == []


async def test_one_who_is_attached_after_the_end_is_told_at_once() -> None:
    timers = FakeTimers()
    hub = make_hub(timers)
    subscription = hub.subscribe("t", lifetime=1)
    timers.advance(1)
    wire = Wire()
    subscription.attach(wire, on_end=wire.ended.append)
    assert wire.data() == ["close: its time is over"]
    assert wire.ended == [EndReason.EXPIRED]
    assert timers.pending == 0


async def test_a_closed_hub_tells_every_sink() -> None:
    hub = make_hub()
    wire = Wire()
    hub.subscribe("t").attach(wire, on_end=wire.ended.append)
    await hub.close()
    assert wire.ended == [EndReason.SHUTDOWN]
    assert wire.data() == ["close: the hub closed"]


async def test_a_sink_that_raises_ends_its_subscription_alone(caplog: pytest.LogCaptureFixture) -> None:
    hub = make_hub()
    good = Wire()
    ended: list[EndReason] = []

    def bad(data: bytes) -> bool:
        raise OSError("broken")

    subscription = hub.subscribe("t")
    subscription.attach(bad, on_end=ended.append)
    hub.subscribe("t").attach(good)
    await publish(hub, "t", "1", "2")
    assert good.data() == ["1", "2"]
    assert ended == [EndReason.FAILED]
    assert "the sink of a subscription to t raised" in caplog.text
    again = hub.subscribe("t", after="earliest")
    again.attach(bad, on_end=ended.append)
    assert ended == [EndReason.FAILED] * 2
    assert again.state is SubscriptionState.ENDED


async def test_a_sink_that_closes_its_own_subscription() -> None:
    hub = make_hub()
    subscription = hub.subscribe("t")
    calls: list[bytes] = []

    def sink(data: bytes) -> bool:
        calls.append(data)
        subscription.close()
        return False

    subscription.attach(sink)
    await publish(hub, "t", "1", "2")
    assert len(calls) == 1
    assert subscription.state is SubscriptionState.ENDED


async def test_detach_goes_back_to_the_queue() -> None:
    hub = make_hub()
    subscription = hub.subscribe("t")
    wire = Wire()
    subscription.attach(wire)
    with pytest.raises(RuntimeError, match="cannot attach a sink to a subscription that is attached"):
        subscription.attach(wire)
    with pytest.raises(RuntimeError, match="a sink is attached"):
        await anext(subscription)
    await publish(hub, "t", "1")
    subscription.detach()
    await publish(hub, "t", "2")
    assert wire.data() == ["1"]
    assert Reader(subscription).data() == ["2"]
    subscription.close()
    with pytest.raises(RuntimeError, match="cannot attach a sink to a subscription that is closed"):
        subscription.attach(wire)


async def test_one_who_is_ahead_of_this_hub_gets_nothing_twice() -> None:
    from rat.stream.broker import BrokerSubscription, HubEvent, MemoryBroker

    class Lagging(MemoryBroker):
        """Numbers at once, delivers when told to."""

        def subscribe(self, deliver: object, after: int) -> BrokerSubscription:
            self.held: list[HubEvent] = []
            self.hand = deliver
            return super().subscribe(self.held.append, after)

    broker = Lagging(epoch="e", clock=FakeTimers().time)
    hub = make_hub(broker=broker)
    await publish(hub, "t", "1", "2", "3")
    iterated = Reader(hub.subscribe("t", after="e-2"))
    wire = Wire()
    hub.subscribe("t", after="e-2").attach(wire)
    for event in broker.held:
        assert callable(broker.hand)
        broker.hand(event)
    assert iterated.data() == ["3"]
    assert wire.data() == ["3"]


@pytest.mark.parametrize("replay_events", [0, 100])
async def test_one_who_is_attached_in_the_middle_of_a_delivery_gets_it_once(replay_events: int) -> None:
    hub = make_hub(replay_events=replay_events)
    late = Wire()
    first = hub.subscribe("t")
    second = hub.subscribe("t", after="e-0")

    def sink(data: bytes) -> bool:
        if not late.calls and second.state is SubscriptionState.REPLAYING:
            second.attach(late)
        return True

    first.attach(sink)
    await publish(hub, "t", "1", "2")
    assert late.data() == ["1", "2"]


def test_every_state_but_the_last_can_end() -> None:
    ends = {state for (state, sees), becomes in TRANSITIONS.items() if sees == "end"}
    assert ends == set(SubscriptionState) - {SubscriptionState.ENDED}
    assert {state for state, _ in TRANSITIONS} == ends


async def test_real_time_by_default() -> None:
    from rat.stream.hub import Hub

    hub = Hub()
    wire = Wire()
    subscription = hub.subscribe("t", lifetime=3600)
    subscription.attach(wire)
    assert (await hub.publish("t", "x")).endswith("-1")
    assert wire.data() == ["x"]
    await hub.close()
    await asyncio.sleep(0)
