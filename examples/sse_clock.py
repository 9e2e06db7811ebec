"""A clock as Server-Sent Events: ``rat serve examples/sse_clock.py``, then ``curl -N http://127.0.0.1:8000/clock``.

The generator stops when the client leaves, and waits when the client does not read.
"""

import asyncio
import datetime
from collections.abc import AsyncIterator

from rat import Rat, Request, ServerSentEvent

app = Rat()


@app.sse("/clock")
async def clock(request: Request) -> AsyncIterator[ServerSentEvent]:
    interval = request.query.real("interval", 1.0, at_least=0.01, at_most=60)
    while True:
        now = datetime.datetime.now(datetime.UTC)
        yield ServerSentEvent({"time": now.isoformat()}, event="tick", id=str(int(now.timestamp())))
        await asyncio.sleep(interval)
