"""Which half of a pair is used: what is written in C, where that could be built, or its reference in plain Python."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from typing import Any, Final

__all__ = ["NOT_BUILT", "PLACES", "compiled", "fault", "identity", "sources"]

PLACES: Final = {
    "rat.codec.native._codec": "codec/native",
    "rat.codec.native._frames": "codec/native",
    "rat.http1._lane": "http1/native",
    "rat._messages": "native",
    "rat._tasks": "native",
}
"""Where in this package the sources of each extension lie, if they do: a wheel has none."""

NOT_BUILT: Final = "not built"
_SHARED: Final = "native"
_said: Final[set[str]] = set()


@cache
def sources(place: str) -> tuple[str, ...]:
    """The paths of all C code that an extension of *place* may be made of; none where no sources are."""
    found: list[str] = []
    for directory in sorted({place, _SHARED}):
        path = os.path.join(os.path.dirname(__file__), *directory.split("/"))
        try:
            names = sorted(os.listdir(path))
        except OSError:
            return ()
        endings = (".c", ".h") if directory == place else ".h"
        found += [os.path.join(path, name) for name in names if name.endswith(endings)]
    return tuple(found)


@cache
def identity(place: str) -> str | None:
    """A sum of all `sources` of *place*, which `setup.py` puts into what it builds of them; None without sources.

    Against oversight, not malice: CRC-32 is enough, and costs 0.2 ms for the largest.
    """
    from zlib import crc32

    total = 0
    for path in sources(place):
        with open(path, "rb") as file:
            total = crc32(file.read(), crc32(os.path.basename(path).encode(), total))
    return f"{total:08x}" if sources(place) else None


def fault(module: str) -> str | None:
    """Why the extension *module* is not used; None for one that is."""
    try:
        extension = import_module(module)
    except (ImportError, AttributeError) as error:  # the second from one that looks for names that are no longer there
        if isinstance(error, ModuleNotFoundError) and module.startswith(error.name or "?"):
            return NOT_BUILT
        return f"built, but does not load ({error}); build it again"
    expected = identity(PLACES[module])
    if expected is not None and getattr(extension, "__sources__", None) != expected:
        return "built from other sources than lie beside it; build it again"
    return None


def compiled(module: str, variable: str) -> Any:
    """The extension *module*, or None for its reference.

    The environment *variable* (``native`` or ``reference``) decides for those who want to.  Raises ImportError for any
    other value, and for ``native`` where the extension has a `fault`.  One that is there and has a fault is told of in
    the log, once.
    """
    wanted = os.environ.get(variable, "")
    if wanted not in ("", "native", "reference"):
        raise ImportError(f"{variable} is {wanted!r}, and may be 'native' or 'reference'")
    if wanted == "reference":
        return None
    wrong = fault(module)
    if wrong is None:
        return import_module(module)
    if wanted == "native":
        raise ImportError(f"{variable} is 'native', and {module} is {wrong}")
    if wrong != NOT_BUILT and module not in _said:
        from logging import getLogger

        _said.add(module)
        getLogger("rat.server").warning("%s is not used: it is %s", module, wrong)
    return None
