"""The demo's page and answers to scripts, in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import rat
from rat import EventStream, Rat, Request, Response, ServerSentEvent
from rat.cli.loading import load_app
from rat.server import RatServer
from tests.browser.chromium import CHROMIUM, Page, browsing
from tests.support.serving import serving

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

EXAMPLES = Path(__file__).parents[2] / "examples"
DEMO = str(EXAMPLES / "integration_demo.py")


# Fills the form of a card in, presses a button of it, and gives the text of the result when the card is no longer busy.
PRESS = """
  const card = document.getElementById(id);
  for (const [name, value] of Object.entries(values)) card.querySelector(`[name=${name}]`).value = value;
  const done = new Promise((resolve) => new MutationObserver((_, observer) => {
    if (card.hasAttribute("aria-busy")) return;
    observer.disconnect();
    resolve();
  }).observe(card, { attributes: true }));
  card.querySelector(button).click();
  await done;
  await new Promise(requestAnimationFrame);
  return card.querySelector(".result").innerText;
"""


async def press(page: Page, id: str, button: str = "button[type=submit]", **values: Any) -> str:
    text = await page.run(f"const id = {id!r}, button = {button!r}, values = {values!r}; {PRESS}")
    assert isinstance(text, str)
    return text


async def test_each_card_of_the_demo_shows_what_the_server_did(tmp_path: Path) -> None:
    async with browsing(tmp_path) as browser, serving(load_app(DEMO)) as server:
        page = await browser.open(f"http://127.0.0.1:{server.port}/")

        shown = await press(page, "data-value", "[data-do=sample]")
        assert "the same tree" in shown
        assert "f[3]: 1, 2, 3" in shown

        assert "the same" in await press(page, "upload", mebibytes=2, way="raw")
        assert "the same" in await press(page, "upload", mebibytes=2, way="multipart")

        shown = await press(page, "quickmem", count=700, interval=0)
        assert "end\t700\t700 updates" in shown
        assert "resident" in shown
        assert await page.run("return document.querySelectorAll('#quickmem tbody tr').length") == 500

        assert "5 / 5" in await press(page, "chunked", chunks=5, delay_ms=1)
        assert "the same" in await press(page, "file", size=300_000)
        assert "sendfile" in await press(page, "file", "[data-do=compare]", size=300_000)
        assert "orjson" in await press(page, "performance", sizes="1024", iterations=1)
        assert page.complaints == []


async def test_a_card_tells_why_it_failed_and_gives_the_focus_back(tmp_path: Path) -> None:
    async with browsing(tmp_path) as browser, serving(load_app(DEMO)) as server:
        page = await browser.open(f"http://127.0.0.1:{server.port}/")
        await page.run("document.querySelector('#data-value button').focus()")
        shown = await press(page, "data-value", json="[1,")
        assert shown.startswith("400: content is not JSON at offset 3 of 3")
        assert await page.run("return document.activeElement.textContent") == "Encode this JSON"


async def test_a_page_reads_values_that_json_cannot_say(tmp_path: Path) -> None:
    app = Rat()
    app.static("/decoder", Path(rat.__file__).with_name("web"))

    @app.get("/")
    def index(request: Request) -> Response:
        return Response("<!doctype html><title>values</title>", content_type="text/html")

    @app.get("/numbers")
    def numbers(request: Request) -> dict[str, Any]:
        return {"big": 2**70, "half": 0.5, "raw": b"\x00\xff"}

    async with browsing(tmp_path) as browser, serving(app) as server:
        page = await browser.open(f"http://127.0.0.1:{server.port}/")
        shown = await page.run(
            """
            const { decode } = await import("/decoder/datavalue.js");
            const answer = await fetch("/numbers", { headers: { Accept: "application/vnd.rat.datavalue" } });
            const value = decode(new Uint8Array(await answer.arrayBuffer()));
            return [...value].map(([key, item]) => `${key} ${item.constructor.name} ${item}`);
            """
        )
    assert shown == [f"big BigInt {2**70}", "half Number 0.5", "raw Uint8Array 0,255"]


ROWS = """
  const table = document.getElementById("counts");
  const names = () => [...table.rows].map((row) => row.cells[0].textContent);
  if (!names().includes("loop_late_ms")) {
    await new Promise((resolve) => {
      const look = () => { if (names().includes("loop_late_ms")) resolve(); };
      new MutationObserver(look).observe(table, { childList: true, subtree: true });
    });
  }
  return [document.getElementById("state").textContent, ...names()];
"""


async def test_the_dashboard_shows_what_the_server_counts(tmp_path: Path) -> None:
    async with browsing(tmp_path) as browser, serving(load_app(str(EXAMPLES / "dashboard.py"))) as server:
        page = await browser.open(f"http://127.0.0.1:{server.port}/")
        state, _, *counts = await page.run(ROWS)
        assert state == "live"
        assert {"requests", "resident_bytes", *server.statistics()} <= set(counts)
        assert page.complaints == []


WATCH = """
  const seen = [];
  let reached, last;
  window.until = (id) => new Promise((resolve) => { reached = resolve; last = id; });
  new EventSource("/events").onmessage = (event) => {
    seen.push(event.lastEventId);
    if (event.lastEventId === last) reached(seen);
  };
  await window.until("3");
"""


async def test_events_go_on_after_the_last_one_when_the_server_comes_back(tmp_path: Path) -> None:
    def application(last: int) -> Rat:
        app = Rat()

        @app.get("/")
        def index(request: Request) -> Response:
            return Response("<!doctype html><title>events</title>", content_type="text/html")

        @app.get("/events")
        async def events(request: Request) -> EventStream:
            async def numbers() -> AsyncIterator[ServerSentEvent]:
                for number in range(int(request.last_event_id or 0) + 1, last + 1):
                    yield ServerSentEvent(str(number), id=str(number))
                await asyncio.Event().wait()

            return EventStream(numbers(), retry=0.05)

        return app

    async with browsing(tmp_path) as browser:
        async with serving(application(3)) as server:
            port = server.port
            page = await browser.open(f"http://127.0.0.1:{port}/")
            await page.run(WATCH)
        async with RatServer(application(6), port=port):
            assert await page.run('return window.until("6")') == ["1", "2", "3", "4", "5", "6"]


async def test_a_script_reads_why_its_upload_was_refused(tmp_path: Path) -> None:
    app = Rat()

    @app.get("/")
    def index(request: Request) -> Response:
        return Response("<!doctype html><title>upload</title>", content_type="text/html")

    @app.post("/upload", max_body=1000)
    async def upload(request: Request) -> int:
        return len(await request.read())

    async with browsing(tmp_path) as browser, serving(app) as server:
        page = await browser.open(f"http://127.0.0.1:{server.port}/")
        found = await page.run(
            """
            const block = new Blob([new Uint8Array(1 << 20)]), answers = [];
            for (const size of [1, 4, 64]) {
              const answer = await fetch("/upload", { method: "POST", body: new Blob(new Array(size).fill(block)) });
              answers.push([answer.status, (await answer.json()).detail]);
            }
            return answers;
            """
        )
    assert found == [
        [413, f"content of {size << 20} bytes is larger than the limit of 1000 bytes"] for size in (1, 4, 64)
    ]
