"""What goes wrong with files, over real sockets: a clear answer or a cut connection, never a wrong body."""

from __future__ import annotations

import asyncio
import os
from io import FileIO
from pathlib import Path

import pytest

from rat import FileResponse, Rat, Request, Response
from rat.events import Buffer, FileRegion
from tests.shell.test_files import LARGE, LEAVING, get, until_closed
from tests.support.serving import Answer, connect, serving

SMALL = b"0123456789"
NOT_UTF_8 = b"/\xff\xfe.txt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "directory").mkdir(parents=True)
    (root / "large.bin").write_bytes(LARGE)
    (root / "small.txt").write_bytes(SMALL)
    (root / "empty.txt").write_bytes(b"")
    (root / "closed.txt").write_bytes(SMALL)
    (root / "closed.txt").chmod(0)
    with (root / "leaving.bin").open("wb") as file:
        file.truncate(LEAVING)
    os.mkfifo(root / "fifo")
    Path(os.fsdecode(os.fsencode(root) + NOT_UTF_8)).write_bytes(b"no UTF-8")
    return root


def app_for(root: Path) -> Rat:
    app = Rat()
    app.static("/static", root)

    @app.get("/file/{name:path}")
    async def by_name(request: Request, name: str) -> Response:
        return FileResponse(root / name)

    @app.get("/plain/{name:path}")
    def plain(request: Request, name: str) -> Response:
        return FileResponse(root / name)

    @app.get("/raw-name")
    def raw_name(request: Request) -> Response:
        return FileResponse(os.fsdecode(os.fsencode(root) + NOT_UTF_8))

    return app


async def ask(root: Path, request: bytes) -> Answer:
    """The answer, on a connection that then answers another request as if nothing had been."""
    async with serving(app_for(root)) as server, connect(server) as client:
        await client.send(request)
        answer = await client.answer()
        await client.send(get("/static/small.txt"))
        assert (await client.answer()).content == SMALL
    await until_closed(root)
    return answer


def of(answer: Answer) -> tuple[int, str | None, bytes]:
    return answer.status, answer.field("content-range"), answer.content


SPACED = ",".join(f"{start}-{start}" for start in range(0, 2000, 2))
SIZE = len(LARGE)


@pytest.mark.parametrize("prefix", ["/static", "/file", "/plain"])
@pytest.mark.parametrize(
    ("name", "ranges", "expected"),
    [
        # More ranges than are sent apart, or more bytes than the file has: RFC 9110, section 14.2, lets us send it all.
        ("large.bin", SPACED, (200, None, LARGE)),
        ("large.bin", ",".join(["0-"] * 1000), (200, None, LARGE)),
        ("large.bin", ",".join(["0-99"] * 1000), (200, None, LARGE)),
        ("large.bin", ",".join(["0-99"] * 8), (206, f"bytes 0-99/{SIZE}", LARGE[:100])),
        ("large.bin", "0-99,50-149,149-199", (206, f"bytes 0-199/{SIZE}", LARGE[:200])),
        ("large.bin", "100-199,0-99", (206, f"bytes 0-199/{SIZE}", LARGE[:200])),
        ("small.txt", "0-3,2-5", (206, "bytes 0-5/10", b"012345")),
        ("small.txt", "8-99999999999999999999999", (206, "bytes 8-9/10", b"89")),
        ("small.txt", "-99", (206, "bytes 0-9/10", SMALL)),
        ("small.txt", "9-9,10-10", (206, "bytes 9-9/10", b"9")),
    ],
)
async def test_ranges(root: Path, prefix: str, name: str, ranges: str, expected: tuple[int, str | None, bytes]) -> None:
    assert of(await ask(root, get(f"{prefix}/{name}", f"Range: bytes={ranges}"))) == expected


@pytest.mark.parametrize("prefix", ["/static", "/file", "/plain"])
@pytest.mark.parametrize(
    ("name", "ranges", "extent"),
    [
        ("small.txt", "10-", "bytes */10"),
        ("small.txt", "10-20,30-40", "bytes */10"),
        ("small.txt", "-0", "bytes */10"),
        ("empty.txt", "0-", "bytes */0"),
        ("large.bin", f"{SIZE}-", f"bytes */{SIZE}"),
    ],
)
async def test_ranges_beyond_the_end(root: Path, prefix: str, name: str, ranges: str, extent: str) -> None:
    answer = await ask(root, get(f"{prefix}/{name}", f"Range: bytes={ranges}"))
    assert (answer.status, answer.field("content-range")) == (416, extent)


@pytest.mark.parametrize("ranges", ["bytes=", "bytes=a-b", "bytes=5-2", "lines=0-1", "bytes=0-1;2-3", "bytes 0-1"])
async def test_ranges_that_are_none_count_as_absent(root: Path, ranges: str) -> None:
    assert of(await ask(root, get("/static/small.txt", f"Range: {ranges}"))) == (200, None, SMALL)


@pytest.mark.parametrize("prefix", ["/static", "/file", "/plain"])
@pytest.mark.parametrize(
    "name", ["directory", "directory/", "fifo", "none", "%ff%fe.txt", "small.txt%00", "x" * 300, "small.txt/more"]
)
async def test_what_is_no_file_is_not_found(root: Path, prefix: str, name: str) -> None:
    async with asyncio.timeout(10):  # nobody writes into the FIFO
        answer = await ask(root, get(f"{prefix}/{name}"))
    assert answer.status == 404
    assert str(root).encode() not in answer.content


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
@pytest.mark.parametrize("prefix", ["/static", "/file", "/plain"])
async def test_a_file_without_permission_is_forbidden(root: Path, prefix: str) -> None:
    answer = await ask(root, get(f"{prefix}/closed.txt"))
    assert answer.status == 403
    assert str(root).encode() not in answer.content


async def test_an_application_may_name_a_file_that_is_no_utf_8(root: Path) -> None:
    assert of(await ask(root, get("/raw-name"))) == (200, None, b"no UTF-8")


@pytest.mark.parametrize("fields", [(), ("Range: bytes=1000-",)])
async def test_a_file_that_shrinks_between_head_and_end_is_cut(root: Path, fields: tuple[str, ...]) -> None:
    async with serving(app_for(root)) as server, connect(server, receive_buffer=4096) as client:
        await client.send(get("/file/leaving.bin", *fields))
        _, lines = await client.head()
        length = int(dict(lines)["content-length"])
        os.truncate(root / "leaving.bin", 10_000)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.reader.readexactly(length)
        await until_closed(root)


async def test_a_small_file_that_shrinks_is_read_again(root: Path) -> None:
    async with serving(app_for(root)) as server, connect(server) as client:
        await client.send(get("/file/small.txt"))
        assert (await client.answer()).content == SMALL
        os.truncate(root / "small.txt", 3)
        await client.send(get("/file/small.txt"))
        assert (await client.answer()).content == SMALL[:3]


@pytest.mark.parametrize("whole_before", [0, 1])
async def test_a_disk_that_fails_in_the_middle_cuts_the_connection(
    root: Path, whole_before: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether before the first byte of the content or between two regions: the length was promised in the head."""
    app = Rat()

    @app.get("/failing")
    async def failing(request: Request) -> Response:
        good = FileIO(root / "large.bin")
        # Nothing can be read from it: what the kernel says is an OSError, as of a disk.
        bad = FileIO(root / "large.bin", "ab")
        body: list[Buffer | FileRegion] = [*([FileRegion(good, 0, SIZE)] * whole_before), FileRegion(bad, 0, SIZE)]
        response = Response(body)
        response.on_close(good.close)
        response.on_close(bad.close)
        return response

    async with serving(app) as server, connect(server) as client:
        await client.send(get("/failing"))
        _, fields = await client.head()
        promised = SIZE * (whole_before + 1)
        assert dict(fields)["content-length"] == str(promised)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.reader.readexactly(promised)
        await until_closed(root)
    assert "GET /failing" in caplog.text
