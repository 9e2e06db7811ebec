"""What the codec is measured against, each through the fastest entry that its documentation names.

A peer that cannot carry a value, or gives back another one, takes no part in that cell.
"""

from __future__ import annotations

import json
import marshal
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

__all__ = ["Contestant", "contestants", "ours", "peers", "scatter", "strict_equal", "versions"]


@dataclass(frozen=True)
class Contestant:
    """A codec: *encode* gives what *decode* takes; *size* counts the bytes of an encoded value."""

    name: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    size: Callable[[Any], int] = len


def peers() -> list[Contestant]:
    import cbor2
    import msgpack
    import msgspec
    import orjson
    import ormsgpack

    json_encoder, json_decoder = msgspec.json.Encoder(), msgspec.json.Decoder()
    pack_encoder, pack_decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder()
    compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
    return [
        Contestant("orjson", orjson.dumps, orjson.loads),
        Contestant("msgspec.json", json_encoder.encode, json_decoder.decode),
        Contestant("msgspec.msgpack", pack_encoder.encode, pack_decoder.decode),
        Contestant("ormsgpack", ormsgpack.packb, ormsgpack.unpackb),
        Contestant("msgpack", msgpack.packb, msgpack.unpackb),
        Contestant("cbor2", cbor2.dumps, cbor2.loads),
        Contestant("pickle", partial(pickle.dumps, protocol=5), pickle.loads),
        Contestant("marshal", marshal.dumps, marshal.loads),
        Contestant("json", lambda value: compact.encode(value).encode(), json.loads),
    ]


def ours(profile: str = "full") -> Contestant:
    import rat.codec as codec

    if profile == "full":
        return Contestant("rat", codec.encode, codec.decode)
    return Contestant(f"rat {profile}", partial(codec.encode, profile=profile), partial(codec.decode, profile=profile))


def contestants() -> dict[str, Contestant]:
    return {each.name: each for each in [ours(), *peers()]}


def scatter() -> list[Contestant]:
    """Those that hand large payloads on without a copy: ours in segments, pickle 5 out of band.

    pickle leaves a buffer out of the stream only if the value holds a PickleBuffer, so the value is wrapped for it, in
    the time.  Ours is read from segments joined beforehand, as off a socket, with views for the large payloads.
    """
    import rat.codec as codec

    def dump(value: Any) -> tuple[bytes, list[pickle.PickleBuffer]]:
        buffers: list[pickle.PickleBuffer] = []
        wrapped = {key: pickle.PickleBuffer(item) if type(item) is bytes else item for key, item in value.items()}
        return pickle.dumps(wrapped, 5, buffer_callback=buffers.append), buffers

    def load(parts: tuple[bytes, list[pickle.PickleBuffer]]) -> Any:
        return pickle.loads(parts[0], buffers=parts[1])

    def size(parts: tuple[bytes, list[pickle.PickleBuffer]]) -> int:
        return len(parts[0]) + sum(len(buffer.raw()) for buffer in parts[1])

    return [
        Contestant(
            "rat segments",
            codec.encode_segments,
            partial(codec.decode, zero_copy=True),
            lambda parts: sum(len(part) for part in parts),
        ),
        Contestant("pickle out of band", dump, load, size),
    ]


def strict_equal(one: Any, other: Any) -> bool:
    """Equal in values, in types and in the order of keys."""
    if type(one) is not type(other):
        return False
    if type(one) is dict:
        return (
            len(one) == len(other)
            and all(map(strict_equal, one, other))
            and all(map(strict_equal, one.values(), other.values()))
        )
    if type(one) is list:
        return len(one) == len(other) and all(map(strict_equal, one, other))
    return bool(one == other)


def versions() -> dict[str, str]:
    names = ["orjson", "msgspec", "ormsgpack", "msgpack", "cbor2"]
    return {"python": sys.version.split()[0], **{name: version(name) for name in names}}
