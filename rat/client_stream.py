"""One call of the client that goes on: items in, items and blobs out, a result at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any

from rat.client_peer import ClientPeer
from rat.errors import CallError, ConnectionLost
from rat.events import Buffer
from rat.peer import StreamOver
from rat.stream.blob import Blob, BlobSource
from rat.stream.inbox import Inbox

__all__ = ["ClientStream"]


class ClientStream(AsyncIterator[Any]):
    """The items of one call, and the way to send it some.

    Plainly iterated, or entered with ``async with`` first.  What is not read holds the server back.  Left before its
    end, the call is cancelled at the server: at the end of ``async with``, by :meth:`aclose`, or when nobody holds this
    object any more; what was not read by then is let go.  Fails with CallError ``exhausted`` when it holds the most of
    what nobody reads on its connection and ``FrameLimits.held`` is passed.  One task may read and one may write.
    """

    def __init__(
        self,
        connected: Callable[[], Awaitable[ClientPeer]],
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        timeout: float | None,
        *,
        is_open: bool = True,
    ) -> None:
        self._connected = connected
        self._call = (name, args, kwargs)
        self._timeout = timeout
        self._is_open = is_open
        self._peer: ClientPeer | None = None
        self._inbox: Inbox
        self._answer: asyncio.Future[Any]
        self._stream_id = 0

    # -- its life

    async def __aenter__(self) -> ClientStream:
        await self._start(is_open=self._is_open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _start(self, *, is_open: bool) -> ClientPeer:
        if self._peer is not None:
            return self._peer
        name, args, kwargs = self._call
        options = None if self._timeout is None else {"deadline": self._timeout}
        peer = await self._connected()
        self._stream_id, self._answer = await peer.place(name, args, kwargs, options, self._timeout, is_open=is_open)
        self._answer.add_done_callback(_seen)
        self._inbox = peer.open_inbox(self._stream_id)
        self._is_open = is_open
        self._peer = peer
        return peer

    async def aclose(self) -> None:
        """End it here; the server is told if it was not at its end."""
        peer, self._is_open = self._peer, False
        if peer is not None:
            _leave(peer, self._stream_id, self._inbox)

    def __del__(self) -> None:
        peer = self._peer
        if peer is not None and (self._inbox or not self._answer.done()) and not peer.loop.is_closed():
            peer.loop.call_soon_threadsafe(_leave, peer, self._stream_id, self._inbox)

    # -- reading

    async def __anext__(self) -> Any:
        """The next item; pieces of a blob come as bytes or memoryview.  Raises CallError when the call has failed."""
        if self._peer is None:
            await self._start(is_open=False)
        return await anext(self._inbox)

    async def result(self) -> Any:
        """What the call returns; None for one that ended with its items.  Ends the sending side first."""
        peer = await self._start(is_open=False)
        if self._is_open:
            await self.end()
        try:
            return await asyncio.shield(self._answer)
        except asyncio.CancelledError:
            if self._answer.cancelled():
                raise ConnectionLost from None
            peer.abandon(self._stream_id)
            raise

    # -- writing

    async def send(self, value: Any) -> None:
        """Send one item; waits while the server is full.  Raises the call's error, or StreamOver, when it has ended."""
        await self._sending(value, is_data=False)

    async def send_data(self, data: Buffer) -> None:
        """Send bytes as they are, as a piece of a blob."""
        await self._sending(data, is_data=True)

    async def send_blob(self, source: BlobSource | Blob) -> None:
        """Send all of *source*, and end the sending side.  Stops early, silently, when the server has answered."""
        try:
            async for piece in source if isinstance(source, Blob) else Blob(source):
                await self.send_data(piece)
            await self.end()
        except StreamOver:
            return

    async def _sending(self, value: Any, *, is_data: bool) -> None:
        peer = await self._start(is_open=True)
        try:
            if is_data:
                await peer.send_data(self._stream_id, value)
            else:
                await peer.send_item(self._stream_id, value)
        except StreamOver:
            if self._answer.done() and not self._answer.cancelled():
                error = self._answer.exception()
                if isinstance(error, CallError):
                    raise error from None
            raise

    async def end(self) -> None:
        """Say that nothing more is sent."""
        peer = await self._start(is_open=True)
        if self._is_open:
            self._is_open = False
            if peer.engine.is_live(self._stream_id):
                peer.engine.end(self._stream_id)
                peer.flush_soon()


def _leave(peer: ClientPeer, stream_id: int, inbox: Inbox) -> None:
    """Nobody reads on: the server is told, and what has come is let go."""
    peer.abandon(stream_id)
    peer.drop(stream_id, inbox)


def _seen(answer: asyncio.Future[Any]) -> None:
    """The reader of the items gets the error; nobody has to ask for it twice."""
    if not answer.cancelled():
        answer.exception()
