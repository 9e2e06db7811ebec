"""What has no cell of its own: small messages over a connection, the bincode profile, segments."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from bench.codec_families import FAMILIES, SIZES, build, single_records
from bench.codec_peers import ours, peers, scatter, strict_equal
from bench.codec_stats import interleave, interval, ratios

__all__ = ["measure"]


def _figures(paired: list[list[float]]) -> dict[str, float]:
    mean, low, high = interval(paired)
    return {"mean": mean, "low": low, "high": high}


def _each(call: Callable[[Any], Any]) -> Callable[[list[Any]], None]:
    def run(values: list[Any]) -> None:
        for value in values:
            call(value)

    return run


def small_messages(rounds: int) -> dict[str, Any]:
    """Records one by one: Encoder and Decoder with their tables, against msgspec.msgpack's.  Nanoseconds a message."""
    import msgspec

    from rat.codec import Decoder, Encoder

    values = single_records(200)
    encoder, decoder = Encoder(), Decoder()
    messages = [encoder.encode(value) for value in values]
    assert strict_equal([decoder.decode(message) for message in messages], values)
    messages = [encoder.encode(value) for value in values]  # from here on the tables hold all that is in them
    packer, unpacker = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder()
    packed = [packer.encode(value) for value in values]
    ways = {
        "encode": {"rat": (_each(encoder.encode), values), "msgspec": (_each(packer.encode), values)},
        "decode": {"rat": (_each(decoder.decode), messages), "msgspec": (_each(unpacker.decode), packed)},
    }
    result: dict[str, Any] = {
        "bytes": {"rat": sum(map(len, messages)) / len(values), "msgspec": sum(map(len, packed)) / len(values)}
    }
    for way, calls in ways.items():
        times = interleave(calls, rounds=rounds)
        result[way] = {
            **_figures([ratios(times["msgspec"], times["rat"])]),
            **{name: median(taken) / len(values) for name, taken in times.items()},
        }
    return result


def bincode(rounds: int) -> dict[str, Any]:
    """The bincode profile against the best peer of each cell, 1 KB to 1 MB."""
    paired: dict[str, list[list[float]]] = {"encode": [], "decode": []}
    own = ours("bincode")
    rivals = [peer for peer in peers() if peer.name in ("orjson", "msgspec.msgpack", "ormsgpack", "marshal", "pickle")]
    for family in FAMILIES:
        for size in ("1 KB", "100 KB", "1 MB"):
            value = build(family, SIZES[size])
            able = [each for each in [own, *rivals] if _carries(each, value)]
            assert own in able
            for way, timed in paired.items():
                calls = {
                    each.name: (each.encode, value) if way == "encode" else (each.decode, each.encode(value))
                    for each in able
                }
                times = interleave(calls, rounds=max(5, rounds // 3), slice_ns=1_000_000)
                best = min((name for name in times if name != own.name), key=lambda name: median(times[name]))
                timed.append(ratios(times[best], times[own.name]))
    return {way: _figures(timed) for way, timed in paired.items()}


def _carries(each: Any, value: Any) -> bool:
    try:
        return strict_equal(each.decode(each.encode(value)), value)
    except (TypeError, ValueError, OverflowError):
        return False


def segments(rounds: int) -> dict[str, Any]:
    """Large bytes that nobody copies.  Nanoseconds."""
    result: dict[str, Any] = {}
    own, other = scatter()
    for size in ("1 MB", "16 MB"):
        value = build("bytes", SIZES[size])
        parts, pickled = own.encode(value), other.encode(value)
        joined = b"".join(parts)
        assert bytes(own.decode(joined)["data"]) == value["data"] == bytes(other.decode(pickled)["data"])
        encoding = interleave({"rat": (own.encode, value), "pickle": (other.encode, value)}, rounds=rounds)
        decoding = interleave({"rat": (own.decode, joined), "pickle": (other.decode, pickled)}, rounds=rounds)
        result[size] = {
            "encode": {name: median(times) for name, times in encoding.items()},
            "decode": {name: median(times) for name, times in decoding.items()},
        }
    return result


def one_field(rounds: int) -> dict[str, Any]:
    """A field of a message of 1 MB through a view, from bytes to value, beside decoding all of it.  Nanoseconds."""
    from rat.codec import decode, encode, view

    values = {family: build(family, SIZES["1 MB"]) for family in ("records", "events", "floats", "config")}
    values["users"] = {"users": values["records"], "tail": {"version": 3}}
    result: dict[str, Any] = {}
    for name, value in values.items():
        message = encode(value)
        found = {}
        for place, path in _paths(name, value).items():
            calls = {
                "view": (lambda data, path=path: view(data).at(path), message),
                "decode": (decode, message),
            }
            times = interleave(calls, rounds=max(7, rounds // 3), slice_ns=1_000_000)
            ratio = median(ratios(times["decode"], times["view"]))
            found[place] = {
                "path": path,
                "view": median(times["view"]),
                "decode": median(times["decode"]),
                "times": ratio,
            }
        result[name] = found
    return result


def _paths(name: str, value: Any) -> dict[str, str]:
    """A field near the start, in the middle and at the end."""
    if name == "config":
        keys = list(value)
        return {place: f"$.{keys[at]}" + _leaf(value[keys[at]]) for place, at in _places(len(keys))}
    if name == "users":
        last = len(value["users"]) - 1
        return {"start": "$.users[0].name", "middle": f"$.users[{last // 2}].name", "end": f"$.users[{last}].name",
                "behind": "$.tail.version"}  # fmt: skip
    field = {"records": ".email", "events": ".request.path", "floats": ""}[name]
    return {place: f"$[{at}]{field}" for place, at in _places(len(value))}


def _places(count: int) -> list[tuple[str, int]]:
    return [("start", 0), ("middle", count // 2), ("end", count - 1)]


def _leaf(section: Any) -> str:
    """The path to the first value of a section that is no dict."""
    if not isinstance(section, dict):
        return ""
    key = next(iter(section))
    return f".{key}" + _leaf(section[key])


def measure(rounds: int) -> dict[str, Any]:
    return {
        "one field of 1 MB": one_field(rounds),
        "small messages": small_messages(max(rounds, 15)),
        "bincode profile": bincode(rounds),
        "segments": segments(max(rounds, 15)),
    }
