from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from rat.loadgen.http import HttpLoad, HttpResult, Plan
from rat.loadgen.judge import Judge
from rat.loadgen.requests import build_requests, parse_url
from tests.loadgen import servers
from tests.support.patience import three_tries


async def load(habit: servers.Habit, judge: Judge | None = None, **plan: Any) -> HttpResult:
    """Turn the generator on a server with *habit*."""
    async with servers.serving(habit) as url:
        target = parse_url(url)
        requests = plan.pop("requests", None) or build_requests(target, vary=True)
        return await HttpLoad(Plan(target, requests, **plan), judge or Judge()).run()


@pytest.mark.parametrize("pipeline", [1, 16])
async def test_right_answers_are_counted_and_timed(pipeline: int) -> None:
    judge = Judge(content=b"Hello, World!")
    result = await load(servers.right, judge, connections=4, pipeline=pipeline, count=400, duration=30.0)
    assert result.answers >= 400
    assert not result.faults
    assert result.unanswered == 0
    assert result.latency.total == result.answers
    assert result.latency.percentile(50.0) > 0.0
    assert result.content_bytes == 13 * result.answers


async def test_wrong_answers_are_counted_as_wrong_and_not_as_answers() -> None:
    result = await load(servers.wrong_now_and_then, Judge(content=b"Hello, World!"), count=500, duration=30.0)
    assert result.faults == {"content b'Hello, Wurld!', expected b'Hello, World!'": 50}
    assert result.answers == 450


async def test_a_server_that_closes_is_connected_to_again() -> None:
    result = await load(servers.closing, connections=2, count=50, duration=30.0)
    assert result.answers >= 50
    assert result.reconnects >= 48
    assert not result.faults


async def test_a_server_that_cuts_its_answers_has_none() -> None:
    result = await load(servers.cutting, connections=1, duration=0.3)
    assert result.answers == 0
    (fault,) = result.faults
    assert fault == "connection given up: connection closed inside an answer, after 5 bytes of content"


async def test_uploads_are_echoed_whole() -> None:
    content = os.urandom(300_000)
    requests = build_requests(parse_url("http://h/"), method="POST", contents=[content])
    result = await load(servers.echo, Judge(content=content), requests=requests, count=10, duration=30.0)
    assert result.answers >= 10
    assert not result.faults


async def test_large_chunked_answers_are_counted_without_their_framing() -> None:
    result = await load(servers.chunked, Judge(size=3 << 20), count=4, duration=30.0)
    assert result.answers >= 4
    assert result.content_bytes == result.answers * (3 << 20)


@three_tries
async def test_at_a_rate_a_stall_is_charged_for_all_requests_that_were_due() -> None:
    # 200 requests a second for 1 s, answered at once but for a stall of 0.5 s: half were due while it lasted.
    result = await load(servers.stalling(20, 0.5), connections=2, rate=200.0, duration=1.0)
    assert 150 <= result.answers <= 200.0 * result.seconds + 1
    assert result.latency.percentile(90.0) > 0.2
    # What a naive client sees: two slow answers, one on each connection.
    assert result.service.percentile(98.0) < 0.2


async def test_a_rate_is_never_exceeded() -> None:
    result = await load(servers.right, connections=4, rate=1000.0, count=200, duration=30.0)
    assert result.seconds >= 199 / 1000.0


@three_tries
async def test_a_rate_is_held() -> None:
    result = await load(servers.right, connections=4, rate=500.0, count=300, duration=30.0)
    assert result.seconds < 1.2 * 300 / 500.0
    assert result.latency.percentile(50.0) < 0.05


async def test_a_server_that_is_not_there_is_an_error() -> None:
    plan = Plan(parse_url("http://127.0.0.1:1/"), [b"GET / HTTP/1.1\r\n\r\n"])
    with pytest.raises(OSError):
        await HttpLoad(plan, Judge()).run()


async def test_progress_is_told() -> None:
    shares: list[float] = []
    async with servers.serving(servers.right) as url:
        target = parse_url(url)
        plan = Plan(target, build_requests(target), duration=0.5)
        await HttpLoad(plan, Judge(), progress=lambda share, result: shares.append(share)).run()
    assert shares == sorted(shares)
    assert 0.0 < shares[0] < 1.0


def test_results_are_plain_json(tmp_path: Path) -> None:
    from rat.cli.bench_report import http_json

    plan = Plan(parse_url("http://h/"), [b""], rate=5.0)
    result = HttpResult(answers=1, seconds=2.0)
    result.latency.record(0.25)
    figures = json.loads(json.dumps(http_json(plan, result, "http")))
    assert figures["answers_per_second"] == 0.5
    assert figures["latency"]["p50"] == pytest.approx(0.25, rel=0.001)
    assert figures["latency_corrected"] is True
