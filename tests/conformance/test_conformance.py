"""The documents of this directory, one per section of a standard: every case whole, byte by byte and at every split.

Each case runs through the fast lane and through h11 alone.  ``{text*count}`` in a wire repeats, ``{date}`` in what is
sent is the date of the test; a content_length of -1 stands for chunked.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rat.config import Limits
from rat.events import CompleteResponse, RequestReceived, ResponseContent, ResponseEnd, ResponseStart, Wire
from rat.http1.conditional import ByteRange, Verdict, judge
from rat.http1.engine import HttpEngine
from tests.http1.feeding import DATE, FEEDS, WAYS, Answerer, Log, Message, converse, hello

HERE = Path(__file__).parent
REPEAT = re.compile(r"\{(.+?)\*(\d+)\}", re.DOTALL)
KEYS = {"section", "sentence", "wire", "eof", "limits", "messages", "status", "answer", "sent", "state", "verdict"}


def load() -> Iterator[Any]:
    for document in sorted(HERE.glob("*.toml")):
        cases = tomllib.loads(document.read_text(encoding="utf-8"))["case"]
        for number, case in enumerate(cases, 1):
            assert case.keys() <= KEYS, f"{document.name}, case {number}"
            yield pytest.param(case, id=f"{document.stem}-{number:02}")


def to_bytes(text: str) -> bytes:
    return text.encode("latin-1")


def wire_of(case: dict[str, Any]) -> bytes:
    return to_bytes(REPEAT.sub(lambda match: match[1] * int(match[2]), case["wire"]))


def lines(pairs: list[list[str]]) -> list[tuple[bytes, bytes]]:
    return [(to_bytes(name), to_bytes(value)) for name, value in pairs]


def answerer(answer: dict[str, Any]) -> Answerer:
    """What a case says about the answers, as calls of ``send``."""
    status, fields = answer["status"], lines(answer.get("fields", []))

    def complete(engine: HttpEngine, request: RequestReceived) -> Iterator[Wire]:
        yield engine.send(CompleteResponse(status, fields, to_bytes(answer.get("content", ""))))

    def streamed(engine: HttpEngine, request: RequestReceived) -> Iterator[Wire]:
        yield engine.send(ResponseStart(status, fields))
        for piece in answer["pieces"]:
            yield engine.send(ResponseContent(to_bytes(piece)))
        yield engine.send(ResponseEnd(lines(answer.get("trailers", []))))

    return streamed if "pieces" in answer else complete


def check_message(message: Message, expected: dict[str, Any]) -> None:
    assert message.is_whole is expected.get("whole", True)
    for name, value in expected.items():
        if name in ("content", "trailers"):
            assert getattr(message, name) == (to_bytes(value) if name == "content" else lines(value)), name
        elif name == "fields":
            assert message.head["fields"] == lines(value)
        elif name == "content_length":
            assert message.head[name] == (None if value == -1 else value)
        elif name != "whole":
            came = message.head[name]
            assert (came.decode("latin-1") if isinstance(came, bytes) else came) == value, name


def check(log: Log, case: dict[str, Any]) -> None:
    assert log.status == case.get("status")
    expected = case.get("messages", [])
    assert [message.head["target"] for message in log.messages][len(expected) :] == []
    assert len(log.messages) == len(expected)
    for message, wanted in zip(log.messages, expected, strict=True):
        check_message(message, wanted)
    if "sent" in case:
        assert log.written == b"".join(to_bytes(part.replace("{date}", DATE.decode())) for part in case["sent"])
    if "verdict" in case:
        head = log.messages[0].head
        verdict = judge(head["method"], head["fields"], etag=b'"one"', last_modified=1_000_000_000, size=1000)
        ranges = tuple(ByteRange(*item) for item in case["verdict"].get("ranges", []))
        assert verdict == Verdict(case["verdict"]["status"], ranges)
    if "state" in case:
        assert log.state.name == case["state"]


@pytest.mark.parametrize("http", WAYS)
@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("case", list(load()))
def test_conformance(case: dict[str, Any], feed: Callable[[bytes], Iterator[list[bytes]]], http: str) -> None:
    limits = Limits(**case.get("limits", {}))
    answer = answerer(case["answer"]) if "answer" in case else hello
    for pieces in feed(wire_of(case)):
        check(converse(pieces, http, eof=case.get("eof", False), limits=limits, answer=answer), case)
