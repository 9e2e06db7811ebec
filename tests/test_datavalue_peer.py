"""The JavaScript peer, written from the specification alone, against the example's server."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from rat.cli.loading import load_app
from tests.support import commands
from tests.support.serving import serving

EXAMPLES = Path(__file__).parent.parent / "examples"
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="needs node")
async def test_a_peer_in_javascript_speaks_it() -> None:
    assert NODE is not None
    app = load_app(str(EXAMPLES / "datavalue_tcp.py"))
    async with serving(app) as server:
        code, out, err = await commands.run(NODE, str(EXAMPLES / "datavalue_peer.mjs"), str(server.port))
        statistics = server.statistics()
    assert (code, err) == (0, "")
    printed: dict[str, object] = {}
    for line in out.splitlines():
        printed.update(json.loads(line))
    assert printed == {
        "add": 3,
        "many": True,
        "echo": {"text": "naïve ✓", "list": [1, -1, 2**40, 1.5, True, None], "map": {"a": []}},
        "big": str(-(2**63)),
        "countdown": [{"left": 3}, {"left": 2}, {"left": 1}],
        "stream": 20000,
        "total": 6.5,
        "upper": {"value": "bye", "items": ["A", "B"]},
        "sha256": {"size": 300000, "sha256": sha256(b"x" * 300000).hexdigest()},
        "zeros": 200000,
        "values": [{"number": 0, "value": "x"}, {"number": 1, "value": {"y": 1}}],
        "error": "division_by_zero: 1 cannot be divided by zero",
    }
    assert statistics["protocol_errors"] == 0
