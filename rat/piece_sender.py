"""Sends the pieces of a stream as its source gives them; those of events with heartbeats between them.

In the task of the answer: one more for the source of events alone would be three quarters of what an event costs
(bench/cases.py, "event of a generator").
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from rat.errors import ClientDisconnected
from rat.pieces import Pieces, piece_bytes
from rat.stream.heartbeat import EventBytes, Heartbeat
from rat.stream.sse import HEARTBEAT, close_source, encode_event

if TYPE_CHECKING:
    from rat.answer_sender import AnswerSender

__all__ = ["send_pieces"]

_YIELD_AFTER: Final = 1024 * 1024
"""Bytes after which a producer that never waits gives way to other connections."""


def _heartbeat(sender: AnswerSender, seconds: float) -> Heartbeat:
    flow, content = sender.flow, sender.engine.content

    def beat() -> None:
        if not flow.write_paused:
            flow.write(content(HEARTBEAT))  # type: ignore[arg-type]

    return Heartbeat(sender.service.loop, seconds, beat)


async def send_pieces(sender: AnswerSender, pieces: AsyncIterator[bytes]) -> None:
    """Send *pieces* to their end, no faster than the client reads; others have their turn after every MiB.

    The source of events is closed, whatever happens, that of others left as it is.  Raises what it raises, and
    ClientDisconnected.
    """
    flow, content = sender.flow, sender.engine.content
    is_closing = flow.transport.is_closing
    source: Any = pieces
    iterator: Any = None
    encode: Any = None
    heartbeat: Heartbeat | None = None
    since_yield = 0
    try:
        if type(pieces) is EventBytes:
            opening, source = pieces.take_over()
            encode = encode_event
            if pieces.heartbeat:
                heartbeat = _heartbeat(sender, pieces.heartbeat)
            if opening:
                flow.write(content(opening))  # type: ignore[arg-type]
        elif type(pieces) is Pieces:
            # One coroutine less for each piece.
            if pieces.has_first:
                flow.write(content(await pieces.__anext__()))  # type: ignore[arg-type]
            source = pieces.source
        iterator = aiter(source)
        async for piece in iterator:
            if encode is not None:
                piece = encode(piece)
                if heartbeat is not None:
                    heartbeat.touch()
            elif type(piece) is not bytes:
                piece = piece_bytes(piece)
            flow.write(content(piece))  # type: ignore[arg-type]
            if flow.write_paused:
                await flow.drain()
                since_yield = 0
            else:
                since_yield += len(piece) + 1024
                if since_yield > _YIELD_AFTER:
                    since_yield = 0
                    await asyncio.sleep(0)
            if is_closing():
                raise ClientDisconnected("the client left while the answer was being sent")
            if sender.cause is not None:
                # The source was told, and went on.
                raise asyncio.CancelledError
    finally:
        if heartbeat is not None:
            heartbeat.stop()
        if encode is not None:
            await close_source(source, iterator)
