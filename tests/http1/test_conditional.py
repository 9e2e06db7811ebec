"""Preconditions and ranges: every rule of RFC 9110, sections 13 and 14, as a row."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.http1.conditional import ByteRange, Verdict, judge, parse_date, parse_ranges

MODIFIED = 1_000_000_000  # Sun, 09 Sep 2001 01:46:40 GMT
SAME, BEFORE, AFTER = (formatdate(MODIFIED + delta, usegmt=True).encode() for delta in (0, -1, 1))
TAG, WEAK, OTHER = b'"one"', b'W/"one"', b'"two"'
OK = Verdict(200)


def part(*ranges: tuple[int, int]) -> Verdict:
    return Verdict(206, tuple(ByteRange(*item) for item in ranges))


PRECONDITIONS = [
    ("nothing asked", "GET", {}, TAG, OK),
    ("If-Match *, it exists", "PUT", {"if-match": b"*"}, TAG, OK),
    ("If-Match equal", "PUT", {"if-match": b'"zero", "one"'}, TAG, OK),
    ("If-Match other", "PUT", {"if-match": OTHER}, TAG, Verdict(412)),
    ("If-Match compares strongly", "GET", {"if-match": WEAK}, WEAK, Verdict(412)),
    ("If-Match without a tag here", "GET", {"if-match": TAG}, None, Verdict(412)),
    ("If-Match malformed", "GET", {"if-match": b"one"}, TAG, Verdict(412)),
    ("If-Match hides If-Unmodified-Since", "GET", {"if-match": TAG, "if-unmodified-since": BEFORE}, TAG, OK),
    ("unmodified since", "PUT", {"if-unmodified-since": SAME}, TAG, OK),
    ("modified since", "PUT", {"if-unmodified-since": BEFORE}, TAG, Verdict(412)),
    ("If-Unmodified-Since with no date", "PUT", {"if-unmodified-since": b"yesterday"}, TAG, OK),
    ("If-None-Match equal", "GET", {"if-none-match": TAG}, TAG, Verdict(304)),
    ("If-None-Match in HEAD", "HEAD", {"if-none-match": TAG}, TAG, Verdict(304)),
    ("If-None-Match compares weakly", "GET", {"if-none-match": WEAK}, TAG, Verdict(304)),
    ("If-None-Match in PUT", "PUT", {"if-none-match": TAG}, TAG, Verdict(412)),
    ("If-None-Match *", "PUT", {"if-none-match": b"*"}, TAG, Verdict(412)),
    ("If-None-Match other", "GET", {"if-none-match": b'"two", "three"'}, TAG, OK),
    ("If-None-Match in a long list", "GET", {"if-none-match": b'"two" ,, W/"one",'}, TAG, Verdict(304)),
    ("If-None-Match hides If-Modified-Since", "GET", {"if-none-match": OTHER, "if-modified-since": AFTER}, TAG, OK),
    ("not modified since", "GET", {"if-modified-since": SAME}, TAG, Verdict(304)),
    ("not modified since a later date", "GET", {"if-modified-since": AFTER}, TAG, Verdict(304)),
    ("was modified since", "GET", {"if-modified-since": BEFORE}, TAG, OK),
    ("If-Modified-Since in POST", "POST", {"if-modified-since": AFTER}, TAG, OK),
    ("If-Match fails before If-None-Match", "GET", {"if-match": OTHER, "if-none-match": TAG}, TAG, Verdict(412)),
    ("If-Match passes, If-None-Match stops", "GET", {"if-match": TAG, "if-none-match": TAG}, TAG, Verdict(304)),
    ("304 before the range", "GET", {"if-none-match": TAG, "range": b"bytes=0-0"}, TAG, Verdict(304)),
    ("a range", "GET", {"range": b"bytes=0-0"}, TAG, part((0, 1))),
    ("a range in HEAD", "HEAD", {"range": b"bytes=0-0"}, TAG, OK),
    ("a range in POST", "POST", {"range": b"bytes=0-0"}, TAG, OK),
    ("If-Range equal", "GET", {"range": b"bytes=5-", "if-range": TAG}, TAG, part((5, 1000))),
    ("If-Range other", "GET", {"range": b"bytes=5-", "if-range": OTHER}, TAG, OK),
    ("If-Range compares strongly", "GET", {"range": b"bytes=5-", "if-range": WEAK}, WEAK, OK),
    ("If-Range with the date", "GET", {"range": b"bytes=5-", "if-range": SAME}, TAG, part((5, 1000))),
    ("If-Range wants the very date", "GET", {"range": b"bytes=5-", "if-range": AFTER}, TAG, OK),
    ("If-Range malformed", "GET", {"range": b"bytes=5-", "if-range": b"one"}, TAG, OK),
    ("If-Range without Range", "GET", {"if-range": OTHER}, TAG, OK),
    ("unsatisfiable, but If-Range fails", "GET", {"range": b"bytes=1000-", "if-range": OTHER}, TAG, OK),
    ("unsatisfiable", "GET", {"range": b"bytes=1000-"}, TAG, Verdict(416)),
]


@pytest.mark.parametrize(
    ("what", "method", "fields", "etag", "verdict"), PRECONDITIONS, ids=[p[0] for p in PRECONDITIONS]
)
def test_preconditions(what: str, method: str, fields: dict[str, bytes], etag: bytes | None, verdict: Verdict) -> None:
    lines = [(name.encode(), value) for name, value in fields.items()]
    assert judge(method, lines, etag=etag, last_modified=MODIFIED + 0.7, size=1000) == verdict


def test_a_representation_that_is_not_there() -> None:
    def of(fields: list[tuple[bytes, bytes]]) -> int:
        return judge("PUT", fields, etag=None, last_modified=None, size=0, exists=False).status

    assert of([(b"if-match", b"*")]) == 412
    assert of([(b"if-none-match", b"*")]) == 200
    assert of([(b"if-unmodified-since", SAME)]) == 200


def test_repeated_fields_are_one_list_and_repeated_ranges_none() -> None:
    def of(fields: list[tuple[bytes, bytes]]) -> Verdict:
        return judge("GET", fields, etag=TAG, last_modified=MODIFIED, size=1000)

    assert of([(b"if-none-match", OTHER), (b"if-none-match", TAG)]) == Verdict(304)
    assert of([(b"range", b"bytes=0-1"), (b"range", b"bytes=5-6")]) == OK
    assert of([(b"if-modified-since", AFTER), (b"if-modified-since", AFTER)]) == OK


RANGES: list[tuple[bytes, int, list[tuple[int, int]] | None]] = [
    (b"bytes=0-499", 1000, [(0, 500)]),
    (b"bytes=500-", 1000, [(500, 1000)]),
    (b"bytes=-500", 1000, [(500, 1000)]),
    (b"bytes=-5000", 1000, [(0, 1000)]),
    (b"bytes=0-99999999999999999999999999", 1000, [(0, 1000)]),
    (b"bytes=" + b"9" * 5000 + b"-", 1000, []),
    (b"bytes=000-001", 1000, [(0, 2)]),
    (b"Bytes=0-0", 1000, [(0, 1)]),
    (b"bytes= 0-0 ,\t500-500", 1000, [(0, 1), (500, 501)]),
    (b"bytes=0-0,,", 1000, [(0, 1)]),
    (b"bytes=-1,0-0", 1000, [(999, 1000), (0, 1)]),
    (b"bytes=0-9,5-14", 1000, [(0, 15)]),
    (b"bytes=0-9,89-99", 1000, [(0, 100)]),
    (b"bytes=0-9,90-99", 1000, [(0, 10), (90, 100)]),
    (b"bytes=500-509,0-9,505-519", 1000, [(0, 10), (500, 520)]),
    (b"bytes=0-0,2000-", 1000, [(0, 1)]),
    (b"bytes=-0", 1000, []),
    (b"bytes=1000-", 1000, []),
    (b"bytes=0-", 0, []),
    (b"bytes=-5", 0, None),
    (b"bytes=5-4", 1000, None),
    (b"bytes=0-0,5-4", 1000, None),
    (b"bytes=a-", 1000, None),
    (b"bytes=0", 1000, None),
    (b"bytes=-", 1000, None),
    (b"bytes=", 1000, None),
    (b"bytes", 1000, None),
    (b"lines=0-1", 1000, None),
    (b"bytes=0-,0-", 1000, None),
    (
        b"bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(0, 800, 100)),
        1000,
        [(n, n + 1) for n in range(0, 800, 100)],
    ),
    (b"bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(0, 900, 100)), 1000, None),
]


@pytest.mark.parametrize(("value", "size", "expected"), RANGES, ids=[repr(r[0][:40]) for r in RANGES])
def test_ranges(value: bytes, size: int, expected: list[tuple[int, int]] | None) -> None:
    assert parse_ranges(value, size, 8) == (None if expected is None else tuple(expected))


@given(st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 1200)), min_size=1, max_size=8), st.integers(0, 1000))
def test_what_is_asked_is_sent_and_no_byte_twice(pairs: list[tuple[int, int]], size: int) -> None:
    asked = [(low, high) for low, high in pairs if low <= high]
    value = b"bytes=" + b",".join(b"%d-%d" % pair for pair in asked)
    ranges = parse_ranges(value, size, 8)
    if ranges is None:
        assert not asked or sum(max(0, min(high + 1, size) - low) for low, high in asked if low < size) > size
        return
    sent = [position for start, stop in ranges for position in range(start, stop)]
    assert len(sent) == len(set(sent))
    assert {position for low, high in asked for position in range(low, min(high + 1, size))} <= set(sent)
    assert all(0 <= position < size for position in sent)


DATES = [
    (b"Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
    (b"Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
    (b"Sun Nov  6 08:49:37 1994", 784111777),
    (b"Tuesday, 01-Jan-30 00:00:00 GMT", 1893456000),
    (b"Sun, 06 Nov 1994 08:49:37 UTC", None),
    (b"Sun, 06 Nov 1994 24:49:37 GMT", None),
    (b"Sun, 31 Apr 1994 08:49:37 GMT", None),
    (b"Sun, 00 Apr 1994 08:49:37 GMT", None),
    (b"Sun, 06 Nov 1894 08:49:37 GMT", None),
    (b"sun, 06 nov 1994 08:49:37 gmt", None),
    (b"784111777", None),
    (b"", None),
]


@pytest.mark.parametrize(("text", "seconds"), DATES)
def test_dates(text: bytes, seconds: int | None) -> None:
    assert parse_date(text) == seconds


def test_content_range_counts_the_last_byte() -> None:
    assert ByteRange(0, 500).content_range(1000) == b"bytes 0-499/1000"
