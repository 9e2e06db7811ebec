"""The C codec on the public API alone: what it is where an interpreter's layouts are not known."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.compiler import missing

ROOT = Path(__file__).parents[2]

PROGRAM = """
import random, sys
from rat.codec import CodecError, native, reference
from tests.codec.operations import OPERATIONS, general_table, with_holes

assert native.__file__.startswith(sys.argv[1]), native.__file__
for operation in OPERATIONS.values():
    operation()
records = [{"id": n, "名": "x" * n, "in": {"a": n / 2, "b": [n] * 5}, "t": [1 << n, -1 << n]} for n in range(70)]
values = [records, general_table(), with_holes(), {str(n): {str(n): n} for n in range(300)}, records[:3]]
for profile in "full", "bincode":
    kept = values if profile == "full" else values[1:4]
    for value in kept:
        wire = reference.encode(value, profile=profile)
        assert native.encode(value, profile=profile) == wire
        assert native.decode(wire, profile=profile) == value == reference.decode(wire, profile=profile)
assert native.encode_batch(values) == reference.encode_batch(values)
assert native.decode_batch(native.encode_batch(values)) == values

def outcome(decode, data):
    try:
        return repr(decode(data))
    except CodecError as error:
        return str(error)

chance = random.Random(5)
for number in range(1000):
    wire = bytearray(reference.encode(values[number % len(values)]))[: chance.randrange(1, 900)]
    wire[chance.randrange(len(wire))] = chance.randrange(256)
    assert outcome(native.decode, wire) == outcome(reference.decode, wire), wire.hex()
print("agreed")
"""


@pytest.mark.skipif(missing() is not None, reason=f"there is not {missing()}")
def test_public_api_alone(tmp_path: Path) -> None:
    """Built with RAT_NO_INTERNALS from what a source distribution holds, in a place of its own."""
    pytest.importorskip("setuptools")
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "rat", tree / "rat", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    (tree / "tests" / "codec").mkdir(parents=True)
    for name in ("setup.py", "LICENSE", "tests/__init__.py", "tests/codec/__init__.py", "tests/codec/operations.py"):
        shutil.copy(ROOT / name, tree / name)
    environment = {**os.environ, "RAT_NO_INTERNALS": "1", "RAT_SANITIZE": "1", "RAT_MUST_BUILD": "1", "CFLAGS": "-O0"}
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(build, cwd=tree, env=environment, capture_output=True, check=True)
    assert list((tree / "rat/codec/native").glob("_codec*.so"))
    environment = {**os.environ, "PYTHONPATH": str(tree), "RAT_CODEC": "native"}
    result = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(tree)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "agreed\n", result.stderr
