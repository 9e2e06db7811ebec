"""The specification's example is what a server says, byte for byte, and its table is the engine's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from rat import Rat
from rat.codec.frame import FLAGS_ALLOWED, Flag, Kind, pack_frame
from rat.frames.tables import CALLEE_SENDS, CALLER_SENDS, StreamState
from tests.support.serving import serving

PAGE = (Path(__file__).parent.parent.parent / "docs" / "frames.md").read_text()


def exchange() -> list[tuple[str, bytes]]:
    """The steps of the example: who speaks, and what; lines of one side in a row are one step."""
    block = re.search(r"```exchange\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    steps: list[tuple[str, bytes]] = []
    for line in block[1].splitlines():
        if line[:1] in ("<", ">"):
            data = bytes.fromhex(line[1:])
            if steps and steps[-1][0] == line[0]:
                data = steps.pop()[1] + data
            steps.append((line[0], data))
    return steps


def make_app() -> Rat:
    app = Rat()

    @app.call("add")
    def add(request: Any, a: int, b: int) -> int:
        return a + b

    @app.call("ticks")
    async def ticks(request: Any, count: int) -> AsyncIterator[dict[str, int]]:
        for n in range(count):
            yield {"n": n}

    @app.call("store")
    async def store(request: Any, name: str) -> int:
        return sum([len(piece) async for piece in request.stream])

    return app


async def test_the_example_is_what_a_server_says() -> None:
    steps = exchange()
    assert len(steps) == 14
    async with serving(make_app()) as server, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for side, data in steps:
            if side == ">":
                writer.write(data)
            else:
                assert (await reader.readexactly(len(data))).hex(" ") == data.hex(" ")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


def test_the_example_of_a_checksum() -> None:
    match = re.search(r"with a checksum: `([0-9a-f ]+)`", PAGE)
    assert match is not None
    assert bytes.fromhex(match[1]) == pack_frame(Kind.RESULT, Flag.CHECKSUM, 1, b"\x83")


def sends(table: dict[Kind, StreamState], state: StreamState) -> str:
    return ", ".join(
        kind.name + ("" if becomes is state else f" (then {becomes.name})") for kind, becomes in table.items()
    )


def test_the_table_of_calls_is_the_engines() -> None:
    rows = [
        f"| {state.name}: {state.value} | {sends(CALLER_SENDS[state], state)} | {sends(CALLEE_SENDS[state], state)} |"
        for state in (StreamState.OPEN, StreamState.ENDED)
    ]
    assert "\n".join(rows) in PAGE


def test_the_tables_of_kinds_and_flags_are_the_engines() -> None:
    kinds = re.findall(r"^\| (\d+) \| ([A-Z]+) \| (?:0|new|of a call) \|", PAGE, re.MULTILINE)
    assert kinds == [(str(kind.value), kind.name) for kind in Kind]
    flags = re.findall(
        r"^\| ([01][0-9a-f]) \| ([A-Z]+) \| ([^|]+) \|", PAGE.partition("## 4.")[2].partition("## 5.")[0], re.M
    )
    assert [(int(number, 16), name) for number, name, _ in flags] == [(flag.value, flag.name) for flag in Flag]
    for _, name, where in flags:
        allowed = [kind.name for kind in Kind if FLAGS_ALLOWED[kind] & Flag[name]]
        named = where.split() if not where.startswith("all but") else [
            kind.name for kind in Kind if kind.name not in where.split()
        ]  # fmt: skip
        assert named == allowed
