"""A workload: what is asked, how it is counted, and what a right answer is.

Each file in bench/workloads that has a list WORKLOADS takes part; adding one is adding a file.
"""

from __future__ import annotations

import enum
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rat.loadgen.judge import Judge


class Unit(enum.Enum):
    """What the cost is counted in; less is better throughout."""

    REQUEST = "us of CPU per request"
    GIGABYTE = "s of CPU per GB"
    EVENT = "us of CPU per event delivered"
    CONNECTION = "KiB per connection"


class Load(enum.Enum):
    """What makes the load."""

    HTTP = "requests"
    """wrk where it is installed, else ``rat bench``."""
    TRANSFER = "large content"
    """``rat bench`` always: it sums what it is sent."""
    EVENTS = "event streams"
    IDLE = "connections that wait"
    FRAMES = "calls over frames"


@dataclass(frozen=True, slots=True)
class Workload:
    """One line of the comparison.

    name         short, for the command line and the result file
    title        for people
    asks         the kind that peers say they answer
    path         the target of the requests
    judge        what a right answer is, from the directory of the test files
    floor        the kind of answer that the floor gives; the same as *asks* if empty
    connections  for EVENTS and IDLE: how many streams and connections
    browser      heads of a browser's size
    content      the content of a request number n: the same size for all n
    echo         the right answer is the JSON value that was sent
    size         bytes that move with one request, for costs by the gigabyte
    main         all peers take part; else only those of the core
    quick        takes part in quick runs
    rounds       how often each peer's turn comes in a full run
    seconds      how long each turn takes in a full run
    """

    name: str
    title: str
    asks: str
    path: str
    judge: Callable[[Path], Judge]
    load: Load = Load.HTTP
    unit: Unit = Unit.REQUEST
    floor: str = ""
    connections: int = 64
    pipeline: int = 1
    method: str = "GET"
    browser: bool = False
    content: Callable[[int], bytes] | None = None
    echo: bool = False
    size: int = 0
    main: bool = False
    quick: bool = False
    rounds: int = 10
    seconds: float = 0.2
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def floor_kind(self) -> str:
        """What the floor is started as."""
        return self.floor or self.asks


def discover() -> list[Workload]:
    """All workloads, in the order of the names of their files."""
    package = importlib.import_module("bench.workloads")
    found: list[Workload] = []
    for module in pkgutil.iter_modules(package.__path__):
        found += importlib.import_module(f"bench.workloads.{module.name}").WORKLOADS
    return found
