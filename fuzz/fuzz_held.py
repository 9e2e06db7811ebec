"""Fuzz what a connection holds unread: values of any size on many calls, read, answered and left at random.

The caller heeds what the server says that it holds, or does not.  Allowed: nothing.  What is counted is what a plain
list says, within the limit, and nothing when all is over.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from copy import copy

from rat.config import FrameLimits
from rat.events import Signal
from rat.frames import events
from rat.frames.engine import FramesEngine
from rat.frames.holding import COUNTED_CALL, LEAST
from rat.frames.sending import PeerFull

LIMITS = FrameLimits(payload=8192, assembled=16_384, credit=4096, streams=6, growth=20_000, held=40_000)
SIZES = [0, 3, 200, 2000, 5000, 12_000]


def carry(rng: random.Random, speaker: FramesEngine, listener: FramesEngine) -> list[events.Event]:
    """What *listener* hears of what *speaker* has said, cut anywhere."""
    wire, heard = b"".join(bytes(part) for part in speaker.take()), list[events.Event]()
    while wire:
        cut = rng.choice([len(wire), rng.randrange(1, len(wire) + 1)])
        listener.receive_data(wire[:cut])
        wire = wire[cut:]
        while not isinstance(event := listener.next_event(), Signal):
            heard.append(event)
    return heard


def note(unread: dict[int, list[tuple[int, int]]], event: events.Event | None) -> int:
    """Keep the list of what is unread after *event*; 1 if a call had to go."""
    match event:
        case events.Exhausted():
            unread.pop(event.stream_id, None)
            return 1 + note(unread, event.event)
        case events.Call():
            unread[event.stream_id] = []
        case events.Item():
            unread[event.stream_id].append((event.size, event.length))
        case events.Data():
            unread[event.stream_id].append((event.size, event.size))
    return 0


def one(seed: int) -> int:
    """One conversation; how many calls had to go."""
    rng, gone = random.Random(seed), 0
    unread: dict[int, list[tuple[int, int]]] = {}
    features = frozenset(rng.choice([["tables"], ["checksum"], []]))
    client, server = FramesEngine(LIMITS, is_client=True, features=features), FramesEngine(LIMITS, is_client=False)
    heeds = rng.random() < 0.5
    for _ in range(rng.randrange(5, 150)):
        # Both ways, so that no call is over for one side alone.
        gone += sum(note(unread, event) for event in carry(rng, client, server))
        carry(rng, server, client)
        if not heeds:
            client.peer = copy(client.peer)
            client.peer.held = events.UNSAID
        listed = sum(max(length, LEAST) for some in unread.values() for _, length in some)
        assert listed <= server.unread <= LIMITS.held, (listed, server.unread)
        assert server.unread == listed or server.unread - listed >= COUNTED_CALL
        size, stream_id = rng.choice(SIZES), rng.choice(list(unread) or [0])
        match rng.randrange(10):
            case 0 | 1 if client.has_room or not unread:
                try:
                    client.call(events.Call(client.open_stream(), "f", [{"k": bytes(size)}], is_open=True))
                except PeerFull:
                    assert heeds
                    assert unread
            case 2 | 3 | 4 | 5 if unread:
                client.item(stream_id, rng.choice([bytes(size), {"k": "x" * size}, [1.5] * (size // 8)]))
            case 6 if unread:
                client.data(stream_id, bytes(size))
            case 7 | 8 if unread and unread[stream_id]:
                server.consume(stream_id, *unread[stream_id].pop(0))
            case 7 | 8 if unread:
                server.starve(stream_id)
            case 9 if unread:
                server.result(stream_id, None)
                server.let_go(stream_id)
                del unread[stream_id]
    for stream_id in unread:
        if server.is_live(stream_id):
            server.cancel(stream_id)
        server.let_go(stream_id)
    assert server.unread == 0
    return gone


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 48))
    options = parser.parse_args()
    end, seed, gone = time.monotonic() + options.seconds, options.seed, 0
    while time.monotonic() < end:
        try:
            gone += one(seed)
        except Exception:
            print(f"finding: seed {seed}", file=sys.stderr)
            raise
        seed += 1
    print(f"held: {seed - options.seed} inputs, {gone} calls had to go, no finding")
