"""Which content codings a client takes, in the order in which it wants them (RFC 9110, section 12.5.3)."""

from __future__ import annotations

import functools

from rat.values import parse_weighted

__all__ = ["CODINGS", "accepted_codings"]

CODINGS = {"zstd": ".zst", "br": ".br", "gzip": ".gz"}
"""Content codings in the order in which the server prefers them, with the extension of precompressed siblings."""

_PLAIN: tuple[str | None, ...] = (None,)


def accepted_codings(value: bytes | None) -> tuple[str | None, ...]:
    """The codings to try for a value of Accept-Encoding, best first; None among them stands for no coding.

    Empty when the client refuses even that, which section 12.5.3 lets a server overrule.
    """
    return _PLAIN if value is None else _rank(value)


@functools.lru_cache(maxsize=256)
def _rank(value: bytes) -> tuple[str | None, ...]:
    weights = dict(parse_weighted(value.decode("latin-1").strip()))
    weights.setdefault("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    others = weights.get("*")
    ranked: list[tuple[float, int, str | None]] = []
    for place, coding in enumerate(CODINGS):
        weight = weights.get(coding, others or 0.0)
        if weight > 0.0:
            ranked.append((-weight, place, coding))
    # The content as it is is acceptable unless it is excluded, and wanted less than what is named.
    plain = weights.get("identity", 0.0 if others == 0.0 else None)
    if plain is None:
        ranked.append((0.0, len(CODINGS), None))
    elif plain > 0.0:
        ranked.append((-plain, len(CODINGS), None))
    return tuple(coding for _, _, coding in sorted(ranked, key=lambda item: item[:2]))
