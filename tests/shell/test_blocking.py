"""The blocking client, from a thread beside the server's loop."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rat import blocking
from rat.client import Retry
from rat.errors import CallError, ConnectionLost
from tests.shell.test_frames import make_app, wait_for
from tests.support.serving import serving


async def test_a_script_calls_streams_and_moves_blobs(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 2000)

    def script(url: str) -> None:
        with blocking.connect(url, timeout=20.0) as client:
            assert client.call("add", 1, b=2) == 3
            assert list(client.stream("plain ticks", 4)) == [0, 1, 2, 3]
            assert client.upload("size", source) == 512_000
            assert client.download("blob", tmp_path / "down", 300_000) == 300_000
            with pytest.raises(CallError, match="not_found"):
                client.download("absent", tmp_path / "down")
            assert (tmp_path / "down").stat().st_size == 300_000
            with pytest.raises(CallError, match="mine: said so"):
                client.call("boom", "call")
            with pytest.raises(CallError, match="not_found"):
                next(client.stream("nope"))
        client.close()
        assert (tmp_path / "down").read_bytes() == b"x" * 300_000

    async with serving(make_app()) as server:
        await asyncio.to_thread(script, f"rat://127.0.0.1:{server.port}")
    assert not [thread for thread in threading.enumerate() if thread.name == "rat client"]


async def test_a_stream_that_is_left_is_cancelled_at_the_server() -> None:
    app = make_app()
    items: list[dict[str, int]] = []

    def script(url: str) -> None:
        with blocking.connect(url) as client:
            stream: Iterator[dict[str, int]] = client.stream("ticks", 1_000_000)
            items.append(next(stream))
            stream.close()  # type: ignore[attr-defined]
            assert client.call("add", 1, 1) == 2

    async with serving(app) as server:
        await asyncio.to_thread(script, f"rat://127.0.0.1:{server.port}")
        await wait_for(app, "ticks closed")
    assert items == [{"number": 0}]


async def test_a_stream_that_the_thread_of_the_loop_collects_holds_up_nobody() -> None:
    app = make_app()

    def script(url: str) -> None:
        with blocking.connect(url) as client:
            held: list[object] = [client.stream("ticks", 1_000_000)]
            assert next(held[0]) == {"number": 0}  # type: ignore[call-overload]
            held.append(held)
            del held
            client._loop.call_soon_threadsafe(gc.collect)
            assert client.call("add", 1, 1) == 2

    async with serving(app) as server:
        await asyncio.to_thread(script, f"rat://127.0.0.1:{server.port}")
        await wait_for(app, "ticks closed")


async def test_what_threads_wait_for_is_lost_when_one_of_them_closes() -> None:
    app = make_app()

    def script(url: str) -> list[str]:
        client = blocking.connect(url)
        begun, told = threading.Semaphore(0), []

        def other() -> None:
            try:
                while list(client.stream("plain ticks", 2)) == [0, 1]:
                    begun.release()
            except ConnectionLost as lost:
                told.append(str(lost))

        threads = [threading.Thread(target=other) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            begun.acquire()
        stream = client.stream("ticks", 1_000_000)
        next(stream)
        client.close()
        for thread in threads:
            thread.join(20)
        with pytest.raises(ConnectionLost, match="the client is closed"):
            next(stream)
        with pytest.raises(ConnectionLost, match="the client is closed"):
            client.call("add", 1, 1)
        return told

    async with serving(app) as server:
        for _ in range(5):
            assert len(await asyncio.to_thread(script, f"rat://127.0.0.1:{server.port}")) == 3


async def test_a_script_is_told_that_nobody_is_there() -> None:
    async with serving(make_app()) as server:
        port = server.port

    def script() -> None:
        with pytest.raises(ConnectionLost, match="cannot connect to"):
            blocking.connect(f"rat://127.0.0.1:{port}", retry=Retry(attempts=1))

    await asyncio.to_thread(script)
    assert not [thread for thread in threading.enumerate() if thread.name == "rat client"]
