"""The same calls over HTTP: JSON, DataValue, and frames as content."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from rat import Blob, CallError, Rat
from rat.codec import decode, encode
from rat.codec.frame import Flag, Kind, pack_frame
from tests.frames.support import call_frame, split_frames
from tests.support.serving import Answer, connect, serving

FRAMES = "application/vnd.rat.frames"
VALUE = "application/vnd.rat.datavalue"
LINES = "application/x-ndjson"


def make_app() -> Rat:
    app = Rat()

    @app.call("add")
    def add(request: Any, a: int, b: int) -> int:
        return a + b

    @app.call("ticks")
    async def ticks(request: Any, count: int, fail: bool = False) -> AsyncIterator[dict[str, int]]:
        for n in range(count):
            yield {"n": n}
        if fail:
            raise CallError("tired", "no more ticks", [count])

    @app.call("total")
    async def total(request: Any, start: int = 0) -> list[int]:
        sizes = [start]
        async for item in request.stream:
            sizes.append(len(item) if isinstance(item, bytes) else item)
        return sizes

    @app.call("chat")
    async def chat(request: Any) -> None:
        await request.send("hello")

    @app.call("blob")
    def blob(request: Any) -> Blob:
        return Blob(b"x" * 100_000)

    @app.call("thread", thread=True)
    def in_thread(request: Any, a: int) -> str:
        return f"{request.method} {a}"

    @app.call("refuse")
    def refuse(request: Any, code: str) -> None:
        raise CallError(code, "because")

    return app


async def post(name: str, content: bytes, kind: str, accept: str | None = None) -> Answer:
    async with serving(make_app()) as server, connect(server) as client:
        head = (
            f"POST /_call/{name} HTTP/1.1\r\nHost: here\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        )
        if accept is not None:
            head += f"Accept: {accept}\r\n"
        await client.send(head.encode() + b"\r\n" + content)
        return await client.answer("POST")


@pytest.mark.parametrize(
    ("content", "kind", "accept", "expected"),
    [
        (b"[1, 2]", "application/json", None, ("application/json", b"3")),
        (b'{"a": 1, "b": 2}', "application/json", VALUE, (VALUE, encode(3))),
        (encode([1, 2]), VALUE, "application/json", ("application/json", b"3")),
        (encode({"a": 1, "b": 2}), VALUE, VALUE, (VALUE, encode(3))),
        (call_frame(1, "add", 1, 2), FRAMES, FRAMES, (FRAMES, pack_frame(Kind.RESULT, 0, 1, encode(3)))),
    ],
)
async def test_one_value_in_every_form(
    content: bytes, kind: str, accept: str | None, expected: tuple[str, bytes]
) -> None:
    answer = await post("add", content, kind, accept)
    assert answer.status == 200
    assert (answer.field("content-type"), answer.content) == expected


async def test_a_stream_as_lines_and_as_frames() -> None:
    answer = await post("ticks", b"[2]", "application/json")
    assert (answer.field("content-type"), answer.content) == ("application/x-ndjson", b'{"n":0}\n{"n":1}\n')
    answer = await post("ticks", b"[2]", "application/json", FRAMES)
    assert answer.field("content-type") == FRAMES
    items = [pack_frame(Kind.ITEM, 0, 1, encode({"n": n})) for n in range(2)]
    assert answer.content == b"".join(items) + pack_frame(Kind.END, 0, 1)


@pytest.mark.parametrize(
    ("accept", "stream", "result"),
    [
        ("*/*", LINES, "application/json"),
        ("text/html", LINES, "application/json"),
        (VALUE, FRAMES, VALUE),
        (f"{VALUE}, {FRAMES};q=0", LINES, VALUE),
        (f"{VALUE};q=0.5, {LINES}", LINES, VALUE),
        (f"{VALUE};q=0.5, application/json", LINES, "application/json"),
        (f"{VALUE}, */*;q=0.1", FRAMES, VALUE),
        (f"{FRAMES};q=0", LINES, "application/json"),
        (f"{FRAMES};q=0.1, application/json", LINES, "application/json"),
        (f"{FRAMES};q=0.9, {VALUE}", FRAMES, VALUE),
        (f"{FRAMES}, {VALUE}, application/json", FRAMES, FRAMES),
        (FRAMES.upper(), FRAMES, FRAMES),
    ],
)
async def test_the_form_is_what_is_wanted_most_and_a_stream_of_values_is_frames(
    accept: str, stream: str, result: str
) -> None:
    answer = await post("ticks", b"[1]", "application/json", accept)
    assert (answer.status, answer.field("content-type")) == (200, stream)
    answer = await post("add", b"[1, 2]", "application/json", accept)
    assert (answer.status, answer.field("content-type")) == (200, result)


async def test_a_stream_that_fails_ends_with_an_error_frame() -> None:
    answer = await post("ticks", b"[1, true]", "application/json", FRAMES)
    *_, last = split_frames(answer.content)
    assert last[4] == Kind.ERROR
    assert decode(last[12:]) == {"code": "tired", "message": "no more ticks", "detail": [1]}


async def test_what_the_caller_streams_is_the_content() -> None:
    content = call_frame(1, "total", 5, flags=Flag.OPEN) + pack_frame(Kind.ITEM, 0, 1, encode(7))
    # More than any window: HTTP has flow control of its own.
    content += pack_frame(Kind.DATA, 0, 1, bytes(90_000)) * 3 + pack_frame(Kind.END, 0, 1)
    answer = await post("total", content, FRAMES)
    assert (answer.status, answer.content) == (200, b"[5,7,90000,90000,90000]")
    assert (await post("total", b"[3]", "application/json")).content == b"[3]"


async def test_a_blob_is_its_bytes() -> None:
    answer = await post("blob", b"", "application/json")
    assert (answer.field("content-type"), answer.content) == ("application/octet-stream", b"x" * 100_000)


async def test_a_handler_in_a_thread_answers_as_well() -> None:
    assert (await post("thread", b"[1]", "application/json")).content == b'"POST 1"'


BAD: dict[str, tuple[str, bytes, str, int, str]] = {
    "a call of another name": ("add", call_frame(1, "other"), FRAMES, 400, "content begins with Call, expected a CALL"),
    "no call at all": ("add", pack_frame(Kind.PING, 0, 0, bytes(8)), FRAMES, 400, "expected a CALL of add"),
    "no frames": ("add", b"\xff" * 20, FRAMES, 400, "content is not frames: frame with a payload of"),
    "a frame cut short": ("add", call_frame(1, "add")[:-2], FRAMES, 400, "the connection ended inside a frame"),
    "too few arguments": ("add", b"[1]", "application/json", 400, "missing a required argument: 'b'"),
    "a refusal": ("refuse", b'["forbidden"]', "application/json", 403, "forbidden: because"),
    "a refusal of its own": ("refuse", b'["odd"]', "application/json", 422, "odd: because"),
    "items while it reads": ("chat", b"[]", "application/json", 415, "needs a frames connection"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
async def test_what_cannot_be_called_is_said(case: tuple[str, bytes, str, int, str]) -> None:
    name, content, kind, status, message = case
    answer = await post(name, content, kind)
    assert answer.status == status
    assert message in answer.content.decode()
