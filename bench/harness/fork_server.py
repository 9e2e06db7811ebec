"""Clients in Python, forked from a process that has imported them: a turn is short, and starting Python takes as long.

    python -m bench.harness.fork_server

reads one order a line, runs it to its end, and answers with the exit code and the CPU seconds it took.  Has no threads,
no event loop and no sockets of its own that a child could inherit.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from bench.harness.environment import started

IMPORTED = ("rat.cli.bench", "bench.harness.blob_client")
HANGING = 60
"""Seconds after which a client is ended."""


class ForkServer:
    """The process, on the client's core.  Use as a context manager, or call close()."""

    def __init__(self, core: int | None) -> None:
        self._process = started("bench.harness.fork_server", core)

    def run(self, module: str, arguments: list[str], out: Path, err: Path) -> tuple[int, float]:
        """Call ``main()`` of *module*; the exit code and the CPU seconds.  Raises EOFError when the process is gone."""
        assert self._process.stdin
        assert self._process.stdout
        order = {"module": module, "arguments": arguments, "out": str(out), "err": str(err)}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise EOFError(f"the process that forks clients has ended with {self._process.wait()}")
        code, cpu = json.loads(answer)
        return code, cpu

    def close(self) -> None:
        """End it.  No client runs then: each run() has waited for its own."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def child(order: dict[str, Any]) -> int:
    """What the forked process does; its exit code."""
    signal.alarm(HANGING)
    for descriptor, path in enumerate((os.devnull, order["out"], order["err"])):
        with open(path, "wb" if descriptor else "rb") as file:
            os.dup2(file.fileno(), descriptor)
    sys.argv = [order["module"], *order["arguments"]]
    try:
        return int(importlib.import_module(order["module"]).main())
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def main() -> None:
    for module in IMPORTED:
        importlib.import_module(module)
    for line in sys.stdin.buffer:
        pid = os.fork()
        if not pid:
            os._exit(child(json.loads(line)))
        _, status, usage = os.wait4(pid, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime]), flush=True)


if __name__ == "__main__":
    main()
