"""Signals at a bad moment."""

from __future__ import annotations

import asyncio
import signal
import time

from bench.survive.clients import HEAD, KIB, clients
from bench.survive.stand import Stand
from bench.survive.verdict import Attack, Bound, Figures

__all__ = ["STOPS"]

SIZE = 64 << 20


async def _download(stand: Stand, target: bytes, seconds: float) -> int:
    """Bytes that were missing of a download that is made to last *seconds*."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.port, limit=1 << 20)
    writer.write(b"GET " + target + HEAD + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")
    left, start = SIZE, time.monotonic()
    try:
        while left and (data := await reader.read(1 << 20)):
            left -= len(data)
            due = (SIZE - left) / SIZE * seconds
            await asyncio.sleep(max(0.0, due - (time.monotonic() - start)))
    except ConnectionError:
        pass
    writer.close()
    return max(left, 0)


async def downloads(stand: Stand, quick: bool) -> Figures:
    """SIGTERM during ten slow downloads: all of them end as they should."""
    seconds = 1.5 if quick else 4.0
    running = [asyncio.create_task(_download(stand, target, seconds)) for target in (b"/file", b"/pieces") * 5]
    await asyncio.sleep(seconds / 3)
    started = sum(not task.done() for task in running)
    stand.signal(signal.SIGTERM)
    missing = await asyncio.gather(*running)
    code = await stand.ended(5)
    return {
        "under way": -started,
        "cut short": sum(left > 0 for left in missing),
        "exit code": abs(code),
    }


async def subscribers(stand: Stand, quick: bool) -> Figures:
    """SIGTERM with five thousand subscribers: each is told, and gone within two seconds."""
    count = 1000 if quick else 5000
    before = stand.resident()
    with clients(stand, count, b"GET /ticks" + HEAD + b"\r\n") as held:
        await stand.until_told("subscribers", count, count)
        await stand.publish("the first")
        await stand.until_told("subscribers", count, count)
        grown = stand.resident() - before
        await stand.publish("the last")
        start = time.monotonic()
        stand.signal(signal.SIGTERM)
        code = await stand.ended(10)
        took = time.monotonic() - start
        told = ended = 0
        for sock in held:
            sock.setblocking(True)
            sock.settimeout(2)
            data = b""
            while piece := sock.recv(65536):
                data += piece
            told += b"event: rat.close" in data and b"the first" in data and b"the last" in data
            ended += data.endswith(b"0\r\n\r\n")
    return {
        "KiB each": grown / KIB / count,
        "not told": count - told,
        "not ended": count - ended,
        "s": took,
        "exit code": abs(code),
    }


async def twice(stand: Stand, quick: bool) -> Figures:
    """Ctrl-C twice while a client does not read: the process ends at once."""
    with clients(stand, 1, b"GET /pieces" + HEAD + b"\r\n", receive_buffer=4096):
        await asyncio.sleep(0.3)
        stand.signal(signal.SIGINT)
        await asyncio.sleep(0.3)
        still = stand.process.poll() is None
        start = time.monotonic()
        stand.signal(signal.SIGINT)
        code = await stand.ended(5)
    return {
        "ended by the first": int(not still),
        "exit code": code,
        "s": time.monotonic() - start,
    }


DRAINED = Bound(0)
STOPS = (
    Attack(downloads, {"under way": Bound(-10), "cut short": Bound(0), "exit code": DRAINED}, ends_server=True),
    Attack(
        subscribers,
        {
            "KiB each": Bound(4.0, asyncio=4.5),
            "not told": Bound(0),
            "not ended": Bound(0),
            "s": Bound(2),
            "exit code": DRAINED,
        },
        ends_server=True,
    ),
    Attack(
        twice, {"ended by the first": Bound(0), "exit code": Bound(130, exactly=True), "s": Bound(1)}, ends_server=True
    ),
)
