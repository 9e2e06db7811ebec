"""Which half of a pair is used: what is written in C, where that could be built, or its reference in plain Python."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

__all__ = ["compiled"]


def compiled(module: str, variable: str) -> Any:
    """The extension *module*, or None for its reference.

    The environment *variable* (``native`` or ``reference``) decides for those who want to.  Raises ImportError for any
    other value, and for ``native`` where nothing was built.
    """
    wanted = os.environ.get(variable, "")
    if wanted not in ("", "native", "reference"):
        raise ImportError(f"{variable} is {wanted!r}, and may be 'native' or 'reference'")
    if wanted != "reference":
        try:
            return import_module(module)
        except ImportError as error:  # not built, or not for this interpreter
            if wanted == "native":
                raise ImportError(f"{variable} is 'native', and {module} is not built") from error
    return None
