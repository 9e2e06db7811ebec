from __future__ import annotations

import zlib

import pytest

from rat.loadgen.answers import Answer
from rat.loadgen.judge import Judge


def answer(content: bytes | None = b"abc", *, status: int = 200, size: int | None = None, crc: int = 0) -> Answer:
    return Answer(status, len(content or b"") if size is None else size, content, crc, False)


@pytest.mark.parametrize(
    ("judge", "given", "fault"),
    [
        (Judge(), answer(), None),
        (Judge(), answer(status=302), None),
        (Judge(), answer(status=500), "status 500"),
        (Judge(status=404), answer(status=404), None),
        (Judge(status=200), answer(status=204), "status 204, expected 200"),
        (Judge(content=b"abc"), answer(), None),
        (Judge(content=b"abd"), answer(), "content b'abc', expected b'abd'"),
        (Judge(size=4), answer(), "3 bytes of content, expected 4"),
        (Judge(value={"a": [1]}), answer(b'{ "a":[1] }'), None),
        (Judge(value={"a": [1]}), answer(b'{"a":[2]}'), "JSON b'{\"a\":[2]}' is not the value expected"),
        (Judge(value={"a": [1]}), answer(b"<html>"), "content b'<html>' is no JSON"),
        (Judge(crc=zlib.crc32(b"abc")), answer(), None),
        (Judge(crc=1), answer(None, size=9, crc=2), "checksum 00000002 of 9 bytes, expected 00000001"),
    ],
)
def test_verdicts(judge: Judge, given: Answer, fault: str | None) -> None:
    for _ in range(2):  # the second verdict may come from memory
        assert judge(given) == fault


def test_what_was_right_with_one_status_is_not_right_with_another() -> None:
    judge = Judge(status=200, content=b"abc")
    assert judge(answer()) is None
    assert judge(answer(status=500)) == "status 500, expected 200"
