"""What is written in C, for the tests of it; skipped where it cannot be built.

Where it can be, ``conftest.py`` runs nothing until it is.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from rat.compiled import PLACES, fault
from tools.compiler import missing

__all__ = ["built", "faults"]


def faults() -> list[str]:
    """What is wrong with the extensions, a line each, where they could be built; nothing where they cannot."""
    if missing() is not None:
        return []
    return [f"{module} is {wrong}" for module in PLACES if (wrong := fault(module)) is not None]


def built(module: str) -> Any:
    """The extension *module*.  Skips the test, or the tests of the module that asks, where it has a fault."""
    wrong = fault(module)
    if wrong is not None:
        pytest.skip(f"{module} is {wrong}", allow_module_level=True)
    return import_module(module)
