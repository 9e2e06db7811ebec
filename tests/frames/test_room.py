"""What a peer says that it holds: callers who heed it are refused nothing, and wait for the end of a call alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.codec import decode, encode
from rat.codec.frame import Kind, pack_frame
from rat.config import FrameLimits
from rat.errors import CodecError, LocalProtocolError
from rat.events import Signal
from rat.frames import events
from rat.frames.engine import FramesEngine
from rat.frames.sending import PeerFull
from rat.frames.settings import offer, pack_hello, parse_hello
from tests.frames.support import PLAIN, joined, pair, whole
from tests.support.examples import examples

LIMITS = FrameLimits(payload=8192, assembled=16_384, streams=8, held=40_000)
SIZES = (0, 100, 4000, 4200, 9000, 16_000)


def call(engine: FramesEngine, size: int) -> int:
    """Make a call with arguments of about *size* bytes; its id."""
    stream_id = engine.open_stream()
    engine.call(events.Call(stream_id, "f", [bytes(size)]))
    return stream_id


def test_hello_says_what_is_held() -> None:
    hello = offer(LIMITS, PLAIN)
    assert hello.held == 40_000
    assert parse_hello(pack_hello(hello)) == hello
    assert offer(FrameLimits(held=1, payload=2048, assembled=5000), PLAIN).held == 5000
    assert pair(LIMITS)[0].peer.held == pair(LIMITS)[1].peer.held == 40_000


def test_a_peer_that_does_not_say_is_sent_everything() -> None:
    silent = parse_hello(encode({}, profile="bincode"))
    assert silent.held == events.UNSAID
    assert "held" not in decode(pack_hello(silent), profile="bincode")
    engine = FramesEngine(LIMITS, is_client=True, features=PLAIN)
    engine.receive_data(pack_frame(Kind.HELLO, 0, 0, pack_hello(silent)))
    assert isinstance(engine.next_event(), events.Hello)
    for _ in range(20):
        call(engine, 16_000)
    assert len(joined(engine)) > 20 * 16_000


@pytest.mark.parametrize("held", [0, -1, "much", (1 << 62) + 1])
def test_what_cannot_be_held(held: object) -> None:
    with pytest.raises(CodecError, match="HELLO says"):
        parse_hello(encode({"held": held}, profile="bincode"))


@pytest.mark.parametrize("more", [0, 1])
def test_arguments_fit_to_the_byte(more: int) -> None:
    limits = FrameLimits(payload=20_000, assembled=20_000, held=20_000)
    client, server = pair(limits)
    call(client, 12_000)
    size = 20_000 - len(joined(client)) + 12  # of the header
    rest = size + more - len(encode(["f", [bytes(5000)]])) + 5000
    if more:
        with pytest.raises(PeerFull, match=f"arguments of {size + 1} bytes, and the peer holds 20000 of all"):
            call(client, rest)
        assert joined(client) == b""
        assert client.calls_in_flight == 1
        with pytest.raises(LocalProtocolError, match="the peer holds"):
            client.send(events.Call(client.open_stream(), "f", [bytes(rest)]))
    else:
        call(client, rest)
    call(client, 4000)
    assert server.unread == 0


def test_one_call_may_always_be_made() -> None:
    client, _ = pair(FrameLimits(payload=8192, assembled=16_384), client_limits=LIMITS)
    client.peer = events.Hello(frame=8192, value=16_384, streams=8, credit=1, held=1)
    first = call(client, 16_000)
    with pytest.raises(PeerFull):
        call(client, 5000)
    client.cancel(first)
    call(client, 5000)


def test_a_call_that_has_to_wait_leaves_the_tables_as_the_peer_has_them() -> None:
    client, server = pair(LIMITS, features=frozenset({"tables"}))
    records = [{"key": number, "other": "x" * 40} for number in range(100)]
    for count in (1, 250, 150, 1, 300):
        try:
            stream_id = client.open_stream()
            client.call(events.Call(stream_id, "f", [records[:1] * count]))
        except PeerFull:
            continue
        (event,) = whole(server, joined(client))
        assert isinstance(event, events.Call)
        assert event.args == [records[:1] * count]


class Conversation:
    """A client that heeds what the server holds, with as much under way in both directions as nobody has read yet."""

    def __init__(self, features: frozenset[str]) -> None:
        self.client, self.server = pair(LIMITS, features=features)
        self.out, self.back = bytearray(), bytearray()
        self.open: list[int] = []
        """Calls that the server is to answer."""

    def carry(self, back: bool, count: int) -> None:
        self.out += joined(self.client)
        self.back += joined(self.server)
        wire, engine = (self.back, self.client) if back else (self.out, self.server)
        engine.receive_data(bytes(wire[:count]))
        del wire[:count]
        while not isinstance(event := engine.next_event(), Signal):
            assert not isinstance(event, events.Exhausted | events.Error), event
            if isinstance(event, events.Call):
                self.open.append(event.stream_id)
            elif isinstance(event, events.Cancel):
                self.open.remove(event.stream_id)
        assert self.server.unread <= LIMITS.held

    def step(self, what: int, number: int) -> None:
        client = self.client
        if what < 3:
            self.carry(what > 1, (number + 1) * 3000)
        elif what < 6 and client.has_room:
            size = SIZES[number % len(SIZES)]
            refused = None
            try:
                call(client, size)
            except PeerFull as full:
                refused = full
            if refused is not None:
                # What it waits for: calls of its own that are not over.
                assert client.calls_in_flight
                assert not client.takes(refused.size)
        elif what == 6 and self.open:
            self.server.result(self.open.pop(number % len(self.open)), number)
        elif what == 7 and (mine := list(client._calls)):
            client.cancel(mine[number % len(mine)])


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 50)), max_size=120), st.booleans())
@examples(200)
def test_who_heeds_it_is_never_refused_and_waits_for_calls_alone(steps: list[tuple[int, int]], tables: bool) -> None:
    talk = Conversation(frozenset({"tables"} if tables else ()))
    for step in steps:
        talk.step(*step)
    # Everything arrives and is answered: then there is room for the largest, whatever was before.
    for _ in range(3):
        talk.carry(False, 1 << 30)
        while talk.open:
            talk.server.result(talk.open.pop(), None)
        talk.carry(True, 1 << 30)
    assert talk.client.calls_in_flight == talk.server.calls_in_flight == talk.server.unread == 0
    assert talk.client.takes(LIMITS.assembled)
