"""A large blob up and down: the sums fit, and neither side grows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("options", [[], ["--checksum"]], ids=["plain", "checksum"])
def test_a_blob_moves_in_flat_memory(options: list[str]) -> None:
    command = [sys.executable, "-m", "bench.large_blob", "--size", "128M", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "up True, down True" in done.stdout
