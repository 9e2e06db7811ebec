"""``rat call``: call a procedure of a frames server and print what it answers, as JSON, one line each item.

Exit codes: 0 answered, 1 the call failed, 2 usage, 3 no connection.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from rat.client import Client, Retry, connect, save
from rat.errors import CallError, CodecError, ConnectionLost, reason
from rat.events import Buffer

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("call", help="call a procedure of a frames server", description=__doc__)
    parser.add_argument("url", metavar="URL", help="rat://host:port or rat+unix:///path")
    parser.add_argument("name", metavar="NAME", help="the procedure")
    parser.add_argument(
        "arguments",
        nargs="*",
        default=[],
        metavar="ARGUMENT",
        help="JSON, or text as it is; NAME=VALUE goes by name",
    )
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="for the whole call")
    parser.add_argument("--checksum", action="store_true", help="with checksums")
    parser.add_argument("--compress", action="store_true", help="with zstd")
    blob = parser.add_mutually_exclusive_group()
    blob.add_argument("--upload", metavar="FILE", help="send the bytes of FILE (- for standard input)")
    blob.add_argument("--download", metavar="FILE", help="write the bytes that come to FILE (- for standard output)")
    parser.set_defaults(run=run)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"{text!r}, expected seconds above 0")
    return seconds


def parse_arguments(texts: list[str]) -> tuple[list[Any], dict[str, Any]]:
    """*texts* as arguments: what is JSON is that value, other text is itself, ``name=value`` goes by name."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if equals and name.isidentifier():
            kwargs[name] = _value(value)
        else:
            args.append(_value(text))
    return args, kwargs


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def run(options: argparse.Namespace) -> int:
    """Call, and print."""
    try:
        client = connect(
            options.url,
            checksum=options.checksum,
            compress=options.compress,
            timeout=options.timeout,
            retry=Retry(attempts=1),
        )
    except ValueError as error:
        print(f"rat: {error}", file=sys.stderr)
        return 2
    try:
        asyncio.run(_call(client, options))
    except ConnectionLost as error:
        print(f"rat: {error.message}", file=sys.stderr)
        return 3
    except CallError as error:
        print(f"rat: {error}", file=sys.stderr)
        if error.detail is not None:
            print(_json(error.detail), file=sys.stderr)
        return 1
    except CodecError as error:
        print(f"rat: an argument cannot be sent: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"rat: {error.filename or options.url}: {reason(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def _call(client: Client, options: argparse.Namespace) -> None:
    args, kwargs = parse_arguments(options.arguments)
    async with client:
        if options.upload is not None:
            source: Any = sys.stdin.buffer if options.upload == "-" else Path(options.upload)
            print(_json(await client.upload(options.name, source, *args, **kwargs)))
        elif options.download is not None:
            await _download(client.download(options.name, *args, **kwargs), options.download)
        else:
            async with client.stream(options.name, *args, **kwargs) as stream:
                await stream.end()
                count = 0
                async for item in stream:
                    print(_json(item), flush=True)
                    count += 1
                result = await stream.result()
                if result is not None or not count:
                    print(_json(result))


async def _download(pieces: AsyncIterator[Buffer], target: str) -> None:
    if target != "-":
        print(f"{await save(pieces, Path(target))} bytes", file=sys.stderr)
        return
    async for piece in pieces:
        await asyncio.to_thread(sys.stdout.buffer.write, piece)
    sys.stdout.buffer.flush()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_other)


def _other(value: Any) -> Any:
    """What JSON cannot say: bytes in base64, arrays, tuples and sets as lists, the others as text."""
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, memoryview):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return list(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
