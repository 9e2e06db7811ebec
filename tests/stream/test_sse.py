"""Events as text, and back by the standard's own steps."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.stream.sse import HEARTBEAT, EncodedEvent, Event, ServerSentEvent, encode_event, goodbye, with_done
from tests.support.sse import EventSource, Received, parse

TABLE: list[tuple[Event, bytes]] = [
    ("hello", b"data: hello\n\n"),
    ("", b"data: \n\n"),
    ("a\nb", b"data: a\ndata: b\n\n"),
    ("a\r\nb\rc\n", b"data: a\ndata: b\ndata: c\ndata: \n\n"),
    (" : ", b"data:  : \n\n"),
    ("\x0b\x0c\x1c\x85\u2028", "data: \x0b\x0c\x1c\x85\u2028\n\n".encode()),
    (b"\xc3\xa9\r", b"data: \xc3\xa9\ndata: \n\n"),
    ({"a": [1, None]}, b'data: {"a":[1,null]}\n\n'),
    (["a\nb"], b'data: ["a\\nb"]\n\n'),
    (ServerSentEvent(7), b"data: 7\n\n"),
    (ServerSentEvent(), b"\n"),
    (ServerSentEvent(comment="one\r\ntwo"), b": one\n: two\n\n"),
    (ServerSentEvent("x", "tick", "9", 1.5, "c"), b": c\nevent: tick\nid: 9\nretry: 1500\ndata: x\n\n"),
    (ServerSentEvent("x", id=""), b"id: \ndata: x\n\n"),
    (EncodedEvent(b"data: y\n\n"), b"data: y\n\n"),
]


@pytest.mark.parametrize(("event", "wire"), TABLE, ids=[repr(wire) for _, wire in TABLE])
def test_wire(event: Event, wire: bytes) -> None:
    assert encode_event(event) == wire


@pytest.mark.parametrize(("name", "value", "at"), [("event", "a\nb", 1), ("id", "\0", 0), ("id", "a\r\n", 1)])
def test_a_name_that_would_end_its_line_is_refused_when_made_and_when_sent(name: str, value: str, at: int) -> None:
    with pytest.raises(ValueError, match=f"{name} .* has .* at {at}"):
        ServerSentEvent("x", **{name: value})  # type: ignore[arg-type]
    event = ServerSentEvent("x")
    setattr(event, name, value)
    with pytest.raises(ValueError, match=f"{name} .* has .* at {at}"):
        encode_event(event)


names = st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), max_size=8)
texts = st.text(st.sampled_from("ab: \r\n\0\u2028\x85é\ufeff"), max_size=12)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def as_received(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@given(
    st.lists(
        st.tuples(texts, st.none() | names, st.none() | names, st.none() | st.integers(0, 99999), st.none() | texts)
    ),
    st.integers(1, 9),
)
def test_what_is_encoded_is_received(
    rows: list[tuple[str, str | None, str | None, int | None, str | None]], step: int
) -> None:
    events = [ServerSentEvent(d, e, i, None if r is None else r / 1000, c) for d, e, i, r, c in rows]
    wire = b"".join(map(encode_event, events))
    source = EventSource()
    for start in range(0, len(wire), step):
        source.feed(wire[start : start + step])
    last_id = ""
    expected = []
    for event in events:
        last_id = event.id if event.id is not None else last_id
        expected.append(Received(event.event or "message", as_received(event.data), last_id))
    assert source.events == expected
    retries = [r for _, _, _, r, _ in rows if r is not None]
    assert source.retry == (retries[-1] if retries else None)
    assert source.comments == [line for *_, c in rows if c is not None for line in as_received(c).split("\n")]


@given(
    st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5), st.lists, max_leaves=9)
)
def test_json_data_is_one_line(value: Any) -> None:
    (event,) = parse(encode_event(ServerSentEvent({"v": value}))).events
    assert orjson.loads(event.data) == {"v": value}
    assert "\n" not in event.data


@pytest.mark.parametrize("make", [lambda text: ServerSentEvent("x", id=text), lambda text: ServerSentEvent("x", text)])
@pytest.mark.parametrize("bad", ["\r", "\n", "\0"])
def test_line_ends_and_nul_are_refused_where_they_would_break_out(make: Callable[[str], object], bad: str) -> None:
    with pytest.raises(ValueError, match=r"(id|event) .* has .* at 1"):
        make(f"a{bad}data: forged")


@pytest.mark.parametrize("retry", [-1, math.nan, math.inf])
def test_retry_is_a_time(retry: float) -> None:
    with pytest.raises(ValueError, match=r"retry is .* seconds"):
        ServerSentEvent("x", retry=retry)


def test_what_cannot_be_sent_is_refused() -> None:
    with pytest.raises(TypeError, match="event data of type set is no JSON"):
        encode_event(ServerSentEvent({1, 2}))
    with pytest.raises(UnicodeError):
        encode_event(b"\xff")


def test_a_heartbeat_is_seen_by_nobody() -> None:
    source = parse(b"data: a\n\n" + HEARTBEAT + b"data: b\n\n")
    assert [event.data for event in source.events] == ["a", "b"]


@pytest.mark.parametrize(("chance", "retry"), [(0.0, 2000), (0.25, 2500), (0.999, 3998)])
def test_goodbye_keeps_the_last_id_and_spreads_the_return(chance: float, retry: int) -> None:
    source = parse(b"id: 41\ndata: x\n\n" + goodbye(2.0, lambda: chance))
    assert source.events[-1] == Received("rat.close", '{"reason":"the server stops"}', "41")
    assert source.retry == retry


async def numbers(log: list[str], error: Exception | None = None) -> AsyncIterator[Event]:
    try:
        yield "1"
        yield "2"
        if error is not None:
            raise error
    finally:
        log.append("closed")


async def test_done_follows_the_last_event() -> None:
    log: list[str] = []
    assert [event async for event in with_done(numbers(log))] == ["1", "2", "[DONE]"]
    assert log == ["closed"]


async def test_done_is_not_said_after_an_error() -> None:
    events = with_done(numbers([], OSError("model")))
    assert [await anext(events), await anext(events)] == ["1", "2"]
    with pytest.raises(OSError, match="model"):
        await anext(events)
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_done_closes_what_it_wraps() -> None:
    log: list[str] = []
    events = with_done(numbers(log))
    assert await anext(events) == "1"
    await events.aclose()
    assert log == ["closed"]
    assert [event async for event in events] == []
