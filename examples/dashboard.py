"""What a server does, live: ``rat serve examples/dashboard.py``, then open http://127.0.0.1:8000.

``GET /`` is the page, ``GET /live`` its events, ``GET /metrics`` the same counts as text for a collector, and
``GET /memory`` says which lines hold the memory.  To watch an application of your own, mount this one in it:
``application.mount("/admin", app)``.  It tells about the inside: let a proxy in front ask who comes.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from rat import FileResponse, Rat, Request, Response, ServerSentEvent

app = Rat()
STATUS = Path("/proc/self/status")


def resident_bytes() -> int:
    """Resident memory of this process; where there is no /proc, the most it ever was."""
    if STATUS.exists():
        fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
        return int(fields["VmRSS"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def counts(request: Request) -> dict[str, Any]:
    hub = request.app.hub.statistics()
    return {
        **request.app.statistics(),
        "hub_subscriptions": hub.subscriptions,
        "hub_published": hub.published,
        "resident_bytes": resident_bytes(),
        "cpu_seconds": round(time.process_time(), 6),
    }


@app.get("/")
def page(request: Request) -> Response:
    return FileResponse(Path(__file__).with_suffix(".html"))


@app.sse("/live")
async def live(request: Request) -> AsyncIterator[ServerSentEvent]:
    interval = request.query.real("interval", 1.0, at_least=0.05, at_most=60)
    while True:
        yield ServerSentEvent({"at": time.time(), **counts(request)}, event="counts")
        begin = time.perf_counter()
        await asyncio.sleep(interval)
        late = time.perf_counter() - begin - interval
        yield ServerSentEvent({"loop_late_ms": round(late * 1000, 3)}, event="loop")


@app.get("/metrics")
def metrics(request: Request) -> str:
    return "".join(f"rat_{name} {value}\n" for name, value in counts(request).items())


@app.get("/memory", thread=True)
def memory(request: Request) -> dict[str, Any]:
    """The lines that hold the most memory.  The first call begins to trace, ``?stop=1`` ends it: tracing costs time."""
    if request.query.get("stop") == "1":
        tracemalloc.stop()
        return {"tracing": False}
    if not tracemalloc.is_tracing():
        tracemalloc.start()
        return {"tracing": True, "lines": []}
    most = tracemalloc.take_snapshot().statistics("lineno")[:20]
    lines = [{"at": str(entry.traceback), "bytes": entry.size, "blocks": entry.count} for entry in most]
    return {"tracing": True, "traced_bytes": tracemalloc.get_traced_memory()[0], "lines": lines}
