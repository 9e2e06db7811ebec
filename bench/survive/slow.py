"""Clients that take their time, to speak or to listen."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

from bench.survive.clients import HEAD, KIB, clients, has_ended, probe, received, sends
from bench.survive.stand import Stand
from bench.survive.verdict import DONE, TOLD, Attack, Bound, Figures

__all__ = ["SLOW"]


async def idle(stand: Stand, quick: bool) -> Figures:
    """A thousand connections, each of which has asked once, and waits."""
    before = stand.resident()
    with clients(stand, 1000, b"GET /plain" + HEAD + b"\r\n") as held:
        await asyncio.sleep(0.5)
        answered = sum(bool(received(sock)) for sock in held)
        grown = stand.resident() - before
        busy = await stand.busy(1.0)
    return {"unanswered": 1000 - answered, "KiB each": grown / KIB / 1000, "CPU share": busy}


async def dribble(stand: Stand, quick: bool) -> Figures:
    """Five hundred that send a byte of a head now and then."""
    seconds = 1.0 if quick else 4.0
    calm = await probe(stand, seconds)
    with clients(stand, 500, b"GET /plain HTTP/1.1\r\nHost: x\r\n") as held:
        asking = asyncio.create_task(probe(stand, seconds))
        alive = held
        while not asking.done():
            alive = [sock for sock in alive if sends(sock, b"X")]
            await asyncio.sleep(0.1)
        worse = await asking
        # Nobody may dribble for ever: the head has its deadline.
        end = time.monotonic() + 8
        while alive and time.monotonic() < end:
            alive = [sock for sock in alive if sends(sock, b"X")]
            await asyncio.sleep(0.1)
    return {"p99 ms": worse["p99"] * 1e3, "calm p99 ms": calm["p99"] * 1e3, "never cut": len(alive)}


async def _slow_readers(stand: Stand, target: bytes, quick: bool) -> Figures:
    before = stand.resident()
    with clients(stand, 100, b"GET " + target + HEAD + b"\r\n", receive_buffer=8192) as held:
        most = read = 0
        end = time.monotonic() + (1.5 if quick else 6.0)
        while time.monotonic() < end:
            for sock in held:
                read += len(received(sock, 1024) or b"")
            most = max(most, stand.resident())
            await asyncio.sleep(0.1)
        early = sum(has_ended(sock) for sock in held)
        asking = await stand.get("/later")
        cpu = stand.cpu()
        # From here on nobody reads: the stall is noticed.
        cut = await stand.until_descriptors(stand.calm + 5, 12)
        busy = (stand.cpu() - cpu) / cut
    assert read >= 100 * 1024, read
    return {
        "KiB each": (most - before) / KIB / 100,
        "cut while reading": early,
        "others' status": asking[0],
        "s until cut": cut,
        "CPU share": busy,
    }


async def slow_file(stand: Stand, quick: bool) -> Figures:
    """A hundred that take a large file in drops, then not at all."""
    return await _slow_readers(stand, b"/file", quick)


async def slow_pieces(stand: Stand, quick: bool) -> Figures:
    """The same with a generator."""
    return await _slow_readers(stand, b"/pieces", quick)


async def slow_events(stand: Stand, quick: bool) -> Figures:
    """Fifty subscribers that do not read, beside one that does."""
    before = stand.resident()
    with (
        clients(stand, 50, b"GET /ticks" + HEAD + b"\r\n", receive_buffer=4096),
        clients(stand, 1, b"GET /ticks" + HEAD + b"\r\n") as (good,),
    ):
        await stand.until_told("subscribers", 51, 51)
        got = b""
        most = before
        for _ in range(60):
            await stand.publish("e" * 100_000)
            await asyncio.sleep(0.02)
            while data := received(good, 1 << 20):
                got += data
            most = max(most, stand.resident())
        return {
            "events lost by the good": 60 - got.count(b"data:"),
            "MiB each": (most - before) / KIB / KIB / 50,
            "s until cut": await stand.until_descriptors(stand.calm + 6, 12),
        }


async def pipeline(stand: Stand, quick: bool) -> Figures:
    """Twenty that ask over and over and never read."""
    before = stand.resident()
    wire = (b"GET /bulk" + HEAD + b"\r\n") * 1000
    with clients(stand, 20, receive_buffer=4096) as held:
        end = time.monotonic() + (1.5 if quick else 3.0)
        sent, most = 0, before
        while time.monotonic() < end:
            for sock in held:
                with contextlib.suppress(OSError):
                    sent += sock.send(wire)
            most = max(most, stand.resident())
            await asyncio.sleep(0.05)
        asking = await probe(stand, 1.0)
        cut = await stand.until_descriptors(stand.calm + 2, 10)
    return {"KiB each": (most - before) / KIB / 20, "p99 ms": asking["p99"] * 1e3, "s until cut": cut}


async def uploads(stand: Stand, quick: bool) -> Figures:
    """A hundred uploads that end half-way, as many that stall, as many that were promised to be chunked."""
    half = b"POST /upload" + HEAD + b"Content-Length: 1000000\r\n\r\n" + b"u" * 1000
    chunked = b"POST /upload" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nffff\r\nabc"
    unread = b"POST /plain" + HEAD + b"Content-Length: 500000\r\n\r\nabc"
    with (
        clients(stand, 100, half) as ended,
        clients(stand, 100, half) as stalled,
        clients(stand, 100, chunked) as cut_chunks,
        clients(stand, 50, unread) as nobody_reads,
    ):
        for sock in ended:
            sock.shutdown(socket.SHUT_WR)
        start = time.monotonic()
        took = await stand.until_descriptors(stand.calm + 250, 10)
        rest = await stand.until_descriptors(stand.calm, 12)
        answers = [received(sock) or b"" for sock in (*stalled, *cut_chunks)]
        late = sum(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)
        fine = sum((received(sock) or b"").startswith(b"HTTP/1.1 2") for sock in ended)
        assert time.monotonic() - start < 30
        del nobody_reads
    return {
        "half taken for whole": fine,
        "not told 408": 200 - late,
        "s until half cut": took,
        "s until all cut": took + rest,
    }


CUT = Bound(6)
READERS = {
    "KiB each": Bound(300),
    "cut while reading": Bound(0),
    "others' status": DONE,
    "s until cut": CUT,
    "CPU share": Bound(0.2),
}

SLOW = (
    Attack(idle, {"unanswered": Bound(0), "KiB each": Bound(3.0, asyncio=4.5), "CPU share": Bound(0.05)}),
    Attack(dribble, {"p99 ms": Bound(20.0, times="calm p99 ms"), "calm p99 ms": TOLD, "never cut": Bound(0)}),
    Attack(slow_file, READERS),
    Attack(slow_pieces, READERS),
    Attack(slow_events, {"events lost by the good": Bound(0), "MiB each": Bound(1.5), "s until cut": CUT}),
    Attack(pipeline, {"KiB each": Bound(600), "p99 ms": Bound(50), "s until cut": CUT}),
    Attack(
        uploads,
        {
            "half taken for whole": Bound(0),
            "not told 408": Bound(0),
            "s until half cut": Bound(1),
            "s until all cut": CUT,
        },
    ),
)
