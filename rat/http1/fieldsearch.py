"""Looks for fields in a judged field section, without parsing the others: for those who want one or two of twenty.

In C where that could be built, as the fast lane is; the functions that begin with ``reference`` say what it means.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from rat.http1.fastlane import implementation

__all__ = ["begins_any", "combined_value", "reference_begins_any", "reference_combined_value"]


@lru_cache(maxsize=64)
def _field(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"^%b:[ \t]*([^\r\n]*)" % re.escape(name), re.IGNORECASE | re.MULTILINE)


def reference_combined_value(field_section: bytes, name: bytes) -> bytes | None:
    """The value of the field *name* (given in lower case) in a judged field section, or None without one.

    Several are joined by commas (RFC 9110, section 5.3).  For one field it costs a tenth of parsing all.
    """
    values = _field(name).findall(field_section)
    return b", ".join(value.rstrip(b" \t") for value in values) if values else None


@lru_cache(maxsize=64)
def _beginning(beginnings: tuple[bytes, ...]) -> re.Pattern[bytes]:
    return re.compile(rb"^(?:%b)" % b"|".join(map(re.escape, beginnings)), re.IGNORECASE | re.MULTILINE)


def reference_begins_any(field_section: bytes, beginnings: tuple[bytes, ...]) -> bool:
    """Some field line begins with one of *beginnings* (given in lower case), such as ``b"if-"`` or ``b"range:"``."""
    return bool(beginnings) and _beginning(beginnings).search(field_section) is not None


combined_value: Callable[[bytes, bytes], bytes | None]
begins_any: Callable[[bytes, tuple[bytes, ...]], bool]
if implementation == "native":
    from rat.http1._lane import begins_any, combined_value
else:
    combined_value = reference_combined_value
    begins_any = reference_begins_any
