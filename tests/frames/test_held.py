"""What one connection makes a side hold unread: counted, bounded, and given up call by call."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.codec import Encoder, encode
from rat.codec.frame import Flag, Kind, pack_frame
from rat.config import FrameLimits
from rat.frames import events
from rat.frames.engine import FramesEngine
from rat.frames.holding import LEAST, Holding
from rat.frames.tables import ConnectionState
from tests.frames.support import FEEDS, Feed, Outcome, call_frame, joined, kinds, pair, split_frames, splits, whole
from tests.support.examples import examples

HELD = 1024
LIMITS = FrameLimits(payload=1024, assembled=1024, credit=200, streams=8, held=HELD)
LARGE = FrameLimits(payload=1024, assembled=6000, credit=200, streams=8, held=10_000)


def bytes_of(length: int) -> bytes:
    """A value whose message is *length* bytes long."""
    return next(value for head in (2, 4) if len(encode(value := bytes(length - head))) == length)


def item(stream_id: int, length: int, *, pieces: int = 1, kind: Kind = Kind.ITEM, flags: int = 0) -> bytes:
    """One ITEM of *length* bytes."""
    return cut(kind, flags, stream_id, encode(bytes_of(length)), pieces)


def cut(kind: Kind, flags: int, stream_id: int, message: bytes, pieces: int) -> bytes:
    size = -(-len(message) // pieces)
    frames = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(
        pack_frame(kind, flags | (Flag.MORE if number < len(frames) - 1 else 0), stream_id, frame)
        for number, frame in enumerate(frames)
    )


def opened(limits: FrameLimits, calls: int, *, features: frozenset[str] = frozenset()) -> FramesEngine:
    """A server with that many open calls, of ids 1, 3, 5, ..."""
    client, server = pair(limits, features=features)
    for number in range(calls):
        client.call(events.Call(2 * number + 1, "f", [], is_open=True))
    whole(server, joined(client))
    return server


def told(outcome: Outcome) -> list[object]:
    """Kind and stream of each event; of Exhausted the call, and the same of what there is room for."""
    short: list[object] = []
    for event in outcome:
        if isinstance(event, events.Exhausted):
            short.append((event.stream_id, told([event.event]) if event.event is not None else None))
        else:
            short.append((type(event).__name__, getattr(event, "stream_id", event)))
    return short


def errors(engine: FramesEngine) -> dict[int, str]:
    """The calls that were answered with ERROR exhausted, and nothing else was said."""
    said = {}
    for frame in split_frames(joined(engine)):
        assert frame[4] == Kind.ERROR
        client = pair()[0]
        stream_id = int.from_bytes(frame[8:12])
        for _ in range(1, stream_id + 1, 2):
            client.call(events.Call(client.open_stream(), "f", []))
        (error,) = whole(client, frame)
        assert isinstance(error, events.Error)
        assert error.code == "exhausted"
        said[stream_id] = error.message
    return said


# -- the limit, met exactly


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize(("more", "fits"), [(-1, True), (0, True), (1, False)])
def test_the_call_with_the_most_unread_is_over_when_the_limit_is_passed(
    more: int, fits: bool, pieces: int, feed: Feed
) -> None:
    server = opened(LIMITS, 2)
    before = feed(server, item(1, 400) + item(1, 400))
    assert [type(event) for event in before] == [events.Item] * 2
    assert server.unread == 800
    outcome = feed(server, item(3, 224 + more, pieces=pieces))
    if fits:
        assert outcome == [events.Item(3, bytes_of(224 + more), 100, 224 + more)]
        assert (server.unread, kinds(joined(server))) == (1024 + more, [])
        return
    reason = "1025 bytes would be held unread, 800 of them of this call, limit 1024"
    assert outcome == [events.Exhausted(1, reason, events.Item(3, bytes_of(225), 100, 225))]
    assert errors(server) == {1: reason}
    assert (server.unread, server.is_live(1), server.is_live(3)) == (225, False, True)
    # What the peer has on its way for a call that is over is passed over, and the others go on.
    assert told(feed(server, item(1, 400) + call_frame(5) + item(3, 400))) == [("Call", 5), ("Item", 3)]


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_limit_is_the_same_however_the_bytes_are_cut(more: int) -> None:
    wire = item(1, 400) + item(1, 400, pieces=2) + item(3, 224 + more, pieces=2)
    expected = [("Item", 1), ("Item", 1), ("Item", 3) if more < 1 else (1, [("Item", 3)])]
    for first, second in splits(wire):
        server = opened(LIMITS, 2)
        assert told(whole(server, first) + whole(server, second)) == expected
        assert server.unread == (1024 + more if more < 1 else 225)


def test_who_comes_with_the_most_is_over_and_those_with_less_go_on() -> None:
    server = opened(LIMITS, 3)
    whole(server, item(1, 300) + item(3, 300) + item(5, 300))
    assert told(whole(server, item(5, 150))) == [(5, None)]
    assert errors(server) == {5: "1050 bytes would be held unread, 450 of them of this call, limit 1024"}
    assert server.unread == 600


def test_one_call_is_over_and_no_more() -> None:
    server = opened(LIMITS, 5)
    whole(server, item(1, 200) + item(3, 300) + item(5, 250) + item(7, 240))
    assert told(whole(server, item(9, 200))) == [(3, [("Item", 9)])]
    assert told(whole(server, item(9, 130))) == [("Item", 9)]
    assert server.unread == 1020


def test_data_is_counted_as_items_are() -> None:
    server = opened(replace(LIMITS, credit=2000), 2)
    whole(server, pack_frame(Kind.DATA, 0, 1, bytes(1000)))
    assert told(whole(server, pack_frame(Kind.DATA, 0, 3, bytes(24)))) == [(1, [("Data", 3)])]
    assert server.unread == LEAST
    assert told(whole(server, pack_frame(Kind.DATA, 0, 3, bytes(993)))) == [(3, None)]
    assert server.unread == 0


def test_a_small_value_counts_for_its_place() -> None:
    server = opened(LIMITS, 1)
    wire = item(1, 2) * (HELD // LEAST)
    assert len(whole(server, wire)) == HELD // LEAST
    assert server.unread == HELD
    assert told(whole(server, item(1, 2))) == [(1, None)]


def test_what_was_read_makes_room() -> None:
    server = opened(LIMITS, 2)
    for _ in range(20):
        for event in whole(server, item(1, 1000)):
            assert isinstance(event, events.Item)
            assert (event.size, event.length) == (100, 1000)
            server.consume(1, event.size, event.length)
    assert server.unread == 0


def test_a_limit_below_one_value_is_that_of_one_value() -> None:
    server = opened(replace(LIMITS, held=0), 1)
    assert told(whole(server, item(1, 1024))) == [("Item", 1)]
    assert told(whole(server, item(1, 2))) == [(1, None)]


# -- arguments


@pytest.mark.parametrize("features", [frozenset(), frozenset({"tables"})])
@pytest.mark.parametrize("pieces", [5, 7])
@pytest.mark.parametrize(("more", "fits"), [(-1, True), (0, True), (1, False)])
def test_arguments_are_held_until_their_call_is_over(
    more: int, fits: bool, pieces: int, features: frozenset[str]
) -> None:
    server = opened(LARGE, 0, features=features)
    tables = Encoder()

    def call(stream_id: int, length: int) -> bytes:
        value = ["f", [bytes(length - 8)]]
        message, flags = (tables.encode(value), Flag.SHARED) if features else (encode(value), 0)
        assert len(message) == length
        return cut(Kind.CALL, flags, stream_id, message, pieces)

    assert told(whole(server, call(1, 5000))) == [("Call", 1)]
    outcome = whole(server, call(3, 5000 + more))
    if fits:
        assert (told(outcome), server.unread) == ([("Call", 3)], 10_000 + more)
    else:
        assert outcome == []
        assert errors(server) == {3: "10001 bytes would be held unread, 5001 of them of this call, limit 10000"}
        # What the peer had on its way for it is passed over; a call that is over makes room.
        assert whole(server, pack_frame(Kind.CANCEL, 0, 3)) == []
        server.result(1, None)
        assert server.unread == 0
        assert told(whole(server, call(5, 5000 + more))) == [("Call", 5)]


def test_a_call_at_work_is_not_ended_for_another() -> None:
    server = opened(LARGE, 1)
    whole(server, cut(Kind.CALL, 0, 3, encode(["f", [bytes(5000)]]), 6))
    whole(server, item(1, 3000, pieces=3))
    assert told(whole(server, item(1, 3000, pieces=3))) == [(1, None)]
    assert server.is_live(3)
    assert 5000 < server.unread < 5100


def test_who_reads_nothing_makes_room_for_a_call() -> None:
    server = opened(LARGE, 1)
    whole(server, item(1, 5900, pieces=6))
    joined(server)
    wire = cut(Kind.CALL, 0, 3, encode(["f", [bytes(5000)]]), 6)
    assert told(whole(server, wire)) == [(1, None), ("Call", 3)]
    server = opened(replace(LARGE, payload=6000), 1)
    whole(server, item(1, 5900))
    wire = call_frame(3, "f", bytes(5000))
    assert told(whole(server, wire)) == [(1, [("Call", 3)])]


def test_the_id_of_a_call_that_is_not_kept_is_judged_all_the_same() -> None:
    server = opened(LARGE, 0)
    whole(server, cut(Kind.CALL, 0, 3, encode(["f", [bytes(5500)]]), 6))
    outcome = whole(server, cut(Kind.CALL, 0, 1, encode(["f", [bytes(5500)]]), 6))
    assert outcome == ["CALL on stream 1, after one on stream 3"]


# -- values that are on their way


def test_a_value_that_passes_the_limit_is_not_kept_from_there_on() -> None:
    server = opened(LARGE, 1)
    whole(server, item(1, 5500, pieces=6))
    frames = list(split_frames(item(1, 5500, pieces=6)))
    assert told(whole(server, b"".join(frames[:4]))) == []
    assert told(whole(server, frames[4])) == [(1, None)]
    assert list(errors(server)) == [1]
    assert server.unread == 0
    assert told(whole(server, frames[5] + call_frame(3))) == [("Call", 3)]


def test_a_dropped_value_keeps_to_the_rules() -> None:
    server = opened(LARGE, 1)
    whole(server, item(1, 5500, pieces=6))
    message = encode(bytes_of(9000))
    outcome = whole(server, cut(Kind.ITEM, 0, 1, message, 9))
    assert outcome[-1] == "value of at least 7000 bytes in pieces, limit 6000"
    assert server.state is ConnectionState.FAILED


def test_the_tables_follow_values_that_nobody_wants() -> None:
    server = opened(LARGE, 2, features=frozenset({"tables"}))
    tables = Encoder()
    row = {"name": "a", "content": bytes(5500)}
    wires = [cut(Kind.ITEM, Flag.SHARED, 1, tables.encode(row), 6) for _ in range(2)]
    assert told(whole(server, b"".join(wires))) == [("Item", 1), (1, None)]
    (event,) = whole(server, cut(Kind.ITEM, Flag.SHARED, 3, tables.encode({"name": "b", "content": b""}), 1))
    assert isinstance(event, events.Item)
    assert event.value == {"name": "b", "content": b""}


# -- calls of this side


def test_a_stream_that_this_side_asked_for_and_does_not_read_is_cancelled() -> None:
    client, server = pair(LARGE)
    for stream_id in (1, 3, 5):
        client.call(events.Call(stream_id, "f", []))
    whole(server, joined(client))
    assert server.item(1, bytes_of(5500))
    assert told(whole(client, joined(server))) == [("Item", 1)]
    assert server.item(3, bytes_of(5000))
    assert told(whole(client, joined(server))) == [(1, [("Item", 3)])]
    assert kinds(wire := joined(client)) == [Kind.CANCEL]
    assert whole(server, wire) == [events.Cancel(1)]
    # An answer is no stream: who made the call waits for it.
    server.result(5, bytes_of(5500))
    assert told(whole(client, joined(server))) == [("Result", 5)]
    # What came before the end of a call is held until it is read, or let go.
    server.end(3)
    assert told(whole(client, joined(server))) == [("End", 3)]
    assert client.unread == 5000
    client.let_go(3)
    client.let_go(3)
    client.consume(3, 100, 5000)
    assert client.unread == 0


# -- the count


@examples(80)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(2, 252)), max_size=60))
def test_the_count_is_what_is_unread_and_nothing_when_all_is_read_or_gone(steps: list[tuple[int, int, int]]) -> None:
    server = opened(LIMITS, 3)
    unread: dict[int, list[events.Item]] = {1: [], 3: [], 5: []}
    new = 7
    for action, which, length in steps:
        stream_id = sorted(unread)[which % len(unread)] if unread else 0
        if action <= 2 and unread:
            outcome = whole(server, item(stream_id, length, pieces=1 + which % 2))
            if outcome and isinstance(outcome[-1], str):
                return  # no credit
            for event in outcome:
                if isinstance(event, events.Exhausted):
                    del unread[event.stream_id]
                    if event.event is None:
                        continue
                    assert isinstance(event.event, events.Item)
                    event = event.event
                assert isinstance(event, events.Item)
                unread[event.stream_id].append(event)
        elif action == 3 and unread and unread[stream_id]:
            event = unread[stream_id].pop(0)
            server.consume(stream_id, event.size, event.length)
        elif action == 4 and unread:
            server.error(stream_id, "mine", "")
            server.let_go(stream_id)
            del unread[stream_id]
        elif action == 5 and len(unread) < LIMITS.streams:
            # One more would end the connection.
            whole(server, call_frame(new, flags=Flag.OPEN))
            unread[new] = []
            new += 2
        assert server.unread == sum(max(event.length, LEAST) for some in unread.values() for event in some) <= HELD
    for stream_id, some in unread.items():
        for event in some:
            server.consume(stream_id, event.size, event.length)
    assert server.unread == 0


def test_more_cannot_be_taken_than_has_come() -> None:
    holding = Holding(100)
    assert holding.add(1, 40)
    holding.take(1, 50)
    holding.take(1, 50)
    holding.let_go(1)
    assert holding.total(()) == 0
    assert (holding.give_way(1, 100, (1,)), holding.give_way(1, 101, (1,))) == (None, 1)
