"""Clients that speak frames and mean no good."""

from __future__ import annotations

import asyncio
import contextlib
import time

from bench.survive.clients import KIB, clients, probe, received, sends
from bench.survive.stand import Stand
from bench.survive.verdict import TOLD, Attack, Bound, Figures
from rat.codec import encode
from rat.codec.frame import Flag, Kind, pack_frame
from rat.config import FrameLimits
from rat.frames.settings import offer, pack_hello

__all__ = ["FRAMED"]

MIB = KIB * KIB
HELLO = pack_frame(Kind.HELLO, 0, 0, pack_hello(offer(FrameLimits(), frozenset())))
PIECE = encode(b"i" * (MIB - 100))


def call(number: int, name: str, flags: int = 0) -> bytes:
    """The *number*-th call of a connection, from 0."""
    return pack_frame(Kind.CALL, flags, 2 * number + 1, encode([name, []]))


async def frames_dribble(stand: Stand, quick: bool) -> Figures:
    """Five hundred that send a byte of a HELLO, or of a call, now and then."""
    seconds = 1.0 if quick else 3.0
    slow_call = pack_frame(Kind.CALL, 0, 1, bytes(1000))[:20]
    calm = await probe(stand, seconds)
    with clients(stand, 250, HELLO[:3]) as strangers, clients(stand, 250, HELLO + slow_call) as callers:
        asking = asyncio.create_task(probe(stand, seconds))
        alive = [*strangers, *callers]
        while not asking.done():
            alive = [sock for sock in alive if sends(sock, b"\0")]
            await asyncio.sleep(0.1)
        worse = await asking
        end = time.monotonic() + 8
        while alive and time.monotonic() < end:
            alive = [sock for sock in alive if sends(sock, b"\0")]
            await asyncio.sleep(0.1)
    return {"p99 ms": worse["p99"] * 1e3, "calm p99 ms": calm["p99"] * 1e3, "never cut": len(alive)}


async def frames_unread(stand: Stand, quick: bool) -> Figures:
    """Two hundred calls of one connection, each of which sends values of 1 MiB that nobody reads."""
    before, count = stand.resident(), 200
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
    said = bytearray()

    async def listen() -> None:
        while data := await reader.read(65536):
            said.extend(data)

    listening = asyncio.create_task(listen())
    most = before
    try:
        writer.write(HELLO)
        for number in range(count):
            writer.write(call(number, "keep", Flag.OPEN) + pack_frame(Kind.ITEM, 0, 2 * number + 1, PIECE))
            async with asyncio.timeout(10):
                await writer.drain()
            most = max(most, stand.resident())
        await asyncio.sleep(0.5)
        most = max(most, stand.resident())
        refused = listening.done()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        listening.cancel()
    return {
        "MiB held": (most - before) / MIB,
        "calls ended": said.count(b"exhausted"),
        "connection refused": int(refused),
        "s to settle": await stand.until_descriptors(stand.calm, 5),
    }


async def frames_calls(stand: Stand, quick: bool) -> Figures:
    """Twenty that open ten thousand calls, whose handlers wait."""
    wire = HELLO + b"".join(call(number, "keep") for number in range(10_000))
    asking = asyncio.create_task(probe(stand, 1.0 if quick else 2.0))
    told = 0
    with clients(stand, 20) as held:
        for sock in held:
            sock.setblocking(True)
            sock.settimeout(5)
            with contextlib.suppress(OSError):
                sock.sendall(wire)
            sock.setblocking(False)
        start = time.monotonic()
        for sock in held:
            data = b""
            while b"calls" not in data and b"in flight" not in data and time.monotonic() - start < 5:
                data += received(sock) or b""
                await asyncio.sleep(0.01)
            told += b"in flight" in data
        worse = await asking
    return {
        "not told why": 20 - told,
        "p99 ms": worse["p99"] * 1e3,
        "s to settle": await stand.until_descriptors(stand.calm, 5),
    }


async def frames_silent(stand: Stand, quick: bool) -> Figures:
    """Twenty that call for 65 kB over and over and never read."""
    before = stand.resident()
    with clients(stand, 20, HELLO, receive_buffer=4096) as held:
        end = time.monotonic() + (1.5 if quick else 3.0)
        wires = dict.fromkeys(held, 0)
        most = before
        while time.monotonic() < end:
            for sock, number in wires.items():
                with contextlib.suppress(OSError):
                    # All or nothing: half a frame would be another attack.
                    wires[sock] = number + (sock.send(call(number, "bulk")) > 0)
            most = max(most, stand.resident())
            await asyncio.sleep(0.002)
        cut = await stand.until_descriptors(stand.calm + 2, 10)
    return {"KiB each": (most - before) / KIB / 20, "s until cut": cut}


SETTLED = Bound(2.0)

FRAMED = (
    Attack(frames_dribble, {"p99 ms": Bound(20.0, times="calm p99 ms"), "calm p99 ms": TOLD, "never cut": Bound(0)}),
    Attack(
        frames_unread,
        {"MiB held": Bound(80), "calls ended": TOLD, "connection refused": Bound(0), "s to settle": SETTLED},
        own_server=True,
    ),
    Attack(frames_calls, {"not told why": Bound(0), "p99 ms": Bound(100), "s to settle": SETTLED}),
    Attack(frames_silent, {"KiB each": Bound(600), "s until cut": Bound(6)}, own_server=True),
)
