"""A server whose clients have left comes to rest before the next one has its turn."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from bench.harness.server import Server
from bench.peers.apps import asgi
from tests.bench.servers import peer


def started(habit: str, work: Path) -> Server:
    return Server(peer(habit), python=sys.executable, files=work, work=work, floor="", core=None)


def test_a_server_whose_clients_have_left_comes_to_rest(tmp_path: Path) -> None:
    with started("right", tmp_path) as server:
        assert server.settle(10.0)


def test_a_server_that_goes_on_for_those_who_left_is_found(tmp_path: Path) -> None:
    with started("restless", tmp_path) as server:
        # One look each: it seems to rest while others have the processor that it wants.
        assert not all(server.settle(0.05) for _ in range(20))


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
