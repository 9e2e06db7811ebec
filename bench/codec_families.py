"""The seven payload families of the codec benchmark, at any size.

Deterministic: the same family and size give the same value.  Every value is made of None, bool, int (64 bits), float,
str, bytes, list and dict with str keys, so that each peer may try.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

__all__ = ["FAMILIES", "SIZES", "build", "single_records"]

SIZES = {"1 KB": 1_000, "10 KB": 10_000, "100 KB": 100_000, "1 MB": 1_000_000, "16 MB": 16_000_000}

_SURNAMES = "王李张刘陈杨赵黄周吴"
_GIVEN = "伟芳娜敏静强磊洋勇艳杰娟涛明超秀霞平刚桂英"
_CITIES = [
    "北京市海淀区",
    "上海市浦东新区",
    "广州市天河区",
    "深圳市南山区",
    "杭州市西湖区",
    "Zürich",
    "Reykjavík",
    "Lisboa",
]
_WORDS = (
    *("amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty", "knoll", "ledge"),
    *("marsh", "notch", "oasis", "plain", "quarry", "ridge", "shoal", "tundra", "upland", "valley", "wharf", "yonder"),
    *("zenith", "brook", "cliff", "dune", "estuary", "fen", "glade", "harbor", "isle"),
)
_LEVELS = ["debug", "info", "info", "info", "warning", "error"]
_PATHS = ["/", "/api/users", "/api/orders", "/static/app.css", "/health", "/api/search"]


def _record(rng: random.Random, index: int) -> dict[str, Any]:
    name = rng.choice(_SURNAMES) + rng.choice(_GIVEN) + rng.choice(_GIVEN)
    return {
        "id": 100_000 + index,
        "name": name,
        "email": f"{rng.choice(_WORDS)}{rng.randrange(10_000)}@example.com",
        "age": rng.randrange(18, 90),
        "city": rng.choice(_CITIES),
        "active": rng.random() < 0.8,
        "balance": round(rng.uniform(-1_000, 50_000), 2),
        "note": f"{name}的备注：第{index}号，{rng.choice(_CITIES)}" if rng.random() < 0.5 else None,
        "tags": rng.sample(_WORDS, rng.randrange(4)),
    }


def _event(rng: random.Random, index: int) -> dict[str, Any]:
    event: dict[str, Any] = {
        "ts": 1_760_000_000.0 + index * 0.25 + round(rng.random() / 8, 6),
        "level": rng.choice(_LEVELS),
        "logger": f"app.{rng.choice(_WORDS)}",
        "message": " ".join(rng.choices(_WORDS, k=rng.randrange(3, 9))),
        "request": {
            "id": f"{rng.getrandbits(64):016x}",
            "method": rng.choice(["GET", "POST", "PUT"]),
            "path": rng.choice(_PATHS),
            "status": rng.choice([200, 200, 200, 204, 304, 404, 500]),
            "ms": round(rng.expovariate(0.05), 3),
        },
    }
    if rng.random() < 0.2:
        event["error"] = {"type": rng.choice(["ValueError", "TimeoutError"]), "line": rng.randrange(2_000)}
    return event


def _section(rng: random.Random, index: int, depth: int) -> dict[str, Any]:
    """A tree of settings in which no key comes twice."""
    node: dict[str, Any] = {}
    for number in range(rng.randrange(3, 7)):
        key = f"{rng.choice(_WORDS)}_{index}_{depth}_{number}_{rng.getrandbits(16):x}"
        roll = rng.random()
        if depth > 0 and roll < 0.45:
            node[key] = _section(rng, index, depth - 1)
        elif roll < 0.6:
            node[key] = rng.randrange(100_000)
        elif roll < 0.75:
            node[key] = " ".join(rng.choices(_WORDS, k=rng.randrange(1, 5)))
        elif roll < 0.85:
            node[key] = rng.random() < 0.5
        elif roll < 0.92:
            node[key] = rng.choices(_WORDS, k=3)
        else:
            node[key] = rng.choice([None, round(rng.uniform(0, 10), 3)])
    return node


def _int(rng: random.Random, index: int) -> int:
    value = rng.getrandbits(rng.randrange(1, 64))
    return -value if rng.random() < 0.3 else value


def _name(rng: random.Random, index: int) -> str:
    if rng.random() < 0.25:
        return rng.choice(_SURNAMES) + rng.choice(_GIVEN) + rng.choice(_GIVEN)
    return f"{rng.choice(_WORDS)}{rng.randrange(1_000) if rng.random() < 0.7 else ''}"


def _word(rng: random.Random, index: int) -> str:
    return f"{rng.choice(_WORDS)}{rng.randrange(1_000) if rng.random() < 0.7 else ''}"


def _float(rng: random.Random, index: int) -> float:
    return rng.gauss(0.0, 1_000.0)


def _listed(item: Callable[[random.Random, int], Any]) -> Callable[[int], Any]:
    def make(size: int) -> list[Any]:
        rng = random.Random(7)
        sample = [item(rng, index) for index in range(64)]
        each = (len(json.dumps(sample, ensure_ascii=False, separators=(",", ":")).encode()) - 2) / len(sample)
        rng = random.Random(11)
        return [item(rng, index) for index in range(max(1, round(size / each)))]

    return make


def _config(size: int) -> dict[str, Any]:
    rng = random.Random(13)
    value: dict[str, Any] = {}
    left = size
    while left > size // 20:
        section = _section(rng, len(value), 8)
        for depth in (4, 2, 1, 0):
            text = len(json.dumps(section, separators=(",", ":"))) + 15
            if text <= left + size // 10:
                break
            section = _section(rng, len(value), depth)
        value[f"section_{len(value)}"] = section
        left -= text
    return value


def _strings(size: int) -> dict[str, Any]:
    """Half of it ASCII alone."""
    return {"words": _listed(_word)(size // 2), "names": _listed(_name)(size // 2)}


def _blob(size: int) -> dict[str, Any]:
    return {"name": "photo.jpg", "type": "image/jpeg", "width": 4032, "data": random.Random(17).randbytes(size)}


FAMILIES: dict[str, Callable[[int], Any]] = {
    "records": _listed(_record),
    "config": _config,
    "floats": _listed(_float),
    "ints": _listed(_int),
    "bytes": _blob,
    "strings": _strings,
    "events": _listed(_event),
}


def build(family: str, size: int) -> Any:
    """The value of *family* that takes about *size* bytes as compact JSON (as itself, for the bytes)."""
    return FAMILIES[family](size)


def single_records(count: int) -> list[Any]:
    """Messages as they follow each other on one connection: one record each."""
    rng = random.Random(19)
    return [_record(rng, index) for index in range(count)]
