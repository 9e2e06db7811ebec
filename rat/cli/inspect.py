"""``rat inspect``: what a capture of frames or a DataValue file holds, as a typed tree with offsets and bytes.

Exit codes: 0 all was readable, 1 something was not, 2 usage.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from rat.codec.data_value import DataValue, parse_data_value
from rat.codec.frame import Flag
from rat.errors import CodecError, reason
from rat.frames.capture import CapturedFrame, Statistics, leaf_text, looks_like_frames, read_frames

__all__ = ["add_parser"]

_HEX_BYTES = 12


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("inspect", help="show what frames or DataValue bytes hold", description=__doc__)
    parser.add_argument("file", metavar="FILE", help="a file, or - for standard input")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--frames", action="store_true", help="read frames (default: what the first bytes look like)")
    what.add_argument("--value", action="store_true", help="read one value")
    parser.add_argument("--hex", action="store_true", help="the input is hexadecimal text")
    parser.add_argument("--json", action="store_true", help="one JSON text a frame, then the statistics")
    parser.add_argument("--stats", action="store_true", help="the statistics alone")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show it."""
    try:
        data = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
        if options.hex:
            data = bytes.fromhex(data.decode("latin-1"))
    except OSError as error:
        print(f"rat: cannot read {options.file}: {reason(error)}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"rat: cannot read {options.file}: {error}", file=sys.stderr)
        return 2
    show = _Show(sys.stdout, as_json=options.json, is_quiet=options.stats)
    if options.frames or (not options.value and looks_like_frames(data)):
        return show.frames(data)
    return show.value(data)


class _Show:
    """Writes what is found, as text or JSON, and counts it."""

    def __init__(self, out: TextIO, *, as_json: bool, is_quiet: bool) -> None:
        self._out = out
        self._as_json = as_json
        self._is_quiet = is_quiet
        self._statistics = Statistics()

    def _write(self, text: str) -> None:
        self._out.write(text + "\n")

    def frames(self, data: bytes) -> int:
        """A capture."""
        problem = None
        try:
            for frame in read_frames(data):
                self._statistics.add(frame)
                if self._is_quiet:
                    continue
                if self._as_json:
                    self._write(json.dumps(frame.as_dict(), ensure_ascii=False))
                else:
                    for line in _frame_lines(frame):
                        self._write(line)
        except CodecError as error:
            problem = str(error)
        return self._end(problem)

    def value(self, data: bytes) -> int:
        """One value."""
        try:
            tree = parse_data_value(data)
        except CodecError as error:
            return self._end(str(error))
        self._statistics.add_tree(tree)
        if not self._is_quiet:
            if self._as_json:
                self._write(json.dumps(tree.tree(), ensure_ascii=False))
            else:
                for line in _tree_lines(tree, data, 0, None):
                    self._write(line)
        return self._end(None)

    def _end(self, problem: str | None) -> int:
        statistics = self._statistics
        if self._as_json:
            self._write(json.dumps({"statistics": statistics.as_dict(), "problem": problem}))
        else:
            for name, counts in statistics.as_dict().items():
                if counts:
                    told = ", ".join(f"{key} {n}" for key, n in counts.items()) if isinstance(counts, dict) else counts
                    self._write(f"{name + ':':<9} {told}")
        if problem is not None:
            print(f"rat: {problem}", file=sys.stderr)
        return 1 if problem is not None or statistics.problems else 0


def _frame_lines(frame: CapturedFrame) -> Iterator[str]:
    header = frame.header
    flags = "".join(f" {flag.name}" for flag in Flag if header.flags & flag)
    yield f"{frame.offset:>8}  {header.kind.name}{flags}  stream {header.stream_id}  {header.payload_size} bytes"
    if frame.tree is not None:
        # With pieces and compression the bytes are not those of this payload; then offsets alone are shown.
        shown = frame.payload if not header.flags & Flag.COMPRESSED and frame.tree.size <= len(frame.payload) else b""
        yield from _tree_lines(frame.tree, shown, 1, None)
    elif frame.payload:
        yield f"{'':>8}    {_hex(frame.payload)}"
    if frame.problem is not None:
        yield f"{'':>8}    !! {frame.problem}"


def _tree_lines(node: DataValue, data: bytes, depth: int, key: str | None) -> Iterator[str]:
    name = "" if key is None else f"{key}: "
    place = f"{node.offset:>8}  {'  ' * depth}{name}{node.variant.value} {leaf_text(node)}"
    yield f"{place:<70} {_hex(data[node.offset : node.offset + node.size])}".rstrip()
    for child_key, child in node.children:
        yield from _tree_lines(child, data, depth + 1, child_key)


def _hex(data: bytes) -> str:
    return data[:_HEX_BYTES].hex(" ") + (" ..." if len(data) > _HEX_BYTES else "")
