"""``rat serve`` as a user types it: the banner, the signals, and what each exit code says."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from rat.cli import main

APP = """
import asyncio
import os
from rat import Rat

app = Rat()

@app.get("/")
def index(request):
    return "hello"

@app.get("/slow")
async def slow(request):
    yield "begun "
    while not os.path.exists("go"):
        await asyncio.sleep(0.01)
    yield "done"

@app.get("/exit/plain")
def exit_plain(request):
    raise SystemExit(7)

@app.get("/exit/at-once")
async def exit_at_once(request):
    raise SystemExit(7)

@app.get("/exit/later")
async def exit_later(request):
    await asyncio.sleep(0)
    raise SystemExit(7)

@app.get("/endless")
async def endless(request):
    yield "begun "
    await asyncio.Event().wait()

def create_app():
    return app
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "rat", *arguments]


def fails(directory: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(command(*arguments), cwd=directory, capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


class Served:
    """A running ``rat serve``: its process, its banner and its port."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.banner = []
        for line in process.stdout:
            self.banner.append(line.rstrip("\n"))
            if "Ctrl-C" in line:
                break
        found = re.search(r"http://127\.0\.0\.1:(\d+)$", "\n".join(self.banner), re.MULTILINE)
        assert found is not None, self.banner
        self.port = int(found[1])

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=20)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def says(self, text: str) -> None:
        """Wait until it has said *text*."""
        assert self.process.stderr is not None
        assert any(line.endswith(text) for line in self.process.stderr), f"it ended without {text!r}"

    def ended(self) -> int:
        return self.process.wait(20)


@contextmanager
def serve(directory: Path, *arguments: str) -> Iterator[Served]:
    process = subprocess.Popen(
        command("serve", *arguments, "--port", "0"),
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Served(process)
        finally:
            process.kill()


@pytest.mark.parametrize(
    "arguments", [("app.py",), ("app.py:app",), ("app:app",), ("app:create_app", "--factory", "--loop", "asyncio")]
)
def test_it_serves_what_the_target_names(directory: Path, arguments: tuple[str, ...]) -> None:
    with serve(directory, *arguments) as served:
        assert len(served.banner) <= 6
        assert arguments[0] in served.banner[0]
        connection = served.connect()
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"hello"
        served.signal(signal.SIGTERM)
        assert served.ended() == 0
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_an_answer_in_flight_finish(directory: Path, number: signal.Signals) -> None:
    with serve(directory, "app.py") as served:
        connection = served.connect()
        connection.request("GET", "/slow")
        answer = connection.getresponse()
        assert answer.read1() == b"begun "
        served.signal(number)
        served.says("finishing 1 connection\n")
        (directory / "go").touch()
        assert answer.read() == b"done"
        assert served.ended() == 0
        connection.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_it_at_once(directory: Path, number: signal.Signals, code: int) -> None:
    with serve(directory, "app.py") as served:
        connection = served.connect()
        connection.request("GET", "/endless")
        answer = connection.getresponse()
        assert answer.read1() == b"begun "
        served.signal(number)
        served.says("finishing 1 connection\n")
        served.signal(number)
        assert served.ended() == code
        answer.close()
        connection.close()


def test_what_the_grace_cuts_is_said_and_the_exit_code_is_0(directory: Path) -> None:
    with serve(directory, "app.py", "--grace", "0.2") as served:
        connection = served.connect()
        connection.request("GET", "/endless")
        answer = connection.getresponse()
        assert answer.read1() == b"begun "
        served.signal(signal.SIGTERM)
        assert served.ended() == 0
        assert served.process.stderr is not None
        assert "WARNING" in served.process.stderr.read()
        answer.close()
        connection.close()


@pytest.mark.parametrize(
    ("source", "arguments", "said"),
    [
        ("", ("absent.py",), "absent.py: no such file"),
        ("", (".",), ".: is a directory, expected a Python file"),
        ("", ("broken.py",), "no"),
        ("import nowhere_to_be_found", ("broken.py",), "nowhere_to_be_found"),
        ("app = (", ("broken.py",), "SyntaxError"),
        ("app = 7", ("broken.py",), "broken.py"),
        ("1 / 0", ("broken:app",), "ZeroDivisionError"),
        ("", ("absent.module:app",), "absent"),
        ("def app(): raise OSError('no database')", ("broken.py:app", "--factory"), "no database"),
        (
            "from rat import Rat\napp = Rat()\n@app.on_startup\ndef start(): raise OSError('no database')",
            ("broken.py", "--port", "0"),
            "no database",
        ),
    ],
)
def test_an_app_that_cannot_be_had_is_3_and_one_clear_line(
    directory: Path, source: str, arguments: tuple[str, ...], said: str
) -> None:
    (directory / "broken.py").write_text(source)
    code, stderr = fails(directory, "serve", *arguments)
    first, *rest = stderr.splitlines()
    assert code == 3
    assert first.startswith("rat: cannot ")
    assert arguments[0].partition(":")[0].removesuffix(".py") in first
    assert said in first
    assert not rest or (rest[0].startswith(("Traceback", "  File")) and "rat/cli" not in stderr)


def test_a_port_in_use_is_3_and_one_line(directory: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, stderr = fails(directory, "serve", "app.py", "--port", str(port))
    assert code == 3
    [line] = stderr.splitlines()
    assert str(port) in line
    assert "in use" in line


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("serve",),
        ("serve", "app.py", "--nonsense"),
        ("serve", "app.py", "--port", "eighty"),
        ("serve", "app.py", "--port", "0", "--uds", "app.sock"),
        ("serve", "app.py", "--set", "limits.nonsense=1"),
        ("serve", "app.py", "--set", "limits.body=many"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_2(
    directory: Path,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(directory)
    try:
        code: object = main(arguments)
    except SystemExit as end:
        code = end.code
    stdout, stderr = capsys.readouterr()
    assert (code, stdout) == (2, "")
    assert stderr.splitlines()[-1].startswith("rat")
    if "--nonsense" in arguments:
        assert stderr.startswith("usage: rat serve ")


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("how", ["plain", "at-once", "later"])
def test_a_handler_that_exits_ends_the_process(directory: Path, loop: str, how: str) -> None:
    with serve(directory, "app.py", "--loop", loop) as served:
        client = served.connect()
        client.request("GET", f"/exit/{how}")
        with pytest.raises(OSError, match=r"(?i)closed|reset"):
            client.getresponse()
        assert served.ended() == 7
