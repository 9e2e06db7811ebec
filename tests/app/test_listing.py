"""Pages of the names in a directory: only when asked, and nothing that is not served."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest

from rat import Rat
from rat.listing import MOST_NAMES, listing_page
from tests.app.support import answer, content_of


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "with-index").mkdir()
    (root / "with-index" / "index.html").write_bytes(b"index")
    for name in ("b.txt", "a b.txt", "é.txt", '<i>&".txt', "javascript:x", "100%", ".env", "back\\slash"):
        (root / name).write_bytes(b"content of " + name.encode())
    (root / ".hidden").mkdir()
    os.mkfifo(root / "fifo")
    (tmp_path / "secret").write_bytes(b"SECRET")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "self").symlink_to("self")
    (root / "inside").symlink_to("sub")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.txt")).write_bytes(b"no UTF-8")
    return root


def app_for(root: Path, **options: Any) -> Rat:
    app = Rat()
    app.static("/static", root, **options)
    return app


def links(page: bytes) -> list[str]:
    return [piece.split('"', 1)[0] for piece in page.decode().split('<a href="')[1:]]


SERVED = ["inside/", "sub/", "with-index/", "100%25", "%3Ci%3E%26%22.txt", "a%20b.txt", "b.txt", "javascript%3Ax"]


async def test_names_are_listed_escaped_and_can_be_followed(tree: Path) -> None:
    app = app_for(tree, listing=True)
    response = await answer(app, target="/static/")
    page = await content_of(response)
    assert response.status == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert links(page) == [*SERVED, "%C3%A9.txt"]
    assert b"<i>" not in page
    assert b"&lt;i&gt;&amp;&quot;.txt" in page
    assert "é.txt</a>".encode() in page
    for link in links(page):
        followed = await answer(app, target=urljoin("/static/", link))
        assert followed.status == 200, link
        followed.close()


async def test_directories_below_name_the_one_above(tree: Path) -> None:
    app = app_for(tree, listing=True, headers={"cache-control": "no-cache"})
    response = await answer(app, target="/static/sub/")
    assert links(await content_of(response)) == ["../", "empty/"]
    assert response.headers["cache-control"] == "no-cache"
    assert (await answer(app, target="/static/sub")).headers["location"] == "/static/sub/"


async def test_an_index_goes_first(tree: Path) -> None:
    assert await content_of(await answer(app_for(tree, listing=True), target="/static/with-index/")) == b"index"


@pytest.mark.parametrize("target", ["/static/", "/static/sub/", "/static/sub"])
async def test_nothing_is_listed_unless_asked(tree: Path, target: str) -> None:
    assert (await answer(app_for(tree), target=target)).status == 404


@pytest.mark.parametrize(
    "target",
    ["/static/.hidden/", "/static/../", "/static/%2e%2e/", "/static/nothing/", "/static/b.txt/", "/static/fifo/"],
)
async def test_what_is_not_served_is_not_listed(tree: Path, target: str) -> None:
    assert (await answer(app_for(tree, listing=True), target=target)).status == 404


async def test_a_link_that_leads_outside_is_not_listed(tree: Path) -> None:
    (tree / "above").symlink_to("..")
    app = app_for(tree, listing=True)
    assert (await answer(app, target="/static/above/")).status == 404
    assert "above/" not in links(await content_of(await answer(app, target="/static/")))


async def test_dot_files_are_listed_where_they_are_served(tree: Path) -> None:
    page = await content_of(await answer(app_for(tree, listing=True, hidden=True), target="/static/"))
    assert {".env", ".hidden/"} <= set(links(page))


@pytest.mark.parametrize(("count", "says_so"), [(MOST_NAMES - 1, False), (MOST_NAMES, False), (MOST_NAMES + 1, True)])
def test_a_page_has_a_bound(count: int, says_so: bool) -> None:
    page = listing_page("/", [f"{number}" for number in range(count)], parent=False)
    assert len(links(page)) == min(count, MOST_NAMES)
    assert (b"There are more" in page) is says_so
