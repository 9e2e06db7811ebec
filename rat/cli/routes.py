"""``rat routes``: the routes of an application, one a line."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from rat.cli.serve import EXIT_NOT_STARTED, add_target
from rat.errors import AppLoadError

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("routes", help="list the routes of an application", description=__doc__)
    add_target(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print method, path and handler of each route."""
    from rat.cli.loading import load_app

    try:
        app = load_app(options.target, factory=options.factory)
    except AppLoadError as error:
        print(f"rat: cannot load {error}", file=sys.stderr)
        return EXIT_NOT_STARTED
    app.prepare()
    rows = [(",".join(sorted(route.methods)), route.path, route.name) for route in app.routes]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for methods, path, name in rows:
        print(f"{methods:<{widths[0]}}  {path:<{widths[1]}}  {name}")
    return 0
