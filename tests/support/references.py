"""Modules as they are where nothing was built: what the C code is held to."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

__all__ = ["in_plain_python"]


def in_plain_python(name: str, variable: str) -> ModuleType:
    """The module *name* once more, with its reference chosen by the environment *variable*."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, "reference")
        spec.loader.exec_module(module)
    return module
