"""``rat call`` against a server, as a user types it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import socket
import sys
from array import array
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rat import CallRequest, Rat
from rat.cli import main
from rat.cli.call import parse_arguments
from rat.cli.loading import load_app
from rat.client import parse_url
from tests.support import commands
from tests.support.serving import serving

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "datavalue_tcp.py"


async def rat_call(*arguments: str) -> tuple[int, str, str]:
    """The exit code and both outputs of the command, in a thread of this process."""

    def entered() -> int:
        try:
            return main(["call", *arguments])
        except SystemExit as end:
            return int(end.code or 0)

    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        async with asyncio.timeout(20):
            code = await asyncio.to_thread(entered)
    return code, out.getvalue(), err.getvalue()


async def typed_call(*arguments: str, given: bytes = b"") -> tuple[int, str, str]:
    """As ``rat_call``, in a process of its own with a standard input."""
    return await commands.run(sys.executable, "-m", "rat", "call", *arguments, given=given)


async def test_calls_as_they_are_typed(tmp_path: Path) -> None:
    async with serving(load_app(str(EXAMPLE))) as server:
        url = f"rat://127.0.0.1:{server.port}"
        blob = tmp_path / "blob"
        blob.write_bytes(b"x" * 300_000)
        digest = hashlib.sha256(b"x" * 300_000).hexdigest()
        down = tmp_path / "down"
        answers = [
            await typed_call(url, "add", "1", "2"),
            await rat_call(url, "add", "1", "b=2", "--checksum", "--compress"),
            await rat_call(url, "echo", '{"a": [1.5, null]}'),
            await rat_call(url, "echo", "just text"),
            await rat_call(url, "countdown", "3"),
            await rat_call(url, "divide", "1", "0"),
            await rat_call(url, "nope"),
            await rat_call(url, "sha256", "--upload", str(blob)),
            await typed_call(url, "sha256", "--upload", "-", given=b"x" * 300_000),
            await rat_call(url, "zeros", "100000", "--download", str(down)),
        ]
        hashed = f'{{"size": 300000, "sha256": "{digest}"}}\n'
        assert answers == [
            (0, "3\n", ""),
            (0, "3\n", ""),
            (0, '{"a": [1.5, null]}\n', ""),
            (0, '"just text"\n', ""),
            (0, '{"left": 3}\n{"left": 2}\n{"left": 1}\n', ""),
            (1, "", 'rat: division_by_zero: 1 cannot be divided by zero\n{"a": 1}\n'),
            (1, "", "rat: not_found: there is no call 'nope'\n"),
            (0, hashed, ""),
            (0, hashed, ""),
            (0, "", "100000 bytes\n"),
        ]
        assert down.read_bytes() == bytes(100_000)


async def test_what_json_cannot_say_is_printed_as_it_can_be() -> None:
    app = Rat()
    values = {
        "bytes": b"\x00\xff",
        "time": datetime(2026, 11, 28, 3, 20, tzinfo=UTC),
        "set": {1},
        "array": memoryview(array("d", [0.5, 1.5])),
    }

    @app.call("value")
    def value(request: CallRequest, name: str) -> object:
        return values[name]

    async with serving(app) as server:
        url = f"rat://127.0.0.1:{server.port}"
        printed = [(await rat_call(url, "value", name, "--timeout", "20"))[:2] for name in values]
    assert printed == [(0, '"AP8="\n'), (0, '"2026-11-28T03:20:00+00:00"\n'), (0, "[1]\n"), (0, "[0.5, 1.5]\n")]


async def test_a_download_goes_to_the_standard_output() -> None:
    async with serving(load_app(str(EXAMPLE))) as server:
        answer = await typed_call(f"rat://127.0.0.1:{server.port}", "zeros", "1000", "--download", "-")
    assert answer == (0, "\0" * 1000, "")


async def test_what_cannot_be_called_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        nobody = await typed_call(f"rat://127.0.0.1:{port}", "add")
        wrong = await rat_call("http://127.0.0.1:1", "add")
    assert nobody[0] == 3
    assert nobody[2] == f"rat: cannot connect to 127.0.0.1 port {port}: Connection refused\n"
    assert wrong == (2, "", "rat: url is 'http://127.0.0.1:1', expected rat://host:port or rat+unix:///path\n")


@pytest.mark.parametrize(
    "url", ["rat://[::1", "rat://a..b:1", "rat://localhost:port", "rat://localhost", "rat://:1", "rat+unix://host"]
)
def test_every_wrong_url_is_told_what_is_right(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected rat://host:port or rat\+unix:///path"):
        parse_url(url)


async def test_a_missing_file_and_a_missing_argument_are_told_apart() -> None:
    async with serving(load_app(str(EXAMPLE))) as server:
        absent = await rat_call(f"rat://127.0.0.1:{server.port}", "sha256", "--upload", "/no/such")
    assert absent == (1, "", "rat: /no/such: No such file or directory\n")
    assert (await rat_call())[2].endswith("rat call: error: the following arguments are required: URL, NAME\n")


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_a_timeout_that_cannot_be_meant_is_usage(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["call", "rat://127.0.0.1:1", "add", "--timeout", seconds])
    assert ended.value.code == 2
    assert f"argument --timeout: {seconds!r}, expected seconds above 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1", "text", "[1]", "true"], ([1, "text", [1], True], {})),
        (["a=1", "b=x", "c=[2]"], ([], {"a": 1, "b": "x", "c": [2]})),
        (['"a=1"', "1=2", "{}"], (["a=1", "1=2", {}], {})),
    ],
)
def test_arguments_are_json_where_they_can_be(texts: list[str], expected: Any) -> None:
    assert parse_arguments(texts) == expected
