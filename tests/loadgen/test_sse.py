from __future__ import annotations

from typing import Any

import pytest

from rat.loadgen.requests import parse_url
from rat.loadgen.sse import SseLoad, SsePlan, SseResult
from tests.loadgen import servers
from tests.support.patience import three_tries


async def load(habit: servers.Habit, **plan: Any) -> SseResult:
    async with servers.serving(habit) as url:
        return await SseLoad(SsePlan(parse_url(url), warmup=0.0, **plan)).run()


@three_tries
async def test_every_event_of_every_subscriber_is_counted() -> None:
    result = await load(servers.events(20), clients=7, duration=0.5)
    assert result.events == 7 * 20
    assert result.comments == 7
    assert (result.gaps, result.silent, result.clients) == (0, 0, 7)
    assert not result.faults
    assert 0.0 < result.latency.percentile(50.0) < 0.5


@three_tries
async def test_a_missing_event_is_a_gap_at_each_subscriber() -> None:
    result = await load(servers.events(20, skip=10), clients=3, duration=0.5)
    assert result.events == 3 * 19
    assert result.gaps == 3


async def test_subscribers_that_are_given_nothing_are_counted() -> None:
    result = await load(servers.events(0), clients=3, duration=0.2)
    assert result.silent == 3


@pytest.mark.parametrize(
    ("habit", "fault"),
    [
        (servers.events(1, status=b"503 No"), "status 503"),
        (servers.right, "content type is not text/event-stream"),
    ],
)
async def test_what_is_no_event_stream_is_told(habit: servers.Habit, fault: str) -> None:
    result = await load(habit, clients=2, duration=0.2)
    assert result.faults == {fault: 2}
    assert result.clients == 0
