"""Both codecs under the same tests: the reference always, the native one where it was built."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest


def _implementations() -> list[str]:
    try:
        built = hasattr(import_module("rat.codec.native"), "Decoder")
    except ImportError:
        built = False
    return ["reference", "native"] if built else ["reference"]


@pytest.fixture(scope="session", params=_implementations())
def codec(request: pytest.FixtureRequest) -> ModuleType:
    """The module under test: `rat.codec.reference` or `rat.codec.native`."""
    return import_module(f"rat.codec.{request.param}")
