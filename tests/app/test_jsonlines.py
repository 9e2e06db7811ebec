"""JSON lines, written and read, however the bytes are cut."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.errors import CodecError, HTTPError
from rat.jsonlines import JSONLines, json_lines, read_json_lines
from tests.app.support import body_reader

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


async def read(*pieces: bytes, **options: int) -> list[Any]:
    return [value async for value in read_json_lines(body_reader(*pieces), **options)]


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(st.lists(VALUES), st.integers(1, 9))
async def test_what_is_written_is_read_however_it_is_cut(values: list[Any], size: int) -> None:
    written = b"".join([line async for line in json_lines(values)])
    assert written.count(b"\n") == len(values)
    assert await read(*cut(written, size)) == values


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize(
    ("data", "values"), [(b"", []), (b"\n\r\n1\r\n\n", [1]), (b"1\n2", [1, 2]), (b" [1,\t2] \n", [[1, 2]])]
)
async def test_empty_lines_and_a_last_line_without_its_end(data: bytes, values: list[Any], size: int) -> None:
    assert await read(*cut(data, size)) == values


@pytest.mark.parametrize("size", [1, 2, 100])
async def test_a_line_that_is_no_json_is_named(size: int) -> None:
    with pytest.raises(HTTPError, match=r"line 3: content is not JSON at offset 5 of 6") as caught:
        await read(*cut(b'{}\n\n{"a":}\n', size))
    assert caught.value.status == 400


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n2\n"])
async def test_the_longest_line(size: int, end: bytes) -> None:
    line = b'"' + b"x" * 8 + b'"'
    assert (await read(*cut(b"1\n" + line + end, size), max_line=10))[1] == "x" * 8
    with pytest.raises(HTTPError, match="line 2 has more than 9 bytes") as caught:
        await read(*cut(b"1\n" + line + end, size), max_line=9)
    assert caught.value.status == 413


async def test_values_are_closed_at_the_end_also_after_a_bad_one() -> None:
    closed = []

    async def values() -> AsyncIterator[Any]:
        try:
            yield {"ok": 1}
            yield {"bad": object()}
        finally:
            closed.append(True)

    answer = JSONLines(values())
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = json_lines(values())
    assert await anext(lines) == b'{"ok":1}\n'
    with pytest.raises(CodecError, match=r"\$\.bad"):
        await anext(lines)
    assert closed == [True]
    answer.close()
