"""Both codecs under the same tests: the reference always, the native one where it was built."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.codec.material import CODECS


@pytest.fixture(scope="session", params=CODECS, ids=lambda codec: codec.__name__.rpartition(".")[2])
def codec(request: pytest.FixtureRequest) -> ModuleType:
    """The module under test: `rat.codec.reference` or `rat.codec.native`."""
    module: ModuleType = request.param
    return module
