"""Every capability of the server on real input: six endpoints, and a page at ``/`` that drives them.

Run it with ``rat serve examples/integration_demo.py`` and open http://127.0.0.1:8000.  Every figure it answers with was
measured while it answered; none is stored.
"""

from __future__ import annotations

import array
import asyncio
import base64
import datetime
import decimal
import hashlib
import json
import os
import random
import re
import resource
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from performance import machine, measure, versions

import rat
from rat import EventStream, FileResponse, HTTPError, Rat, Request, Response, ServerSentEvent
from rat.codec import CodecError, decode, encode, parse_data_value
from rat.stream.large_file import send_large_file
from rat.stream.sse import EncodedEvent

KIB, MIB = 1024, 1024 * 1024
PAGE = Path(__file__).with_suffix("")


@asynccontextmanager
async def lifespan(app: Rat) -> AsyncIterator[None]:
    """A directory for the sample files, for as long as the server runs."""
    with tempfile.TemporaryDirectory(prefix="rat-demo-") as directory:
        app.state.directory = Path(directory)
        yield


app = Rat(lifespan=lifespan)
# A browser that is told nothing guesses how long a file stays as it is (RFC 9111, section 4.2.2): by its age, which may
# be weeks, and the page would run with scripts of a former version.
ASK_AGAIN = {"Cache-Control": "no-cache"}
app.static("/assets", PAGE, headers=ASK_AGAIN)
app.static("/decoder", Path(rat.__file__).with_name("web"), headers=ASK_AGAIN)  # DataValue in JavaScript


@app.get("/")
async def index(request: Request) -> Response:
    return FileResponse(PAGE / "index.html", headers=ASK_AGAIN)


class Memory(NamedTuple):
    """Resident memory of this process in bytes: now, and the most it ever was."""

    resident: int
    peak: int


def memory() -> Memory:
    try:
        with open("/proc/self/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        return Memory(*(int(fields[name].split()[0]) * KIB for name in ("VmRSS", "VmHWM")))
    except OSError:  # no /proc: getrusage knows the peak only, in bytes on macOS and in KiB elsewhere
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak *= 1 if sys.platform == "darwin" else KIB
        return Memory(peak, peak)


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


# --- DataValue -------------------------------------------------------------------------------------------------------

SAMPLE: dict[str, Any] = {
    "none": None,
    "bool": True,
    "int": -42,
    "big int": 2**100,
    "float": 3.141592653589793,
    "text": "Grüße, 世界 👋",
    "bytes": b"\x00\x01\xfe\xff",
    "bytearray": bytearray(b"mutable"),
    "list": [1, "two", 3.0, None],
    "tuple": (1, 2),
    "set": {"a", "b"},
    "frozenset": frozenset({1, 2}),
    "date": datetime.date(2026, 2, 28),
    "time": datetime.time(12, 30, 15, 250_000),
    "datetime": datetime.datetime(2026, 2, 28, 12, 30, 15, tzinfo=datetime.UTC),
    "timedelta": datetime.timedelta(days=1, seconds=30),
    "uuid": uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "decimal": decimal.Decimal("-0.10"),
    "floats, packed": [0.5, 1.5, 2.5, 3.5],
    "ints, packed": [100, 200, 300, 400],
    "typed array": array.array("f", [1.0, 2.0, 3.0]),
    "records, one shape": [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Grace"}],
}


def plain(value: Any) -> Any:
    """*value* as nearly as JSON can say it: bytes become base64, sets and tuples lists, what is left text."""
    match value:
        case None | bool() | float() | str():
            return value
        case int():
            return value if -(2**63) <= value < 2**63 else str(value)
        case bytes() | bytearray():
            return base64.b64encode(value).decode()
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset() | array.array() | memoryview():
            return [plain(item) for item in value]
        case datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return str(value)


def explain(value: Any) -> dict[str, Any]:
    """What DataValue makes of *value*."""
    data = encode(value)
    decoded = decode(data)
    as_json = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":")).encode()
    return {
        "tree": parse_data_value(data).tree(),
        "hex": data.hex(),
        "size": len(data),
        "json": plain(value),
        "json_size": len(as_json),
        # Equal values, and equal bytes when encoded again: types have come back as well, for 1, 1.0 and True are equal.
        "round_trip": "equal" if decoded == value and encode(decoded) == data else "not equal",
    }


@app.get("/data-value-demo")
async def data_value_sample(request: Request) -> dict[str, Any]:
    return explain(SAMPLE)


@app.post("/data-value-demo", max_body=64 * KIB)
async def data_value_of(request: Request) -> dict[str, Any]:
    value = await request.value()
    try:
        return await asyncio.to_thread(explain, value)
    except CodecError as error:  # JSON that no DataValue can be, such as lists in lists 1,000 times
        raise HTTPError(400, str(error)) from None


# --- Upload ----------------------------------------------------------------------------------------------------------


async def file_bytes(request: Request) -> AsyncIterator[bytes]:
    """The upload piece by piece: a raw body, or the parts of a multipart body behind each other."""
    if request.content_type != "multipart/form-data":
        async for piece in request.body:
            yield piece
        return
    async for part in request.parts():
        async for piece in part:
            yield piece


@app.post("/large-file-upload", max_body=None)
async def large_file_upload(request: Request) -> dict[str, Any]:
    before = memory()
    begin = time.perf_counter()
    digest, size, pieces = hashlib.sha256(), 0, 0
    async for piece in file_bytes(request):
        digest.update(piece)
        size += len(piece)
        pieces += 1
    seconds = time.perf_counter() - begin
    after = memory()
    return {
        "size": size,
        "sha256": digest.hexdigest(),
        "pieces": pieces,
        "seconds": round(seconds, 4),
        "mb_per_second": round(size / 1e6 / seconds, 1),
        "memory": {"before": before.resident, "after": after.resident, "grown": after.resident - before.resident},
    }


# --- Server-Sent Events ----------------------------------------------------------------------------------------------


def resumed_after(request: Request, last: int) -> int:
    """The number in Last-Event-ID, which counts from 1 to *last*; 0 without one."""
    text = request.last_event_id or "0"
    if not (re.fullmatch("[0-9]{1,9}", text) and int(text) <= last):
        raise HTTPError(400, f"Last-Event-ID is {text[:40]!r}, expected a number from 0 to {last}")
    return int(text)


@app.get("/sse-quickmem")
async def sse_quickmem(request: Request) -> EventStream:
    count = request.query.integer("count", 10, at_least=1, at_most=10_000)
    interval = request.query.real("interval", 0.5, at_least=0, at_most=60)
    begin = resumed_after(request, count)

    async def events() -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent({"count": count, "interval": interval, "resumed_after": begin}, event="connected")
        for number in range(begin + 1, count + 1):
            await asyncio.sleep(interval)
            value = {
                "number": number,
                "time": datetime.datetime.now(datetime.UTC),
                "memory": memory()._asdict(),
                "cpu_seconds": time.process_time(),
            }
            data = encode(value)
            update = {"value": plain(value), "datavalue": base64.b64encode(data).decode(), "bytes": len(data)}
            yield ServerSentEvent(update, event="update", id=str(number))
            if number % 5 == 0:
                yield ServerSentEvent({"after": number, "open_files": open_files()}, event="heartbeat")
        yield ServerSentEvent({"updates": count - begin}, event="end")

    return EventStream(events())


def open_files() -> int | None:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return None


# --- Chunked ---------------------------------------------------------------------------------------------------------


@app.get("/chunked-demo")
async def chunked_demo(request: Request) -> Response:
    chunks = request.query.integer("chunks", 10, at_least=1, at_most=10_000)
    delay = request.query.real("delay_ms", 200, at_least=0, at_most=10_000) / 1000
    size = request.query.integer("size", 256, at_least=1, at_most=MIB)

    async def lines() -> AsyncIterator[bytes]:
        """A JSON line a chunk, of *size* bytes or what it needs.

        ``waited_ms`` is how long the reader of the one before held us up.
        """
        begin, waited = time.perf_counter(), 0.0
        for number in range(1, chunks + 1):
            await asyncio.sleep(delay)
            made = time.perf_counter()
            head = {
                "chunk": number,
                "of": chunks,
                "at_ms": milliseconds(made - begin),
                "waited_ms": milliseconds(waited),
            }
            line = orjson.dumps({**head, "filler": ""})
            yield line[:-2] + b"." * (size - len(line) - 1) + b'"}\n'
            waited = time.perf_counter() - made

    # Not compressed: dots become next to nothing, and no reader could be slow enough to hold their producer up.
    return Response(lines(), content_type="application/x-ndjson", compress=False)


# --- A file in three ways --------------------------------------------------------------------------------------------

SAMPLES_KEPT = 8


def sample_file(directory: Path, size: int) -> Path:
    """A file of *size* bytes, the same bytes for the same size; the oldest makes room for a new one."""
    path = directory / f"sample-{size}"
    if path.exists():  # and stays as it is: its time is in the ETag that a client resumes by
        return path
    block = random.Random(size).randbytes(min(size, MIB) or 1)
    with tempfile.NamedTemporaryFile(dir=directory, prefix=".", delete=False) as file:
        for offset in range(0, size, len(block)):
            file.write(block[: size - offset])
    os.replace(file.name, path)
    for old in sorted(directory.glob("sample-*"), key=lambda found: found.stat().st_mtime)[:-SAMPLES_KEPT]:
        old.unlink(missing_ok=True)
    return path


def pieces_of(path: Path, size: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(size):
            yield piece


@app.get("/large-file-sse")
async def large_file_sse(request: Request) -> Response:
    size = request.query.integer("size", MIB, at_least=0, at_most=256 * MIB)
    chunk_size = request.query.integer("chunk_size", 32 * KIB, at_least=64, at_most=MIB)
    way = request.query.get("way", "sse")
    path = await asyncio.to_thread(sample_file, request.app.state.directory, size)
    if way == "chunked":
        return Response(pieces_of(path, chunk_size), content_type="application/octet-stream")
    if way == "sendfile":
        return FileResponse(path, content_type="application/octet-stream")
    if way != "sse":
        raise HTTPError(400, f"query parameter way is {way[:40]!r}, and may be sse, chunked or sendfile")

    async def events() -> AsyncIterator[EncodedEvent | ServerSentEvent]:
        # The same size gives the same bytes, so the size says which file a Last-Event-ID is of.
        file_events = await send_large_file(
            path, chunk_size=chunk_size, after=request.last_event_id, version=f"demo{size:x}"
        )
        async with aclosing(file_events):
            yield await anext(file_events)
            yield ServerSentEvent(cost_of_base64(size, chunk_size), event="cost")
            async for event in file_events:
                yield event

    return EventStream(events())


def cost_of_base64(size: int, chunk_size: int) -> dict[str, Any]:
    """What a file of *size* bytes becomes in each way, and how long base64 takes, measured now on one chunk."""
    chunks = -(-size // chunk_size)
    rest = size - max(0, chunks - 1) * chunk_size
    encoded = max(0, chunks - 1) * (-(-chunk_size // 3) * 4) + -(-rest // 3) * 4
    piece = os.urandom(chunk_size)
    begin = time.perf_counter()
    base64.b64encode(piece)
    return {
        "base64_bytes": encoded,
        "base64_more": f"{100 * (encoded - size) / size:.1f} %" if size else "0 %",
        "base64_ms_per_mib": milliseconds((time.perf_counter() - begin) * MIB / chunk_size),
        "chunked_bytes": size + chunks * len(f"{chunk_size:x}\r\n\r\n"),
        "sendfile_bytes": size,
        "compare": "the same file with way=chunked, or with way=sendfile",
    }


# --- Performance ------------------------------------------------------------------------------------------------------

MOST_WORK = 64 * MIB
one_at_a_time = asyncio.Lock()


def sizes_in(text: str) -> list[int]:
    words = text.split(",")
    if len(words) > 8 or not all(re.fullmatch("[0-9]{1,7}", word) and 1 <= int(word) <= 4 * MIB for word in words):
        raise HTTPError(
            400, f"query parameter sizes is {text[:40]!r}, expected 1 to 8 sizes in bytes, each up to {4 * MIB}"
        )
    return [int(word) for word in words]


@app.get("/performance-test")
async def performance_test(request: Request) -> dict[str, Any]:
    iterations = request.query.integer("iterations", 20, at_least=1, at_most=1000)
    sizes = sizes_in(request.query.get("sizes", "1024,10240,102400,1048576"))
    if sum(sizes) * iterations > MOST_WORK:
        raise HTTPError(400, f"{sum(sizes)} bytes {iterations} times is {sum(sizes) * iterations}, limit {MOST_WORK}")
    stop = threading.Event()
    async with one_at_a_time:
        try:
            rows = await asyncio.to_thread(measure, sizes, iterations, stop)
        finally:
            stop.set()  # a client that leaves cancels us; the thread notices here
    return {
        "rows": rows,
        "iterations": iterations,
        "machine": machine(),
        "versions": versions(),
    }
