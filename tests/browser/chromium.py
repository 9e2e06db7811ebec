"""Chromium without a window, by the DevTools protocol over a pair of pipes: no WebSocket, no port, no package.

Messages are JSON with a NUL after each (``--remote-debugging-pipe``): commands on descriptor 3, answers and events on
descriptor 4.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

__all__ = ["CHROMIUM", "Browser", "Page", "browsing"]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_OPTIONS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",  # as root there is none, and it opens nothing but pages of ours
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
)
# Puts the two pipes where Chromium looks for them, whatever their numbers: no shell knows those above 9.
_TRAMPOLINE = """
import os, sys
from fcntl import F_DUPFD, fcntl
for wanted, pipe in enumerate([fcntl(int(number), F_DUPFD, 10) for number in sys.argv[1:3]], 3):
    os.dup2(pipe, wanted)
os.execv(sys.argv[3], sys.argv[3:])
"""
_LARGEST = 1 << 24
_BOUND = 40.0
"""Seconds for all that is done with one browser, some ten times what it takes where nothing else runs."""


class Browser:
    """One process and its commands.  ``command`` raises AssertionError for what the browser refuses."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.WriteTransport) -> None:
        self._reader, self._writer = reader, writer
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._pages: dict[str, Page] = {}

    async def command(self, method: str, session: str | None = None, **params: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        assert not self._reader.at_eof(), "the browser ended"
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps(message).encode() + b"\0")
        return await answer

    async def read(self) -> None:
        """Take what the browser says until it ends; commands without an answer fail then."""
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                message = json.loads((await self._reader.readuntil(b"\0"))[:-1])
                if "id" in message:
                    answer = self._answers.pop(message["id"])
                    if "error" in message:
                        answer.set_exception(AssertionError(message["error"]["message"]))
                    else:
                        answer.set_result(message["result"])
                elif page := self._pages.get(message.get("sessionId", "")):
                    page.heard(message["method"], message["params"])
        for answer in self._answers.values():
            answer.set_exception(AssertionError("the browser ended"))

    async def open(self, url: str) -> Page:
        """A page at *url*, all of it loaded."""
        target = (await self.command("Target.createTarget", url="about:blank"))["targetId"]
        session = (await self.command("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.command(f"{domain}.enable", session)
        await page.go(url)
        return page


class Page:
    """*complaints*: uncaught errors, errors and warnings of the console, requests that failed or were refused."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self._loaded = asyncio.Event()
        self.complaints: list[str] = []

    def heard(self, event: str, params: dict[str, Any]) -> None:
        match event:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.complaints.append(details.get("exception", {}).get("description", details["text"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.complaints.append(" ".join(str(said.get("value")) for said in params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    async def go(self, url: str) -> None:
        self._loaded.clear()
        await self._browser.command("Page.navigate", self._session, url=url)
        await self._loaded.wait()

    async def run(self, script: str) -> Any:
        """What *script* gives, the body of an async function."""
        answer = await self._browser.command(
            "Runtime.evaluate",
            self._session,
            expression=f"(async () => {{ {script} }})()",
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]["exception"]["description"]
        return answer["result"].get("value")


@contextlib.asynccontextmanager
async def browsing(directory: Path) -> AsyncIterator[Browser]:
    """A browser with an empty profile in *directory*, for 40 seconds at most, ended with all of its processes."""
    assert CHROMIUM is not None
    loop = asyncio.get_running_loop()
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _TRAMPOLINE,
        str(theirs_in),
        str(theirs_out),
        CHROMIUM,
        *_OPTIONS,
        f"--user-data-dir={directory / 'profile'}",
        "about:blank",
        pass_fds=(theirs_in, theirs_out),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    reader = asyncio.StreamReader(limit=_LARGEST)
    reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours_in, "rb"))
    writing, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(ours_out, "wb"))
    browser = Browser(reader, writing)
    listening = asyncio.create_task(browser.read())
    try:
        async with asyncio.timeout(_BOUND):
            yield browser
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await listening
        reading.close()
        writing.close()
