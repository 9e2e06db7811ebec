"""What a capture of one direction of a frames connection holds: frame by frame, with trees and offsets.  Pure.

Reads leniently what the engine would refuse, as far as it can be read: a tool shows what is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rat.codec.data_value import DataValue, TreeDecoder, parse_data_value
from rat.codec.frame import CHECKSUM_SIZE, PREFIX_SIZE, Flag, FrameHeader, Kind, parse_header, verify_checksum
from rat.codec.values import Variant
from rat.errors import CodecError
from rat.frames.compression import Compressor, is_available

__all__ = ["CapturedFrame", "Statistics", "leaf_text", "looks_like_frames", "read_frames"]

_LIMIT = 1 << 30
_PLAIN = (Kind.HELLO, Kind.GOAWAY)
_VALUES = (Kind.CALL, Kind.RESULT, Kind.ITEM, Kind.ERROR, *_PLAIN)


@dataclass(slots=True)
class CapturedFrame:
    """One frame.  *tree* is of its value, on the last piece of one; its offsets count from the value's first byte."""

    offset: int
    header: FrameHeader
    payload: bytes
    tree: DataValue | None = None
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON can say it."""
        header = self.header
        row: dict[str, Any] = {
            "offset": self.offset,
            "kind": header.kind.name,
            "flags": [flag.name for flag in Flag if header.flags & flag],
            "stream": header.stream_id,
            "size": header.frame_size,
            "payload": self.payload.hex(),
        }
        if self.tree is not None:
            row["value"] = self.tree.tree()
        if self.problem is not None:
            row["problem"] = self.problem
        return row


@dataclass(slots=True)
class Statistics:
    """Counts over a capture: of frames, their bytes, streams, and values by type."""

    frames: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    streams: set[int] = field(default_factory=set)
    problems: int = 0

    def add(self, frame: CapturedFrame) -> None:
        """Count *frame*."""
        kind = frame.header.kind.name
        self.frames[kind] += 1
        self.bytes[kind] += frame.header.frame_size
        if frame.header.stream_id:
            self.streams.add(frame.header.stream_id)
        self.problems += frame.problem is not None
        if frame.tree is not None:
            self.add_tree(frame.tree)

    def add_tree(self, tree: DataValue) -> None:
        """Count *tree* and all that is in it."""
        pending = [tree]
        while pending:
            node = pending.pop()
            self.values[node.variant.value] += 1
            self.forms[node.form] += 1
            pending.extend(node)

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON can say it, the largest counts first."""
        return {
            "frames": dict(self.frames.most_common()),
            "bytes": dict(self.bytes.most_common()),
            "streams": len(self.streams),
            "values": dict(self.values.most_common()),
            "forms": dict(self.forms.most_common()),
            "problems": self.problems,
        }


def looks_like_frames(data: bytes) -> bool:
    """Whether *data* begins with a frame, and not with a value: a value of zeros is shorter than a header."""
    try:
        header = parse_header(data, limit=_LIMIT)
    except CodecError:
        return False
    return header is not None and len(data) >= header.frame_size


def read_frames(data: bytes) -> Iterator[CapturedFrame]:
    """The frames of *data*, one after the other.

    Raises CodecError, with the offset, where no frame can be read any more: a bad header, or an end inside a frame.
    """
    offset = 0
    reader = _ValueReader()
    while offset < len(data):
        header = parse_header(data, offset, limit=_LIMIT)
        if header is None or offset + header.frame_size > len(data):
            have = len(data) - offset
            wanted = f", and it has {header.frame_size}" if header is not None else ""
            raise CodecError(f"the capture ends {have} bytes into a frame{wanted}", offset=offset)
        payload = data[offset + PREFIX_SIZE : offset + header.frame_size]
        frame = CapturedFrame(offset, header, payload)
        try:
            frame.tree = reader.read(header, payload)
        except CodecError as error:
            frame.problem = str(error)
        yield frame
        offset += header.frame_size


class _ValueReader:
    """The values of one direction: checksums taken off, decompressed, put together, with tables that live on."""

    def __init__(self) -> None:
        self._shared = TreeDecoder()
        self._pieces: dict[tuple[Kind, int], bytearray] = {}
        self._compressor = Compressor() if is_available() else None

    def read(self, header: FrameHeader, payload: bytes) -> DataValue | None:
        """The value of a frame; None for a frame without one, or a piece that is not the last."""
        kind, flags, stream_id, _ = header
        if flags & Flag.CHECKSUM:
            verify_checksum(kind, flags, stream_id, payload)
            payload = payload[:-CHECKSUM_SIZE]
        if flags & Flag.COMPRESSED:
            if self._compressor is None:
                raise CodecError("compressed, and this interpreter has no zstd")
            payload = self._compressor.decompress(payload, _LIMIT)
        if kind not in _VALUES:
            return None
        key = (kind, stream_id)
        if flags & Flag.MORE or key in self._pieces:
            pieces = self._pieces.setdefault(key, bytearray())
            pieces += payload
            if flags & Flag.MORE:
                return None
            payload = bytes(self._pieces.pop(key))
        if flags & Flag.SHARED:
            return self._shared.parse(payload)
        return parse_data_value(payload, profile="bincode" if kind in _PLAIN else "full")


def leaf_text(node: DataValue) -> str:
    """A scalar as people read it; the number of items for anything that holds some."""
    if node.variant in (Variant.LIST, Variant.MAP, Variant.TUPLE, Variant.SET, Variant.FROZENSET):
        return f"{len(node.children)} items"
    text = repr(node.value)
    return text if len(text) <= 60 else text[:57] + "..."
