"""GET of 13 bytes: target and cookie differ from request to request."""

from pathlib import Path

from bench.harness.workload import Workload
from rat.loadgen.judge import Judge


def judge(files: Path) -> Judge:
    return Judge(status=200, content=b"Hello, World!")


WORKLOADS = [
    Workload("get", "GET, 64 connections", "hello", "/", judge, main=True, quick=True),
    Workload("get-1", "GET, 1 connection", "hello", "/", judge, connections=1),
    Workload("get-512", "GET, 512 connections", "hello", "/", judge, connections=512, seconds=0.3, rounds=8),
    Workload("browser", "GET, heads of a browser's size", "hello", "/", judge, browser=True),
    # Few connections: a round of all that is under way must be short beside a turn, for the slowest as well.
    Workload("pipelined", "GET, pipelined x16", "hello", "/", judge, connections=8, pipeline=16),
]
