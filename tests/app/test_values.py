"""JSON with places in its errors, and the choice of a media type by weight."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rat.errors import CodecError, HTTPError
from rat.values import dump_json, load_json, media_type, parse_weighted, prefers_data_value, quality


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({"users": [{"a": 1}, {"avatar": object()}]}, "$.users[1].avatar", "type is not JSON serializable: object"),
        ({"a b": {1: 2}}, '$["a b"][1]', "dict key must be str"),
        ([1, 2**70], "$[1]", "integer exceeds 64-bit range"),
        ({"a": "\ud800"}, "$.a", "surrogates"),
        ({1, 2}, "$", "type is not JSON serializable: set"),
    ],
)
def test_what_json_cannot_say_is_named_with_its_path(value: Any, path: str, message: str) -> None:
    with pytest.raises(CodecError, match=message) as caught:
        dump_json(value)
    assert caught.value.path == path
    assert str(caught.value).endswith(f"at {path}")


def test_json_is_written() -> None:
    assert dump_json({"t": datetime(2030, 1, 1, tzinfo=UTC)}) == b'{"t":"2030-01-01T00:00:00+00:00"}'
    assert dump_json([1], indent=True) == b"[\n  1\n]"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "content is empty, expected JSON"),
        (b"[1,2", "content is not JSON at offset 4 of 4"),
        (b'{"a": 1,}', "content is not JSON at offset 7 of 9"),
        ('{"é": é}'.encode(), "content is not JSON at offset 7 of 10"),
        (b"\xff", "content is not JSON at offset 0 of 1"),
    ],
)
def test_json_that_does_not_parse_is_a_400_with_the_offset_in_bytes(data: bytes, message: str) -> None:
    with pytest.raises(HTTPError, match=message) as caught:
        load_json(data)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("text", "kind", "parameters"),
    [
        (None, "", {}),
        ("Text/HTML; Charset=UTF-8", "text/html", {"charset": "UTF-8"}),
        ('multipart/form-data; boundary="a;b\\"c"', "multipart/form-data", {"boundary": 'a;b"c'}),
        ("a/b;;x; y=1; y=2", "a/b", {"y": "1"}),
    ],
)
def test_media_types(text: str | None, kind: str, parameters: dict[str, str]) -> None:
    assert media_type(text) == (kind, parameters)


def test_weights_of_a_list() -> None:
    assert parse_weighted('a/b;q=0.5, C/D, e/f;x="1,2";q=0, g;q=7, h;q=x,,') == [
        ("a/b", 0.5),
        ("c/d", 1.0),
        ("e/f", 0.0),
        ("g", 0.0),
        ("h", 0.0),
    ]


@pytest.mark.parametrize(
    ("accept", "weight"),
    [
        (None, 1.0),
        ("*/*", 1.0),
        ("application/*;q=0.5, */*", 0.5),
        ("application/json;q=0, */*", 0.0),
        ("text/html", 0.0),
        ("", 0.0),
    ],
)
def test_the_most_specific_range_gives_the_weight(accept: str | None, weight: float) -> None:
    assert quality(accept, "application/json") == weight


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("application/vnd.rat.datavalue", True),
        ("application/vnd.rat.datavalue, application/json;q=0.9", True),
        ("application/vnd.rat.datavalue;q=0.5, application/json", False),
        ("application/vnd.rat.datavalue;q=0", False),
    ],
)
def test_data_value_is_sent_to_who_asks_for_it_by_name(accept: str | None, wanted: bool) -> None:
    assert prefers_data_value(accept) is wanted
