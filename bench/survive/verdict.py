"""What an attack is, and what its figures must be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from bench.survive.stand import Stand

__all__ = ["AFTERMATH", "DONE", "TOLD", "Attack", "Bound", "Figures"]

Figures: TypeAlias = dict[str, float]


@dataclass(frozen=True, slots=True)
class Bound:
    """*most* is the largest figure that passes, None for a figure that is only told.

    *times* names a figure of a calm moment: on a busy machine a figure passes as well if it is below twice that one.
    """

    most: float | None
    exactly: bool = False
    asyncio: float | None = None
    """*most* on asyncio's own loop, whose transports are heavier."""
    times: str | None = None

    def on(self, loop: str) -> Bound:
        """The bound that counts on *loop*."""
        return replace(self, most=self.asyncio, asyncio=None) if loop == "asyncio" and self.asyncio else self

    def holds(self, value: float, figures: Figures) -> bool:
        """Whether *value* passes."""
        if self.most is None:
            return True
        if self.exactly:
            return value == self.most
        return value <= self.most or (self.times is not None and value <= 2 * figures[self.times])

    def __str__(self) -> str:
        if self.most is None:
            return ""
        text = f"{'' if self.exactly else '<= '}{self.most:g}"
        return f"{text}, or 2 x {self.times}" if self.times else text


TOLD = Bound(None)
DONE = Bound(200, exactly=True)
"""An answer of status 200."""


@dataclass(frozen=True, slots=True)
class Attack:
    """*run* gives figures, each of which has a bound of the same name."""

    run: Callable[[Stand, bool], Awaitable[Figures]]
    bounds: Mapping[str, Bound]
    descriptors: int | None = None
    """RLIMIT_NOFILE of a server of its own."""
    own_server: bool = False
    ends_server: bool = False
    settings: tuple[str, ...] = ()
    """What a server of its own is told beside the short deadlines, and after them."""
    is_timed: bool = False
    """It measures latency, so no other attack runs beside it."""

    @property
    def name(self) -> str:
        return self.run.__name__

    @property
    def is_alone(self) -> bool:
        """It needs a server of its own."""
        return self.own_server or self.ends_server or self.descriptors is not None or bool(self.settings)


AFTERMATH: Mapping[str, Bound] = {
    "leaked descriptors": Bound(0),
    "leaked tasks": Bound(0),
    "tracebacks": Bound(0),
    "log lines": Bound(5),
}
"""What every attack must leave behind: nothing, and few words."""
