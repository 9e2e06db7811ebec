"""Preconditions and ranges as pure verdicts: what a request asks of a representation that is there.

Takes field lines and validators, gives a status and byte ranges.  Knows no file, no connection and no clock.
RFC 9110, sections 13 and 14.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from rat.events import FieldLines

__all__ = ["ByteRange", "Verdict", "judge", "parse_date", "parse_ranges"]

_ETAG = rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_ETAGS = re.compile(rb"[ \t,]*+%s(?:[ \t]*+,[ \t,]*+%s)*+[ \t,]*+" % (_ETAG, _ETAG))
_ONE_ETAG = re.compile(_ETAG)
_RANGE = re.compile(rb"([0-9]+)-([0-9]*)|-([0-9]+)")
_MONTHS: Final = {
    name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}
_MONTH = rb"(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME = rb"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9]):(?P<second>[0-5][0-9]|60)"
_DATES = (
    re.compile(rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<day>[0-3][0-9]) %s (?P<year>[0-9]{4}) %s GMT" % (_MONTH, _TIME)),
    re.compile(
        rb"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?P<day>[0-3][0-9])-%s-(?P<year>[0-9]{2}) %s GMT"
        % (_MONTH, _TIME)
    ),
    re.compile(rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) %s (?P<day>[0-3 ][0-9]) %s (?P<year>[0-9]{4})" % (_MONTH, _TIME)),
)
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART_OVERHEAD = 80
"""Two ranges with a smaller gap are cheaper as one: a part of multipart/byteranges has a head this long."""
_POSITION_DIGITS = 18


class ByteRange(NamedTuple):
    """Bytes from *start* up to, not including, *stop*."""

    start: int
    stop: int

    def content_range(self, size: int) -> bytes:
        """The Content-Range value of this part of a representation of *size* bytes (RFC 9110, section 14.4)."""
        return b"bytes %d-%d/%d" % (self.start, self.stop - 1, size)


@dataclass(frozen=True, slots=True)
class Verdict:
    """*status* is 200, 206, 304, 412 or 416; *ranges* are those of a 206, one or more, none overlapping.

    200 means: do what the method asks for, with the whole representation.
    """

    status: int
    ranges: tuple[ByteRange, ...] = ()


def judge(
    method: str,
    fields: FieldLines,
    *,
    etag: bytes | None,
    last_modified: float | None,
    size: int,
    most_ranges: int = 8,
    exists: bool = True,
) -> Verdict:
    """Judge the preconditions in the order of RFC 9110, section 13.2.2, then the ranges.

    *fields* have names in lower case.  *etag* comes with its quotes, *last_modified* in seconds since the epoch, *size*
    in bytes.  *exists* is False for a PUT that would create.  More than *most_ranges* ranges get the whole.
    """
    known = _gather(fields)
    modified = None if last_modified is None else int(last_modified)
    reads = method in ("GET", "HEAD")
    if (wanted := known.get(b"if-match")) is not None:
        if not (exists if wanted == b"*" else _matches(wanted, etag, weak=False)):
            return Verdict(412)
    elif (since := _date_of(known, b"if-unmodified-since")) is not None and modified is not None and modified > since:
        return Verdict(412)
    if (wanted := known.get(b"if-none-match")) is not None:
        if exists if wanted == b"*" else _matches(wanted, etag, weak=True):
            return Verdict(304 if reads else 412)
    elif (
        reads
        and modified is not None
        and (since := _date_of(known, b"if-modified-since")) is not None
        and modified <= since
    ):
        return Verdict(304)
    asked = known.get(b"range")
    if method != "GET" or asked is None or not exists:
        # RFC 9110, section 14.2: ranges are defined for GET alone.
        return Verdict(200)
    if (wanted := known.get(b"if-range")) is not None and not _still(wanted, etag, modified):
        return Verdict(200)
    ranges = parse_ranges(asked, size, most_ranges)
    if ranges is None:
        return Verdict(200)
    return Verdict(206, ranges) if ranges else Verdict(416)


def parse_ranges(value: bytes, size: int, most: int) -> tuple[ByteRange, ...] | None:
    """The ranges of a Range field within *size* bytes, coalesced; empty if none can be satisfied.

    None when the field is to be ignored (RFC 9110, section 14.2): another unit, malformed, more than *most* ranges, or
    ranges that together are longer than the whole.
    """
    unit, equals, listed = value.partition(b"=")
    if not equals or unit.lower() != b"bytes":
        return None
    items = [item.strip(b" \t") for item in listed.split(b",")]
    items = [item for item in items if item]
    if not items or len(items) > most:
        return None
    ranges = []
    for item in items:
        match = _RANGE.fullmatch(item)
        if match is None:
            return None
        first, last, suffix = match.groups()
        if suffix is not None:
            start, stop = max(0, size - _position(suffix)), size
            if not size and _position(suffix):
                # RFC 9110, section 14.1.2 calls it satisfiable, yet no Content-Range can say "no bytes".
                return None
        else:
            start, stop = _position(first), size
            if last:
                if _position(last) < start:
                    return None
                stop = min(size, _position(last) + 1)
        if start < stop:
            ranges.append(ByteRange(start, stop))
    if sum(stop - start for start, stop in ranges) > size:
        return None
    return _coalesce(ranges)


def parse_date(value: bytes) -> int | None:
    """An HTTP-date in any of its three forms, in seconds since the epoch, or None (RFC 9110, section 5.6.7)."""
    for form in _DATES:
        match = form.fullmatch(value)
        if match is None:
            continue
        year, month, day = int(match["year"]), _MONTHS[match["month"]], int(match["day"])
        if len(match["year"]) == 2:
            # A year more than 50 years ahead means the past; nothing served here is older than 1970.
            year += 1900 if year >= 70 else 2000
        if not 1 <= day <= _DAYS[month - 1] or year < 1970:
            return None
        return timegm((year, month, day, int(match["hour"]), int(match["minute"]), int(match["second"])))
    return None


def _gather(fields: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Repeated fields joined: a list stays a list, and two dates or ranges become malformed, hence ignored."""
    known: dict[bytes, bytes] = {}
    for name, value in fields:
        if name in known:
            known[name] += b", " + value
        else:
            known[name] = value
    return known


def _date_of(known: dict[bytes, bytes], name: bytes) -> int | None:
    value = known.get(name)
    return None if value is None else parse_date(value)


def _matches(listed: bytes, etag: bytes | None, *, weak: bool) -> bool:
    """Compare entity tags, weakly or strongly (RFC 9110, section 8.8.3.2)."""
    if etag is None or not _ETAGS.fullmatch(listed):
        return False
    tags: list[bytes] = _ONE_ETAG.findall(listed)
    if weak:
        return etag.removeprefix(b"W/") in [tag.removeprefix(b"W/") for tag in tags]
    return not etag.startswith(b"W/") and etag in tags


def _still(validator: bytes, etag: bytes | None, modified: int | None) -> bool:
    """If-Range: the client's part is of this very representation (RFC 9110, section 13.1.5)."""
    if validator.startswith((b'"', b"W/")):
        return _ONE_ETAG.fullmatch(validator) is not None and _matches(validator, etag, weak=False)
    date = parse_date(validator)
    return date is not None and date == modified


def _position(digits: bytes) -> int:
    """Positions past any file are all alike, and no sender makes us convert thousands of digits."""
    digits = digits.lstrip(b"0") or b"0"
    return int(digits) if len(digits) <= _POSITION_DIGITS else 10**_POSITION_DIGITS


def _coalesce(ranges: list[ByteRange]) -> tuple[ByteRange, ...]:
    """Join what overlaps or nearly touches.  The order of the request is kept when nothing does."""
    joined: list[ByteRange] = []
    for item in sorted(ranges):
        if joined and item.start - joined[-1].stop < _PART_OVERHEAD:
            joined[-1] = ByteRange(joined[-1].start, max(joined[-1].stop, item.stop))
        else:
            joined.append(item)
    return tuple(ranges if len(joined) == len(ranges) else joined)
