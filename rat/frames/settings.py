"""The HELLO of a connection: what each side takes, and what holds for both.

Pure.  HELLO is written in the ``bincode`` profile, so that every peer reads it.  A HELLO is never changed, and what
clients of one kind say is the same: equal ones are one object, or they would be most of what an idle connection holds.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from rat.codec import decode, encode
from rat.config import FrameLimits
from rat.errors import CodecError
from rat.frames.compression import is_available
from rat.frames.events import UNSAID, Hello, Profile
from rat.frames.holding import most_held

__all__ = ["FEATURES", "PROFILES", "VERSION", "accept", "agree", "offer", "pack_hello", "parse_hello"]

VERSION: Final = 1
FEATURES: Final = ("tables", "checksum", "zstd")
PROFILES: Final = ("full", "bincode")
_MAX_U32: Final = 0xFFFF_FFFF
_BOUNDS: Final = {
    # field: default, least, most
    "version": (1, 1, _MAX_U32),
    "frame": (1 << 20, 1024, _MAX_U32 - 8),
    "value": (1 << 24, 1024, 1 << 40),
    "streams": (256, 0, 1 << 31),
    "credit": (1 << 16, 1, (1 << 31) - 1),
    "held": (UNSAID, 1, UNSAID),
}
"""What a HELLO may say; a field that it leaves out has the default."""


@lru_cache(maxsize=64)
def offer(limits: FrameLimits, features: frozenset[str], profile: Profile = "full") -> Hello:
    """The HELLO that *limits* amount to, with those of *features* that this interpreter has."""
    unknown = features.difference(FEATURES)
    if unknown:
        raise ValueError(f"features {sorted(unknown)}, and there are {', '.join(FEATURES)}")
    if profile not in PROFILES:
        raise ValueError(f"profile {profile!r}, and there are {', '.join(PROFILES)}")
    if not is_available():
        features = features - {"zstd"}
    return Hello(frame=limits.payload, value=max(limits.assembled, limits.payload), streams=limits.streams,
                 credit=limits.credit, held=most_held(limits), features=features, profile=profile)  # fmt: skip


@lru_cache(maxsize=64)
def agree(client: Hello, server: Hello) -> Hello:
    """The server's answer: its own bounds, the client's profile, and the features that both have."""
    features = client.features & server.features
    if client.profile == "bincode":
        features -= {"tables"}
    return Hello(frame=server.frame, value=server.value, streams=server.streams, credit=server.credit,
                 held=server.held, features=features, profile=client.profile)  # fmt: skip


def accept(offered: Hello, answer: Hello) -> None:
    """Whether the server's *answer* fits what the client *offered*.  Raises CodecError."""
    if answer.version != VERSION or answer.profile != offered.profile:
        came = f"version {answer.version} and profile {answer.profile}"
        raise CodecError(f"the server speaks {came}, asked for were {VERSION} and {offered.profile}")
    if answer.features - offered.features:
        given, asked = sorted(answer.features), sorted(offered.features)
        raise CodecError(f"the server answers with features {given}, offered were {asked}")


@lru_cache(maxsize=64)
def pack_hello(hello: Hello) -> bytes:
    """The payload of a HELLO frame."""
    value = {name: getattr(hello, name) for name in _BOUNDS}
    if hello.held == UNSAID:
        del value["held"]
    value["features"] = sorted(hello.features)
    value["profile"] = hello.profile
    return encode(value, profile="bincode")


@lru_cache(maxsize=64)
def parse_hello(payload: bytes) -> Hello:
    """What a HELLO frame's payload says.  Unknown fields and features are passed over.  Raises CodecError."""
    value: Any = decode(payload, profile="bincode", max_depth=8, max_items=1_000)
    if type(value) is not dict:
        raise CodecError(f"HELLO holds a {type(value).__name__}, and must hold a map", path="$")
    numbers: dict[str, int] = {}
    for name, (default, least, most) in _BOUNDS.items():
        number = value.get(name, default)
        if type(number) is not int or not least <= number <= most:
            raise CodecError(f"HELLO says {number!r:.40}, and may say {least} to {most}", path=f"$.{name}")
        numbers[name] = number
    features = value.get("features", [])
    if type(features) is not list or not all(type(feature) is str for feature in features):
        raise CodecError("HELLO must name its features in a list of strings", path="$.features")
    profile = value.get("profile", "full")
    if profile not in PROFILES:
        raise CodecError(f"HELLO asks for {profile!r:.40}, and there are {', '.join(PROFILES)}", path="$.profile")
    return Hello(**numbers, features=frozenset(features).intersection(FEATURES), profile=profile)
