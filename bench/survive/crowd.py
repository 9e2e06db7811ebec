"""A thousand subscribers, of whom a hundred stop reading."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from typing import Any

from bench.survive.clients import HEAD, KIB, clients
from bench.survive.stand import Stand
from bench.survive.verdict import TOLD, Attack, Bound, Figures

__all__ = ["CROWD"]

GOOD = 900
STALLED = 100
PERIOD = 0.1
BULK = "b" * 65536
QUEUE = 1 << 20
"""What a subscriber's queue holds at most, in bytes."""


async def _beat(stand: Stand) -> None:
    """Ten small events a second to all; and half as many large ones, for those who have asked for them as well."""
    number = 0
    due = time.monotonic()
    while True:
        due += PERIOD
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        number += 1
        await stand.publish(json.dumps({"n": number, "t": time.monotonic(), "pad": "x" * 40}))
        if number % 2:
            await stand.publish(BULK, "bulk")


async def _read(stand: Stand, count: int, seconds: float) -> dict[str, Any]:
    """How the good subscribers fare, as told by a process of their own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rat.cli.bench", "sse", f"http://127.0.0.1:{stand.port}/ticks", "--json"),
        *("--clients", str(count), "--warmup", "0.5", "-d", str(seconds)),
        stdout=asyncio.subprocess.PIPE,
        cwd=stand.root,
    )
    out, _ = await process.communicate()
    return dict(json.loads(out))


async def stalled(stand: Stand, quick: bool) -> Figures:
    """A hundred that stop reading, beside nine hundred that go on: turns with and without them, one after the other."""
    seconds, turns = (1.0, 2) if quick else (3.0, 5)
    good, rude = (GOOD // 3, STALLED // 3) if quick else (GOOD, STALLED)
    calm, worse, growth = [], [], []
    lost = queued = 0
    beating = asyncio.create_task(_beat(stand))
    try:
        await _read(stand, good, 1.0)
        for _ in range(turns):
            fared = await _read(stand, good, seconds)
            calm.append(fared["latency"]["p99"])
            before = stand.resident()
            with clients(stand, rude, b"GET /all" + HEAD + b"\r\n", receive_buffer=4096):
                # The kernel holds some megabytes for each before a queue begins to fill.
                while (told := await stand.debug())["queued_bytes"] < rude * QUEUE * 0.9:
                    await stand.publish(BULK, "bulk")
                fared = await _read(stand, good, seconds)
                told = await stand.debug()
                growth.append(stand.resident() - before)
            worse.append(fared["latency"]["p99"])
            queued = max(queued, told["queued_bytes"])
            lost += fared["gaps"] + fared["silent"] + (good - fared["clients_at_end"])
            await stand.until_told("subscribers", 0)
    finally:
        beating.cancel()
    return {
        "p99 ms": statistics.median(worse) * 1e3,
        "calm p99 ms": statistics.median(calm) * 1e3,
        "p99 of its calm turn": statistics.median(one / other for one, other in zip(worse, calm, strict=True)),
        "events lost by the good": lost,
        "KiB queued each": queued / KIB / rude,
        "KiB resident each": max(growth) / KIB / rude,
    }


CROWD = (
    Attack(
        stalled,
        {
            "p99 ms": Bound(50.0, times="calm p99 ms"),
            "calm p99 ms": TOLD,
            "p99 of its calm turn": TOLD,
            "events lost by the good": Bound(0),
            "KiB queued each": Bound(QUEUE / KIB),
            "KiB resident each": Bound(QUEUE / KIB + 128),
        },
        settings=("timeouts.write_stall=120",),
        is_timed=True,
    ),
)
