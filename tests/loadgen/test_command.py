from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from rat.cli import COMMANDS, bench, main
from tests.loadgen import servers
from tests.support import commands
from tests.support.patience import three_tries


async def call(habit: servers.Habit, *words: str, mode: str | None = None) -> tuple[int, str, str]:
    """Run the command in a process of its own, as a user would."""
    async with servers.serving(habit) as url:
        arguments = [*([mode] if mode else []), url, *words]
        return await commands.run(sys.executable, "-m", "rat.cli.bench", *arguments)


async def test_json_and_the_distribution(tmp_path: Path) -> None:
    distribution = tmp_path / "latency.hgrm"
    code, output, errors = await call(
        servers.right, "-n", "200", "-c", "2", "--json", "--hdr", str(distribution), "--server-pid", str(os.getpid())
    )
    assert (code, errors) == (0, "")
    figures: dict[str, Any] = json.loads(output)
    assert figures["answers"] >= 200
    assert figures["faults"] == {}
    assert figures["server_cpu"] > 0.0
    assert distribution.read_text().splitlines()[-2].startswith("#[Max")


async def test_wrong_answers_give_exit_code_1_and_a_line(tmp_path: Path) -> None:
    expected = tmp_path / "expected"
    expected.write_bytes(b"Hello, World!")
    code, output, _ = await call(servers.wrong_now_and_then, "-n", "100", "-c", "1", "--expect-body", str(expected))
    assert code == 1
    assert "wrong     10 x content b'Hello, Wurld!', expected b'Hello, World!'" in output


@three_tries
async def test_event_streams() -> None:
    code, output, _ = await call(servers.events(5), "--clients", "3", "-d", "0.4", mode="sse")
    assert code == 0
    assert output.startswith("15 events to 3 of 3 subscribers")


async def test_uploads_say_what_was_sent() -> None:
    code, output, _ = await call(servers.right, "--size", "64K", "-n", "5", mode="upload")
    assert code == 0
    assert "sent      0 MB" in output


async def test_what_it_says_of_a_rate() -> None:
    code, output, _ = await call(servers.right, "--rate", "100", "-d", "0.3")
    assert code == 0
    assert "from when each was due" in output
    assert "from when each was sent" in output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["sideways", "http://h/"],
            "'sideways http://h/', expected a URL, or one of",
        ),
        (["https://h/"], "scheme 'https', only http is spoken"),
        (["frames", "h:1", "--args", "x"], "--args 'x' is no JSON: Expecting value: line 1 column 1 (char 0)"),
        (["http://h/", "--expect-json", __file__], f"{__file__} is no JSON: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_usage(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(words) == 2
    assert capsys.readouterr().err.startswith(f"rat bench: {message}")


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_a_time_that_is_none(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(["http://h/", "-d", seconds])
    usage, error = capsys.readouterr().err.splitlines()
    assert usage.endswith("[MODE] URL [option ...]")
    assert error.endswith(f"argument -d/--duration: {seconds}, must be above 0")


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["http://127.0.0.1:1/"]) == 1
    assert capsys.readouterr().err == "rat bench: http://127.0.0.1:1/: Connection refused\n"


def test_a_content_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["http://127.0.0.1:1/", "--body", "/no/such"]) == 2
    assert capsys.readouterr().err == "rat bench: /no/such: No such file or directory\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_no_markup(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "``" not in capsys.readouterr().out


@pytest.mark.parametrize(("text", "size"), [("17", 17), ("64K", 65536), ("2m", 2 << 20), ("1G", 1 << 30)])
def test_sizes(text: str, size: int) -> None:
    assert bench.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "1T", "-1", "1.5M"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a number with K, M or G behind it or nothing"):
        bench.parse_size(text)


def test_it_is_a_subcommand() -> None:
    parser = argparse.ArgumentParser()
    bench.add_parser(parser.add_subparsers())
    args = parser.parse_args(["bench", "sse", "http://h/", "--clients", "5"])
    assert args.func is bench.run
    assert args.clients == 5
