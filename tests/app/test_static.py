"""A directory as routes: what is below it and nothing else, siblings by weight, index files."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest

from rat import Rat, Request
from rat.errors import ConfigError
from rat.http1.fieldsearch import combined_value
from rat.negotiation import accepted_codings
from rat.opening import SMALL, FileCache
from rat.static import StaticFiles
from tests.app.support import answer, content_of, json_of, length_of

WHEN = 1_700_000_000


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A root with a neighbour that must never be seen."""
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / ".hidden").mkdir()
    (root / "index.html").write_bytes(b"<h1>root</h1>")
    (root / "sub" / "index.html").write_bytes(b"<h1>sub</h1>")
    (root / "a b.txt").write_bytes(b"blank")
    (root / "é.txt").write_bytes(b"accent")
    (root / "large.bin").write_bytes(b"x" * (SMALL + 1))
    (root / ".env").write_bytes(b"SECRET")
    (root / ".hidden" / "x").write_bytes(b"SECRET")
    os.mkfifo(root / "fifo")
    (tmp_path / "secret").write_bytes(b"SECRET")
    (tmp_path / "root-neighbour").mkdir()
    (tmp_path / "root-neighbour" / "x").write_bytes(b"SECRET")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "out-dir").symlink_to(tmp_path)
    (root / "neighbour").symlink_to(tmp_path / "root-neighbour")
    (root / "absolute").symlink_to("/etc")
    (root / "inside").symlink_to(root / "sub")
    (root / "relative").symlink_to("sub/../a b.txt")
    (root / "self").symlink_to("self")
    return root


@pytest.fixture(autouse=True)
def always_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept in memory is compared with the disk each time."""
    monkeypatch.setattr("rat.static._RECHECK", 0.0)
    monkeypatch.setattr("rat.opening._SETTLES", -math.inf)


def app_for(root: Path, prefix: str = "/static", **options: Any) -> Rat:
    app = Rat()
    app.static(prefix, root, **options)
    return app


@pytest.mark.parametrize(
    ("target", "content"),
    [
        ("/static/index.html", b"<h1>root</h1>"),
        ("/static/", b"<h1>root</h1>"),
        ("/static/sub/", b"<h1>sub</h1>"),
        ("/static/sub/index.html?v=1", b"<h1>sub</h1>"),
        ("/static/a%20b.txt", b"blank"),
        ("/static/%C3%A9.txt", b"accent"),
        ("/static/inside/index.html", b"<h1>sub</h1>"),
        ("/static/inside/", b"<h1>sub</h1>"),
        ("/static/relative", b"blank"),
        ("/static/large.bin", b"x" * (SMALL + 1)),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_is_served(tree: Path, target: str, content: bytes, method: str) -> None:
    app = app_for(tree)
    for _ in range(2):  # from the disk and from memory
        response = await answer(app, method, target)
        assert response.status == 200
        assert length_of(response) == len(content)
        if method == "GET":
            assert await content_of(response) == content
        response.close()


async def test_the_directory_itself_is_found_without_its_slash(tree: Path) -> None:
    outer = Rat()
    outer.mount("/in", app_for(tree))
    for app, path in ((app_for(tree), "/static"), (outer, "/in/static")):
        for method in ("GET", "HEAD"):
            response = await answer(app, method, f"{path}?v=1")
            assert (response.status, response.headers["location"]) == (308, f"{path}/?v=1")
        assert (await answer(app, "POST", path)).status == 405
    assert (await answer(app_for(tree, prefix="/"), "GET", "/")).status == 200


@pytest.mark.parametrize("before", [True, False])
async def test_a_route_of_its_own_answers_a_directory_without_its_slash(tree: Path, before: bool) -> None:
    app = Rat()
    if before:
        app.static("/static", tree)

    @app.get("/static")
    def index(request: Request) -> str:
        return "mine"

    if not before:
        app.static("/static", tree)
    assert await content_of(await answer(app, "GET", "/static")) == b"mine"


REFUSED = [
    "/static/nothing",
    "/static/empty/",
    "/static/empty",
    "/static/fifo",
    "/static/self",
    "/static/.env",
    "/static/.hidden/x",
    "/static/%2eenv",
    "/static/out",
    "/static/out-dir/secret",
    "/static/neighbour/x",
    "/static/absolute/passwd",
    "/static/../secret",
    "/static/..%2fsecret",
    "/static/%2e%2e/secret",
    "/static/%2e%2e%2fsecret",
    "/static/sub/../../secret",
    "/static/sub/%2e%2e/%2e%2e/secret",
    "/static/sub/..%2f..%2fsecret",
    "/static/./index.html",
    "/static//index.html",
    "/static/%2findex.html",
    "/static/%2fetc%2fpasswd",
    "/static//etc/passwd",
    "/static/..%5csecret",
    "/static/sub%5cindex.html",
    "/static/index.html%00",
    "/static/%00",
    "/static/index.html%00.txt",
    "/static/index.html/",
    "/static/index.html/x",
    "/static/sub//index.html",
    "/static/%FF",
    "/static/" + "x" * 300,
    "/static/" + "x/" * 3000,
]


@pytest.mark.parametrize("target", REFUSED)
async def test_what_is_not_served(tree: Path, target: str) -> None:
    app = app_for(tree)
    for _ in range(2):
        response = await answer(app, target=target)
        assert response.status == 404
        assert b"SECRET" not in await content_of(response)


async def test_hidden_files_are_served_when_asked_for(tree: Path) -> None:
    app = app_for(tree, hidden=True)
    assert await content_of(await answer(app, target="/static/.hidden/x")) == b"SECRET"
    assert (await answer(app, target="/static/../secret")).status == 404


@pytest.mark.parametrize(("method", "status"), [("POST", 405), ("PUT", 405), ("DELETE", 405), ("OPTIONS", 204)])
async def test_only_reading_is_allowed(tree: Path, method: str, status: int) -> None:
    response = await answer(app_for(tree), method, "/static/index.html")
    assert response.status == status
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    ("target", "location"), [("/static/sub", "/static/sub/"), ("/static/sub?a=b%20c", "/static/sub/?a=b%20c")]
)
async def test_a_directory_without_its_slash_is_a_redirection(tree: Path, target: str, location: str) -> None:
    response = await answer(app_for(tree), target=target)
    assert (response.status, response.headers["location"]) == (308, location)


async def test_a_root_at_the_top_leads_to_no_other_host(tree: Path) -> None:
    app = app_for(tree, "/")
    assert await content_of(await answer(app, target="/")) == b"<h1>root</h1>"
    assert (await answer(app, target="//sub")).status == 404
    assert (await answer(app, target="//example.test/..")).status == 404


async def test_options(tree: Path) -> None:
    app = app_for(tree, headers={"Cache-Control": "max-age=60"}, index=("a b.txt",))
    response = await answer(app, target="/static/")
    assert await content_of(response) == b"blank"
    assert response.headers["cache-control"] == "max-age=60"
    response = await answer(app, target="/static/", fields=[("If-None-Match", response.headers["etag"])])
    assert (response.status, response.headers["cache-control"]) == (304, "max-age=60")
    assert (await answer(app, target="/static/sub/")).status == 404
    with pytest.raises(ConfigError, match="does not exist"):
        Rat().static("/x", tree / "none")


async def test_a_file_that_may_not_be_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> int:
        raise PermissionError(13, "Permission denied")

    app = app_for(tree)
    monkeypatch.setattr(os, "open", refuse)
    response = await answer(app, target="/static/index.html")
    assert (response.status, (await json_of(response))["detail"]) == (403, "the file may not be read")


async def test_a_link_that_turns_up_later_is_not_followed_out(tree: Path) -> None:
    app = app_for(tree)
    assert (await answer(app, target="/static/sub/index.html")).status == 200
    (tree / "sub" / "index.html").unlink()
    (tree / "sub" / "index.html").symlink_to(tree.parent / "secret")
    assert (await answer(app, target="/static/sub/index.html")).status == 404


async def test_a_directory_exchanged_for_a_link_while_it_is_opened(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.path.realpath

    def exchange(path: Any, *, strict: bool = False) -> str:
        resolved = str(real(path, strict=strict))
        if (tree / "sub").is_dir() and not (tree / "sub").is_symlink():
            os.rename(tree / "sub", tree.parent / "moved")
            (tree / "sub").symlink_to(tree.parent / "root-neighbour")
            (tree.parent / "root-neighbour" / "index.html").write_bytes(b"SECRET")
        return resolved

    app = app_for(tree)
    monkeypatch.setattr(os.path, "realpath", exchange)
    assert (await answer(app, target="/static/sub/index.html")).status == 404


@pytest.fixture
def siblings(tree: Path) -> Path:
    for name, extensions in {"app.js": ".zst .br .gz", "gz.css": ".gz", "old.js": ".gz", "big.js": ".br"}.items():
        content = name.encode() * (20_000 if name == "big.js" else 1)
        (tree / name).write_bytes(content)
        os.utime(tree / name, (WHEN, WHEN))
        for extension in extensions.split():
            sibling = tree / (name + extension)
            sibling.write_bytes(extension.encode() + b" " + content)
            os.utime(sibling, (WHEN, WHEN - 5 if name == "old.js" else WHEN))
    return tree


@pytest.mark.parametrize(
    ("name", "accept", "coding"),
    [
        ("app.js", None, None),
        ("app.js", "gzip, deflate, br, zstd", "zstd"),
        ("app.js", "gzip, deflate, br", "br"),
        ("app.js", "gzip", "gzip"),
        ("app.js", "x-gzip", "gzip"),
        ("app.js", "gzip;q=1.0, br;q=0.5", "gzip"),
        ("app.js", "br;q=0, *", "zstd"),
        ("app.js", "identity, gzip;q=0.5", None),
        ("app.js", "gzip;q=0.5, identity;q=0.6", None),
        ("app.js", "deflate", None),
        ("app.js", "gzip;q=0", None),
        ("app.js", "", None),
        ("gz.css", "br, gzip;q=0.1", "gzip"),
        ("gz.css", "br", None),
        ("gz.css", "br, identity;q=0", None),
        ("old.js", "gzip", None),
        ("big.js", "br", "br"),
    ],
)
async def test_precompressed_siblings(siblings: Path, name: str, accept: str | None, coding: str | None) -> None:
    app = app_for(siblings)
    fields = [] if accept is None else [("Accept-Encoding", accept)]
    for _ in range(2):
        response = await answer(app, target=f"/static/{name}", fields=fields)
        headers = response.headers
        assert response.status == 200
        assert headers.get("content-encoding") == coding
        kind = "text/css" if name == "gz.css" else "text/javascript"
        assert headers["content-type"] == f"{kind}; charset=utf-8"
        assert headers.get("vary") == (None if name == "old.js" else "accept-encoding")
        content = await content_of(response)
        prefix = {None: b"", "zstd": b".zst ", "br": b".br ", "gzip": b".gz "}[coding]
        assert content == prefix + name.encode() * (20_000 if name == "big.js" else 1)
        assert length_of(response) == len(content)
        response.close()


async def test_each_coding_has_its_own_tag(siblings: Path) -> None:
    app = app_for(siblings)
    tags = set()
    for accept in ("identity", "gzip", "br", "zstd"):
        response = await answer(app, target="/static/app.js", fields=[("Accept-Encoding", accept)])
        tags.add(response.headers["etag"])
        fields = [("Accept-Encoding", accept), ("If-None-Match", response.headers["etag"])]
        response = await answer(app, target="/static/app.js", fields=fields)
        assert (response.status, response.headers["vary"]) == (304, "accept-encoding")
    assert len(tags) == 4


async def test_a_sibling_of_a_file_that_changed_is_given_up(siblings: Path) -> None:
    app = app_for(siblings)
    fields = [("Accept-Encoding", "gzip")]
    assert await content_of(await answer(app, target="/static/gz.css", fields=fields)) == b".gz gz.css"
    (siblings / "gz.css").write_bytes(b"new")
    assert await content_of(await answer(app, target="/static/gz.css", fields=fields)) == b"new"


async def test_a_link_that_leads_elsewhere_is_noticed(tree: Path) -> None:
    (tree / "current").symlink_to("sub")
    (tree / "next").mkdir()
    (tree / "next" / "index.html").write_bytes(b"the next one")
    app = app_for(tree)
    assert b"next" not in await content_of(await answer(app, target="/static/current/index.html"))
    (tree / "current").unlink()
    (tree / "current").symlink_to("next")
    assert await content_of(await answer(app, target="/static/current/index.html")) == b"the next one"


async def test_a_sibling_that_turns_up_later_is_found(siblings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = FileCache(fresh=0.0)
    monkeypatch.setattr("rat.static.FileCache", lambda **_: cache)
    app = app_for(siblings)
    fields = [("Accept-Encoding", "br, gzip;q=0.1")]
    assert (await answer(app, target="/static/gz.css", fields=fields)).headers["content-encoding"] == "gzip"
    (siblings / "gz.css.br").write_bytes(b"br")
    assert await content_of(await answer(app, target="/static/gz.css", fields=fields)) == b"br"
    # The next one does not fit into memory: nothing of the last one may stay there.
    (siblings / "gz.css.br").unlink()
    (siblings / "gz.css.gz").write_bytes(bytes(SMALL + 1))
    for _ in range(2):
        response = await answer(app, target="/static/gz.css", fields=fields)
        assert length_of(response) == SMALL + 1
        response.close()
    assert cache.size == 0


async def test_siblings_can_be_left_alone(siblings: Path) -> None:
    app = app_for(siblings, precompressed=False)
    response = await answer(app, target="/static/app.js", fields=[("Accept-Encoding", "gzip")])
    assert await content_of(response) == b"app.js"
    assert "vary" not in response.headers
    assert "content-encoding" not in response.headers
    # The sibling itself is a file like any other.
    response = await answer(app, target="/static/app.js.gz")
    assert response.headers["content-type"] == "application/gzip"


async def test_a_sibling_that_leads_outside_is_no_sibling(siblings: Path) -> None:
    (siblings / "index.html.gz").symlink_to(siblings.parent / "secret")
    response = await answer(app_for(siblings), target="/static/index.html", fields=[("Accept-Encoding", "gzip")])
    assert await content_of(response) == b"<h1>root</h1>"


@pytest.mark.parametrize(
    ("section", "codings"),
    [
        (b"host: x\r\n", (None,)),
        (b"Host: x\r\nAccept-Encoding: gzip\r\n", ("gzip", None)),
        (b"accept-encoding: gzip\r\nACCEPT-ENCODING:br;q=0.5\r\n", ("gzip", "br", None)),
        (b"x-accept-encoding: gzip\r\n", (None,)),
        (b"accept-encoding: *\r\n", ("zstd", "br", "gzip", None)),
        (b"accept-encoding: *;q=0\r\n", ()),
        (b"accept-encoding: gzip;q=0.2, br;q=0.2, identity;q=0.2\r\n", ("br", "gzip", None)),
    ],
)
def test_accepted_codings(section: bytes, codings: tuple[str | None, ...]) -> None:
    assert accepted_codings(combined_value(section, b"accept-encoding")) == codings


def test_the_root_may_be_a_link_itself(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree)
    assert StaticFiles(tmp_path / "link").root == str(tree)
