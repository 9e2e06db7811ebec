"""The fast lane takes what the engine takes, and writes the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.codec import encode
from rat.codec.frame import Flag, Kind, pack_frame
from rat.config import FrameLimits
from rat.errors import CodecError, RemoteProtocolError
from rat.events import Signal
from rat.frames import events
from rat.frames.engine import FramesEngine
from rat.frames.lane import FastFramesEngine
from rat.frames.settings import FEATURES
from rat.frames.tables import ConnectionState
from tests.frames.support import PLAIN, call_frame, joined, kinds, last_words, whole
from tests.support.examples import examples

LIMITS = FrameLimits(payload=2048, assembled=50_000, streams=5)
SEEN: ContextVar[str] = ContextVar("SEEN", default="nobody")


def echo(request: tuple[str, int, str], *args: Any) -> Any:
    assert SEEN.get() == "nobody"
    SEEN.set("a call")
    return list(args) if len(args) != 1 else args[0]


def fail(request: Any, *args: Any) -> None:
    raise ValueError("it failed")


def big(request: Any) -> str:
    return "x" * 30_000


class Later:
    """A result that is no value."""


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "echo": echo,
    "fail": fail,
    "big": big,
    "later": lambda request, *args: Later(),
    "blob": lambda request: b"y" * 40_000,
}


def coroutine(request: Any, *args: Any) -> Callable[[], Any]:
    """In the place of a coroutine: what its first step gives."""

    def first_step() -> Any:
        if len(args) > 1:
            raise ValueError("two is too many")
        return args[0] if args else Later()

    return first_step


def sending(request: tuple[Server, int, str], *args: Any) -> Callable[[], Any]:
    """Sends an item in its first step, and waits if it has arguments."""

    def first_step() -> Any:
        server, stream_id, _ = request
        server.engine.item(stream_id, list(args))
        return Later() if args else "sent"

    return first_step


LATER: dict[str, Callable[..., Any]] = {
    "async": coroutine,
    "async with one": lambda request, one: Later,
    "sends": sending,
    "too big": lambda request: lambda: "z" * 60_000,
    "blob later": lambda request: lambda: b"y" * 40_000,
}


class Server:
    """Answers as the shell does, by the lane or without it."""

    def __init__(self, engine: FramesEngine, *, use_lane: bool) -> None:
        self.engine = engine
        self.use_lane = use_lane
        self.refusal = ""
        self.by_lane = 0
        self.stepped: list[str] = []

    def begin(self, stream_id: int, name: str, result: Any, error: BaseException | None) -> None:
        if isinstance(error, CodecError | ValueError | TypeError):
            self.engine.error(stream_id, "failed", str(error))
        elif not isinstance(result, Later):
            self.engine.result(stream_id, result)

    def step(self, name: str, work: Callable[[], Any]) -> Any:
        self.stepped.append(name)
        return work()

    def pump(self, data: bytes) -> None:
        self.engine.receive_data(data)
        try:
            while True:
                if self.use_lane:
                    assert isinstance(self.engine, FastFramesEngine)
                    count, left = self.engine.answer_calls(
                        FUNCTIONS, LATER, tuple, self, copy_context, self.begin, self.step
                    )
                    self.by_lane += count
                    if left is not None:
                        self.answer(left)
                    if count or left is not None:
                        continue
                event = self.engine.next_event()
                if isinstance(event, events.Call):
                    self.answer(event)
                elif isinstance(event, Signal):
                    return
        except RemoteProtocolError as error:
            self.refusal = str(error)

    def answer(self, call: events.Call) -> None:
        function = FUNCTIONS.get(call.name) or LATER.get(call.name)
        if function is None:
            self.engine.error(call.stream_id, "not_found", call.name)
            return
        try:
            result = copy_context().run(function, (self, call.stream_id, call.name), *call.args)
            if call.name in LATER:
                result = self.step(call.name, result)
            if not isinstance(result, Later):
                self.engine.result(call.stream_id, result)
        except (CodecError, ValueError, TypeError) as error:
            self.engine.error(call.stream_id, "failed", str(error))


def servers(features: frozenset[str]) -> tuple[FramesEngine, Server, Server]:
    """A client, a server with the lane and one without, all three after HELLO."""
    client = FramesEngine(LIMITS, is_client=True, features=features)
    hello = joined(client)
    pair = (
        Server(FastFramesEngine(LIMITS, is_client=False), use_lane=True),
        Server(FramesEngine(LIMITS, is_client=False), use_lane=False),
    )
    for server in pair:
        server.pump(hello)
    answers = [joined(server.engine) for server in pair]
    assert answers[0] == answers[1]
    whole(client, answers[0])
    return client, *pair


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=20) | st.binary(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
CALLS = st.tuples(
    st.sampled_from(["echo"] * 3 + ["fail", "big", "later", "blob", "nope", *LATER]),
    st.lists(VALUES, max_size=3),
    st.sampled_from(["plain", "plain", "plain", "kwargs", "open", "ping", "bad id", "no call", "no value"]),
)


@examples(120)
@given(
    calls=st.lists(CALLS, max_size=12),
    features=st.sampled_from([PLAIN, frozenset({"tables"}), frozenset(FEATURES)]),
    cut=st.integers(1, 400),
)
def test_the_lane_and_the_engine_say_the_same(
    calls: list[tuple[str, list[Any], str]], features: frozenset[str], cut: int
) -> None:
    client, fast, slow = servers(features)
    wire = b""
    for name, args, special in calls:
        if name in ("big", "blob", "too big"):
            args = []
        stream_id = client._last_local + 2
        call = events.Call(stream_id, name, args, {"a": 1} if special == "kwargs" and name == "later" else None)
        call.is_open = special == "open"
        client._calls.clear()
        client.call(call)
        if special == "ping":
            client.ping(b"12345678")
        wire += joined(client)
        if special == "bad id":
            wire += call_frame(stream_id, name)
        elif special == "no call":
            client._last_local += 2
            wire += pack_frame(Kind.CALL, 0, stream_id + 2, encode({"k": 1}))
        elif special == "no value":
            wire += pack_frame(Kind.CALL, Flag.SHARED if "tables" in features else 0, stream_id + 2, b"\xff")
    for start in range(0, len(wire), cut):
        for server in (fast, slow):
            server.pump(wire[start : start + cut])
    assert joined(fast.engine) == joined(slow.engine)
    assert fast.refusal == slow.refusal
    assert fast.engine.state is slow.engine.state
    assert fast.engine._calls.keys() == slow.engine._calls.keys()
    for stream_id in fast.engine._calls:
        assert fast.engine.credit_of(stream_id) == slow.engine.credit_of(stream_id)
    assert fast.stepped == slow.stepped


def test_the_lane_is_used_where_it_should_be() -> None:
    for features, used in ((PLAIN, 3), (frozenset({"tables"}), 3), (frozenset({"checksum"}), 0)):
        client, fast, _ = servers(features)
        for _ in range(3):
            client.call(events.Call(client.open_stream(), "echo", [{"a": 1}]))
        fast.pump(joined(client))
        assert fast.by_lane == used
        assert kinds(joined(fast.engine)) == [Kind.RESULT] * 3


def test_the_lane_stops_when_enough_is_held_and_at_the_limit_of_calls() -> None:
    client, fast, _ = servers(PLAIN)
    engine = fast.engine
    assert isinstance(engine, FastFramesEngine)
    for _ in range(5):
        client.call(events.Call(client.open_stream(), "big", []))
    engine.receive_data(joined(client))
    assert engine.answer_calls(FUNCTIONS, LATER, tuple, None, copy_context, fast.begin, fast.step) == (3, None)
    assert engine.held > 64 * 1024
    for name, count in (("blob", 2), ("blob later", 2)):
        client, fast, _ = servers(PLAIN)
        for _ in range(5):
            client.call(events.Call(client.open_stream(), name, []))
        fast.engine.receive_data(joined(client))
        assert isinstance(fast.engine, FastFramesEngine)
        answered = fast.engine.answer_calls(FUNCTIONS, LATER, tuple, None, copy_context, fast.begin, fast.step)
        assert answered == (count, None)
        assert 64 * 1024 < fast.engine.held < 128 * 1024
    client, fast, _ = servers(PLAIN)
    for _ in range(5):
        client.call(events.Call(client.open_stream(), "later", []))
    fast.pump(joined(client))
    assert (fast.by_lane, fast.engine.calls_in_flight) == (5, 5)
    fast.pump(call_frame(11, "later"))
    assert fast.refusal == "call 11 while 5 are in flight, limit 5"
    assert last_words(fast.engine).code == "streams"


def test_a_draining_or_failed_engine_has_no_lane() -> None:
    client, fast, _ = servers(PLAIN)
    client.call(events.Call(client.open_stream(), "echo", [1]))
    fast.engine.goaway()
    assert fast.engine.state is ConnectionState.DRAINING
    fast.pump(joined(client))
    assert fast.by_lane == 0
    assert kinds(joined(fast.engine)) == [Kind.GOAWAY, Kind.ERROR]


@pytest.mark.parametrize("value", [["echo", "args"], [1, []], ["echo"], {"echo": 1, "b": 2}, "xy", [["a"], []]])
def test_what_is_no_call_is_refused_as_by_the_engine(value: Any) -> None:
    _, fast, slow = servers(PLAIN)
    wire = pack_frame(Kind.CALL, 0, 1, encode(value)) + call_frame(3, "echo", 5)
    for server in (fast, slow):
        server.pump(wire)
    assert joined(fast.engine) == joined(slow.engine)
