"""``python tools/compiler.py``: whether C code can be built for this interpreter.

Status 0 if so; else 1, and a line that says what is missing.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path

__all__ = ["missing"]


def missing() -> str | None:
    """What is missing to build C code for this interpreter; None if nothing is."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "a GIL, without which the C code is not built"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"the C compiler {compiler}"
    header = Path(sysconfig.get_path("include"), "Python.h")
    return None if header.exists() else str(header)


if __name__ == "__main__":
    if (lack := missing()) is not None:
        sys.exit(lack)
