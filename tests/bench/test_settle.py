"""A server whose clients have left comes to rest before the next one has its turn."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.harness.server import Server
from bench.peers.apps import asgi
from tests.bench.servers import peer


@pytest.mark.parametrize(("habit", "calm"), [("right", True), ("restless", False)])
def test_a_server_that_goes_on_for_those_who_left_is_found(tmp_path: Path, habit: str, calm: bool) -> None:
    with Server(peer(habit), python=sys.executable, files=tmp_path, work=tmp_path, floor="", core=None) as server:
        assert server.settle(0.5) is calm


def test_the_plain_application_ends_a_stream_whose_client_has_left() -> None:
    async def run() -> tuple[list[str], int]:
        events = iter(["http.request", "http.disconnect"])
        sent: list[str] = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0)
            return {"type": next(events)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message["type"])

        await asgi.app({"type": "http", "path": "/events"}, receive, send)
        await asyncio.sleep(0)  # the stream, which was told to end, does
        return sent, asgi.ticker.subscribers

    assert asyncio.run(run()) == (["http.response.start", "http.response.body"], 0)
