"""``rat inspect``: frames and values as trees, with offsets, and what is wrong with them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from rat.cli import main
from rat.codec import encode
from rat.codec.frame import Flag, Kind, pack_frame
from rat.config import FrameLimits
from rat.frames import events
from rat.frames.engine import FramesEngine
from tests.frames.support import call_frame, joined, pair


def capture(features: frozenset[str]) -> bytes:
    """What a client says in a short conversation."""
    hello = joined(FramesEngine(FrameLimits(), is_client=True, features=features))
    client, _ = pair(features=features)
    record = {"identifier": 7, "text": "x" * 2000}
    client.call(events.Call(1, "store", [record], {"twice": True}))
    client.call(events.Call(3, "more", [record], None, None, True))
    assert client.item(3, record)
    assert client.data(3, b"blob") == 4
    client.end(3)
    client.goaway("bye")
    return hello + joined(client)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["inspect", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_file_that_is_not_there_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "/no/such") == (2, "", "rat: cannot read /no/such: No such file or directory\n")


@pytest.mark.parametrize(
    "features", [frozenset[str](), frozenset({"tables"}), frozenset({"tables", "checksum", "zstd"})], ids=len
)
def test_a_capture_is_shown_frame_by_frame(
    features: frozenset[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "capture"
    path.write_bytes(capture(features))
    code, out, err = run(capsys, str(path), "--json")
    assert (code, err) == (0, "")
    *frames, end = [json.loads(line) for line in out.splitlines()]
    assert [frame["kind"] for frame in frames] == ["HELLO", "CALL", "CALL", "ITEM", "DATA", "END", "GOAWAY"]
    assert frames[0]["offset"] == 0
    assert sum(frame["size"] for frame in frames) == path.stat().st_size
    item = frames[3]["value"]
    assert {child["key"]: child["value"] for child in item["children"]} == {"identifier": 7, "text": "x" * 2000}
    statistics = end["statistics"]
    assert statistics["frames"] == {"CALL": 2, "HELLO": 1, "ITEM": 1, "DATA": 1, "END": 1, "GOAWAY": 1}
    assert (statistics["streams"], statistics["problems"], end["problem"]) == (2, 0, None)
    code, out, err = run(capsys, str(path))
    assert (code, err) == (0, "")
    assert "ITEM" in out
    assert "identifier: Int 7" in out


def test_a_value_is_shown_as_a_tree_with_offsets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "value"
    path.write_bytes(encode({"a": [1, None], "b": 2.5}))
    code, out, err = run(capsys, str(path))
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:3] == ["0", "Map", "2"]
    assert ["5", "a:", "List", "2", "items", "c2", "81", "00"] in lines
    assert ["6", "Int", "1", "81"] in lines
    assert ["8", "b:", "Float", "2.5", "03", "00", "00", "00", "00", "00", "00", "04", "40"] in lines
    path.write_text(encode([1]).hex(" "))
    assert run(capsys, str(path), "--hex")[0] == 0
    assert run(capsys, str(path), "--hex", "--stats")[1].startswith("values:")


class Stdin:
    def __init__(self, data: bytes) -> None:
        import io

        self.buffer = io.BytesIO(data)


BAD: dict[str, tuple[bytes, str]] = {
    "an end inside a frame": (
        call_frame(1) + call_frame(3)[:9], "rat: the capture ends 9 bytes into a frame at offset 16\n"
    ),
    "an end inside a payload": (
        call_frame(1) + call_frame(3)[:14], "rat: the capture ends 14 bytes into a frame, and it has 16 at offset 16\n"
    ),
    "an unknown kind": (call_frame(1) + pack_frame(99, 0, 0), "rat: frame of unknown kind 99 at offset 20\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_what_cannot_be_read_is_said_with_its_offset(
    case: tuple[bytes, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, message = case
    monkeypatch.setattr(sys, "stdin", Stdin(data))
    code, out, err = run(capsys, "-")
    assert code == 1
    assert "CALL" in out
    assert err == message


def test_a_frame_that_is_damaged_does_not_hide_the_next(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = pack_frame(Kind.CALL, Flag.CHECKSUM, 1, encode(["f", []]))[:-1] + b"\x00"
    no_value = pack_frame(Kind.CALL, 0, 3, b"\xff")
    monkeypatch.setattr(sys, "stdin", Stdin(damaged + no_value + call_frame(5)))
    code, out, err = run(capsys, "-", "--json")
    assert (code, err) == (1, "")
    rows: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert rows[0]["problem"].startswith("checksum ")
    assert "problem" in rows[1]
    assert "problem" not in rows[2]
    assert rows[3]["statistics"]["problems"] == 2


def test_text_that_is_no_hexadecimal_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b"00\xe2"))
    code, _, err = run(capsys, "-", "--hex")
    assert code == 2
    assert err.startswith("rat: cannot read -: non-hexadecimal number found")


@pytest.mark.parametrize("name", ["no such file", "."])
def test_a_file_that_is_not_there_is_a_usage_error(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, name)
    assert (code, out) == (2, "")
    assert err.startswith(f"rat: cannot read {name}: ")
