"""Every example, run: the applications over a real socket, the scripts as a user starts them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from rat.cli.loading import load_app
from rat.server import RatServer
from tests.support.serving import Answer, connect, serving

EXAMPLES = Path(__file__).parent.parent / "examples"


async def ask(server: RatServer, method: str, target: str, content: bytes = b"") -> Answer:
    async with connect(server) as client:
        head = f"{method} {target} HTTP/1.1\r\nHost: example\r\nContent-Length: {len(content)}\r\n\r\n"
        await client.send(head.encode() + content)
        return await client.answer(method)


async def hello(server: RatServer) -> None:
    assert (await ask(server, "GET", "/")).content == b"Hello, world!\n"
    answer = await ask(server, "GET", "/users/7?greeting=Good%20day")
    assert json.loads(answer.content) == {"id": 7, "greeting": "Good day"}


async def sse_clock(server: RatServer) -> None:
    async with connect(server) as client:
        await client.send(b"GET /clock?interval=0.01 HTTP/1.1\r\nHost: example\r\n\r\n")
        assert (await client.head())[0] == 200
        for _ in range(3):
            assert (await client.chunk()).startswith(b"event: tick\nid: ")


async def upload(server: RatServer) -> None:
    content = os.urandom(300_000)
    answer = await ask(server, "POST", "/files/a.bin", content)
    assert (answer.status, json.loads(answer.content)) == (201, {"name": "a.bin", "size": len(content)})
    assert (Path(os.environ["UPLOADS"]) / "a.bin").read_bytes() == content
    assert (await ask(server, "POST", "/files/..%2Fa.bin", b"x")).status in (400, 404)
    assert (await ask(server, "POST", "/files/.hidden", b"x")).status == 400
    assert [path.name for path in Path(os.environ["UPLOADS"]).iterdir()] == ["a.bin"]


async def files(server: RatServer) -> None:
    page = (EXAMPLES / "integration_demo" / "style.css").read_bytes()
    assert (await ask(server, "GET", "/files/style.css")).content == page
    assert (await ask(server, "GET", "/files/../files.py")).status == 404
    answer = await ask(server, "GET", "/source")
    assert answer.content == (EXAMPLES / "files.py").read_bytes()
    assert "files.py" in (answer.field("content-disposition") or "")


async def chat_hub(server: RatServer) -> None:
    async with connect(server) as listener:
        await listener.send(b"GET /rooms/tea HTTP/1.1\r\nHost: example\r\n\r\n")
        assert (await listener.head())[0] == 200
        said = await ask(server, "POST", "/rooms/tea", b'{"from": "Ada", "text": "hello"}')
        assert said.status == 201
        id = json.loads(said.content)["id"]
        event = (await listener.chunk()).decode()
        assert f"id: {id}\n" in event
        assert 'data: {"from":"Ada","text":"hello"}\n' in event
        present = await ask(server, "GET", "/rooms/tea/listeners")
        assert json.loads(present.content) == {"listeners": 1}
        assert (await ask(server, "POST", "/rooms/tea", b'{"text": 1}')).status == 400


async def dashboard(server: RatServer) -> None:
    assert b"EventSource" in (await ask(server, "GET", "/")).content
    async with connect(server) as watcher:
        await watcher.send(b"GET /live?interval=0.05 HTTP/1.1\r\nHost: example\r\n\r\n")
        assert (await watcher.head())[0] == 200
        event = (await watcher.chunk()).decode()
        assert event.startswith("event: counts\ndata: ")
        counts = json.loads(event.partition("data: ")[2])
        assert counts["connections_open"] == 1
        assert (await watcher.chunk()).startswith(b'event: loop\ndata: {"loop_late_ms":')
        metrics = (await ask(server, "GET", "/metrics")).content.decode()
        assert "\nrat_connections_open 2\n" in "\n" + metrics
        assert {line.split()[0] for line in metrics.splitlines()} == {f"rat_{name}" for name in counts if name != "at"}
    assert json.loads((await ask(server, "GET", "/memory")).content) == {"tracing": True, "lines": []}
    traced = json.loads((await ask(server, "GET", "/memory")).content)
    assert 0 < sum(line["bytes"] for line in traced["lines"]) <= traced["traced_bytes"]
    assert json.loads((await ask(server, "GET", "/memory?stop=1")).content) == {"tracing": False}


async def integration_demo(server: RatServer) -> None:
    """Its endpoints have tests of their own; here it starts and stops."""
    assert (await ask(server, "GET", "/")).status == 200


APPLICATIONS: dict[str, Callable[[RatServer], Awaitable[None]]] = {
    check.__name__: check for check in (hello, sse_clock, upload, files, chat_hub, dashboard, integration_demo)
}
SCRIPTS = {"performance": "datavalue"}
ELSEWHERE = "datavalue_"
"""Examples of the frame protocol are run by its own tests."""


@pytest.mark.parametrize("name", APPLICATIONS)
async def test_an_application_does_what_it_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLOADS", str(tmp_path))
    monkeypatch.delenv("FILES", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    async with serving(load_app(str(EXAMPLES / f"{name}.py"))) as server, asyncio.timeout(20):
        await APPLICATIONS[name](server)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_to_its_end(name: str) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert SCRIPTS[name] in done.stdout


def test_every_example_is_run() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py") if not path.stem.startswith(ELSEWHERE)}
    assert names == {*APPLICATIONS, *SCRIPTS}
