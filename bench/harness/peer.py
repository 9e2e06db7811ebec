"""A peer: how one server of the comparison is started, and what it can be asked.

Each file in bench/peers that has a list PEERS takes part; adding a server is adding a file.
"""

from __future__ import annotations

import importlib
import pkgutil
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

ALL = frozenset({"hello", "json", "echo", "upload", "chunked", "tokens", "big", "small", "events", "idle"})
FRAMES = frozenset({"frames", "frames-plain", "blobs", "blob-streams", "items"})


@dataclass(frozen=True, slots=True)
class Start:
    """What a command may depend on."""

    python: str
    port: int
    files: Path
    work: Path
    floor: str


@dataclass(frozen=True, slots=True)
class Peer:
    """One server.

    name      as it stands in tables
    command   the command line, from a Start
    asks      the kinds of workload that it answers
    core      takes part in quick runs and in every workload; the others in the main ones
    needs     distributions that must be installed
    binary    a program that must be on the PATH, and how to ask its version
    client    the protocol, when only its own client speaks it: see rpc_client
    late      seconds that it needs after it listens
    warm      seconds of load until its just-in-time compiler has done what it will do, if that is longer than usual
    variables environment variables, from a Start
    """

    name: str
    command: Callable[[Start], list[str]]
    asks: frozenset[str] = ALL
    core: bool = False
    needs: tuple[str, ...] = ()
    binary: tuple[str, ...] = ()
    client: str = ""
    late: float = 0.0
    warm: float = 0.0
    variables: Callable[[Start], dict[str, str]] = field(default=lambda start: {})

    def missing(self) -> str | None:
        """Why this peer cannot take part on this machine, or None."""
        for name in self.needs:
            try:
                metadata.version(name)
            except metadata.PackageNotFoundError:
                return f"{name} is not installed"
        if self.binary and shutil.which(self.binary[0]) is None:
            return f"{self.binary[0]} is not installed"
        return None


def discover() -> list[Peer]:
    """All peers, the floor first, then this server, then the others by name."""
    package = importlib.import_module("bench.peers")
    found: list[Peer] = []
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg:
            found += importlib.import_module(f"bench.peers.{module.name}").PEERS
    order = {"floor": 0, "rat": 1}
    return sorted(found, key=lambda peer: (order.get(peer.name, 2), peer.name))
