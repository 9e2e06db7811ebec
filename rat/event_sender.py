"""Sends the events of a stream, as its source gives them, and heartbeats between them.

In the task of the answer: one more for the source alone would be three quarters of what an event costs
(bench/cases.py, "event of a generator").
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rat.errors import ClientDisconnected
from rat.stream.heartbeat import EventBytes, Heartbeat
from rat.stream.sse import HEARTBEAT, close_source, encode_event

if TYPE_CHECKING:
    from rat.answer_sender import AnswerSender

__all__ = ["send_events"]


async def send_events(sender: AnswerSender, events: EventBytes, yield_after: int) -> None:
    """Send *events* to their end, no faster than the client reads; others have their turn after *yield_after* bytes.

    The source is closed, whatever happens.  Raises what it raises, and ClientDisconnected.
    """
    flow, content, loop = sender.flow, sender.engine.content, sender.service.loop
    opening, source = events.take_over()

    def beat() -> None:
        if not flow.write_paused:
            flow.write(content(HEARTBEAT))  # type: ignore[arg-type]

    heartbeat = Heartbeat(loop, events.heartbeat, beat) if events.heartbeat else None
    iterator = None
    since_yield = 0
    try:
        if opening:
            flow.write(content(opening))  # type: ignore[arg-type]
        iterator = aiter(source)
        async for event in iterator:
            piece = encode_event(event)
            flow.write(content(piece))  # type: ignore[arg-type]
            if heartbeat is not None:
                heartbeat.touch()
            if flow.write_paused:
                await flow.drain()
                since_yield = 0
            else:
                since_yield += len(piece) + 1024
                if since_yield > yield_after:
                    since_yield = 0
                    await asyncio.sleep(0)
            if flow.transport.is_closing():
                raise ClientDisconnected("the client left while the answer was being sent")
            if sender.cause is not None:
                # The source was told, and went on.
                raise asyncio.CancelledError
    finally:
        if heartbeat is not None:
            heartbeat.stop()
        await close_source(source, iterator)
