"""Two engines that talk: calls, streams both ways, credit, cancellation, draining."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.codec import encode
from rat.codec.frame import Flag, Kind, pack_frame
from rat.config import FrameLimits
from rat.errors import CodecError, LocalProtocolError
from rat.events import CLOSED, NEED_DATA
from rat.frames import events
from rat.frames.compression import is_available
from rat.frames.engine import FramesEngine
from rat.frames.settings import FEATURES, pack_hello
from rat.frames.tables import ConnectionState
from tests.frames.support import (
    FEEDS,
    PLAIN,
    Feed,
    byte_by_byte,
    call_frame,
    joined,
    kinds,
    pair,
    pull,
    server_after_hello,
    split_frames,
    splits,
    through_slab,
    whole,
)
from tests.support.examples import examples

SMALL = FrameLimits(payload=1024, assembled=8192, credit=200, streams=4)
EACH_FEATURE = [PLAIN, *(frozenset({name}) for name in FEATURES), frozenset(FEATURES)]


def make_call(client: FramesEngine, name: str, *args: Any, is_open: bool = False, **kwargs: Any) -> int:
    stream_id = client.open_stream()
    client.call(events.Call(stream_id, name, list(args), kwargs or None, None, is_open))
    return stream_id


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("features", EACH_FEATURE, ids=lambda f: "+".join(sorted(f)) or "none")
@pytest.mark.parametrize("profile", ["full", "bincode"])
def test_a_call_and_its_answer(feed: Feed, features: frozenset[str], profile: events.Profile) -> None:
    client, server = pair(features=features, profile=profile)
    record = {"id": 12345, "name": "a name", "tags": ["x", "y"], "note": "z" * 2000}
    for stream_id in (1, 3, 5):
        assert make_call(client, "echo", record, twice=True) == stream_id
    calls = feed(server, joined(client))
    assert calls == [events.Call(n, "echo", [record], {"twice": True}) for n in (1, 3, 5)]
    for call in calls:
        assert isinstance(call, events.Call)
        server.result(call.stream_id, call.args[0])
    assert feed(client, joined(server)) == [events.Result(n, record) for n in (1, 3, 5)]
    assert client.calls_in_flight == server.calls_in_flight == 0


def test_the_bytes_of_a_call_are_those_of_the_specification() -> None:
    client, server = pair()
    make_call(client, "add", 1, 2)
    data = joined(client)
    assert data.hex(" ") == "00 00 00 10 02 00 00 00 00 00 00 01 c2 43 61 64 64 c2 81 82"
    assert whole(server, data) == [events.Call(1, "add", [1, 2])]
    server.result(1, 3)
    assert joined(server).hex(" ") == "00 00 00 09 03 00 00 00 00 00 00 01 83"


def test_every_cut_of_a_conversation_gives_the_same_events() -> None:
    client, _ = pair()
    make_call(client, "a", {"k": 1})
    stream_id = make_call(client, "b", is_open=True)
    assert client.item(stream_id, {"k": 2})
    assert client.data(stream_id, b"blob") == 4
    client.end(stream_id)
    client.ping(b"12345678")
    client.cancel(1)
    client.goaway("bye")
    wire = joined(client)
    expected = [
        events.Call(1, "a", [{"k": 1}]),
        events.Call(3, "b", [], is_open=True),
        events.Item(3, {"k": 2}, 4),
        events.Data(3, b"blob", 4),
        events.End(3),
        events.Cancel(1),
        events.Goaway(0, "drain", "bye"),
    ]
    for feed in FEEDS:
        server = server_after_hello()
        assert feed(server, wire) == expected
        assert kinds(joined(server)) == [Kind.PONG]
    for first, second in splits(wire):
        server = server_after_hello()
        assert whole(server, first) + whole(server, second) == expected


def test_answers_come_in_any_order() -> None:
    client, server = pair()
    for name in "abc":
        make_call(client, name)
    whole(server, joined(client))
    for stream_id in (5, 1, 3):
        server.result(stream_id, stream_id)
    assert whole(client, joined(server)) == [events.Result(5, 5), events.Result(1, 1), events.Result(3, 3)]


def test_the_server_may_call_the_client() -> None:
    client, server = pair()
    assert make_call(server, "back", 1) == 2
    assert whole(client, joined(server)) == [events.Call(2, "back", [1])]
    client.result(2, "yes")
    assert whole(server, joined(client)) == [events.Result(2, "yes")]


def test_a_ping_is_answered_by_itself_and_only_once_whole() -> None:
    client, server = pair()
    client.ping(b"abcdefgh")
    assert byte_by_byte(server, joined(client)) == []
    assert whole(client, joined(server)) == [events.Pong(b"abcdefgh")]


def test_a_small_table_of_features_holds_for_both_sides() -> None:
    zstd = {"zstd"} if is_available() else set()
    client, server = pair(features=frozenset({"checksum", "zstd"}))
    assert client.agreed.features == server.agreed.features == {"checksum"} | zstd
    client, server = pair(features=frozenset(FEATURES), profile="bincode")
    assert client.agreed.features == server.agreed.features == {"checksum"} | zstd
    assert client.agreed.profile == server.agreed.profile == "bincode"


def test_tables_make_the_second_record_smaller() -> None:
    client, server = pair(features=frozenset({"tables"}))
    record = {"identifier": 1, "description": 2}
    sizes = []
    for _ in range(3):
        make_call(client, "f", record)
        data = joined(client)
        sizes.append(len(data))
        assert [type(event) for event in whole(server, data)] == [events.Call]
    assert sizes[1] == sizes[2] == sizes[0] - len("identifier") - len("description") - 2


def test_a_refused_value_leaves_call_and_tables_as_they_were() -> None:
    client, server = pair(features=frozenset({"tables"}))
    make_call(client, "f")
    whole(server, joined(client))
    with pytest.raises(CodecError):
        server.result(1, {"fresh": object()})
    assert server.take() == []
    server.result(1, {"fresh": 1})
    assert whole(client, joined(server)) == [events.Result(1, {"fresh": 1})]
    with pytest.raises(CodecError):
        client.call(events.Call(client.open_stream(), "f", [object()]))
    assert make_call(client, "f", {"fresh": 2}) == 3
    assert whole(server, joined(client)) == [events.Call(3, "f", [{"fresh": 2}])]


# -- streams and credit


def test_a_server_stream_stops_at_its_credit_and_goes_on_when_items_are_consumed() -> None:
    client, server = pair(SMALL)
    make_call(client, "ticks")
    whole(server, joined(client))
    item = b"x" * 48  # 50 bytes as a message
    sent = 0
    while server.item(1, item):
        sent += 1
    assert sent == 4
    assert server.credit_of(1) == 0
    received = whole(client, joined(server))
    assert received == [events.Item(1, item, 50)] * 4
    client.consume(1, 50)
    assert client.take() == []  # less than half a window is not worth a frame
    client.consume(1, 50)
    assert whole(server, joined(client)) == [events.Credit(1, 100)]
    assert server.credit_of(1) == 100
    assert server.item(1, item)
    assert server.item(1, item)
    assert not server.item(1, item)
    server.end(1)
    assert whole(client, joined(server)) == [events.Item(1, item, 50)] * 2 + [events.End(1)]


@pytest.mark.parametrize("size", [99, 100, 101, 199, 200, 201, 5000])
def test_a_value_larger_than_the_window_passes_when_the_rest_was_consumed(size: int) -> None:
    client, server = pair(SMALL)
    make_call(client, "f")
    whole(server, joined(client))
    passed = 0
    for _ in range(20):
        for value in (b"x" * 30, b"y" * size):
            if not server.item(1, value):
                # Everything that is on its way is consumed, so that the value has to fit now.
                for event in whole(client, joined(server)):
                    assert isinstance(event, events.Item)
                    client.consume(1, event.size)
                whole(server, joined(client))
                assert server.item(1, value)
            passed += 1
    assert passed == 40


@pytest.mark.parametrize("features", [PLAIN, frozenset({"tables"})], ids=["plain", "tables"])
def test_an_item_that_waits_for_credit_does_not_confuse_the_tables(features: frozenset[str]) -> None:
    client, server = pair(SMALL, features=features)
    make_call(client, "a")
    make_call(client, "b")
    whole(server, joined(client))
    first = {"alpha": "x" * 60, "beta": 1}
    assert server.item(1, first)
    assert server.item(1, first)
    assert not server.item(1, {"gamma": "y" * 150})
    assert server.item(3, {"gamma": 1, "beta": 2})
    assert not server.item(1, {"gamma": "y" * 150})
    got = whole(client, joined(server))
    assert [event.value for event in got if isinstance(event, events.Item)] == [first, first, {"gamma": 1, "beta": 2}]
    for event in got:
        assert isinstance(event, events.Item)
        client.consume(event.stream_id, event.size)
    whole(server, joined(client))
    assert server.item(1, {"gamma": "y" * 150})
    (event,) = whole(client, joined(server))
    assert isinstance(event, events.Item)
    assert event.value == {"gamma": "y" * 150}


def test_a_blob_is_cut_to_its_credit_and_to_the_frame_limit() -> None:
    limits = FrameLimits(payload=1024, credit=2500)
    client, server = pair(limits)
    stream_id = make_call(client, "upload", is_open=True)
    blob = bytes(range(256)) * 20
    assert client.data(stream_id, blob) == 2500
    assert client.data(stream_id, blob[2500:]) == 0
    wire = joined(client)
    assert [len(frame) - 12 for frame in split_frames(wire)][1:] == [1024, 1024, 452]
    received = b""
    rest = blob[2500:]
    for _ in range(10):
        for event in through_slab(server, wire):
            if isinstance(event, events.Data):
                received += event.data
                server.consume(stream_id, event.size)
        whole(client, joined(server))
        taken = client.data(stream_id, rest)
        rest = rest[taken:]
        wire = joined(client)
        if not wire:
            break
    assert received == blob


def test_windows_grow_while_readers_wait_within_one_bound_for_the_connection() -> None:
    limits = FrameLimits(payload=4096, credit=200, streams=4, growth=1000)
    client, server = pair(limits)
    streams = [make_call(client, "upload", is_open=True) for _ in range(4)]
    whole(server, joined(client))

    def upload(stream_id: int) -> int:
        """Send all that may be sent, and have it read."""
        sent = client.data(stream_id, bytes(10_000))
        for event in whole(server, joined(client)):
            assert isinstance(event, events.Data)
            server.consume(stream_id, event.size)
        server.starve(stream_id)
        whole(client, joined(server))
        return sent

    assert [upload(streams[0]) for _ in range(4)] == [200, 400, 800, 1200]
    assert [upload(streams[1]) for _ in range(3)] == [200, 200, 200]
    # Nobody reads any more: the most that can lie here.
    assert sum(client.data(stream_id, bytes(10_000)) for stream_id in streams) == 4 * 200 + 1000
    whole(server, joined(client))
    # What one call leaves, another may have.
    server.result(streams[0], None)
    server.consume(streams[1], 200)
    server.starve(streams[1])
    whole(client, joined(server))
    assert upload(streams[1]) == 400
    assert upload(streams[1]) == 800


def test_a_stream_without_growth_keeps_its_first_window() -> None:
    client, server = pair(FrameLimits(credit=200, growth=0))
    stream_id = make_call(client, "upload", is_open=True)
    for _ in range(5):
        assert client.data(stream_id, bytes(1000)) == 200
        whole(server, joined(client))
        server.consume(stream_id, 200)
        server.starve(stream_id)
        whole(client, joined(server))


def test_both_ways_at_once_and_the_callers_end() -> None:
    client, server = pair()
    stream_id = make_call(client, "chat", is_open=True)
    assert client.item(stream_id, "hello")
    assert whole(server, joined(client)) == [events.Call(1, "chat", [], is_open=True), events.Item(1, "hello", 6)]
    assert server.item(1, "hi")
    client.end(stream_id)
    # The answer to the first item and the caller's END cross; the credit for the item comes late.
    assert whole(client, joined(server)) == [events.Item(1, "hi", 3)]
    assert whole(server, joined(client)) == [events.End(1)]
    server.consume(1, 40_000)
    server.result(1, "bye")
    assert whole(client, joined(server)) == [events.Credit(1, 40_000), events.Result(1, "bye")]


@pytest.mark.parametrize("features", [PLAIN, frozenset(FEATURES)], ids=["plain", "all"])
def test_what_was_on_its_way_when_a_call_ended_is_passed_over(features: frozenset[str]) -> None:
    client, server = pair(features=features)
    make_call(client, "upload", is_open=True)
    make_call(client, "other")
    whole(server, joined(client))
    assert client.item(1, {"key one": 1})
    assert client.data(1, b"late")
    client.end(1)
    server.error(1, "nope", "not today", {"why": [1, 2]})
    server.item(3, {"key two": 2})
    client.cancel(3)
    assert whole(server, joined(client)) == [events.Cancel(3)]
    assert whole(client, joined(server)) == [events.Error(1, "nope", "not today", {"why": [1, 2]})]
    # Tables stay in step though nobody wanted the values.
    make_call(client, "again", {"key one": 3})
    assert whole(server, joined(client)) == [events.Call(5, "again", [{"key one": 3}])]
    server.result(5, {"key two": 4})
    assert whole(client, joined(server)) == [events.Result(5, {"key two": 4})]


# -- values in pieces


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("features", EACH_FEATURE, ids=lambda f: "+".join(sorted(f)) or "none")
@pytest.mark.parametrize("size", [1000, 1020, 1021, 1022, 1023, 1024, 1025, 2048, 8000])
def test_a_value_longer_than_a_frame_goes_in_pieces(feed: Feed, features: frozenset[str], size: int) -> None:
    client, server = pair(SMALL, features=features)
    value = {"text": "".join(chr(97 + i * i % 23) for i in range(size))}
    make_call(client, "f", value)
    data = joined(client)
    assert all(len(frame) <= 12 + 1024 for frame in split_frames(data))
    assert feed(server, data) == [events.Call(1, "f", [value])]
    server.result(1, value)
    assert feed(client, joined(server)) == [events.Result(1, value)]


@pytest.mark.parametrize(("size", "fits"), [(8192 - 8, True), (8192 - 7, False)])
def test_a_value_beyond_what_the_peer_assembles_is_not_begun(size: int, fits: bool) -> None:
    client, server = pair(SMALL, features=frozenset({"tables"}))
    value = b"x" * size  # with a list, a name, another list and a length in three bytes around it
    if fits:
        make_call(client, "f", value)
        assert whole(server, joined(client)) == [events.Call(1, "f", [value])]
    else:
        with pytest.raises(CodecError, match="value of 8193 bytes, and the peer takes 8192"):
            make_call(client, "f", value)
        assert client.take() == []
        make_call(client, "f", {"a": 1})
        assert whole(server, joined(client)) == [events.Call(1, "f", [{"a": 1}])]


def test_pings_may_stand_between_pieces() -> None:
    server = server_after_hello()
    message = encode(["f", ["argument"]])
    pieces = [message[:3], message[3:9], message[9:]]
    ping = pack_frame(Kind.PING, 0, 0, bytes(8))
    wire = (
        pack_frame(Kind.CALL, Flag.MORE, 1, pieces[0])
        + ping
        + pack_frame(Kind.CALL, Flag.MORE, 1, pieces[1])
        + ping
        + pack_frame(Kind.CALL, 0, 1, pieces[2])
    )
    assert byte_by_byte(server, wire) == [events.Call(1, "f", ["argument"])]
    assert kinds(joined(server)) == [Kind.PONG, Kind.PONG]


# -- large bytes


@pytest.mark.parametrize("blob", [b"x" * 700_000, bytearray(b"y" * 700_000), memoryview(b"z" * 700_000)], ids=type)
def test_large_bytes_are_written_from_where_they_are(blob: bytes | bytearray | memoryview) -> None:
    client, _server = pair()
    make_call(client, "store", blob)
    buffers = client.take()
    own = memoryview(blob).obj
    assert any(isinstance(part, memoryview) and part.obj is own for part in buffers) or any(p is blob for p in buffers)


def test_a_large_frame_is_read_into_a_buffer_of_its_own_that_the_handler_may_keep() -> None:
    client, server = pair()
    blob = bytes(range(256)) * 3000
    make_call(client, "store", blob)
    make_call(client, "next")
    data = joined(client)
    slab = memoryview(bytearray(256 * 1024))
    position = 0
    outcome: list[Any] = []
    targets = []
    while position < len(data):
        target = server.reader.get_buffer(slab)
        targets.append((target.obj is slab.obj, len(target)))
        count = min(len(target), len(data) - position, 200_000)
        target[:count] = data[position : position + count]
        server.reader.buffer_updated(slab, count)
        position += count
        outcome += pull(server)
        server.reader.release()
        slab[:] = bytes(len(slab))
    assert [is_slab for is_slab, _ in targets] == [True, False, False, False, True]
    assert server.wanted() == 0
    store, following = outcome
    assert store.args == [blob]
    assert isinstance(store.args[0], memoryview)
    assert following == events.Call(3, "next", [])


def test_wanted_says_what_completes_the_frame() -> None:
    server = server_after_hello()
    data = call_frame(1, "f", b"x" * 200_000)
    for cut, wanted in ((3, 0), (4, len(data) - 4), (12, len(data) - 12), (100_000, len(data) - 100_000)):
        server = server_after_hello()
        assert whole(server, data[:cut]) == []
        assert server.wanted() == wanted
        assert server.is_inside_frame
    assert not server_after_hello().is_inside_frame


def test_frames_that_were_not_pulled_survive_the_slab() -> None:
    slab = memoryview(bytearray(512 * 1024))
    server = server_after_hello()
    data = b"".join(call_frame(n, "f", n) for n in (1, 3, 5))
    server.reader.get_buffer(slab)[: len(data)] = data
    server.reader.buffer_updated(slab, len(data))
    assert server.next_event() == events.Call(1, "f", [1])
    server.reader.release()
    slab[:100] = b"\xff" * 100
    assert pull(server) == [events.Call(3, "f", [3]), events.Call(5, "f", [5])]


# -- the ends


def test_draining_finishes_open_calls_and_refuses_new_ones() -> None:
    client, server = pair()
    make_call(client, "slow")
    whole(server, joined(client))
    server.goaway("restarting")
    assert server.state is ConnectionState.DRAINING
    make_call(client, "too late")  # crosses the GOAWAY
    assert whole(server, joined(client)) == []
    server.result(1, "done")
    assert whole(client, joined(server)) == [
        events.Goaway(1, "drain", "restarting"),
        events.Error(3, "draining", "this side takes no new calls"),
        events.Result(1, "done"),
    ]
    with pytest.raises(LocalProtocolError, match="the peer takes no new calls: drain restarting"):
        client.open_stream()
    assert server.calls_in_flight == 0


def test_a_half_closed_peer_gets_its_answers() -> None:
    client, server = pair()
    make_call(client, "f")
    server.receive_data(joined(client))
    server.receive_eof()
    assert server.next_event() == events.Call(1, "f", [])
    assert server.next_event() is CLOSED
    assert b"".join(server.send(events.Result(1, "late"))) == pack_frame(Kind.RESULT, 0, 1, encode("late"))


def test_calls_stop_at_what_the_peer_takes() -> None:
    client, _server = pair(SMALL)
    for _ in range(4):
        make_call(client, "f")
    with pytest.raises(LocalProtocolError, match="4 calls are in flight, and the peer takes no more"):
        client.open_stream()
    client.cancel(3)
    assert client.open_stream() == 9


MISUSES: dict[str, tuple[events.Event, str]] = {
    "a result nobody asked for": (events.Result(9, 1), "RESULT on stream 9, which is over"),
    "an answer from the caller": (
        events.Result(1, 1),
        "RESULT on stream 1, and the caller has sent all, the answer is owed",
    ),
    "an item of a whole call": (events.Item(1, 1), "ITEM on stream 1, and the caller has sent all, the answer is owed"),
    "an end of a whole call": (events.End(1), "END on stream 1, and the caller has sent all, the answer is owed"),
    "data of a whole call": (events.Data(1, b"x"), "DATA on stream 1, and the caller has sent all, the answer is owed"),
    "an error from the caller": (
        events.Error(1, "x", "y"),
        "ERROR on stream 1, and the caller has sent all, the answer is owed",
    ),
    "an id out of turn": (events.Call(9, "f", []), "call with id 9, and the next one is 3"),
    "a ping of 3 bytes": (events.Ping(b"abc"), "ping of 3 bytes, and it has 8"),
    "a pong": (events.Pong(), "Pong is what the engine says by itself"),
}


@pytest.mark.parametrize("case", MISUSES.values(), ids=MISUSES)
def test_misuse_is_our_own_callers_fault(case: tuple[events.Event, str]) -> None:
    event, message = case
    client, _server = pair()
    make_call(client, "f")
    client.take()
    with pytest.raises(LocalProtocolError) as caught:
        client.send(event)
    assert str(caught.value) == message
    assert client.take() == []


def test_nothing_is_said_before_hello_and_after_a_failure() -> None:
    client = FramesEngine(SMALL, is_client=True)
    with pytest.raises(LocalProtocolError, match="no call can be made: the peer's HELLO has not come"):
        client.open_stream()
    server = server_after_hello()
    whole(server, call_frame(1) + bytes(4))
    server.take()
    with pytest.raises(LocalProtocolError, match="RESULT cannot be sent: a rule was broken"):
        server.result(1, 1)
    assert server.next_event() is CLOSED


def test_send_refuses_what_the_credit_does_not_cover() -> None:
    client, _server = pair(SMALL)
    stream_id = make_call(client, "f", is_open=True)
    with pytest.raises(LocalProtocolError, match="data of 300 bytes on stream 1, credit 200"):
        client.send(events.Data(stream_id, b"x" * 300))
    with pytest.raises(LocalProtocolError, match="item on stream 1 is larger than its credit"):
        client.send(events.Item(stream_id, 1))


def test_features_and_profiles_that_do_not_exist_are_refused_where_they_are_asked_for() -> None:
    with pytest.raises(ValueError, match=r"features \['gzip'\], and there are tables, checksum, zstd"):
        FramesEngine(SMALL, is_client=True, features=frozenset({"gzip"}))


# -- all at once

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
STEPS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5), VALUES), max_size=40)


@examples(75)
@given(
    steps=STEPS,
    features=st.sampled_from(EACH_FEATURE),
    cut=st.integers(1, 60),
)
def test_a_random_conversation_arrives_as_it_was_said(
    steps: list[tuple[int, int, Any]], features: frozenset[str], cut: int
) -> None:
    client, server = pair(SMALL, features=features)
    said: list[events.Event] = []
    live: list[int] = []
    heard: list[Any] = []

    def carry() -> None:
        wire = joined(client)
        for start in range(0, len(wire), cut):
            heard.extend(whole(server, wire[start : start + cut]))

    for action, which, value in steps:
        if action <= 1 and len(live) < 4:
            stream_id = client.open_stream()
            call = events.Call(stream_id, f"call {which}", [value], None, None, True)
            client.call(call)
            said.append(call)
            live.append(stream_id)
        elif not live:
            continue
        elif action == 2:
            stream_id = live[which % len(live)]
            if client.item(stream_id, value):
                said.append(events.Item(stream_id, value))
        elif action == 3:
            stream_id = live[which % len(live)]
            taken = client.data(stream_id, b"d" * (which + 1))
            if taken:
                said.append(events.Data(stream_id, b"d" * taken))
        elif action == 4:
            client.ping(b"pingping")
        elif action == 5:
            stream_id = live.pop(which % len(live))
            client.cancel(stream_id)
            said.append(events.Cancel(stream_id))
        else:
            carry()
            for event in heard:
                if isinstance(event, events.Item | events.Data):
                    server.consume(event.stream_id, event.size)
            whole(client, joined(server))
    carry()
    for event in heard:
        if isinstance(event, events.Item | events.Data):
            event.size = 0
            if isinstance(event, events.Item):
                event.length = 0
    merged = [event for event in heard if not isinstance(event, str)]
    assert [type(event) for event in merged] == [type(event) for event in said]
    assert repr(merged) == repr(said)
    assert server.next_event() is NEED_DATA


@pytest.mark.parametrize(("size", "fits"), [(1000, True), (1100, False)])
def test_a_peer_that_takes_small_values_in_large_frames_gets_small_values(size: int, fits: bool) -> None:
    hello = events.Hello(frame=1 << 20, value=1024, streams=10, credit=1 << 16)
    server = FramesEngine(FrameLimits(), is_client=False)
    server.receive_data(pack_frame(Kind.HELLO, 0, 0, pack_hello(hello)) + call_frame(1, "x"))
    assert [type(server.next_event()) for _ in range(2)] == [events.Hello, events.Call]
    for say in (server.item, server.result):
        if fits:
            say(1, "x" * size)
        else:
            with pytest.raises(CodecError, match="and the peer takes 1024"):
                say(1, "x" * size)
