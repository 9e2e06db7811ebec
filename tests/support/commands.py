"""Commands in processes of their own, beside a server on the test's loop: none is waited for without an end."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

__all__ = ["SECONDS", "run"]

SECONDS = 30.0
"""The time that a command has."""


async def run(*command: str, given: bytes = b"", directory: Path | None = None) -> tuple[int, str, str]:
    """The exit code and both outputs.  Raises TimeoutExpired, with what was printed so far, when it takes too long."""
    done = await asyncio.to_thread(
        subprocess.run, command, input=given, capture_output=True, timeout=SECONDS, cwd=directory, check=False
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()
