"""What the micro benchmarks and the instruction counts run: one thing each, in process, its answer asserted.

Knows no clock and no counter.  A case is prepared once and then called with a number of repetitions.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import cases_frames
from rat.loadgen.requests import BROWSER_FIELDS, build_requests, parse_url

Repeat = Callable[[int], None]
"""Does the thing as many times as it is told."""

VALUE: dict[str, Any] = {
    "id": 4711,
    "name": "a small object",
    "active": True,
    "score": 0.75,
    "tags": ["json", "benchmark", "streaming"],
    "items": [{"id": number, "name": f"item {number}", "price": number * 1.5} for number in range(20)],
}
DATE = b"Mon, 23 Nov 2026 12:00:00 GMT"


@dataclass(frozen=True, slots=True)
class Case:
    """*prepare* imports what it needs, so that it fails alone.  *repetitions*: of how many instructions are counted.

    *exact*: its instructions are the same within 1 % from process to process, so that result files may compare them.
    """

    name: str
    prepare: Callable[[], Repeat]
    repetitions: int = 200
    exact: bool = True


def _heads(browser: bool) -> list[bytes]:
    return build_requests(
        parse_url("http://localhost:8000/users/17"), fields=BROWSER_FIELDS if browser else (), vary=True
    )


def _exchange(http: str, browser: bool) -> Repeat:
    """A head in, an event out, an answer in, bytes out: the engine alone."""
    from rat.config import Limits
    from rat.events import NEED_DATA, CompleteResponse, RequestReceived
    from rat.http1.engine import HttpEngine

    heads = _heads(browser)
    engine = HttpEngine(Limits(), date=lambda: DATE, http=http)
    fields = [(b"content-type", b"text/plain")]

    def once(wire: bytes) -> None:
        engine.receive_data(wire)
        event = engine.next_event()
        assert type(event) is RequestReceived
        assert engine.send(CompleteResponse(200, fields, b"Hello, World!"))

    def repeat(count: int) -> None:
        for number in range(count):
            once(heads[number & 1023])

    repeat(4)
    assert engine.next_event() is NEED_DATA
    return repeat


def _route() -> Repeat:
    from rat import Rat
    from rat.config import Limits
    from rat.http1.engine import HttpEngine

    app = Rat()

    async def handler(request: Any, **params: Any) -> str:
        return ""

    for number in range(50):
        app.get(f"/fixed/{number}")(handler)
    app.get("/users/{id:int}/posts/{name}")(handler)
    app.prepare()
    heads = []
    for target in (b"/fixed/25", b"/users/17/posts/first"):
        engine = HttpEngine(Limits(), date=lambda: DATE)
        engine.receive_data(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % target)
        heads.append(engine.next_event())
    assert app.match(heads[1])[1] == {"id": 17, "name": "first"}  # type: ignore[arg-type]

    def repeat(count: int) -> None:
        match = app.match
        fixed, with_parameters = heads
        for _ in range(count // 2):
            match(fixed)  # type: ignore[arg-type]
            match(with_parameters)  # type: ignore[arg-type]

    return repeat


def _encode() -> Repeat:
    from rat.codec import decode, encode

    assert decode(encode(VALUE)) == VALUE

    def repeat(count: int) -> None:
        for _ in range(count):
            encode(VALUE)

    return repeat


def _decode() -> Repeat:
    from rat.codec import decode, encode

    wire = encode(VALUE)
    assert decode(wire) == VALUE

    def repeat(count: int) -> None:
        for _ in range(count):
            decode(wire)

    return repeat


def _event() -> Repeat:
    from rat.stream.sse import ServerSentEvent, encode_event

    data = json.dumps(VALUE)
    wire = bytes(encode_event(ServerSentEvent(data, event="update", id="7-1")))
    assert f"data: {data}\n".encode() in wire
    assert wire.endswith(b"\n\n")

    def repeat(count: int) -> None:
        for number in range(count):
            encode_event(ServerSentEvent(data, event="update", id=f"7-{number}"))

    return repeat


class _Socketless(asyncio.Transport):
    """A transport that takes everything at once and counts it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.size = 0
        self.last = b""

    def write(self, data: Any) -> None:
        self.size += len(data)
        self.last = data

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self.write(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        return

    def abort(self) -> None:
        return


def _request(asynchronous: bool, content: bytes | None = None) -> Repeat:
    """One request from the bytes in to the bytes out, through everything but the socket."""
    from rat import Rat, Response

    app = Rat()
    if content is not None:

        @app.post("/")
        async def echo(request: Any) -> Any:
            return await request.json()

    elif asynchronous:

        @app.get("/")
        async def hello(request: Any) -> Any:
            return Response(b"Hello, World!", content_type="text/plain")

    else:

        @app.get("/")
        def hello_at_once(request: Any) -> Any:
            return Response(b"Hello, World!", content_type="text/plain")

    method = "GET" if content is None else "POST"
    target = parse_url("http://localhost:8000/")
    requests = build_requests(target, method=method, contents=[content] if content else (), vary=True)
    return _served(app, requests, content or b"Hello, World!")


def _pipelined() -> Repeat:
    """Sixteen requests that come in one read, to a coroutine function, as ``_request``."""
    from rat import Rat, Response

    app = Rat()

    @app.get("/")
    async def hello(request: Any) -> Any:
        return Response(b"Hello, World!", content_type="text/plain")

    requests = build_requests(parse_url("http://localhost:8000/"), vary=True)
    together = [b"".join(requests[at : at + 16]) for at in range(0, 1024, 16)] * 16
    return _served(app, together, b"Hello, World!", answers=16)


def _file(browser: bool) -> Repeat:
    """A file of 10 KiB out of a static directory, as ``_request``."""
    from rat import Rat

    directory = tempfile.mkdtemp(prefix="bench-file-")
    content = bytes(range(256)) * 40
    (Path(directory) / "small.bin").write_bytes(content)
    app = Rat()
    app.static("/files", directory)
    target = parse_url("http://localhost:8000/files/small.bin")
    repeat = _served(app, build_requests(target, fields=BROWSER_FIELDS if browser else (), vary=True), content)
    weakref.finalize(repeat, shutil.rmtree, directory, ignore_errors=True)
    return repeat


def _pieces(size: int) -> Repeat:
    """One piece of an async generator, as it becomes a chunk; *size* in bytes."""
    from rat import Rat, Response

    app = Rat()
    piece = bytes(size)
    asked = 0

    async def produce() -> Any:
        for _ in range(asked):
            yield piece

    @app.get("/")
    async def chunks(request: Any) -> Any:
        return Response(produce())

    loop, protocol, transport = _connected(app)

    async def run(count: int) -> None:
        nonlocal asked
        asked = count
        before = transport.size
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        turns = 0
        while not bytes(transport.last).endswith(b"0\r\n\r\n"):
            await asyncio.sleep(0)
            turns += 1
            assert turns < 1000, "no end within 1000 turns of the loop"
        transport.last = b""
        assert size * count <= transport.size - before <= (size + 10) * count + 300

    def repeat(count: int) -> None:
        loop.run_until_complete(run(count))

    repeat(4)
    return repeat


def _events() -> Repeat:
    """One event of an async generator, as it leaves: a JSON object of 50 bytes."""
    from rat import Rat

    app = Rat()
    asked = 0

    @app.sse("/")
    async def events(request: Any) -> Any:
        for number in range(asked):
            yield {"token": "stream", "index": number % 10, "finish": None}

    loop, protocol, transport = _connected(app)
    event = b'data: {"token":"stream","index":1,"finish":null}\n\n'

    async def run(count: int) -> None:
        nonlocal asked
        asked = count
        before = transport.size
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        turns = 0
        while not bytes(transport.last).endswith(b"0\r\n\r\n"):
            await asyncio.sleep(0)
            turns += 1
            assert turns < 10 * count + 1000, "no end"
        transport.last = b""
        assert len(event) * count <= transport.size - before <= (len(event) + 10) * count + 500

    def repeat(count: int) -> None:
        loop.run_until_complete(run(count))

    repeat(4)
    return repeat


def _connected(app: Any) -> tuple[Any, Any, _Socketless]:
    """A loop, and a connection of *app* on it that has no socket."""
    import uvloop

    from rat.clock import Clock
    from rat.config import ServerConfig
    from rat.protocol import HttpProtocol
    from rat.service import Service

    loop = uvloop.new_event_loop()
    config = ServerConfig()
    app.prepare(config)
    protocol = HttpProtocol(Service(app, config, loop, Clock()))
    transport = _Socketless()

    async def connect() -> None:
        protocol.connection_made(transport)

    loop.run_until_complete(connect())
    return loop, protocol, transport


def _served(app: Any, requests: list[bytes], answer: bytes, answers: int = 1) -> Repeat:
    """*requests* to *app* over one connection without a socket; each has as many *answers*, which end with *answer*."""
    loop, protocol, transport = _connected(app)

    left = 0
    before = -1

    def turn() -> None:
        # As the loop reads: from a callback of its own, one request after the answer to the last.
        nonlocal before, left
        while transport.size > before:
            if not left:
                loop.stop()
                return
            left -= 1
            before = transport.size
            protocol.data_received(requests[left & 1023])
        loop.call_soon(turn)

    def repeat(count: int) -> None:
        nonlocal before, left
        left, before = count, -1
        loop.call_soon(turn)
        loop.run_forever()

    repeat(4)
    assert bytes(transport.last).endswith(answer)
    assert bytes(transport.last).count(answer) == answers
    return repeat


CONTENT = json.dumps(VALUE, separators=(",", ":")).encode()

CASES = [
    Case("parse and answer, short head", lambda: _exchange("auto", False)),
    Case("parse and answer, browser's head", lambda: _exchange("auto", True)),
    Case("parse and answer, short head, h11", lambda: _exchange("h11", False), 50),
    Case("route, fixed and with parameters", _route),
    Case("encode a value of 1 KB", _encode),
    Case("decode a value of 1 KB", _decode),
    Case("frame an event", _event),
    Case("request, async handler", lambda: _request(True)),
    Case("request, plain handler", lambda: _request(False)),
    Case("16 requests, pipelined", _pipelined, 20),
    Case("request, JSON of 1 KB echoed", lambda: _request(True, CONTENT)),
    Case("piece of 64 KiB in chunks", lambda: _pieces(64 << 10), 1000),
    Case("piece of 100 bytes in chunks", lambda: _pieces(100), 1000),
    Case("event of a generator", _events, 1000),
    Case("request, file of 10 KiB", lambda: _file(False), exact=False),
    Case("request, file of 10 KiB, browser's head", lambda: _file(True), exact=False),
    Case("64 calls over frames, async", lambda: cases_frames.calls(True), 20),
    Case("64 calls over frames, plain", lambda: cases_frames.calls(False), 20),
    Case("call with a blob of 1 MiB", cases_frames.blobs, 40),
    Case("CRC-32 of 1 MiB", cases_frames.crc, 10),
]


def prepared(
    say: Callable[[str], None], only: str | None = None, *, exact: bool = False
) -> Iterator[tuple[Case, Repeat]]:
    """The cases (only the *exact* ones) that can be prepared here; of the others *say* tells why not."""
    for case in CASES:
        if (only is not None and only not in case.name) or (exact and not case.exact):
            continue
        try:
            yield case, case.prepare()
        except (ImportError, AttributeError, TypeError) as error:
            say(f"skipped   {case.name}: {error}")
