"""Files as events: whole, interrupted and gone on with, changed in between."""

from __future__ import annotations

import base64
import gc
import hashlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from rat.stream.iterators import ThreadedIterator
from rat.stream.large_file import send_large_file
from rat.stream.sse import EncodedEvent
from tests.support.sse import EventSource


@pytest.fixture(autouse=True)
def _leaves_no_thread() -> Iterator[None]:
    yield
    gc.collect()
    for thread in threading.enumerate():
        if thread.name == "rat-iterator":
            thread.join(5)
            assert not thread.is_alive()


def make(path: Path, size: int) -> bytes:
    content = bytes(index * 7 % 251 for index in range(size))
    path.write_bytes(content)
    return content


class Client:
    """Puts a file together from what it receives."""

    def __init__(self) -> None:
        self.source = EventSource()
        self.content = bytearray()
        self.said: list[tuple[str, dict[str, Any]]] = []

    async def receive(self, events: ThreadedIterator[EncodedEvent], most: int | None = None) -> None:
        async for event in events:
            self.source.feed(event.wire)
            for received in self.source.events:
                data = orjson.loads(received.data)
                if received.event == "chunk":
                    assert data["offset"] == len(self.content)
                    self.content += base64.b64decode(data.pop("data"), validate=True)
                self.said.append((received.event, data))
            self.source.events.clear()
            if most is not None and sum(name == "chunk" for name, _ in self.said) >= most:
                break
        await events.aclose()

    def last(self, name: str) -> dict[str, Any]:
        return [data for said, data in self.said if said == name][-1]


@pytest.mark.parametrize(("size", "chunks"), [(0, 0), (1, 1), (99, 1), (100, 1), (101, 2), (1000, 10)])
async def test_a_file_arrives_whole(tmp_path: Path, size: int, chunks: int) -> None:
    content = make(tmp_path / "a.bin", size)
    client = Client()
    await client.receive(await send_large_file(tmp_path / "a.bin", chunk_size=100, progress_every=4))
    assert bytes(client.content) == content
    start = {"name": "a.bin", "size": size, "chunk_size": 100, "chunks": chunks, "offset": 0}
    assert client.said[0] == ("start", start)
    assert client.said[-1] == ("complete", {"size": size, "sha256": hashlib.sha256(content).hexdigest()})
    assert [data["index"] for name, data in client.said if name == "chunk"] == list(range(chunks))
    progress = [data["sent"] for name, data in client.said if name == "progress"]
    assert progress == [400, 800][: chunks // 4]


@pytest.mark.parametrize("stop", [1, 3, 9, 10])
async def test_an_interrupted_client_goes_on_where_it_was(tmp_path: Path, stop: int) -> None:
    path = tmp_path / "a.bin"
    content = make(path, 1000)
    client = Client()
    await client.receive(await send_large_file(path, chunk_size=100), most=stop)
    assert len(client.content) == stop * 100
    await client.receive(await send_large_file(path, chunk_size=100, after=client.source.last_event_id))
    assert bytes(client.content) == content
    assert client.last("start")["offset"] == stop * 100
    assert client.last("complete")["sha256"] == hashlib.sha256(content).hexdigest()
    assert client.source.comments == [f"{stop * 100} of {stop * 100} bytes hashed"]


@pytest.mark.parametrize("change", ["content", "chunk size", "foreign id", "beyond the end"])
async def test_what_does_not_fit_starts_anew(tmp_path: Path, change: str) -> None:
    path = tmp_path / "a.bin"
    make(path, 1000)
    client = Client()
    await client.receive(await send_large_file(path, chunk_size=100), most=3)
    after = client.source.last_event_id
    chunk_size = 100
    if change == "content":
        make(path, 900)
    elif change == "chunk size":
        chunk_size = 50
    elif change == "foreign id":
        after = "x-2"
    else:
        after = after.rpartition("-")[0] + "-10"
    client = Client()
    await client.receive(await send_large_file(path, chunk_size=chunk_size, after=after))
    assert bytes(client.content) == path.read_bytes()


async def test_an_open_file_is_sent_and_closed() -> None:
    file = io.BytesIO(b"abcdef")
    client = Client()
    await client.receive(await send_large_file(file, chunk_size=4, name="x", version="v1"), most=1)
    assert file.closed
    assert client.source.last_event_id == "v1.4-0"
    await client.receive(await send_large_file(io.BytesIO(b"abcdef"), chunk_size=4, after="v1.4-0", version="v1"))
    assert bytes(client.content) == b"abcdef"
    unnamed = Client()
    await unnamed.receive(await send_large_file(io.BytesIO(b"abcdef"), chunk_size=4, after="v1.4-0"))
    assert bytes(unnamed.content) == b"abcdef"
    assert unnamed.source.last_event_id == ""


async def test_a_file_is_closed_when_no_event_was_asked_for() -> None:
    file = io.BytesIO(b"abcdef")
    events = await send_large_file(file)
    await events.aclose()
    assert file.closed


async def test_a_file_that_shrinks_breaks_the_stream(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    make(path, 1_000_000)
    events = await send_large_file(path, chunk_size=100_000)
    path.write_bytes(b"short")
    client = Client()
    with pytest.raises(OSError, match=r"the file ended at byte \d+ of 1000000 while it was sent"):
        await client.receive(events)
    assert all(name != "complete" for name, _ in client.said)
    await events.aclose()


async def test_errors_come_before_the_stream_begins(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await send_large_file(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        await send_large_file(tmp_path)
    with pytest.raises(ValueError, match="chunks of 0 bytes, and must be of 1 to 1048576"):
        await send_large_file(tmp_path / "none", chunk_size=0)
    with pytest.raises(ValueError, match="progress after every -1 chunks"):
        await send_large_file(tmp_path / "none", progress_every=-1)
    with pytest.raises(ValueError, match=r"version .* has"):
        await send_large_file(tmp_path / "none", version="a\nb")
