"""``rat bench``: put load on an HTTP server and say what came back, how fast, and whether it was right.

    rat bench URL -c 64 -d 10 -p 1 [--rate N]        requests, as fast as answers come or at a fixed rate
    rat bench sse URL --clients 1000                 event streams
    rat bench upload URL --size 64M                  large requests
    rat bench download URL                           large answers
    rat bench frames HOST:PORT --call NAME           calls over DataValue frames

Exit codes: 0 all answers right, 1 some wrong or missing, 2 usage.
"""

# Knows the terminal; the load itself is made in rat.loadgen, which knows nothing of the server.

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rat.cli import bench_report as report
from rat.errors import reason
from rat.loadgen.frames import FramesLoad, FramesPlan, FramesResult
from rat.loadgen.http import HttpLoad, HttpResult, Plan
from rat.loadgen.judge import Judge
from rat.loadgen.requests import BROWSER_FIELDS, build_requests, parse_url
from rat.loadgen.sse import SseLoad, SsePlan, SseResult

__all__ = ["add_parser", "main", "run"]

MODES = ("http", "sse", "upload", "download", "frames")
RECORD = {"id": 4711, "name": "a record of about 200 bytes", "active": True, "score": 0.75, "text": "x" * 120}
_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_size(text: str) -> int:
    """``64M`` -> bytes, in powers of 1,024.  Raises ArgumentTypeError."""
    unit = text[-1:].upper() if not text[-1:].isdigit() else ""
    number = text[: len(text) - len(unit)]
    if unit not in _SIZES or not number.isdigit():
        raise argparse.ArgumentTypeError(f"size {text!r}, expected a number with K, M or G behind it or nothing")
    return int(number) * _SIZES[unit]


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name or "\r" in text or "\n" in text:
        raise argparse.ArgumentTypeError(f"field {text!r}, expected NAME: VALUE")
    return name.strip(), value.strip()


def _crc(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected hexadecimal digits") from None


def _json(text: str | bytes, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{what} is no JSON: {error}") from None


def _positive(kind: type) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        value = kind(text)
        if not value > 0:  # nan is not above anything, and would never end
            raise argparse.ArgumentTypeError(f"{text}, must be above 0")
        return value

    parse.__name__ = kind.__name__
    return parse


def configure(parser: argparse.ArgumentParser) -> None:
    """Give *parser* the arguments of ``rat bench``."""
    parser.usage = "%(prog)s [MODE] URL [option ...]"  # argparse would say that both may be repeated
    parser.add_argument(
        "words", nargs="+", metavar="[MODE] URL", help=f"MODE is one of {', '.join(MODES)}; http if left out"
    )
    parser.add_argument(
        "-c",
        "--connections",
        type=_positive(int),
        default=None,
        help="connections (16; 1 for upload, download and frames)",
    )
    parser.add_argument("-d", "--duration", type=_positive(float), default=10.0, help="seconds (10)")
    parser.add_argument(
        "-p", "--pipeline", type=_positive(int), default=None, help="in flight on each connection (1; 64 for frames)"
    )
    parser.add_argument(
        "-n", "--count", type=_positive(int), default=None, help="stop when this many answers have come"
    )
    parser.add_argument(
        "--rate", type=_positive(float), default=None, help="requests a second; latency counts from when each was due"
    )
    parser.add_argument("--warmup", type=float, default=0.0, help="seconds before the measured window (0)")
    parser.add_argument("--clients", type=_positive(int), default=100, help="sse: streams (100)")
    parser.add_argument("--size", type=parse_size, default=64 << 20, help="upload: bytes of content (64M)")
    parser.add_argument("-m", "--method", default=None, help="method (GET; POST with content)")
    parser.add_argument(
        "-H", "--header", dest="fields", type=_field, action="append", default=[], metavar="NAME: VALUE"
    )
    parser.add_argument("--body", type=Path, default=None, metavar="FILE", help="send the content of this file")
    parser.add_argument("--browser", action="store_true", help="send a head of a browser's size")
    parser.add_argument("--vary", action="store_true", help="another target and another cookie in each request")
    parser.add_argument("--expect-status", type=int, default=None, help="the only right status (any from 200 to 399)")
    parser.add_argument("--expect-body", type=Path, default=None, metavar="FILE", help="the only right content")
    parser.add_argument("--expect-json", type=Path, default=None, metavar="FILE", help="the only right JSON value")
    parser.add_argument("--expect-size", type=int, default=None, help="the only right size of content")
    parser.add_argument("--expect-crc", type=_crc, default=None, metavar="HEX", help="the only right CRC-32")
    parser.add_argument("--call", default="echo", metavar="NAME", help="frames: the procedure to call (echo)")
    parser.add_argument("--args", default=None, metavar="JSON", help="frames: its arguments, a list (one record)")
    parser.add_argument(
        "--payload", type=Path, default=None, metavar="FILE", help="frames: the payload of the call, as is"
    )
    parser.add_argument("--server-pid", type=int, default=None, help="measure the CPU of this process and its children")
    parser.add_argument(
        "--hdr", type=Path, default=None, metavar="FILE", help="write the latency distribution (HdrHistogram text)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output and nothing else")
    parser.add_argument("--loop", choices=("auto", "uvloop", "asyncio"), default="auto")
    parser.set_defaults(func=run, run=run)


def add_parser(subparsers: Any) -> None:
    """Add ``bench`` to the subcommands of ``rat``."""
    configure(
        subparsers.add_parser(
            "bench",
            help="put load on a server",
            description=__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )


def run(args: argparse.Namespace) -> int:
    """Run one load as the arguments say; the exit code."""
    words = list(args.words)
    mode = words.pop(0) if len(words) > 1 else "http"
    if mode not in MODES or len(words) != 1:
        print(
            f"rat bench: {' '.join(args.words)!r}, expected a URL, or one of {', '.join(MODES)} and a URL",
            file=sys.stderr,
        )
        return 2
    try:
        target = parse_url(words[0].removeprefix("rat://") if mode == "frames" else words[0])
        if mode == "frames":
            return _run_frames(args, target)
        if mode == "sse":
            return _run_sse(
                args, SsePlan(target, args.clients, args.duration, args.warmup, tuple(args.fields), args.server_pid)
            )
        return _run_http(args, mode, target)
    except ValueError as error:
        print(f"rat bench: {error}", file=sys.stderr)
        return 2
    except TimeoutError:
        print(f"rat bench: {words[0]}: no answer in time", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"rat bench: {error.filename or words[0]}: {reason(error)}", file=sys.stderr)
        return 1 if error.filename is None else 2


def _run_http(args: argparse.Namespace, mode: str, target: Any) -> int:
    contents: list[bytes] = []
    if mode == "upload":
        contents = [bytes(range(256)) * (args.size // 256) + bytes(args.size % 256)]
    elif args.body is not None:
        contents = [args.body.read_bytes()]
    method = args.method or ("POST" if contents else "GET")
    fields = [*args.fields, *(BROWSER_FIELDS if args.browser else ())]
    vary = args.vary and mode != "upload"
    connections = args.connections or (1 if mode in ("upload", "download") else 16)
    judge = Judge(
        status=args.expect_status,
        content=None if args.expect_body is None else args.expect_body.read_bytes(),
        value=None if args.expect_json is None else _json(args.expect_json.read_bytes(), str(args.expect_json)),
        size=args.expect_size,
        crc=args.expect_crc,
    )
    plan = Plan(
        target,
        build_requests(target, method=method, fields=fields, contents=contents, vary=vary),
        connections=connections,
        duration=args.duration,
        pipeline=args.pipeline or 1,
        rate=args.rate,
        warmup=args.warmup,
        count=args.count,
        expect_content=method != "HEAD",
        server_pid=args.server_pid,
    )
    bar = report.Bar(args.json)
    result: HttpResult = _drive(HttpLoad(plan, judge, progress=bar.http).run(), args.loop)
    bar.clear()
    if args.hdr is not None:
        args.hdr.write_text(result.latency.distribution(), encoding="ascii")
    if args.json:
        print(json.dumps(report.http_json(plan, result, mode)))
    else:
        print(report.http_text(plan, result, mode))
    return 0 if result.answers and not result.faults and not result.unanswered else 1


def _run_sse(args: argparse.Namespace, plan: SsePlan) -> int:
    bar = report.Bar(args.json)
    result: SseResult = _drive(SseLoad(plan, progress=bar.sse).run(), args.loop)
    bar.clear()
    if args.hdr is not None:
        args.hdr.write_text(result.latency.distribution(), encoding="ascii")
    if args.json:
        print(json.dumps(report.sse_json(plan, result)))
    else:
        print(report.sse_text(plan, result))
    return 0 if result.events and not result.faults and not result.gaps and not result.silent else 1


def _run_frames(args: argparse.Namespace, target: Any) -> int:
    from rat.codec import encode
    from rat.config import FrameLimits
    from rat.frames.settings import offer, pack_hello

    if args.payload is not None:
        call, expected = args.payload.read_bytes(), None
    else:
        values = _json(args.args, f"--args {args.args!r}") if args.args is not None else [RECORD]
        if not isinstance(values, list):
            raise ValueError(f"--args {args.args!r}, expected a JSON list")
        call, expected = encode([args.call, values]), None
        if args.expect_json is not None:
            expected = encode(_json(args.expect_json.read_bytes(), str(args.expect_json)))
        elif args.call == "echo" and len(values) == 1:
            expected = encode(values[0])
    if args.expect_body is not None:
        expected = args.expect_body.read_bytes()
    plan = FramesPlan(
        target.host,
        target.port,
        pack_hello(offer(FrameLimits(), frozenset())),
        call,
        expected,
        connections=args.connections or 1,
        in_flight=args.pipeline or 64,
        duration=args.duration,
        count=args.count,
        server_pid=args.server_pid,
    )
    bar = report.Bar(args.json)
    result: FramesResult = _drive(FramesLoad(plan, progress=bar.frames).run(), args.loop)
    bar.clear()
    if args.hdr is not None:
        args.hdr.write_text(result.latency.distribution(), encoding="ascii")
    print(json.dumps(report.frames_json(plan, result)) if args.json else report.frames_text(plan, result))
    return 0 if result.answers and not result.faults and not result.unanswered else 1


def _drive(work: Coroutine[Any, Any, Any], loop: str) -> Any:
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if loop != "asyncio":
        try:
            import uvloop

            factory = uvloop.new_event_loop
        except ImportError:
            if loop == "uvloop":
                raise
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


def main(argv: list[str] | None = None) -> int:
    """``python -m rat.cli.bench``: the same without the rest of ``rat``."""
    parser = argparse.ArgumentParser(
        prog="rat bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    configure(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
