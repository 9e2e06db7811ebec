"""The decoder in JavaScript, written from the document, reads what Python writes and refuses what Python refuses."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from rat.codec import CodecError, decode, encode, parse_data_value
from rat.codec.values import FORMS
from tests.codec.material import full_values, plain_values, quick
from tests.codec.test_refusals import REFUSED_BYTES
from tests.codec.test_scan import WIRES
from tests.codec.test_vectors import VECTORS, examples

NODE = shutil.which("node")
MODULE = Path(__file__).parents[2] / "rat" / "web" / "datavalue.js"
PROGRAM = """
import { createInterface } from "node:readline";
import { decode, parse, DataValueError } from MODULE;
for await (const line of createInterface({ input: process.stdin })) {
  const [hex, profile] = line.split(" ");
  const bytes = Uint8Array.from(Buffer.from(hex, "hex"));
  try {
    decode(bytes, { profile });
    console.log(JSON.stringify({ tree: parse(bytes, { profile }) }));
  } catch (error) {
    if (!(error instanceof DataValueError)) throw error;
    console.log(JSON.stringify({ offset: error.offset }));
  }
}
"""

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def loads(text: str) -> Any:
    """JSON with all numbers as floats, since JavaScript writes 5e16 as an int."""
    return json.loads(text, parse_int=float)


class Page:
    """A node process that decodes one message a line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    def read(self, message: bytes, profile: str = "full") -> Any:
        self._stdin.write(f"{message.hex()} {profile}\n")
        self._stdin.flush()
        return loads(self._stdout.readline())


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    assert NODE is not None
    program = PROGRAM.replace("MODULE", json.dumps(MODULE.as_uri()))
    arguments = [NODE, "--input-type=module", "--eval", program]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Page(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=10) == 0


def check(page: Page, message: bytes, profile: Any = "full") -> None:
    tree = parse_data_value(message, profile=profile).tree()
    assert page.read(message, profile) == {"tree": loads(json.dumps(tree))}


@quick
@given(value=full_values)
def test_generated_values(page: Page, value: Any) -> None:
    check(page, encode(value))


@quick
@given(value=plain_values)
def test_generated_values_of_bincode(page: Page, value: Any) -> None:
    check(page, encode(value, profile="bincode"), "bincode")


def test_every_form_is_among_the_samples(page: Page) -> None:
    messages = [*WIRES, *(bytes.fromhex(wire.replace(" ", "")) for wire, _ in examples("decode-only"))]
    messages += [bytes.fromhex(wire.replace(" ", "")) for _, wire in examples("examples") if ";" not in wire]
    messages += [bytes.fromhex(case["hex"]) for case in VECTORS["encode_and_decode"] + VECTORS["decode_only"]]
    messages += [encode({str(key): key for key in range(30)}), encode([math.inf, -math.inf, math.nan, 1 << 3000])]
    seen = set()

    def forms(node: dict[str, Any]) -> None:
        seen.add(node["form"])
        for child in node.get("children", ()):
            forms(child)

    for message in messages:
        check(page, message)
        forms(parse_data_value(message).tree())
    assert {form.name for form in FORMS} <= seen


@pytest.mark.parametrize("wire", [wire for wire, _ in REFUSED_BYTES.values()], ids=list(REFUSED_BYTES))
def test_refused_bytes(page: Page, wire: str) -> None:
    data = bytes.fromhex(wire)
    with pytest.raises(CodecError) as refusal:
        decode(data)
    assert page.read(data) == {"offset": refusal.value.offset}


def test_vectors_that_must_be_refused(page: Page) -> None:
    for case in VECTORS["must_be_refused"]:
        assert "offset" in page.read(bytes.fromhex(case["hex"]), case.get("profile", "full"))
    assert page.read(b"\xc1" * 5000) == {"offset": 64}
