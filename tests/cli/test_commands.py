"""``rat routes``, ``rat check`` and what any command says of an application that it cannot load."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rat import __version__
from rat.cli import main

APP = """
from rat import Rat

app, other = Rat(), Rat()

@app.get("/")
def index(request):
    return "hello"

@app.route("/users/{name}", methods=["GET", "PUT"])
async def user(request, name):
    return name

def make():
    return app
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("some", None)


def test_routes_are_listed(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "some.py").write_text(APP)
    for arguments in (["some.py"], ["some.py:app"], ["some.py:make", "--factory"]):
        assert main(["routes", *arguments]) == 0
        assert capsys.readouterr().out.splitlines() == ["GET      /              index", "GET,PUT  /users/{name}  user"]


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("", ".", ".: is a directory, expected a Python file"),
        ("", "./some.txt", "./some.txt: not a Python file"),
        ("", "some.py", "some.py: has no Rat application; name one with some.py:NAME"),
        (APP, "some.py:absent", "some.py: has no attribute 'absent'"),
        (APP, "some.py:make", "some.py:make: expected a Rat application, found function; is it a factory (--factory)?"),
        (
            "from rat import Rat\none, two = Rat(), Rat()",
            "some.py",
            "some.py: has 2 applications and none is called 'app'; name one: some.py:NAME",
        ),
        (
            "import absent_module",
            "some_module:app",
            "some_module: no module of that name; a file is given with its .py",
        ),
        ("raise SystemExit", "./some.py", "./some.py: SystemExit"),
    ],
)
def test_what_cannot_be_loaded_is_told(
    directory: Path, source: str, target: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (directory / "some.py").write_text(source)
    (directory / "some.txt").write_text("text")
    assert main(["routes", target]) == 3
    assert capsys.readouterr() == ("", f"rat: cannot load {said}\n")


def test_what_no_factory_is_and_what_one_raises(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "some.py").write_text("made = 5\ndef fails(): raise ValueError('no database')")
    assert main(["routes", "some.py:made", "--factory"]) == 3
    assert main(["routes", "some.py:fails", "--factory"]) == 3
    assert capsys.readouterr().err.splitlines() == [
        "rat: cannot load some.py:made: int is not callable, and --factory asks for a function",
        "rat: cannot load some.py:fails: the factory raised ValueError: no database",
    ]


def test_check_has_a_line_for_each_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("yes  ", "no   ")) for line in lines)
    assert any(line.startswith("yes  h11 (HTTP/1.1 reference)") for line in lines)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"rat {__version__}\n")
