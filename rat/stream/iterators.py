"""Synchronous iterators on an event loop: one worker thread for each, with a bounded channel between.

Knows nothing of what the items are.  ``await to_thread(next, iterator)`` will not do: StopIteration cannot leave a
future, every step costs a hop through the executor, and a generator cannot be closed from another thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import queue
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Generic, TypeVar

__all__ = ["ThreadedIterator", "threaded"]

T = TypeVar("T")

log = logging.getLogger("rat.stream")


def threaded(iterable: Iterable[T], *, depth: int = 4) -> ThreadedIterator[T]:
    """*iterable* as an async iterator, driven by a thread of its own that runs at most *depth* items ahead."""
    return ThreadedIterator(iterable, depth=depth)


class ThreadedIterator(AsyncIterator[T]):
    """The items of a synchronous iterable, made on one worker thread in one copy of the caller's context.

    The thread starts with the first ``__anext__``.  The iterable is closed (``close()``, if it has one) on that thread,
    at its end, at ``aclose`` or when this object is collected, whether it was started or not.  One task may iterate at
    a time; a cancelled ``__anext__`` has consumed nothing.  ``aclose`` waits for the thread, so it lasts as long as the
    step that the iterable is in.
    """

    __slots__ = ("_waiter", "_worker")

    def __init__(self, iterable: Iterable[T], *, depth: int = 4) -> None:
        self._worker = _Worker(iterable, depth)
        self._waiter: asyncio.Future[None] | None = None
        if depth < 1:
            raise ValueError(f"depth is {depth}, and must be at least 1")

    def __aiter__(self) -> ThreadedIterator[T]:
        return self

    async def __anext__(self) -> T:
        worker = self._worker
        while not worker.items:
            if worker.finished:
                if worker.items:
                    break
                self._join()
                worker.raise_error()
                raise StopAsyncIteration
            await self._wait()
        item = worker.items.popleft()
        worker.slots.put(None)
        return item

    async def aclose(self) -> None:
        """Stop the worker after the step that it is in, close the iterable there, and wait for both.

        Raises what closing the iterable raised.
        """
        worker = self._worker
        worker.stop()
        if worker.thread is None and not worker.finished:
            if not hasattr(worker.iterable, "close"):
                worker.finished = True
                return
            worker.start(asyncio.get_running_loop())
        while not worker.finished:
            await self._wait()
        self._join()
        worker.items.clear()
        worker.raise_error()

    async def _wait(self) -> None:
        """Until the worker has made an item or finished."""
        if self._waiter is not None:
            raise RuntimeError("another task waits for this iterator already")
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiter = waiter
        try:
            if self._worker.watch(lambda: loop.call_soon_threadsafe(_wake, waiter)):
                if self._worker.thread is None:
                    self._worker.start(loop)
                await waiter
        finally:
            self._waiter = None

    def _join(self) -> None:
        # The worker has said its last word and only leaves its function: this takes microseconds.
        if self._worker.thread is not None:
            self._worker.thread.join()

    def __del__(self) -> None:
        # The thread holds the worker, never this object; so an abandoned iterator is collected and lets the thread go.
        self._worker.stop()
        self._worker.abandoned = True


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class _Worker(Generic[T]):
    """What the thread and the loop share.  ``lock`` guards the hand-over; the rest is written by one side only."""

    def __init__(self, iterable: Iterable[T], depth: int) -> None:
        self.iterable = iterable
        self.context = contextvars.copy_context()
        self.items: deque[T] = deque()
        # Tokens, because ``put`` is safe inside ``__del__``, where a lock may be held by the very thread that collects.
        self.slots: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(depth):
            self.slots.put(None)
        self.lock = threading.Lock()
        self.notify: Callable[[], object] | None = None
        self.thread: threading.Thread | None = None
        self.stopped = False
        self.abandoned = False
        self.finished = False
        self.error: BaseException | None = None

    # On the loop

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        # Daemon: an iterable that blocks for ever must not hold up the end of the process.
        self.thread = threading.Thread(target=self.context.run, args=(self.run,), name="rat-iterator", daemon=True)
        self.thread.start()

    def watch(self, notify: Callable[[], object]) -> bool:
        """Have *notify* called at the next item or the end; False when there is something already."""
        with self.lock:
            if self.finished or (self.items and not self.stopped):
                return False
            self.notify = notify
            return True

    def stop(self) -> None:
        self.stopped = True
        self.slots.put(None)

    def raise_error(self) -> None:
        error, self.error = self.error, None
        if isinstance(error, StopAsyncIteration):
            # It would look like the end of the iteration, and a body would be short without a word.
            raise RuntimeError("the iterable raised StopAsyncIteration") from error
        if error is not None:
            raise error

    # On the thread

    def run(self) -> None:
        error: BaseException | None = None
        iterator: Iterator[T] | None = None
        try:
            self.slots.get()
            if not self.stopped:
                iterator = iter(self.iterable)
            while not self.stopped:
                try:
                    item = next(iterator)  # type: ignore[arg-type]
                except StopIteration:
                    break
                self.tell(item)
                del item
                self.slots.get()
        except BaseException as raised:
            error = raised
        try:
            self.close(iterator)
        except BaseException as raised:
            error = error or raised
        self.finish(error)

    def close(self, iterator: Iterator[T] | None) -> None:
        for source in (iterator, self.iterable if self.iterable is not iterator else None):
            close = getattr(source, "close", None)
            if close is not None:
                close()

    def tell(self, item: T) -> None:
        with self.lock:
            self.items.append(item)
            notify = None
            if not self.stopped:
                notify, self.notify = self.notify, None
        self.call(notify)

    def finish(self, error: BaseException | None) -> None:
        with self.lock:
            self.error = error
            self.finished = True
            notify, self.notify = self.notify, None
        if error is not None and self.abandoned:
            log.error("an abandoned iterator failed", exc_info=error)
        self.call(notify)

    def call(self, notify: Callable[[], object] | None) -> None:
        if notify is None:
            return
        try:
            notify()
        except RuntimeError:
            # The loop is closed: nobody will take another item.
            self.stopped = True
            self.slots.put(None)
