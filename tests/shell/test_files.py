"""Files and uploads over real sockets: moved whole and in part, in order with other answers, and nothing left open."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from rat import FileResponse, Rat, Request, Response
from tests.support.serving import connect, serving

LARGE = bytes(range(256)) * 8192  # 2 MiB
LEAVING = 16 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "large.bin").write_bytes(LARGE)
    (root / "small.txt").write_bytes(b"small")
    with (root / "leaving.bin").open("wb") as file:
        file.truncate(LEAVING)
    return root


def app_for(root: Path) -> Rat:
    app = Rat()
    app.state.saves_ended = 0
    app.static("/static", root)

    @app.get("/file/{name}")
    async def by_name(request: Request, name: str) -> Response:
        return FileResponse(root / name)

    @app.get("/plain/{name}")
    def plain(request: Request, name: str) -> Response:
        return FileResponse(root / name)

    @app.put("/save", max_body=None)
    async def save(request: Request) -> Any:
        try:
            return {"size": await request.save(root / "saved")}
        finally:
            app.state.saves_ended += 1

    @app.post("/parts", max_body=None)
    async def parts(request: Request) -> Any:
        seen = []
        async for part in request.parts():
            digest = hashlib.sha256()
            async for piece in part:
                digest.update(piece)
            seen.append([part.name, part.filename, digest.hexdigest()])
        return seen

    return app


@pytest.mark.parametrize("ahead", [0, 1, 86_400])
@pytest.mark.parametrize("name", ["small.txt", "large.bin"])
async def test_no_file_is_from_the_future(root: Path, name: str, ahead: float) -> None:
    now = time.time() + ahead
    os.utime(root / name, (now, now))
    async with serving(app_for(root)) as server, connect(server, limit=1 << 22) as client:
        for target in (f"/static/{name}", f"/file/{name}"):
            await client.send(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            answer = await client.answer()
            modified = answer.field("last-modified") or ""
            assert parsedate_to_datetime(modified) <= parsedate_to_datetime(answer.field("date") or "")


def open_files(root: Path) -> list[str]:
    """What this process holds open below *root*."""
    names = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        if target.startswith(str(root)):
            names.append(target)
    return names


async def until_closed(root: Path) -> None:
    async with asyncio.timeout(10):
        while open_files(root):
            await asyncio.sleep(0)


def get(path: str, *fields: str, method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: example.test", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@pytest.mark.parametrize("prefix", ["/static", "/file", "/plain"])
async def test_files_whole_and_in_part_on_one_connection(root: Path, prefix: str) -> None:
    async with serving(app_for(root)) as server, connect(server) as client:
        await client.send(get(f"{prefix}/large.bin"))
        answer = await client.answer()
        assert (answer.status, answer.content == LARGE) == (200, True)
        etag = answer.field("etag")
        await client.send(get(f"{prefix}/large.bin", "Range: bytes=1000000-1999999"))
        answer = await client.answer()
        assert (answer.status, answer.content == LARGE[1_000_000:2_000_000]) == (206, True)
        assert answer.field("content-range") == f"bytes 1000000-1999999/{len(LARGE)}"
        await client.send(get(f"{prefix}/large.bin", "Range: bytes=0-99999, 1000000-1099999"))
        answer = await client.answer()
        assert answer.status == 206
        assert LARGE[:100_000] in answer.content
        assert LARGE[1_000_000:1_100_000] in answer.content
        await client.send(get(f"{prefix}/large.bin", f"If-None-Match: {etag}"))
        answer = await client.answer()
        assert (answer.status, answer.content) == (304, b"")
        await client.send(get(f"{prefix}/large.bin", "Range: bytes=5000000-"))
        answer = await client.answer()
        assert (answer.status, answer.field("content-range")) == (416, f"bytes */{len(LARGE)}")
        await client.send(get(f"{prefix}/large.bin", method="HEAD"))
        answer = await client.answer("HEAD")
        assert (answer.status, answer.field("content-length")) == (200, str(len(LARGE)))
        await client.send(get(f"{prefix}/small.txt"))
        answer = await client.answer()
        assert (answer.status, answer.content, answer.field("content-length")) == (200, b"small", "5")
        await until_closed(root)


async def test_pipelined_files_come_in_order(root: Path) -> None:
    wanted = ["large.bin", "small.txt", "large.bin", "none", "small.txt"]
    async with serving(app_for(root)) as server, connect(server) as client:
        await client.send(b"".join(get(f"/static/{name}") for name in wanted))
        answers = [await client.answer() for _ in wanted]
        assert [answer.status for answer in answers] == [200, 200, 200, 404, 200]
        assert answers[0].content == answers[2].content == LARGE
        assert answers[1].content == answers[4].content == b"small"
        await until_closed(root)


async def test_a_client_that_leaves_in_the_middle_leaves_no_file_open(root: Path) -> None:
    async with serving(app_for(root)) as server:
        async with connect(server, receive_buffer=4096) as client:
            await client.send(get("/static/leaving.bin"))
            await client.head()
            await client.reader.readexactly(1000)
            assert len(open_files(root)) == 1
            client.reset()
        await until_closed(root)


async def test_a_file_that_shrinks_cuts_the_connection(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(app_for(root)) as server, connect(server, receive_buffer=4096) as client:
        await client.send(get("/static/leaving.bin"))
        _, fields = await client.head()
        assert dict(fields)["content-length"] == str(LEAVING)
        os.truncate(root / "leaving.bin", LEAVING // 2)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.reader.readexactly(LEAVING)
        await until_closed(root)


@pytest.mark.parametrize(
    "target", ["/static/../root/small.txt", "/static/%2e%2e/root/small.txt", "/static/..%2froot%2fsmall.txt"]
)
async def test_no_path_leads_outside(root: Path, target: str) -> None:
    async with serving(app_for(root)) as server, connect(server) as client:
        await client.send(get(target))
        answer = await client.answer()
        assert answer.status == 404
        assert b"small" not in answer.content


async def test_an_upload_goes_to_a_file(root: Path) -> None:
    async with serving(app_for(root)) as server, connect(server) as client:
        await client.send(get("/save", f"Content-Length: {len(LARGE)}", "Expect: 100-continue", method="PUT"))
        assert (await client.head())[0] == 100
        await client.send(LARGE)
        answer = await client.answer()
        assert (answer.status, answer.content) == (200, b'{"size":%d}' % len(LARGE))
        assert (root / "saved").read_bytes() == LARGE
        assert open_files(root) == []


async def test_an_upload_that_breaks_off_leaves_nothing_behind(root: Path) -> None:
    before = sorted(path.name for path in root.iterdir())
    app = app_for(root)
    async with serving(app) as server:
        async with connect(server) as client:
            await client.send(get("/save", f"Content-Length: {LEAVING}", method="PUT") + LARGE)
            client.reset()
        async with asyncio.timeout(10):
            while not app.state.saves_ended:
                await asyncio.sleep(0)
        assert sorted(path.name for path in root.iterdir()) == before
        assert open_files(root) == []


async def test_parts_of_a_large_upload_arrive_whole(root: Path) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="%b"; filename="f.bin"\r\n\r\n%b\r\n'
    content = part % (b"one", LARGE) + part % (b"two", b"") + part % (b"three", LARGE[:-1]) + b"--x--\r\n"
    fields = (f"Content-Length: {len(content)}", "Content-Type: multipart/form-data; boundary=x")
    async with serving(app_for(root)) as server, connect(server) as client:
        await client.send(get("/parts", *fields, method="POST") + content)
        answer = await client.answer()
    digests = [hashlib.sha256(data).hexdigest() for data in (LARGE, b"", LARGE[:-1])]
    names = ["one", "two", "three"]
    expected = ",".join(f'["{name}","f.bin","{digest}"]' for name, digest in zip(names, digests, strict=True))
    assert answer.content == f"[{expected}]".encode()
