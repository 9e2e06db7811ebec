"""Forms and multipart content, fed whole, byte by byte and at every split."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat import ClientDisconnected, ContentTooLarge, HTTPError, Limits, Rat, Request, ServerConfig, UploadFile
from rat.forms import Form
from rat.stream.body import BodyReader
from rat.uploads import safe_filename, save_stream
from tests.app.support import answer, body_reader, head, json_of, request
from tests.support.examples import examples

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = 'multipart/form-data; boundary="b-1"'

WHOLE = (
    b"preamble\r\n--b-1\r\n"
    b'Content-Disposition: form-data; name="title"\r\n\r\n'
    b"caf\xc3\xa9\r\n--b-1\r\n"
    b'Content-Disposition: form-data; name="title"\r\nContent-Type: text/plain; charset=latin-1\r\n\r\n'
    b"caf\xe9\r\n--b-1\r\n"
    b'content-disposition: form-data; name="file"; filename="../a%22\xc3\xa9.txt"\r\n'
    b"Content-Type: Text/CSV; x=y\r\nX-Own: 1\r\n\r\n"
    b"one\r\n--b-2\r\n\r\n--b\r\n--b-1\r\n"
    b'Content-Disposition: form-data; name="empty"; filename="e"\r\n\r\n'
    b"\r\n--b-1--\r\nepilogue"
)


def asked(content_type: str, *pieces: bytes, limits: Limits | None = None) -> Request:
    app = Rat(config=ServerConfig(limits=limits or Limits()))
    received = head("POST", "/", [("Content-Type", content_type)], None)
    return request(app, received, body=body_reader(*pieces))


def whole(data: bytes) -> list[list[bytes]]:
    return [[data]]


def byte_by_byte(data: bytes) -> list[list[bytes]]:
    return [[data[i : i + 1] for i in range(len(data))]]


def every_split(data: bytes) -> list[list[bytes]]:
    return [[data[:i], data[i:]] for i in range(1, len(data))]


Feed = Callable[[bytes], list[list[bytes]]]
FEEDS = pytest.mark.parametrize("feed", [whole, byte_by_byte, every_split])


@FEEDS
async def test_a_form_with_files(feed: Feed) -> None:
    for pieces in feed(WHOLE):
        form = await asked(MULTIPART, *pieces).form()
        assert form.getlist("title") == ["café", "café"]
        file = form["file"]
        assert isinstance(file, UploadFile)
        assert file.filename == '../a"é.txt'
        assert file.safe_filename == "aé.txt"
        assert file.content_type == "text/csv"
        assert file.headers["x-own"] == "1"
        assert file.size == 17
        assert await file.read(5) == b"one\r\n"
        assert await file.read() == b"--b-2\r\n\r\n--b"
        empty = form.file("empty")
        assert (empty.size, await empty.read()) == (0, b"")
        assert list(form) == ["title", "file", "empty"]
        form.close()


@FEEDS
async def test_parts_as_they_arrive(feed: Feed) -> None:
    for pieces in feed(WHOLE):
        seen = []
        async for part in asked(MULTIPART, *pieces).parts():
            if part.filename is not None and part.name == "file":
                continue  # what is not read is skipped
            seen.append((part.name, await part.read()))
        assert seen == [("title", "café".encode()), ("title", b"caf\xe9"), ("empty", b"")]


async def test_a_form_in_a_plain_handler() -> None:
    app = Rat()

    @app.post("/")
    def handler(request: Request) -> Any:
        form = request.content_form()
        assert request.content_form() is form
        file = form.file("file")
        return [form.text("title"), file.file.read().decode()]

    fields = [("content-type", MULTIPART)]
    response = await answer(app, "POST", "/", fields, body=body_reader(*byte_by_byte(WHOLE)[0]))
    assert await json_of(response) == ["café", "one\r\n--b-2\r\n\r\n--b"]

    reader = BodyReader(limit=None, high_water=10, low_water=5)
    one = request(app, head("POST", "/", fields, None), body=reader)
    with pytest.raises(RuntimeError, match="the content has not been read"):
        one.content_form()


async def test_an_urlencoded_form() -> None:
    one = asked(URLENCODED, b"a=1&b=%C3%A9", b"+x&a=2&c")
    form = await one.form()
    assert form.pairs() == [("a", "1"), ("b", "é x"), ("a", "2"), ("c", "")]
    assert await one.form() is form
    assert form.text("a") == "1"
    assert form.text("z", "default") == "default"
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: form.text("z"), "form field z is missing"),
        (lambda: form.file("z"), "form field z is missing"),
        (lambda: form.file("a"), "form field a is text, expected a file"),
    ]
    for action, message in cases:
        with pytest.raises(HTTPError, match=message):
            action()
    with pytest.raises(HTTPError, match="form field file is a file, expected text"):
        (await asked(MULTIPART, WHOLE).form()).text("file")


async def test_a_file_input_without_a_choice_is_no_file() -> None:
    part = b'--b-1\r\nContent-Disposition: form-data; name="a"; filename="%b"\r\n\r\n%b\r\n'
    unchosen = part % (b"", b"")
    form = await asked(MULTIPART, unchosen + b"--b-1--\r\n").form()
    with pytest.raises(HTTPError, match="form field a is a file that nobody chose") as refusal:
        form.file("a")
    assert refusal.value.status == 400
    for name, content in ((b"empty.txt", b""), (b"", b"x")):
        form = await asked(MULTIPART, unchosen + part % (name, content) + b"--b-1--\r\n").form()
        assert form.file("a").size == len(content)


def disposition(extra: bytes = b"") -> bytes:
    return b'--b-1\r\nContent-Disposition: form-data; name="a"\r\n' + extra + b"\r\n"


BROKEN: list[tuple[str, bytes, int, str]] = [
    ("multipart/form-data", WHOLE, 400, "multipart boundary of 0 characters, allowed are 1 to 70"),
    (f"multipart/form-data; boundary={'x' * 71}", WHOLE, 400, "multipart boundary of 71 characters"),
    (MULTIPART, b"", 400, "multipart content is broken"),
    (MULTIPART, (disposition() + b"x\r\n--b-1--")[:-2], 400, "multipart content is broken"),
    (MULTIPART, WHOLE[:40], 400, "multipart content is broken"),
    (MULTIPART, b"no boundary at all", 400, "multipart content is broken"),
    (MULTIPART, b"--b-1\r\n\r\nx\r\n--b-1--", 400, "multipart content is broken: missing Content-Disposition"),
    (MULTIPART, b"--b-1\r\nbroken\r\n\r\nx\r\n--b-1--", 400, "multipart content is broken: malformed"),
    (MULTIPART, b"--b-1\nA: b\n\nx\n--b-1--", 400, "multipart content is broken"),
    (MULTIPART, disposition(b"X: " + b"y" * 1000 + b"\r\n") + b"x\r\n--b-1--", 400, "multipart content is broken"),
    (MULTIPART, disposition(b"X: y\r\n" * 14) + b"x\r\n--b-1--", 400, "part head of 126 bytes, limit 100"),
    (MULTIPART, (disposition() + b"x\r\n") * 4 + b"--b-1--", 413, "multipart content of more than 3 parts"),
    (MULTIPART, disposition() + b"x" * 101 + b"\r\n--b-1--", 413, "content is larger than the limit of 100 bytes"),
    (MULTIPART, disposition() + b"\xff\r\n--b-1--", 400, "form field a is not utf-8 at offset 0"),
    (MULTIPART, disposition(b"Content-Type: a/b; charset=zz\r\n") + b"x\r\n--b-1--", 415, "charset 'zz'"),
    (URLENCODED, b"a=1&b=2&c=3&d=4", 413, "form of 4 fields, limit 3"),
]


@pytest.mark.parametrize("feed", [whole, byte_by_byte])
@pytest.mark.parametrize(("content_type", "content", "status", "message"), BROKEN)
async def test_broken_forms(content_type: str, content: bytes, status: int, message: str, feed: Feed) -> None:
    one = asked(content_type, *feed(content)[0], limits=Limits(multipart_parts=3, multipart_head=100, body=100))
    with pytest.raises(HTTPError, match=message) as caught:
        await one.form()
    assert caught.value.status == status


@pytest.mark.parametrize(("count", "passes"), [(2, True), (3, True), (4, False)])
async def test_the_number_of_parts_at_its_edge(count: int, passes: bool) -> None:
    content = (disposition() + b"x\r\n") * count + b"--b-1--"
    one = asked(MULTIPART, content, limits=Limits(multipart_parts=3))
    if passes:
        assert (await one.form()).getlist("a") == ["x"] * count
    else:
        with pytest.raises(HTTPError, match="more than 3 parts"):
            await one.form()


async def test_a_part_that_was_left_cannot_be_read() -> None:
    parts = asked(MULTIPART, WHOLE).parts()
    first = await anext(parts)
    second = await anext(parts)
    with pytest.raises(RuntimeError, match="part 'title' was left for the next one"):
        await first.read()
    assert await second.read() == b"caf\xe9"
    assert await second.read() == b""


async def test_a_part_larger_than_was_asked_for() -> None:
    parts = asked(MULTIPART, WHOLE).parts()
    part = await anext(parts)
    with pytest.raises(ContentTooLarge, match="larger than the limit of 4 bytes"):
        await part.read(4)


async def test_a_part_goes_to_a_file(tmp_path: Path) -> None:
    async for part in asked(MULTIPART, *byte_by_byte(WHOLE)[0]).parts():
        if part.name == "file":
            assert await part.save(tmp_path / part.safe_filename) == 17
    assert (tmp_path / "aé.txt").read_bytes() == b"one\r\n--b-2\r\n\r\n--b"
    assert [path.name for path in tmp_path.iterdir()] == ["aé.txt"]


async def test_a_large_file_goes_to_disk_and_memory_stays_flat(tmp_path: Path) -> None:
    piece = bytes(range(256)) * 256

    class Endless:
        """Twenty-four mebibytes of one file, never all in memory."""

        left = 384
        parts = [disposition().replace(b'"a"', b'"a"; filename="f"')]

        def __aiter__(self) -> Endless:
            return self

        async def __anext__(self) -> bytes:
            if self.parts:
                return self.parts.pop()
            if self.left == 0:
                raise StopAsyncIteration
            self.left -= 1
            return piece if self.left else b"\r\n--b-1--"

    one = asked(MULTIPART)
    one._body = Endless()  # type: ignore[assignment]
    tracemalloc.start()
    form = await one.form()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    file = form.file("a")
    assert file.size == 383 * len(piece)
    assert peak < 8 << 20
    assert await file.save(tmp_path / "copy") == file.size
    with (tmp_path / "copy").open("rb") as copy:
        assert copy.read(len(piece)) == piece
    await file.seek(len(piece))
    assert [len(block) async for block in file][:2] == [1 << 20, 1 << 20]
    form.close()


async def test_files_of_a_form_go_with_the_request(recwarn: pytest.WarningsRecorder) -> None:
    form: Form | None = await asked(MULTIPART, WHOLE).form()
    assert form is not None
    spooled = form.file("file").file
    form = None
    gc.collect()
    assert spooled.closed
    assert not list(recwarn)


async def test_the_content_goes_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    assert await asked("image/png", b"ab", b"c").save(path) == 3
    assert path.read_bytes() == b"abc"
    assert await asked("image/png").save(tmp_path / "empty") == 0
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["empty", "file"]


@pytest.mark.parametrize("error", [ClientDisconnected("gone"), asyncio.CancelledError()])
async def test_a_broken_stream_leaves_nothing_behind(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * (1 << 20)
        raise error

    with pytest.raises(type(error)):
        await save_stream(pieces(), path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


async def test_a_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await asked("image/png", b"x").save(tmp_path / "none" / "file")
    (tmp_path / "directory").mkdir()
    with pytest.raises(IsADirectoryError):
        await asked("image/png", b"x").save(tmp_path / "directory")
    assert [entry.name for entry in tmp_path.iterdir()] == ["directory"]


async def test_a_save_that_is_cancelled_at_its_first_step_leaves_nothing_behind(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"

    task = asyncio.create_task(save_stream(pieces(), tmp_path / "file"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gc.collect()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        (None, "upload"),
        ("", "upload"),
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.txt", "a.txt"),
        ("..", "upload"),
        (".bashrc", "bashrc"),
        ("a\0b\r\n.txt", "ab.txt"),
        ('a<b>:"|?*.txt', "ab.txt"),
        ("dir/", "upload"),
        ("é" * 300 + ".txt", "é" * 98 + ".txt"),
        ("x" * 300, "x" * 200),
        ("\udcff", "upload"),
    ],
)
def test_names_of_files_are_made_safe(name: str | None, safe: str) -> None:
    assert safe_filename(name) == safe


@given(st.text())
def test_a_safe_name_stays_in_its_directory(name: str) -> None:
    safe = safe_filename(name)
    assert (Path("/root/of") / safe).parent == Path("/root/of")
    assert not safe.startswith(".")
    assert 0 < len(safe.encode()) <= 200


@examples(60)
@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_bytes_are_a_form_or_a_client_error(data: bytes, size: int) -> None:
    content = b"--b-1\r\n" + data.replace(b"!", b"\r\n--b-1") + b"\r\n--b-1--"
    pieces = [content[i : i + size] for i in range(0, len(content), size)]

    async def read() -> None:
        (await asked(MULTIPART, *pieces).form()).close()

    try:
        asyncio.run(read())
    except HTTPError as error:
        if error.status not in (400, 413, 415):
            raise
