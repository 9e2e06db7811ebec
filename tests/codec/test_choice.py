"""Which codec `rat.codec` is, and what it does not load."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import rat.codec


def run(program: str, wanted: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "RAT_CODEC": wanted}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)


def test_the_reference_can_be_asked_for() -> None:
    program = "import rat.codec; print(rat.codec.implementation, rat.codec.encode.__module__)"
    assert run(program, "reference").stdout.split() == ["reference", "rat.codec.reference"]


def test_an_unknown_choice_is_refused() -> None:
    result = run("import rat.codec", "fast")
    assert result.returncode == 1
    assert "RAT_CODEC is 'fast', and may be 'native' or 'reference'" in result.stderr


def test_native_is_said_to_be_missing_where_it_was_not_built() -> None:
    program = "import sys; sys.modules['rat.codec.native'] = None; import rat.codec; print(rat.codec.implementation)"
    assert run(program).stdout.split() == ["reference"]
    result = run(program, "native")
    assert result.returncode == 1
    assert "RAT_CODEC is 'native', and rat.codec.native._codec is not built" in result.stderr


def test_what_is_not_loaded() -> None:
    names = "asyncio", "uvloop", "orjson", "numpy", "h11"
    program = f"import sys, rat.codec; print([name for name in {names} if name in sys.modules])"
    assert run(program).stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in rat.codec.__all__:
        assert getattr(rat.codec, name) is not None
    assert set(rat.codec.__all__) <= set(dir(rat.codec))
    with pytest.raises(AttributeError, match=r"module 'rat.codec' has no attribute 'encod'"):
        rat.codec.encod  # type: ignore[attr-defined] # noqa: B018
