"""The client without an event loop of one's own: for scripts, threads and the interactive prompt.

``with rat.blocking.connect("rat://host:port") as client: client.call("add", 1, 2)``.  The loop runs in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from rat.client import Client, save
from rat.client import connect as connect_async
from rat.errors import ConnectionLost
from rat.stream.blob import Blob, BlobSource

__all__ = ["BlockingClient", "connect"]

T = TypeVar("T")


def connect(url: str, **options: Any) -> BlockingClient:
    """A client of the server at *url*, connected; *options* as ``rat.client.connect`` has them."""
    return BlockingClient(connect_async(url, **options))


class BlockingClient:
    """What Client does, each method returning when it is done.

    May be used by several threads.  What they wait for when one of them closes it raises ConnectionLost, as what they
    ask for afterwards.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._closed = False
        # Entered again where a collection of garbage comes upon a stream that nobody holds any more.
        self._handing_over = threading.RLock()
        self._thread = threading.Thread(target=self._run, name="rat client", daemon=True)
        self._thread.start()
        try:
            self._wait(client.connected())
        except BaseException:
            self.close()
            raise

    def _run(self) -> None:
        """The thread, which ends what is on its loop and closes it."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._until_closed())

    async def _until_closed(self) -> None:
        await self._ended.wait()
        await self._client.close()

    def _hand_over(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        with self._handing_over:
            if not self._closed:
                return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        coroutine.close()
        raise ConnectionLost("the client is closed")

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future = self._hand_over(coroutine)
        try:
            return future.result()
        except CancelledError:
            raise ConnectionLost("the client is closed") from None
        except BaseException:
            # Ctrl-C in the caller's thread: what is in flight is cancelled, at the server too.
            future.cancel()
            raise

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and end the thread."""
        with self._handing_over:
            if not self._closed:
                self._closed = True
                self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """As Client.call."""
        return self._wait(self._client.call(name, *args, **kwargs))

    def stream(self, name: str, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """The items that *name* sends.  Closing the iterator cancels the call."""
        return self._iterate(self._open(name, args, kwargs))

    async def _open(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncIterator[Any]:
        return self._client.stream(name, *args, **kwargs)

    def _iterate(self, opening: Coroutine[Any, Any, AsyncIterator[Any]]) -> Iterator[Any]:
        items: Any = self._wait(opening)
        try:
            while True:
                try:
                    item = self._wait(_next(items))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            with contextlib.suppress(ConnectionLost):
                # Not waited for: the thread that collects this may be the loop's own.
                self._hand_over(items.aclose())

    def upload(self, name: str, source: BlobSource | Blob, /, *args: Any, **kwargs: Any) -> Any:
        """As Client.upload."""
        return self._wait(self._client.upload(name, source, *args, **kwargs))

    def download(self, name: str, path: str | Path, /, *args: Any, **kwargs: Any) -> int:
        """Write the bytes that *name* sends to the file *path*; how many."""
        return self._wait(save(self._client.download(name, *args, **kwargs), Path(path)))


async def _next(items: AsyncIterator[Any]) -> Any:
    return await anext(items)
