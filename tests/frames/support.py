"""Two engines without a wire between them, and the ways to feed one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from rat.codec import encode
from rat.codec.frame import Kind, pack_frame
from rat.config import FrameLimits
from rat.errors import RemoteProtocolError
from rat.events import CLOSED, NEED_DATA, Signal
from rat.frames import events
from rat.frames.engine import FramesEngine
from rat.frames.payloads import goaway_from_value

Outcome: TypeAlias = "list[events.Event | str]"
Feed: TypeAlias = Callable[[FramesEngine, bytes], Outcome]

PLAIN: frozenset[str] = frozenset()
LIMITS = FrameLimits()


def pull(engine: FramesEngine) -> Outcome:
    """Every event that is there; a refusal as its text, and nothing after it."""
    outcome: Outcome = []
    while True:
        try:
            event = engine.next_event()
        except RemoteProtocolError as error:
            outcome.append(str(error))
            assert engine.next_event() is CLOSED
            return outcome
        if isinstance(event, Signal):
            return outcome
        outcome.append(event)


def whole(engine: FramesEngine, data: bytes) -> Outcome:
    engine.receive_data(data)
    return pull(engine)


def byte_by_byte(engine: FramesEngine, data: bytes) -> Outcome:
    outcome: Outcome = []
    for index in range(len(data)):
        engine.receive_data(data[index : index + 1])
        outcome += pull(engine)
    return outcome


def through_slab(engine: FramesEngine, data: bytes) -> Outcome:
    """As the shell reads: into one slab that is overwritten after every turn, seven bytes at a time."""
    slab = memoryview(bytearray(512 * 1024))
    outcome: Outcome = []
    position = 0
    while position < len(data):
        target = engine.reader.get_buffer(slab)
        count = min(7, len(data) - position, len(target))
        target[:count] = data[position : position + count]
        engine.reader.buffer_updated(slab, count)
        position += count
        outcome += pull(engine)
        engine.reader.release()
        slab[:600] = b"\xff" * 600
    return outcome


FEEDS = [whole, byte_by_byte, through_slab]


def splits(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every way to cut *data* in two."""
    for index in range(1, len(data)):
        yield data[:index], data[index:]


def joined(engine: FramesEngine) -> bytes:
    """What the engine has to say."""
    return b"".join(engine.take())


def pair(
    limits: FrameLimits = LIMITS,
    *,
    client_limits: FrameLimits | None = None,
    features: frozenset[str] = PLAIN,
    profile: events.Profile = "full",
) -> tuple[FramesEngine, FramesEngine]:
    """A client and a server that have exchanged their HELLOs."""
    client = FramesEngine(client_limits or limits, is_client=True, features=features, profile=profile)
    server = FramesEngine(limits, is_client=False)
    assert [type(event) for event in whole(server, joined(client))] == [events.Hello]
    assert [type(event) for event in whole(client, joined(server))] == [events.Hello]
    return client, server


def server_after_hello(
    limits: FrameLimits = LIMITS, *, features: frozenset[str] = PLAIN, profile: events.Profile = "full"
) -> FramesEngine:
    """A server whose client has said HELLO and nothing else."""
    return pair(limits, features=features, profile=profile)[1]


def call_frame(stream_id: int, name: str = "f", *args: object, flags: int = 0) -> bytes:
    return pack_frame(Kind.CALL, flags, stream_id, encode([name, list(args)]))


def last_words(engine: FramesEngine) -> events.Goaway:
    """The GOAWAY that the engine leaves behind, which has to be the last frame, and the only one of its kind."""
    data = joined(engine)
    frames = list(split_frames(data))
    assert [frame[4] for frame in frames].count(Kind.GOAWAY) == 1
    assert frames[-1][4] == Kind.GOAWAY
    return goaway_from_value(frames[-1][12:])


def split_frames(data: bytes) -> Iterator[bytes]:
    """The frames that *data* holds, nothing else being in it."""
    start = 0
    while start < len(data):
        end = start + 4 + int.from_bytes(data[start : start + 4])
        assert end <= len(data)
        yield data[start:end]
        start = end


def kinds(data: bytes) -> list[Kind]:
    return [Kind(frame[4]) for frame in split_frames(data)]


__all__ = [
    "FEEDS",
    "LIMITS",
    "NEED_DATA",
    "PLAIN",
    "Feed",
    "Outcome",
    "byte_by_byte",
    "call_frame",
    "joined",
    "kinds",
    "last_words",
    "pair",
    "pull",
    "server_after_hello",
    "split_frames",
    "splits",
    "through_slab",
    "whole",
]
