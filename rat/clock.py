"""Coarse time for the shell: one reading per tick serves every connection.

Reading a clock for each request costs more than the precision is worth; deadlines are counted in seconds.
Tests inject a clock whose time they set.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate

__all__ = ["TICK", "Clock"]

TICK = 0.5
"""Seconds between two readings; a deadline is met late by at most this much."""


class Clock:
    """``now``: monotonic seconds as of the last tick.  ``date()``: the Date field's value (RFC 9110, section 6.6.1)."""

    __slots__ = ("_date", "_monotonic", "_second", "_wall", "now")

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._second = -1
        self._date = b""
        self.now = 0.0
        self.tick()

    def tick(self) -> None:
        """Read the clocks."""
        self.now = self._monotonic()
        second = int(self._wall())
        if second != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True).encode("ascii")

    def date(self) -> bytes:
        """The time of the last tick as an IMF-fixdate."""
        return self._date
