"""The command line: ``rat serve``, ``rat routes``, ``rat check`` and the tools beside them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from rat import __version__

__all__ = ["main"]

COMMANDS = ("serve", "routes", "check", "bench", "call", "inspect")


class _Parser(argparse.ArgumentParser):
    """Exits with 2 on a usage error, as argparse does; errors name the command."""

    def format_help(self) -> str:
        # Descriptions are docstrings, and a terminal shows no markup.
        return super().format_help().replace("``", "")


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command, made from the modules of this package."""
    parser = _Parser(prog="rat", description="A streaming server straight on asyncio.Protocol.")
    parser.add_argument("--version", action="version", version=f"rat {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    for name in COMMANDS:
        import_module(f"rat.cli.{name}").add_parser(subparsers)
        subparsers.choices[name].set_defaults(parser=subparsers.choices[name])
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit code."""
    parser = build_parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command == "call" and not any(text.startswith("--") for text in rest):
        # argparse takes no arguments of a call behind an option that comes behind its name.
        options.arguments += rest
    elif rest:
        options.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
