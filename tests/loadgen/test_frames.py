from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from rat.cli import bench
from rat.cli.bench_report import frames_text
from rat.codec import encode
from rat.loadgen.frames import FramesLoad, FramesPlan, FramesResult
from tests.loadgen.servers import frame, framing
from tests.support import commands

HELLO, CALL, RESULT, ERROR = 1, 2, 3, 6


def echo(kind: int, stream: int, payload: bytes) -> bytes:
    return frame(RESULT if kind == CALL else kind, stream, payload)


def wrong_on_every_tenth(kind: int, stream: int, payload: bytes) -> bytes:
    return frame(RESULT if kind == CALL else kind, stream, b"wrong" if stream % 20 == 19 else payload)


def failing(kind: int, stream: int, payload: bytes) -> bytes:
    return frame(ERROR if kind == CALL else kind, stream, b"no")


def refusing(kind: int, stream: int, payload: bytes) -> bytes:
    error = {"code": "not_found", "message": "there is no call 'echo'"}
    return frame(ERROR if kind == CALL else kind, stream, encode(error))


def mistaken(kind: int, stream: int, payload: bytes) -> bytes:
    return frame(RESULT if kind == CALL else kind, stream + 1000 if kind == CALL else stream, payload)


async def load(answer: Callable[[int, int, bytes], bytes], **plan: Any) -> FramesResult:
    async with framing(answer) as port:
        return await FramesLoad(FramesPlan("127.0.0.1", port, b"hello", b"call", **plan)).run()


@pytest.mark.parametrize(("connections", "in_flight"), [(1, 1), (1, 64), (3, 16)])
async def test_right_answers_are_counted(connections: int, in_flight: int) -> None:
    result = await load(echo, expected=b"call", connections=connections, in_flight=in_flight, count=500, duration=30.0)
    assert result.answers >= 500
    assert result.latency.total == result.answers
    assert not result.faults
    assert result.unanswered == 0


async def test_without_an_expected_answer_all_must_equal_the_first() -> None:
    result = await load(wrong_on_every_tenth, in_flight=100, duration=0.2)
    assert result.faults["RESULT of 5 bytes b'wrong'"] >= 10
    assert result.answers >= 90


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (failing, "frame of kind 6: b'no'"),
        (refusing, "not_found: there is no call 'echo'"),
        (mistaken, "RESULT on stream 1001, which has no call"),
    ],
)
async def test_what_is_no_right_answer_is_told(answer: Callable[[int, int, bytes], bytes], fault: str) -> None:
    result = await load(answer, in_flight=4, duration=60)  # and it ends at once
    assert result.answers == 0
    assert fault in result.faults
    assert result.seconds < 30


async def test_no_latency_is_told_of_no_answers() -> None:
    text = frames_text(FramesPlan("::1", 1, b"", b""), await load(failing, in_flight=4, duration=0.2))
    assert "0 right answers" in text
    assert "1 connection, 64 calls" in text
    assert "latency" not in text


async def test_calls_to_this_server() -> None:
    from rat import Rat
    from rat.server import RatServer

    app = Rat()

    @app.call("echo")
    async def echo_call(request: Any, value: Any) -> Any:
        return value

    async with RatServer(app, port=0) as server:
        code, output, _ = await commands.run(
            *(sys.executable, "-m", "rat.cli.bench", "frames", f"127.0.0.1:{server.port}", "-n", "200", "--json")
        )
    figures = json.loads(output)
    assert code == 0
    assert figures["answers"] >= 200
    assert figures["faults"] == {}


def test_arguments_that_are_no_list_are_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["frames", "127.0.0.1:1", "--args", "5"]) == 2
    assert "--args '5', expected a JSON list" in capsys.readouterr().err
