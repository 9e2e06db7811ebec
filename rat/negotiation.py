"""Which content codings a client takes, in the order in which it wants them (RFC 9110, section 12.5.3)."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from rat.values import parse_weighted

__all__ = ["ACCEPT_ENCODING", "CODINGS", "accepted_codings"]

CODINGS = {"zstd": ".zst", "br": ".br", "gzip": ".gz"}
"""Content codings in the order in which the server prefers them, with the extension of precompressed siblings."""

ACCEPT_ENCODING = re.compile(rb"\naccept-encoding:([^\r]*)", re.IGNORECASE)
"""What the field section of a request says, for ``accepted_codings``."""

_PLAIN: tuple[str | None, ...] = (None,)


def accepted_codings(values: Sequence[bytes]) -> tuple[str | None, ...]:
    """The codings to try, best first, for the values of Accept-Encoding; None among them stands for no coding.

    Empty when the client refuses even that, which section 12.5.3 lets a server overrule.
    """
    if not values:
        return _PLAIN
    return _rank(values[0] if len(values) == 1 else b",".join(values))


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
