"""The benches by one door.

    python -m bench [--quick] [--workload NAME ...] [--peer NAME ...]      the comparison
    python -m bench compare OLD.json NEW.json                            what changed beyond noise
    python -m bench micro                                                in process, without sockets
    python -m bench instr                                                instructions of HEAD and its parent
    python -m bench profile WORKLOAD                                     a flame graph of this server
    python -m bench document RESULT.json                                 docs/benchmarks.md and its plots

The comparison and the profile go on in an environment of their own, bench/.venv, which they make.
"""

from __future__ import annotations

import sys
from importlib import import_module

COMMANDS = {
    "compare": ("bench.compare", False),
    "micro": ("bench.micro", False),
    "instr": ("bench.instr", False),
    "profile": ("bench.profile", True),
    "document": ("bench.document", True),
    "run": ("bench.run", True),
}


def main(arguments: list[str]) -> int:
    """The exit code."""
    name = arguments[0] if arguments and arguments[0] in COMMANDS else "run"
    rest = arguments[1:] if arguments and arguments[0] in COMMANDS else arguments
    module, needs_environment = COMMANDS[name]
    if needs_environment and not {"-h", "--help"} & set(rest):
        from bench.harness.environment import enter

        enter(arguments)
    return int(import_module(module).main(rest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
