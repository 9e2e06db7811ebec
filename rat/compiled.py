"""Which half of a pair is used: what is written in C, where that could be built, or its reference in plain Python."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, Final

__all__ = ["NAMES", "compiled", "lacking"]

NAMES: Final = {
    "rat.codec.native._codec": (
        "Cursor", "Decoder", "Encoder", "decode", "decode_batch", "encode", "encode_batch", "encode_into",
        "encode_segments",
    ),
    "rat.codec.native._frames": ("Calls", "crc32", "pack_value"),
    "rat.http1._lane": ("answer_writer", "begins_any", "combined_value", "head_reader", "verbs"),
    "rat._messages": ("Base", "maker", "quicken"),
    "rat._tasks": ("Seat", "first_step"),
}  # fmt: skip
"""What is taken from each extension.  One that was built from older sources lacks some of it, and is not used."""


def lacking(module: str) -> tuple[str, ...]:
    """The names that the extension *module* should have and has not.  Raises ImportError where it was not built."""
    extension = import_module(module)
    return tuple(name for name in NAMES[module] if not hasattr(extension, name))


def compiled(module: str, variable: str) -> Any:
    """The extension *module*, or None for its reference.

    The environment *variable* (``native`` or ``reference``) decides for those who want to.  Raises ImportError for any
    other value, and for ``native`` where nothing was built, or only from older sources.
    """
    wanted = os.environ.get(variable, "")
    if wanted not in ("", "native", "reference"):
        raise ImportError(f"{variable} is {wanted!r}, and may be 'native' or 'reference'")
    if wanted == "reference":
        return None
    try:
        lacks = lacking(module)
    except ImportError as error:  # not built, or not for this interpreter
        if wanted == "native":
            raise ImportError(f"{variable} is 'native', and {module} is not built") from error
        return None
    if lacks and wanted == "native":
        raise ImportError(f"{variable} is 'native', and {module} is of older sources: it lacks {', '.join(lacks)}")
    return None if lacks else import_module(module)
