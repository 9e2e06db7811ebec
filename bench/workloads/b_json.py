"""JSON out, and JSON of 1 KB in and out."""

import json
from pathlib import Path

from bench.harness.workload import Workload
from bench.peers.apps.common import MESSAGE
from rat.loadgen.judge import Judge

SIZE = 1024


def content(number: int) -> bytes:
    """An object of exactly SIZE bytes, another for each number."""
    value = {"number": f"{number:08d}", "items": [{"id": n, "name": f"item {n}", "ok": n % 3 == 0} for n in range(18)]}
    value["padding"] = ""
    bare = json.dumps(value, separators=(",", ":"))
    value["padding"] = "x" * (SIZE - len(bare))
    return json.dumps(value, separators=(",", ":")).encode()


def message(files: Path) -> Judge:
    return Judge(status=200, value=MESSAGE)


def echo(files: Path) -> Judge:
    return Judge(status=200, value=json.loads(content(0)))


WORKLOADS = [
    Workload("json", "JSON", "json", "/json", message, main=True, quick=True),
    Workload(
        "post",
        "POST of 1 KB JSON, echoed",
        "echo",
        "/echo",
        echo,
        method="POST",
        content=content,
        echo=True,
        main=True,
        quick=True,
    ),
]
