"""Headers, query parameters and cookies: repeated names, letter case, and what is refused where it is set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.errors import HTTPError
from rat.fields import (
    Headers,
    MultiMapping,
    MutableHeaders,
    QueryParams,
    encode_field,
    field_lines,
    parse_cookies,
    parse_urlencoded,
)

RAW = [(b"accept", b"a"), (b"x-name", b"caf\xe9"), (b"accept", b"b")]


def test_headers_are_a_case_insensitive_mapping_in_wire_order() -> None:
    headers = Headers(RAW)
    assert headers["ACCEPT"] == "a"
    assert headers.get("X-Name") == "café"
    assert headers.get("missing") is None
    assert headers.get("missing", 3) == 3
    assert headers.getlist("Accept") == ["a", "b"]
    assert headers.combined("accept") == "a, b"
    assert headers.combined("missing") is None
    assert list(headers) == [("accept", "a"), ("x-name", "café"), ("accept", "b")]
    assert "Accept" in headers
    assert "missing" not in headers
    assert 3 not in headers
    assert len(headers) == 3
    assert headers.keys() == ["accept", "x-name"]
    assert dict(headers.items()) == {"accept": "b", "x-name": "café"}
    assert headers.values() == ["a", "café", "b"]
    assert headers == Headers(RAW)
    assert headers != Headers(RAW[:2])
    with pytest.raises(KeyError):
        headers["missing"]
    assert "snowman ☃" not in headers


def test_mutable_headers_keep_and_replace_repeated_fields() -> None:
    headers = MutableHeaders()
    headers.add("Set-Cookie", "a=1")
    headers.add("set-cookie", "b=2")
    headers["X-One"] = "1"
    assert headers.raw == [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-one", b"1")]
    headers["SET-COOKIE"] = "c=3"
    assert headers.raw == [(b"set-cookie", b"c=3"), (b"x-one", b"1")]
    assert headers.setdefault("x-one", "2") == "1"
    assert headers.setdefault("x-two", "2") == "2"
    headers["content-length"] = 12
    assert headers.pop("content-length") == "12"
    assert headers.pop("content-length") is None
    headers.update([("x-two", "a"), ("x-two", "b")])
    assert headers.getlist("x-two") == ["a", "b"]
    headers.update({"x-two": "c"})
    assert headers.getlist("x-two") == ["c"]
    del headers["X-Two"]
    with pytest.raises(KeyError):
        del headers["x-two"]


@pytest.mark.parametrize(
    ("before", "names", "after"),
    [
        ([], ["Accept"], "Accept"),
        (["accept"], ["Accept"], "accept"),
        (["accept", "cookie"], ["Accept-Encoding"], "accept, cookie, Accept-Encoding"),
        (["*"], ["Accept"], "*"),
    ],
)
def test_vary_names_each_field_once(before: list[str], names: list[str], after: str) -> None:
    headers = MutableHeaders()
    for value in before:
        headers.add("vary", value)
    headers.add_vary(*names)
    assert headers.combined("vary") == after


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("X-A", "a\r\nX-B: b", r"value of field X-A has '\\r' at position 1"),
        ("X-A", "a\nb", r"value of field X-A has '\\n' at position 1"),
        ("X-A", "a\0b", r"value of field X-A has '\\x00' at position 1"),
        ("X-A", "a\x1fb", r"value of field X-A has"),
        ("X-A", "a\x7f", r"value of field X-A has"),
        ("X-A", "☃", "value of field X-A has '☃', outside of latin-1"),
        ("X A", "a", "field name 'X A' is not a token"),
        ("X:A", "a", "is not a token"),
        ("X\r\n", "a", "is not a token"),
        ("", "a", "is not a token"),
        ("é", "a", "is not a token"),
    ],
)
def test_a_field_that_the_grammar_refuses_is_refused_where_it_is_set(name: str, value: str, message: str) -> None:
    headers = MutableHeaders()
    for action in (
        lambda: headers.add(name, value),
        lambda: headers.__setitem__(name, value),
        lambda: headers.update({name: value}),
        lambda: field_lines([(name, value)]),
    ):
        with pytest.raises(ValueError, match=message):
            action()
    assert len(headers) == 0


@pytest.mark.parametrize("value", [None, 1.5, True, ["a"]])
def test_a_value_of_another_type_names_the_field(value: object) -> None:
    with pytest.raises(TypeError, match="value of field X-A is"):
        encode_field("X-A", value)  # type: ignore[arg-type]


@given(st.text(), st.text())
def test_what_is_accepted_cannot_break_a_field_section(name: str, value: str) -> None:
    try:
        wire_name, wire_value = encode_field(name, value)
    except ValueError:
        return
    assert not set(b"\r\n\0:") & set(wire_name)
    assert not set(b"\r\n\0") & set(wire_value)
    assert wire_name.decode().lower() == name.lower()


def test_query_parameters_keep_repeated_names() -> None:
    query = QueryParams.parse(b"a=1&b=%C3%A9+x&a=2&c&=v&&d=x=y")
    assert query["a"] == "1"
    assert query.getlist("a") == ["1", "2"]
    assert query["b"] == "é x"
    assert query["c"] == ""
    assert query[""] == "v"
    assert query["d"] == "x=y"
    assert query.getlist("missing") == []
    assert list(query) == ["a", "b", "c", "", "d"]
    assert len(query) == 5
    assert query.pairs()[2] == ("a", "2")
    assert query == MultiMapping(query.pairs())
    assert dict(QueryParams.parse(b"a=1")) == {"a": "1"}
    assert QueryParams.parse(b"") == {}


@pytest.mark.parametrize(
    ("query", "outcome"),
    [
        (b"n=5", 5),
        (b"n=-5", -5),
        (b"", 7),
        (b"n=5.0", "query parameter n is '5.0', expected a whole number"),
        (b"n=", "query parameter n is '', expected a whole number"),
        (b"n=%D9%A3", "expected a whole number"),
        (b"n=11", "query parameter n is 11, allowed is at most 10"),
        (b"n=-11", "query parameter n is -11, allowed is at least -10"),
    ],
)
def test_whole_numbers_of_a_query(query: bytes, outcome: int | str) -> None:
    params = QueryParams.parse(query)
    if isinstance(outcome, int):
        assert params.integer("n", 7, at_least=-10, at_most=10) == outcome
        return
    with pytest.raises(HTTPError, match=outcome) as caught:
        params.integer("n", 7, at_least=-10, at_most=10)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("query", "outcome"),
    [
        (b"n=0.5", 0.5),
        (b"n=1e1", 10.0),
        (b"n=nan", "expected a number"),
        (b"n=inf", "expected a number"),
        (b"n=x", "expected a number"),
        (b"", "query parameter n is missing"),
        (b"n=10.5", "query parameter n is 10.5, allowed is at most 10"),
    ],
)
def test_numbers_of_a_query(query: bytes, outcome: float | str) -> None:
    params = QueryParams.parse(query)
    if isinstance(outcome, float):
        assert params.real("n", at_most=10.0) == outcome
        return
    with pytest.raises(HTTPError, match=outcome):
        params.real("n", at_most=10.0)


@pytest.mark.parametrize(("count", "limit", "passes"), [(3, 4, True), (4, 4, True), (5, 4, False)])
def test_the_number_of_pairs_is_bounded(count: int, limit: int, passes: bool) -> None:
    data = b"&".join([b"a=1"] * count)
    if passes:
        assert len(parse_urlencoded(data, limit=limit)) == count
    else:
        with pytest.raises(HTTPError, match="form of 5 fields, limit 4") as caught:
            parse_urlencoded(data, limit=limit)
        assert caught.value.status == 413


@given(st.binary(max_size=200))
def test_any_bytes_are_a_query(data: bytes) -> None:
    for name, value in parse_urlencoded(data):
        assert isinstance(name, str)
        assert isinstance(value, str)


@pytest.mark.parametrize(
    ("values", "cookies"),
    [
        (["a=1; b=2"], {"a": "1", "b": "2"}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        (["a=1; a=2"], {"a": "1"}),
        (['a="quoted"; b="'], {"a": "quoted", "b": '"'}),
        (["a=x=y;b;=c; ;"], {"a": "x=y"}),
        (["a = 1"], {"a": "1"}),
        ([], {}),
    ],
)
def test_cookies_of_a_request(values: list[str], cookies: dict[str, str]) -> None:
    assert parse_cookies(values) == cookies
