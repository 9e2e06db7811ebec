"""``rat serve``: load an application, listen, and stop by signal.

Exit codes: 0 drained, 1 crash, 2 usage, 3 the application could not be loaded or the address not bound, 130 after a
second Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rat import __version__
from rat.errors import AppLoadError, BindError, ConfigError

if TYPE_CHECKING:
    from rat.app import Rat
    from rat.server import RatServer

__all__ = ["add_parser", "add_target"]

EXIT_CRASH, EXIT_USAGE, EXIT_NOT_STARTED, EXIT_INTERRUPTED = 1, 2, 3, 130

LOG_LEVELS = ("critical", "error", "warning", "info", "debug")


def add_target(parser: argparse.ArgumentParser) -> None:
    """The arguments that name an application."""
    parser.add_argument("target", metavar="TARGET", help="app.py, app.py:attr or package.module:attr")
    parser.add_argument(
        "--factory", action="store_true", help="the attribute is a function that returns the application"
    )


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "serve",
        help="serve an application",
        description=__doc__,
        epilog="One process with one event loop. For more cores start more of them, on ports or sockets of their own; "
        "a proxy in front chooses between them and ends TLS (docs/how-to/deploy.md).",
    )
    add_target(parser)
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one (default 8000)")
    parser.add_argument("--uds", metavar="PATH", help="listen on a Unix socket instead")
    parser.add_argument("--fd", type=int, metavar="N", help="listen on an inherited descriptor instead")
    parser.add_argument(
        "--frames-port", type=int, metavar="PORT", help="port of its own for frames; 0 takes a free one"
    )
    parser.add_argument("--frames-uds", metavar="PATH", help="Unix socket of its own for frames")
    parser.add_argument("--http", choices=("auto", "h11"), help="auto: fast lane where it applies; h11: h11 for all")
    parser.add_argument("--loop", choices=("auto", "uvloop", "asyncio"), help="event loop (default auto)")
    parser.add_argument("--log-level", choices=LOG_LEVELS, help="what is logged (default info)")
    parser.add_argument("--access-log", action=argparse.BooleanOptionalAction, default=None, help="log every request")
    parser.add_argument("--grace", type=float, metavar="SECONDS", help="how long a stop waits for what is in flight")
    parser.add_argument("--config", metavar="FILE", help="TOML file (default: [tool.rat] of ./pyproject.toml)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a bound, such as limits.body=16MiB"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    from rat.cli.loading import load_app
    from rat.cli.settings import ADDRESS_KEYS, collect

    try:
        app = load_app(options.target, factory=options.factory)
    except AppLoadError as error:
        return _not_started(f"cannot load {error}", error.__cause__)
    given = {name: getattr(options, name) for name in (*ADDRESS_KEYS, "http")}
    try:
        config, settings = collect(given, options.set, options.config, app.config)
        loop_factory, loop_name = choose_loop(settings.get("loop", "auto"))
    except ConfigError as error:
        print(f"rat: {error}", file=sys.stderr)
        return EXIT_USAGE
    level = str(settings.get("log_level", "info"))
    if level not in LOG_LEVELS:
        print(f"rat: log_level is {level!r}, and may be one of {', '.join(LOG_LEVELS)}", file=sys.stderr)
        return EXIT_USAGE
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    from rat.server import RatServer

    server = RatServer(
        app,
        host=settings.get("host", "127.0.0.1"),
        port=settings.get("port", 8000),
        uds=settings.get("uds"),
        fd=settings.get("fd"),
        frames_port=settings.get("frames_port"),
        frames_uds=settings.get("frames_uds"),
        config=config,
        access_log=settings.get("access_log", False),
    )
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(_serve(server, app, options.target, loop_name, settings.get("grace")))
    except BindError as error:
        return _not_started(str(error), None)
    except _StartupFailed as error:
        return _not_started(f"cannot start {options.target}: {error}", error.__cause__)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception:
        logging.getLogger("rat.server").critical("the server crashed", exc_info=True)
        return EXIT_CRASH


class _StartupFailed(Exception):
    """The application's own start-up raised."""


async def _serve(server: RatServer, app: Rat, target: str, loop_name: str, grace: float | None) -> int:
    try:
        await server.start()
    except BindError:
        raise
    except Exception as error:
        raise _StartupFailed(f"{type(error).__name__}: {error}") from error
    stop = _Stop(server, grace)
    stop.install()
    print_banner(server, target, loop_name)
    try:
        await server.serve_forever()
    finally:
        stop.uninstall()
    return 0


class _Stop:
    """Signals: the first one drains, the second one ends the process at once."""

    def __init__(self, server: RatServer, grace: float | None) -> None:
        self._server = server
        self._grace = grace
        self._task: asyncio.Task[int] | None = None

    def install(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self.receive, number)
            except NotImplementedError:
                signal.signal(number, lambda n, _: loop.call_soon_threadsafe(self.receive, n))

    def uninstall(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.remove_signal_handler(number)
            except NotImplementedError:
                signal.signal(number, signal.SIG_DFL)

    def receive(self, number: int) -> None:
        name = signal.Signals(number).name
        log = logging.getLogger("rat.server")
        if self._task is not None:
            log.warning("%s again: ending at once", name)
            logging.shutdown()
            os._exit(EXIT_INTERRUPTED if number == signal.SIGINT else 128 + number)
        count = len(self._server.service.connections)
        log.info("%s: finishing %d connection%s", name, count, "" if count == 1 else "s")
        self._task = asyncio.get_running_loop().create_task(self._server.close(self._grace))


def choose_loop(name: str) -> tuple[Callable[[], asyncio.AbstractEventLoop] | None, str]:
    """A loop factory (None: asyncio's own) and its name; raises ConfigError when uvloop is asked for and missing."""
    if name not in ("auto", "uvloop", "asyncio"):
        raise ConfigError(f"loop is {name!r}, and may be auto, uvloop or asyncio")
    if name != "asyncio":
        try:
            import uvloop
        except ImportError as error:
            if name == "uvloop":
                raise ConfigError(f"loop is uvloop, which cannot be imported: {error}") from error
        else:
            return uvloop.new_event_loop, "uvloop"
    return None, "asyncio"


def print_banner(server: RatServer, target: str, loop_name: str) -> None:
    """Say where the server is; a launcher may read the address from the second line."""
    lane = "h11" if server.config.http == "h11" else "fast lane and h11"
    print(f"rat {__version__} serves {target}")
    print(f"  {server.address}")
    for address in server.frames_addresses:
        print(f"  {address}")
    print(f"  loop {loop_name}, HTTP by {lane}, pid {os.getpid()}")
    print("  Ctrl-C finishes what is in flight, a second one ends at once", flush=True)


def _not_started(line: str, cause: BaseException | None) -> int:
    print(f"rat: {line}", file=sys.stderr)
    if cause is not None:
        traceback.print_exception(type(cause), cause, _of_the_app(cause.__traceback__), file=sys.stderr)
    return EXIT_NOT_STARTED


def _of_the_app(frames: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of the loader, down to the first one of the application; none if there is none."""
    own = os.path.dirname(os.path.dirname(__file__)) + os.sep
    first = frames
    while first is not None:
        name = first.tb_frame.f_code.co_filename
        if not name.startswith(own) and not name.startswith("<frozen") and "importlib" not in name:
            return first
        first = first.tb_next
    return None
