"""``rat check``: what this installation has, and what it does without."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rat.compiled import NOT_BUILT, fault

__all__ = ["add_parser", "findings"]


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("check", help="say what this installation has", description=__doc__)
    parser.set_defaults(run=run)


def _has(module: str) -> str | None:
    """The version of the distribution behind *module*, or None when it cannot be imported."""
    try:
        importlib.import_module(module)
    except ImportError:
        return None
    try:
        return version(module)
    except PackageNotFoundError:
        return "present"


def _extension(module: str, without: str) -> tuple[bool, str]:
    """Whether the extension *module* is used, and what follows."""
    wrong = fault(module)
    if wrong is None:
        return True, "built"
    return False, without if wrong == NOT_BUILT else f"{wrong}; till then {without}"


def findings() -> list[tuple[str, bool, str]]:
    """One row per part: its name, whether it is there, and what follows."""
    rows: list[tuple[str, bool, str]] = [
        ("python", True, f"{platform.python_implementation()} {platform.python_version()} on {platform.system()}")
    ]
    for module, role, without in (
        ("h11", "HTTP/1.1 reference", "cannot serve"),
        ("orjson", "JSON", "cannot serve"),
        ("uvloop", "event loop", "asyncio's own loop is used"),
        ("multipart", "multipart forms", "a multipart form is a 500; install rat-server[multipart]"),
        ("zstandard", "zstd", "no zstd compression; install rat-server[compress]"),
        ("brotli", "brotli", "no brotli compression; install rat-server[compress]"),
    ):
        found = _has(module)
        rows.append((f"{module} ({role})", found is not None, found or without))
    for module, name, without in (
        ("rat.codec.native._codec", "native codec", "the codec in plain Python is used: the same bytes, much slower"),
        ("rat.codec.native._frames", "native frames", "frames are cut and summed in plain Python"),
        ("rat.http1._lane", "native fast lane", "heads are read by an expression, which costs more"),
        ("rat._messages", "native messages", "requests and answers are made in plain Python, which costs more"),
        ("rat._tasks", "native task steps", "tasks are stepped from Python, which costs more"),
    ):
        rows.append((name, *_extension(module, without)))
    rows.append(
        (
            "sendfile",
            hasattr(os, "sendfile"),
            "files go by os.sendfile" if hasattr(os, "sendfile") else "files are read and written",
        )
    )
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        rows.append(("descriptors", soft >= 1024, f"{soft} may be open (hard limit {hard})"))
    return rows


def run(options: argparse.Namespace) -> int:
    """Print the rows; 1 when something is missing without which nothing can be served."""
    rows = findings()
    width = max(len(name) for name, _, _ in rows)
    for name, present, remark in rows:
        print(f"{'yes' if present else 'no ':3}  {name:<{width}}  {remark}")
    return 0 if all(present for name, present, _ in rows if name.startswith(("h11", "orjson"))) else 1
