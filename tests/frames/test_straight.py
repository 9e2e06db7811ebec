"""The straight way takes what the engine takes, to the same end and with the same bytes."""

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
from rat.frames.reader import ALONE, EXACT_FROM
from rat.frames.settings import offer, pack_hello
from rat.frames.straight import StraightFramesEngine
from tests.frames.support import PLAIN, call_frame
from tests.support.examples import examples

SIZE = 2 * EXACT_FROM + 1000
"""More than the slab takes in one read."""
LIMITS = FrameLimits(payload=2 * SIZE, assembled=3 * SIZE, held=5 * SIZE, streams=4, credit=4 * SIZE)
BLOB = bytes(range(256)) * (SIZE // 256 + 1)
SLAB = memoryview(bytearray(2 * EXACT_FROM))
SEEN: ContextVar[str] = ContextVar("SEEN", default="nobody")


class Later:
    """A result that is no value."""


def echo(request: tuple[object, int, str], *args: Any) -> Any:
    assert SEEN.get() == "nobody"
    SEEN.set("a call")
    return args[0]


def one(request: Any, value: Any) -> Any:
    return value[:10]


def fail(request: Any, value: Any) -> None:
    raise ValueError(f"{len(value)} bytes are too many")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "echo": echo,
    "one": one,
    "fail": fail,
    "record": lambda request, value: {"bytes": len(value)},
    "twice": lambda request, value: bytes(value) * 2,
    "thrice": lambda request, value: bytes(value) * 3 + bytes(1000),
    "typed": lambda request, value: memoryview(bytes(value[: 8 * 8192])).cast("q"),
    "steps": lambda request, value: memoryview(value)[::2],
    "later": lambda request, value: Later(),
}


class Shell:
    """Reads and answers as the shell does, straight where it can or never."""

    def __init__(self, peer: FrameLimits, features: frozenset[str], *, use_straight: bool) -> None:
        self.engine = StraightFramesEngine(LIMITS, is_client=False)
        self.use_straight = use_straight
        self.seen: list[Any] = []
        self.straight = 0
        self.feed(pack_frame(Kind.HELLO, 0, 0, pack_hello(offer(peer, features))), ())

    def begin(self, stream_id: int, name: str, result: Any, error: BaseException | None) -> None:
        try:
            if error is None and not isinstance(result, Later):
                self.engine.result(stream_id, result)
        except CodecError as unsendable:
            error = unsendable
        if error is not None:
            self.seen.append((type(error), str(error)))
            self.engine.error(stream_id, "failed", str(error))

    def answer(self, call: events.Call) -> None:
        function = FUNCTIONS.get(call.name)
        if function is None or call.kwargs or call.is_open:
            self.seen.append(call)
            return
        problem: BaseException | None = None
        result = None
        try:
            result = copy_context().run(function, (self, call.stream_id, call.name), *call.args)
        except (ValueError, TypeError) as error:
            problem = error
        self.begin(call.stream_id, call.name, result, problem)

    def large_came(self) -> bool:
        frame = self.engine.reader.peek_large()
        blob = self.engine.take_blob(frame)
        if blob is not None:
            self.seen.append(events.Data(blob[0], blob[1], len(blob[1])))
            return True
        count, left = self.engine.answer_large(frame, FUNCTIONS, tuple, self, copy_context, self.begin)
        if left is not None:
            self.answer(left)
        return count >= 0

    def feed(self, data: bytes, cuts: tuple[int, ...]) -> None:
        left, sizes = memoryview(data), list(cuts)
        while left:
            buffer = self.engine.reader.get_buffer(SLAB)
            count = min(len(buffer), len(left), sizes.pop(0) if sizes else len(left))
            buffer[:count] = left[:count]
            left = left[count:]
            came = self.engine.reader.buffer_updated(SLAB, count)
            if came == ALONE and self.use_straight and self.large_came():
                self.straight += 1
            elif came:
                self.pump()

    def pump(self) -> None:
        try:
            while not isinstance(event := self.engine.next_event(), Signal):
                if isinstance(event, events.Call):
                    self.answer(event)
                else:
                    self.seen.append(event)
        except RemoteProtocolError as error:
            self.seen.append(str(error))
        finally:
            self.engine.reader.release()

    def state(self) -> tuple[Any, ...]:
        engine = self.engine
        return (self.seen, b"".join(engine.take()), engine.state, engine.unread, engine.calls_in_flight,
                [each and (each.state, each.receive_credit, each.was_last) for each in engine._calls.values()],
                engine.is_inside_frame)  # fmt: skip


def data(stream_id: int, flags: int, size: int = SIZE) -> bytes:
    return pack_frame(Kind.DATA, flags, stream_id, (BLOB * 2)[:size])


FLAGS = st.sampled_from((0,) * 12 + (Flag.CHECKSUM,) * 6 + (Flag.SHARED, Flag.MORE, Flag.OPEN)).map(int)
NEXT = st.sampled_from((2,) * 12 + (0, 1, 4))
"""By how much the id of a call is above the last one's."""
OPENED = st.sampled_from((1,) * 12 + (3, 3, 5, 2, 99))
CALLS = st.builds(
    lambda more, name, args, flags: lambda last: call_frame(last + more, name, *args, flags=flags),
    NEXT,
    st.sampled_from((*FUNCTIONS, "unknown")),
    st.sampled_from(((BLOB,), (BLOB,), (BLOB,), (BLOB, 1), (list(range(150_000)),))),
    FLAGS,
)
ODD = st.builds(
    lambda more, value: lambda last: pack_frame(Kind.CALL, 0, last + more, value),
    NEXT,
    st.sampled_from((encode(["echo", [BLOB], {"key": 1}]), encode([1, [BLOB]]), encode(BLOB), encode(BLOB)[:-1])),
)
DATA = st.builds(
    lambda stream_id, flags, size, is_broken: (
        lambda last: data(stream_id, flags, size)[: -1 if is_broken else None] + b"." * is_broken
    ),
    OPENED,
    FLAGS,
    st.sampled_from((SIZE, SIZE, 2 * SIZE - 4, SIZE - 5000)),
    st.sampled_from((False,) * 9 + (True,)),
)
SMALL = st.one_of(
    st.builds(lambda more: lambda last: call_frame(last + more, "streams", flags=Flag.OPEN), NEXT),
    st.builds(
        lambda stream_id, kind: lambda last: pack_frame(kind, 0, stream_id),
        OPENED,
        st.sampled_from((Kind.END, Kind.CANCEL)),
    ),
)
CUTS = st.lists(st.sampled_from((1, 12, 70_000, 262_000, 3 * SIZE)), max_size=4).map(tuple)
STEPS = st.lists(st.tuples(st.one_of(CALLS, DATA, CALLS, DATA, CALLS, DATA, ODD, SMALL), CUTS), min_size=2, max_size=8)
PEERS = st.sampled_from((LIMITS, LIMITS, FrameLimits(payload=100_000, assembled=3 * SIZE), FrameLimits(assembled=SIZE)))
FEATURES = st.sampled_from((frozenset({"checksum"}),) * 4 + (PLAIN, frozenset({"tables"}), frozenset({"zstd"})))


@given(STEPS, PEERS, FEATURES, st.sampled_from((False, False, True)), st.integers(1, 20))
@examples(150)
def test_straight_or_not_the_same_comes_of_it(
    steps: list[tuple[Callable[[int], bytes], tuple[int, ...]]],
    peer: FrameLimits,
    features: frozenset[str],
    glue: bool,
    drain: int,
) -> None:
    shells = [Shell(peer, features, use_straight=use_straight) for use_straight in (True, False)]
    for shell in shells:
        shell.feed(call_frame(1, "streams", flags=Flag.OPEN), ())
    last = 1
    for number, (make, cuts) in enumerate(steps):
        frame = make(last)
        if frame[4] == Kind.CALL:
            last = max(last, int.from_bytes(frame[8:12]))
        for shell in shells:
            if number == drain:
                shell.engine.goaway("that is all")
            shell.feed(frame + pack_frame(Kind.PING, 0, 0, bytes(8)) if glue else frame, cuts)
        assert shells[0].state() == shells[1].state()


def shell(features: frozenset[str] = PLAIN) -> Shell:
    return Shell(LIMITS, features, use_straight=True)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "thrice"])
def test_a_call_with_a_blob_goes_straight(name: str) -> None:
    server = shell()
    for number in (1, 3, 5):
        server.feed(call_frame(number, name, BLOB), (70_000,))
    assert server.straight == 3


@pytest.mark.parametrize("flags", [0, Flag.CHECKSUM])
def test_a_blob_goes_straight(flags: Flag) -> None:
    server = shell(frozenset({"checksum"}))
    server.feed(call_frame(1, "streams", flags=Flag.OPEN), ())
    for _ in range(3):
        server.feed(data(1, int(flags)), (70_000,))
        server.engine.consume(1, SIZE)
    assert server.straight == 3
    assert server.seen[-1] == events.Data(1, memoryview(BLOB)[:SIZE], SIZE)


OPENING = call_frame(1, "streams", flags=Flag.OPEN)


@pytest.mark.parametrize(
    "frames",
    [
        (call_frame(2, "echo", BLOB),),
        (pack_frame(Kind.CALL, 0, 1, encode(BLOB)[:-1]),),
        (call_frame(1, "echo", BLOB, flags=Flag.OPEN),),
        (data(1, 0),),
        (pack_frame(99, 0, 1, BLOB),),
        (OPENING, pack_frame(Kind.END, 0, 1), data(1, 0)),
        (OPENING, pack_frame(Kind.CANCEL, 0, 1), data(1, 0)),
        (OPENING, pack_frame(Kind.ITEM, Flag.MORE, 1, b"abc"), data(1, 0)),
        (OPENING, pack_frame(Kind.ITEM, Flag.MORE, 1, b"abc"), call_frame(3, "echo", BLOB)),
        *((OPENING, *(call_frame(number, "streams", flags=Flag.OPEN) for number in (3, 5, 7)), large)
          for large in (call_frame(9, "echo", BLOB),)),
    ],
)  # fmt: skip
def test_what_is_not_plain_goes_the_general_way(frames: tuple[bytes, ...]) -> None:
    servers = [Shell(LIMITS, PLAIN, use_straight=use_straight) for use_straight in (True, False)]
    for server in servers:
        for frame in frames:
            server.feed(frame, (70_000,))
    assert servers[0].straight == 0
    assert servers[0].state() == servers[1].state()


@pytest.mark.parametrize("name", ["echo", "later"])
def test_who_holds_all_that_may_be_held_is_told_the_same(name: str) -> None:
    servers = [Shell(LIMITS, PLAIN, use_straight=use_straight) for use_straight in (True, False)]
    frames = [OPENING, call_frame(3, "streams", flags=Flag.OPEN), data(1, 0, 2 * SIZE - 4), data(3, 0, 2 * SIZE - 4)]
    frames += [call_frame(number, name, BLOB) for number in (5, 7)]
    for server in servers:
        for frame in frames:
            server.feed(frame, (70_000,))
    assert servers[0].state() == servers[1].state()
