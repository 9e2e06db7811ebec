"""The load by large frames: right servers have no fault, wrong ones have."""

from __future__ import annotations

import asyncio
import importlib
import os
from pathlib import Path
from typing import Any

import pytest

from bench.harness.blob_client import run
from bench.peers.apps.blobs_app import Counting, Echo, Items, Naive, Pool
from tests.support.serving import serving

SIZE = 200_000


async def figures(protocol: Any, mode: str, size: int = SIZE) -> dict[str, Any]:
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    async with server:
        return await run(mode, server.sockets[0].getsockname()[1], size, "", 0.05, os.getpid())


@pytest.mark.parametrize(
    ("protocol", "mode", "size"),
    [(Echo, "values", SIZE), (Echo, "streams", SIZE), (Items, "items", 0), (Naive, "receive", 1024),
     (Pool, "receive", 1024), (Pool, "receive", SIZE), (Naive, "receive", SIZE)],
)  # fmt: skip
async def test_a_right_server_has_no_fault(protocol: Any, mode: str, size: int) -> None:
    result = await figures(protocol, mode, size)
    assert result["faults"] == {}
    assert result["answers"] > 0
    assert result["content_bytes"] > 0


@pytest.mark.parametrize(("mode", "call"), [("values", "blob"), ("streams", "blob-stream"), ("items", "records")])
async def test_this_server_has_no_fault(mode: str, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_FILES", str(tmp_path))
    app = importlib.reload(importlib.import_module("bench.peers.apps.rat_app")).app
    async with serving(app) as server:
        result = await run(mode, server.port, SIZE, call, 0.05, os.getpid())
    assert result["faults"] == {}
    assert result["answers"] > 0


class Wrong(Echo):
    def answer(self, head: tuple[int, int, int, int, int], payload: Any) -> None:
        if len(payload) > 1000:
            payload = bytearray(payload)
            payload[500] ^= 1
        super().answer(head, payload)


@pytest.mark.parametrize("mode", ["values", "streams"])
async def test_a_server_that_changes_a_bit_has_faults(mode: str) -> None:
    assert (await figures(Wrong, mode))["faults"]


class Forgetful(Naive):
    def frame(self, kind: int, payload: Any) -> None:
        Counting.frame(self, kind, payload[:-1] if kind == 9 else payload)


async def test_a_server_that_counts_wrongly_has_faults() -> None:
    assert (await figures(Forgetful, "receive"))["faults"]
