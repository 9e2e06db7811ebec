"""Clients that leave without a word, or whose words are none."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time

from bench.survive.clients import HEAD, HERE, clients, received, reset
from bench.survive.stand import Stand
from bench.survive.verdict import DONE, TOLD, Attack, Bound, Figures

__all__ = ["RUDE"]


async def resets(stand: Stand, quick: bool) -> Figures:
    """Three thousand that connect and reset: before, inside and after a request, some that pipeline."""
    wires = (
        b"",
        b"GET /plain HTTP",
        b"GET /plain" + HEAD + b"\r\n",
        b"GET /later" + HEAD + b"\r\n",
        (b"GET /later" + HEAD + b"\r\n") * 20,
        b"POST /upload" + HEAD + b"Content-Length: 1000\r\n\r\nabc",
        b"POST /echo" + HEAD + b"Content-Length: 100000000\r\n\r\nabc",
        b"GET /file" + HEAD + b"\r\n",
        b"GET /pieces" + HEAD + b"\r\n",
        b"GET /ticks" + HEAD + b"\r\n",
        b"BAD\r\n\r\n" + b"x" * 1000,
        b"\x00\x00\x00\x00\x10",
    )
    start = time.monotonic()
    for number in range(3000):
        reset(stand.connect(wires[number % len(wires)]))
        if number % 50 == 49:
            await asyncio.sleep(0.005)
    return {
        "us each": (time.monotonic() - start) / 3000 * 1e6,
        "s to settle": await stand.until_descriptors(stand.calm, 8),
    }


async def noise(stand: Stand, quick: bool) -> Figures:
    """Random bytes, and requests with random bytes in them."""
    source = random.Random(20231)
    seeds = (
        b"GET /plain" + HEAD + b"\r\n",
        b"POST /echo" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"POST /echo" + HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
        b"GET /file" + HEAD + b"Range: bytes=0-10, 20-30\r\n\r\n",
        b"GET /ticks" + HEAD + b"Last-Event-ID: 1\r\n\r\n",
        b"GET /pieces HTTP/1.0\r\n\r\n",
        bytes(40),
    )
    end = time.monotonic() + (2.0 if quick else 30.0)
    sent = failed = wrong = 0
    while time.monotonic() < end:
        batch = []
        for _ in range(40):
            if source.random() < 0.4:
                wire = source.randbytes(source.choice((1, 10, 100, 5000)))
            else:
                changed = bytearray(source.choice(seeds) * source.choice((1, 1, 3)))
                for _ in range(source.choice((0, 1, 1, 5))):
                    changed[source.randrange(len(changed))] = source.choice((source.randrange(256), 13, 10, 32, 0))
                wire = bytes(changed)
            with contextlib.suppress(OSError):
                sock = stand.connect()
                batch.append(sock)
                sent += 1
                cut = source.randrange(len(wire) + 1)
                sock.send(wire[:cut])
                sock.send(wire[cut:])
        await asyncio.sleep(0.05)
        for sock in batch:
            data = received(sock)
            failed += bool(data and b"HTTP/1.1 500" in data)
            wrong += bool(data and not data.startswith(b"HTTP/1.1 ") and data[0] != 0)
            if source.random() < 0.5:
                reset(sock)
            else:
                sock.close()
    return {
        "sent": sent,
        "answered 500": failed,
        "no answer of ours": wrong,
        "s to settle": await stand.until_descriptors(stand.calm, 10),
    }


async def killed(stand: Stand, quick: bool) -> Figures:
    """A client with twenty uploads and forty downloads is killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "victim.py"), str(stand.port), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        await process.stdout.readline()
    await asyncio.sleep(0.3)
    held = stand.descriptors() - stand.calm
    process.kill()
    await process.wait()
    return {"held before": held, "s to settle": await stand.until_descriptors(stand.calm, 5)}


async def full(stand: Stand, quick: bool) -> Figures:
    """More clients than the server may have connections, none of them idle; then they go."""
    with clients(stand, 250, b"GET /plain HTTP/1.1\r\nHost:") as held:
        await asyncio.sleep(0.3)
        busy = await stand.busy(1.5)
        open_now = stand.descriptors()
        for sock in held:
            reset(sock)
    start = time.monotonic()
    status, _ = await stand.get("/plain", timeout=10)
    return {"CPU share": busy, "descriptors": open_now, "s to recover": time.monotonic() - start, "status": status}


async def starved(stand: Stand, quick: bool) -> Figures:
    """The process may open no descriptor more, whatever was thought at the start; then it may again."""
    import resource

    resource.prlimit(stand.pid, resource.RLIMIT_NOFILE, (stand.descriptors(), 4096))
    with clients(stand, 60, b"GET /plain" + HEAD + b"\r\n"):
        await asyncio.sleep(0.2)
        busy = await stand.busy(2.0)
    resource.prlimit(stand.pid, resource.RLIMIT_NOFILE, (4096, 4096))
    start = time.monotonic()
    status = 0
    while status != 200 and time.monotonic() - start < 10:
        with contextlib.suppress(ConnectionError, TimeoutError):
            status, _ = await stand.get("/plain", timeout=3)
    return {"CPU share": busy, "s to recover": time.monotonic() - start, "status": status}


async def starved_files(stand: Stand, quick: bool) -> Figures:
    """Slow downloads of files until no descriptor is left for another file."""
    with clients(stand, 60, b"GET /file" + HEAD + b"\r\n", receive_buffer=8192) as held:
        await asyncio.sleep(0.5)
        busy = await stand.busy(1.0)
        silent = closed = 0
        heads: list[bytes] = []
        for sock in held:
            head = received(sock, 4096)
            silent += head is None
            closed += head == b""
            heads.append(head or b"")
        failed = sum(head.startswith(b"HTTP/1.1 500") for head in heads)
        served = sum(head.startswith(b"HTTP/1.1 200") for head in heads)
        later = sum(head.startswith(b"HTTP/1.1 503") for head in heads)
        for sock in held:
            reset(sock)
    start = time.monotonic()
    status, _ = await stand.get("/plain")
    return {
        "answered 500": failed,
        "answered 503": later,
        "closed": closed,
        "left waiting": silent,
        "unaccounted": 60 - served - later - closed - silent - failed,
        "CPU share": busy,
        "s to recover": time.monotonic() - start,
        "status": status,
    }


SETTLED = Bound(2.0)
FEW = 128
"""Descriptors of a server that has hardly any: 64 connections, and 50 files beside its own."""

RUDE = (
    Attack(resets, {"us each": TOLD, "s to settle": SETTLED}),
    Attack(noise, {"sent": TOLD, "answered 500": Bound(0), "no answer of ours": Bound(0), "s to settle": SETTLED}),
    Attack(killed, {"held before": TOLD, "s to settle": SETTLED}),
    Attack(
        full,
        {"CPU share": Bound(0.05), "descriptors": Bound(100), "s to recover": Bound(1), "status": DONE},
        descriptors=FEW,
    ),
    Attack(
        starved_files,
        {
            "answered 500": Bound(0),
            "answered 503": TOLD,
            "closed": Bound(0),
            "left waiting": TOLD,
            "unaccounted": Bound(0),
            "CPU share": Bound(0.1),
            "s to recover": Bound(1),
            "status": DONE,
        },
        descriptors=FEW,
    ),
    Attack(starved, {"CPU share": Bound(0.05), "s to recover": Bound(1.5), "status": DONE}, own_server=True),
)
