"""Files as answers: whole, in part, or not at all; and what is no file."""

from __future__ import annotations

import asyncio
import math
import os
import re
import time
from email.message import Message
from email.parser import BytesParser
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from rat import FileResponse, Rat, Request, Response
from rat.events import FileRegion
from rat.mediatypes import content_disposition, guess_media_type
from rat.opening import SMALL, FileCache, open_path
from rat.threads import in_thread
from tests.app.support import answer, content_of, json_of, length_of

WHEN = 1_700_000_000
SMALL_CONTENT = bytes(range(100))
LARGE_CONTENT = bytes(range(250)) * 400


@pytest.fixture(params=["small", "large"])
def content(request: pytest.FixtureRequest) -> bytes:
    return SMALL_CONTENT if request.param == "small" else LARGE_CONTENT


@pytest.fixture
def path(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(content)
    os.utime(path, (WHEN, WHEN))
    return path


def app_for(path: Any, **options: Any) -> Rat:
    app = Rat()

    @app.route("/", methods=["GET", "POST"])
    async def handler(request: Request) -> Response:
        return FileResponse(path, **options)

    @app.get("/plain")
    def plain(request: Request) -> Response:
        return FileResponse(path, **options)

    return app


@pytest.fixture(autouse=True)
def kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are written right before they are asked for."""
    monkeypatch.setattr("rat.opening._SETTLES", -math.inf)


@pytest.mark.parametrize("target", ["/", "/plain"])
async def test_a_whole_file(path: Path, content: bytes, target: str) -> None:
    response = await answer(app_for(path), target=target)
    headers = response.headers
    assert response.status == 200
    assert headers["content-type"] == "application/octet-stream"
    assert length_of(response) == len(content)
    assert headers["last-modified"] == formatdate(WHEN, usegmt=True)
    assert headers["accept-ranges"] == "bytes"
    assert re.fullmatch('"[0-9a-f]+-[0-9a-f]+"', headers["etag"])
    assert not response.is_open_ended
    assert await content_of(response) == content
    if len(content) > SMALL:
        assert isinstance(response.body, list)
        (region,) = response.body
        assert isinstance(region, FileRegion)
        assert not region.file.closed
        response.close()
        assert region.file.closed
    else:
        assert isinstance(response.body, bytes)


@pytest.mark.parametrize("repeat", [1, 2])
async def test_a_head_request_says_the_same(path: Path, content: bytes, repeat: int) -> None:
    app = app_for(path)
    for _ in range(repeat):
        response = await answer(app, "HEAD")
        assert response.status == 200
        assert length_of(response) == len(content)
        response.close()


async def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    response = await answer(app_for(tmp_path / "empty.txt"))
    assert (response.status, response.body) == (200, b"")
    assert length_of(response) == 0


RANGES: list[tuple[str, int, list[tuple[int, int]]]] = [
    ("bytes=0-9", 206, [(0, 10)]),
    ("bytes=10-", 206, [(10, -1)]),
    ("bytes=-5", 206, [(-5, -1)]),
    ("BYTES=0-0", 206, [(0, 1)]),
    ("bytes=99-1000000", 206, [(99, -1)]),
    ("bytes=0-3,6-9", 206, [(0, 10)]),
    ("bytes=1000000-", 416, []),
    ("bytes=-0", 416, []),
    ("bytes=5-2", 200, []),
    ("bytes=x", 200, []),
    ("lines=0-1", 200, []),
    ("bytes=0-,0-", 200, []),
    ("bytes=" + ",".join(f"{i}-{i}" for i in range(9)), 200, []),
    ("bytes=" + ",".join(f"{i}-{i}" for i in range(1000)), 200, []),
]


@pytest.mark.parametrize(("value", "status", "parts"), RANGES)
async def test_ranges(path: Path, content: bytes, value: str, status: int, parts: list[tuple[int, int]]) -> None:
    response = await answer(app_for(path), fields=[("Range", value)])
    size = len(content)
    assert response.status == status
    if status == 206:
        start, stop = ((edge + (size if i == 0 else size + 1)) if edge < 0 else edge for i, edge in enumerate(parts[0]))
        assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        assert length_of(response) == stop - start
        assert response.headers["content-type"] == "application/octet-stream"
        assert await content_of(response) == content[start:stop]
    elif status == 416:
        assert response.headers["content-range"] == f"bytes */{size}"
        assert response.headers["content-type"] == "application/problem+json"
        assert "etag" not in response.headers
    else:
        assert await content_of(response) == content
    response.close()


@pytest.mark.parametrize("value", ["bytes=0-99,200-299,-10", "bytes=200-299,0-99"])
async def test_several_ranges_are_parts(tmp_path: Path, value: str) -> None:
    for content in (bytes(range(256)) * 4, bytes(range(256)) * 400):
        path = tmp_path / "page.html"
        path.write_bytes(content)
        response = await answer(app_for(path), fields=[("Range", value)])
        assert response.status == 206
        data = await content_of(response)
        assert length_of(response) == len(data)
        assert "content-range" not in response.headers
        kind = response.headers["content-type"]
        assert kind.startswith("multipart/byteranges; boundary=")
        message = BytesParser().parsebytes(f"Content-Type: {kind}\r\n".encode() + data)
        parts = message.get_payload()
        assert isinstance(parts, list)
        got = []
        for part in parts:
            assert isinstance(part, Message)
            assert part["content-type"] == "text/html; charset=utf-8"
            matched = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", part["content-range"])
            assert matched is not None
            start, last, size = map(int, matched.groups())
            assert size == len(content)
            got.append((start, last + 1))
        wanted = [(0, 100), (200, 300), (len(content) - 10, len(content))]
        assert got == (wanted if "-10" in value else [wanted[1], wanted[0]])
        for start, stop in got:
            assert content[start:stop] in data
        response.close()


def etag_of(path: Path) -> str:
    opened = open_path(path)
    opened.close()
    return opened.etag.decode()


THEN, NOW, LATER = (formatdate(moment, usegmt=True) for moment in (WHEN - 60, WHEN, WHEN + 60))

PRECONDITIONS: list[tuple[list[tuple[str, str]], int]] = [
    ([("If-None-Match", "ETAG")], 304),
    ([("If-None-Match", 'W/ETAG, "x"')], 304),
    ([("If-None-Match", "*")], 304),
    ([("If-None-Match", '"x"')], 200),
    ([("If-None-Match", '"x"'), ("If-Modified-Since", LATER)], 200),
    ([("If-Modified-Since", NOW)], 304),
    ([("If-Modified-Since", THEN)], 200),
    ([("If-Modified-Since", "yesterday")], 200),
    ([("If-Match", "ETAG")], 200),
    ([("If-Match", '"x"')], 412),
    ([("If-Match", "*")], 200),
    ([("If-Unmodified-Since", THEN)], 412),
    ([("If-Unmodified-Since", NOW)], 200),
    ([("If-Match", '"x"'), ("If-None-Match", "ETAG")], 412),
    ([("Range", "bytes=0-1"), ("If-Range", "ETAG")], 206),
    ([("Range", "bytes=0-1"), ("If-Range", NOW)], 206),
    ([("Range", "bytes=0-1"), ("If-Range", '"x"')], 200),
    ([("Range", "bytes=0-1"), ("If-Range", "W/ETAG")], 200),
    ([("Range", "bytes=0-1"), ("If-None-Match", "ETAG")], 304),
    ([("Range", "bytes=1000000-"), ("If-Match", '"x"')], 412),
]


@pytest.mark.parametrize(("fields", "status"), PRECONDITIONS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_preconditions(
    path: Path, content: bytes, fields: list[tuple[str, str]], status: int, method: str
) -> None:
    etag = etag_of(path)
    app = app_for(path, headers={"Cache-Control": "max-age=60", "X-Own": "1"})
    response = await answer(app, method, fields=[(name, value.replace("ETAG", etag)) for name, value in fields])
    if method == "HEAD" and status == 206:
        status = 200  # ranges are for GET alone
    assert response.status == status
    if status == 304:
        assert response.body == b""
        assert response.headers["etag"] == etag
        assert response.headers["cache-control"] == "max-age=60"
        assert not {"content-type", "content-length", "x-own"} & set(response.headers.keys())
    response.close()


async def test_other_methods_and_other_statuses_are_not_judged(path: Path, content: bytes) -> None:
    fields = [("If-None-Match", "*"), ("Range", "bytes=0-1")]
    response = await answer(app_for(path), "POST", fields=fields)
    assert response.status == 200
    assert await content_of(response) == content
    response.close()
    response = await answer(app_for(path, status=404), fields=fields)
    assert response.status == 404
    assert await content_of(response) == content
    response.close()


async def test_fields_of_the_application_win(path: Path) -> None:
    app = app_for(path, content_type="text/x-own", headers={"ETag": '"mine"', "X-A": "1"}, filename="ü.txt")
    response = await answer(app, fields=[("If-None-Match", '"other"')])
    assert response.headers.getlist("etag") == ['"mine"']
    assert response.headers.getlist("content-type") == ["text/x-own"]
    assert response.headers["x-a"] == "1"
    assert response.headers["content-disposition"] == "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt"
    response.close()
    assert (await answer(app, fields=[("If-None-Match", '"mine"')])).status == 304


async def test_a_file_that_changes_is_seen_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one")
    app = app_for(path)
    first = await answer(app)
    assert (await answer(app)).body == b"one"
    path.write_bytes(b"two")
    os.utime(path, (WHEN, WHEN))
    second = await answer(app)
    assert second.body == b"two"
    assert first.headers["etag"] != second.headers["etag"]
    path.unlink()
    assert (await answer(app)).status == 404


@pytest.mark.parametrize("target", ["/", "/plain"])
@pytest.mark.parametrize(
    ("kind", "status", "detail"),
    [
        ("missing", 404, "no such file"),
        ("directory", 404, "not a regular file"),
        ("fifo", 404, "not a regular file"),
        ("below a file", 404, "no such file"),
        ("nul", 404, "no such file"),
        ("long", 404, "no such file"),
        ("loop", 404, "no such file"),
        ("device", 404, "not a regular file"),
    ],
)
async def test_what_is_no_file(tmp_path: Path, kind: str, status: int, detail: str, target: str) -> None:
    path = tmp_path / "x"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "below a file":
        path.touch()
        path = path / "y"
    elif kind == "nul":
        path = tmp_path / "x\0y"
    elif kind == "long":
        path = tmp_path / ("x" * 300)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "device":
        path = Path("/dev/null")
    response = await answer(app_for(path), target=target)
    assert (response.status, (await json_of(response))["detail"]) == (status, detail)


async def test_a_file_that_may_not_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    response = await answer(app_for(path))
    assert (response.status, (await json_of(response))["detail"]) == (403, "the file may not be read")


async def test_a_disk_error_is_a_500(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: Any, **options: Any) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "open", fail)
    assert (await answer(app_for(path))).status == 500
    assert "Input/output error" in caplog.text


async def test_callbacks_of_the_answer_run_after_the_file_was_sent(path: Path) -> None:
    seen: list[str] = []
    app = Rat()

    @app.get("/")
    async def handler(request: Request) -> Response:
        response = FileResponse(path)
        response.on_close(lambda: seen.append("closed"))
        return response

    response = await answer(app)
    assert seen == []
    response.close()
    assert seen == ["closed"]


async def test_a_file_opened_for_nobody_is_closed() -> None:
    closed: list[str] = []
    started = asyncio.Event()
    loop = asyncio.get_running_loop()
    release = asyncio.Event()

    def work() -> str:
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        return "file"

    task = asyncio.create_task(in_thread(work, discard=closed.append))
    await started.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == ["file"]


async def test_the_cache_is_bounded(tmp_path: Path) -> None:
    cache = FileCache(most_bytes=5_000)
    for name in "abcd":
        (tmp_path / name).write_bytes(b"x" * 500)
        cache.put(name, open_path(tmp_path / name), ())
    assert cache.size <= 5_000
    assert [cache.get(name) is not None for name in "abcd"] == [False, True, True, True]
    (tmp_path / "big").write_bytes(b"x" * (SMALL + 1))
    big = open_path(tmp_path / "big")
    cache.put("big", big, ())
    assert cache.get("big") is None
    big.close()


async def test_when_the_cache_looks_again(tmp_path: Path) -> None:
    now = 100.0
    cache = FileCache(recheck=1.0, fresh=5.0, clock=lambda: now)
    path = tmp_path / "a"
    path.write_bytes(b"one")
    cache.put("a", open_path(path), ())
    now = 102.0
    found = cache.get("a")
    assert found is not None
    path.write_bytes(b"other")
    now = 102.9
    assert cache.get("a") == found
    now = 103.0
    assert cache.get("a") is None
    assert cache.size == 0
    cache.put("a", open_path(path), ())
    now = 107.9
    found = cache.get("a")
    assert found is not None
    now = 108.9
    assert cache.get("a") is None  # unchanged, but a better one may be beside it by now
    assert cache.get("a") == found  # one caller looks for that
    now = 109.9
    assert cache.get("a") == found
    path.unlink()
    now = 113.9
    assert cache.get("a") is None
    assert cache.size == 0


def test_what_changed_just_now_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    # Another change of the same size in the same tick of the file system's clock would go unseen.
    cache = FileCache()
    path = tmp_path / "a"
    path.write_bytes(b"one")
    opened = open_path(path)
    assert opened.looked == pytest.approx(time.time(), abs=10)
    opened.looked = path.stat().st_ctime + 0.09
    cache.put("a", opened, ())
    assert cache.get("a") is None
    opened.looked += 0.02
    cache.put("a", opened, ())
    assert cache.get("a") is not None


def test_how_long_an_opened_file_waits_for_the_cache_does_not_settle_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    path = tmp_path / "a"
    path.write_bytes(b"one")
    opened = open_path(path)
    opened.looked = path.stat().st_ctime + 0.05
    cache = FileCache()
    later = time.time() + 1.0
    monkeypatch.setattr(time, "time", lambda: later)
    cache.put("a", opened, ())
    assert cache.get("a") is None


@pytest.mark.parametrize(("size", "in_memory"), [(SMALL - 1, True), (SMALL, True), (SMALL + 1, False)])
def test_how_small_is_small(tmp_path: Path, size: int, in_memory: bool) -> None:
    (tmp_path / "x").write_bytes(b"x" * size)
    one = open_path(tmp_path / "x")
    assert (one.content is not None, one.file is None) == (in_memory, in_memory)
    one.close()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("dir.d/a.JS", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.png", "image/png"),
        ("a.svg", "image/svg+xml"),
        ("a.wasm", "application/wasm"),
        ("a.tar.gz", "application/gzip"),
        ("a.css.br", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
        ("data.d/a", "application/octet-stream"),
    ],
)
def test_media_types_by_name(name: str, kind: str) -> None:
    assert guess_media_type(name) == kind


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a.txt", 'attachment; filename="a.txt"'),
        ("a b.txt", 'attachment; filename="a b.txt"'),
        ('a"b\\c%.txt', "attachment; filename=\"a_b_c_.txt\"; filename*=UTF-8''a%22b%5Cc%25.txt"),
        ("naïve €.txt", "attachment; filename=\"na_ve _.txt\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt"),
        ("a\r\nb", "attachment; filename=\"a__b\"; filename*=UTF-8''a%0D%0Ab"),
        # What UTF-8 cannot say is replaced.
        ("\udcff.txt", 'attachment; filename="?.txt"'),
    ],
)
def test_names_of_downloads(name: str, value: str) -> None:
    assert content_disposition(name) == value
    assert content_disposition("a", inline=True) == 'inline; filename="a"'
