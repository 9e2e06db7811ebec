"""The environment of the peers: bench/.venv, made once and renewed when its requirements change.

Runs on any Python 3.11 with nothing installed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"
VENV = BENCH / ".venv"
WORK = BENCH / ".work"
REQUIREMENTS = BENCH / "requirements.txt"
PYTHON = VENV / "bin" / "python"


def ensure() -> Path:
    """Make the environment if need be; the path of its interpreter.  Raises CalledProcessError when pip fails."""
    inputs = b"".join(path.read_bytes() for path in (REQUIREMENTS, ROOT / "pyproject.toml"))
    wanted = hashlib.sha256(inputs + sys.version.encode()).hexdigest()
    stamp = VENV / ".ready"
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return PYTHON
    print(f"making {VENV.relative_to(ROOT)} from {REQUIREMENTS.relative_to(ROOT)}", file=sys.stderr, flush=True)
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
    subprocess.run([*pip, "-e", str(ROOT)], check=True)
    stamp.write_text(wanted)
    return PYTHON


def started(module: str, core: int | None) -> subprocess.Popen[bytes]:
    """A process of *module*, on *core* if one is named, that is spoken to through its standard input and output."""
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    if core is not None:
        os.sched_setaffinity(process.pid, {core})
    return process


def enter(arguments: list[str]) -> None:
    """Go on in the environment, with the same arguments; returns when this already is it."""
    if Path(sys.prefix).resolve() == VENV.resolve():
        return
    python = ensure()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    os.execve(str(python), [str(python), "-m", "bench", *arguments], environment)
