"""Tasks that wait for something by name, until it is said to be so.  Knows no streams and no transports."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

__all__ = ["Waiters"]


class Waiters:
    """Any number of tasks may wait under one key.  A cancelled wait leaves nothing behind and wakes nobody else."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[asyncio.Future[None]]] = {}

    async def wait(self, key: Hashable) -> None:
        """Wait until *key* is woken; what it stands for has to be looked at again."""
        waiter = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(key, [])
        waiting.append(waiter)
        try:
            await waiter
        finally:
            waiting.remove(waiter)
            if not waiting and self._waiting.get(key) is waiting:
                del self._waiting[key]

    def wake(self, key: Hashable) -> None:
        """Whoever waits for *key* goes on."""
        if not self._waiting:
            return
        for waiter in self._waiting.get(key, ()):
            if not waiter.done():
                waiter.set_result(None)

    def wake_all(self) -> None:
        """Whoever waits for anything goes on."""
        for key in tuple(self._waiting):
            self.wake(key)
