"""The server over real sockets: one request after the other, and what goes wrong between them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import logging
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rat import Limits, Rat, Request, Response, ServerConfig
from rat.protocol import HttpProtocol
from tests.support.serving import connect, serving, talk

HOST = b"Host: localhost\r\n"


def make_app() -> Rat:
    app = Rat()

    @app.get("/plain")
    def plain(request: Request) -> str:
        return "hello"

    @app.get("/async")
    async def asynchronous(request: Request) -> dict[str, str]:
        await asyncio.sleep(0)
        return {"path": request.path}

    @app.get("/users/{id:int}")
    async def user(request: Request, id: int) -> dict[str, object]:
        return {"id": id, "q": request.query.getlist("q")}

    @app.post("/echo")
    async def echo(request: Request) -> bytes:
        return await request.read()

    @app.post("/plain-echo")
    def plain_echo(request: Request) -> bytes:
        return bytes(request.content)

    @app.post("/unread")
    async def unread(request: Request) -> str:
        return "not read"

    @app.get("/chunks")
    async def chunks(request: Request) -> AsyncIterator[bytes]:
        async def produce() -> AsyncIterator[bytes]:
            for number in range(3):
                yield b"chunk %d\n" % number

        return produce()

    @app.get("/sync-chunks")
    def sync_chunks(request: Request) -> object:
        return (f"{number}," for number in range(5))

    @app.get("/raises")
    async def raises(request: Request) -> None:
        raise ZeroDivisionError("secret detail")

    @app.get("/raises-late")
    async def raises_late(request: Request) -> AsyncIterator[bytes]:
        async def produce() -> AsyncIterator[bytes]:
            yield b"begun"
            raise ZeroDivisionError("secret detail")

        return produce()

    @app.get("/too-long")
    async def too_long(request: Request) -> Response:
        async def produce() -> AsyncIterator[bytes]:
            yield b"12345"
            yield b"67890"

        return Response(produce(), headers={"Content-Length": "7"})

    @app.get("/too-short")
    async def too_short(request: Request) -> Response:
        async def produce() -> AsyncIterator[bytes]:
            yield b"12345"

        return Response(produce(), headers={"Content-Length": "7"})

    return app


async def test_requests_follow_each_other_on_one_connection() -> None:
    async with serving(make_app()) as server, connect(server) as client:
        for target, expected in ((b"/plain", b"hello"), (b"/async", b'{"path":"/async"}'), (b"/plain", b"hello")):
            await client.send(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
            answer = await client.answer()
            assert (answer.status, answer.content) == (200, expected)
            assert answer.field("connection") is None
            assert answer.field("date") is not None
        assert server.statistics()["requests"] == 3


async def test_who_pipelines_much_does_not_keep_others_waiting() -> None:
    app = Rat()
    order: list[str] = []

    @app.get("/{who}")
    def note(request: Request, who: str) -> str:
        order.append(who)
        return who

    async with serving(app) as server, connect(server) as greedy, connect(server) as modest:
        many = 2000
        greedy.writer.write(b"GET /greedy HTTP/1.1\r\nHost: h\r\n\r\n" * many)
        modest.writer.write(b"GET /modest HTTP/1.1\r\nHost: h\r\n\r\n")
        async with asyncio.timeout(10):
            assert (await modest.answer()).content == b"modest"
            for _ in range(many):
                assert (await greedy.answer()).content == b"greedy"
        assert order.index("modest") < many // 2
        assert order.count("greedy") == many


async def test_pipelined_requests_are_answered_in_order() -> None:
    targets = [b"/plain", b"/async", b"/users/7?q=a&q=b", b"/chunks", b"/sync-chunks", b"/nowhere"] * 20
    async with serving(make_app()) as server, connect(server) as client:
        await client.send(b"".join(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n" for target in targets))
        for target in targets:
            answer = await client.answer()
            expected = {
                b"/plain": b"hello",
                b"/async": b'{"path":"/async"}',
                b"/users/7?q=a&q=b": b'{"id":7,"q":["a","b"]}',
                b"/chunks": b"chunk 0\nchunk 1\nchunk 2\n",
                b"/sync-chunks": b"0,1,2,3,4,",
            }.get(target)
            if expected is None:
                assert answer.status == 404
            else:
                assert answer.content == expected


@pytest.mark.parametrize("framing", ["declared", "chunked", "100-continue"])
@pytest.mark.parametrize("half", [3, 50_000], ids=["read", "paused"])
async def test_content_goes_on_after_its_beginning_came_during_another_request(framing: str, half: int) -> None:
    app, gate = make_app(), asyncio.Event()

    @app.get("/gate")
    async def waits(request: Request) -> str:
        await gate.wait()
        return "open"

    begin, rest = {
        "declared": (b"Content-Length: %d\r\n\r\n" % (2 * half) + b"a" * half, b"b" * half),
        "chunked": (
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (2 * half) + b"a" * half,
            b"b" * half + b"\r\n0\r\n\r\n",
        ),
        "100-continue": (
            b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % (2 * half),
            b"a" * half + b"b" * half,
        ),
    }[framing]
    async with serving(app) as server, connect(server) as client:
        await client.send(b"GET /gate HTTP/1.1\r\n" + HOST + b"\r\n")
        while not server.statistics()["requests"]:
            await asyncio.sleep(0)
        await client.send(b"POST /echo HTTP/1.1\r\n" + HOST + begin)
        (connection,) = server.service.connections
        assert isinstance(connection, HttpProtocol)
        look_ahead = server.service.config.limits.head
        async with asyncio.timeout(10):
            while connection.engine.unread < min(len(begin), look_ahead):
                await asyncio.sleep(0)
        assert ("pipeline" in connection.flow.reasons) is (connection.engine.unread > look_ahead)
        gate.set()
        assert (await client.answer()).content == b"open"
        if framing == "100-continue":
            assert await client.head() == (100, [])
        await client.send(rest)
        assert (await asyncio.wait_for(client.answer(), 5)).content == b"a" * half + b"b" * half


@pytest.mark.parametrize("target", [b"/echo", b"/plain-echo"])
@pytest.mark.parametrize("size", [0, 1, 1000, 300_000])
async def test_content_comes_back(target: bytes, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with serving(make_app()) as server, connect(server) as client:
        for _ in range(2):
            await client.send(
                b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (target, HOST, len(content), content)
            )
            assert (await client.answer()).content == content
        chunked = b"".join(
            b"%x\r\n%s\r\n" % (len(content[start : start + 7000]), content[start : start + 7000])
            for start in range(0, size, 7000)
        )
        await client.send(b"POST %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n" % (target, HOST))
        await client.send(chunked + b"0\r\n\r\n")
        assert (await client.answer()).content == content


async def test_the_first_read_sends_100_continue() -> None:
    async with serving(make_app()) as server, connect(server) as client:
        await client.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert await client.head() == (100, [])
        await client.send(b"12345")
        assert (await client.answer()).content == b"12345"


async def test_a_handler_that_does_not_read_sends_no_100_continue() -> None:
    async with serving(make_app()) as server, connect(server) as client:
        await client.send(b"POST /unread HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.answer()).content == b"not read"


async def test_content_past_the_limit_is_refused_before_100_continue() -> None:
    config = ServerConfig(limits=Limits(body=10))
    async with serving(make_app(), config=config) as server, connect(server) as client:
        await client.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        answer = await client.answer()
        assert answer.status == 413
        assert b"11 bytes" in answer.content
        assert answer.field("connection") == "close"


@pytest.mark.parametrize("framing", ["declared", "chunked"])
@pytest.mark.parametrize(("size", "status"), [(9, 200), (10, 200), (11, 413)])
async def test_the_limit_of_content_is_met_at_its_edge(framing: str, size: int, status: int) -> None:
    config = ServerConfig(limits=Limits(body=10))
    head = b"Content-Length: %d\r\n\r\n" % size if framing == "declared" else b"Transfer-Encoding: chunked\r\n\r\n"
    content = b"x" * size
    wire = content if framing == "declared" else b"%x\r\n%s\r\n0\r\n\r\n" % (size, content)
    async with serving(make_app(), config=config) as server:
        for cut in (0, 1, len(wire) - 1):
            async with connect(server) as client:
                await client.send(b"POST /echo HTTP/1.1\r\n" + HOST + head + wire[:cut])
                await asyncio.sleep(0)
                await client.send(wire[cut:])
                assert (await client.answer()).status == status


@pytest.mark.parametrize("framing", ["declared", "chunked"])
@pytest.mark.parametrize("target", [b"/echo", b"/plain-echo"])
async def test_the_application_answers_for_content_past_the_limit(framing: str, target: bytes) -> None:
    app = make_app()

    @app.middleware
    async def mark(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-seen"] = "yes"
        return response

    @app.errorhandler(413)
    def too_large(request: Request, error: Exception) -> str:
        return "less, please"

    head = b"Content-Length: 11\r\n\r\n" if framing == "declared" else b"Transfer-Encoding: chunked\r\n\r\nb\r\n"
    async with serving(app, config=ServerConfig(limits=Limits(body=10))) as server, connect(server) as client:
        await client.send(b"POST " + target + b" HTTP/1.1\r\n" + HOST + head + b"x" * 11)
        answer = await client.answer()
        assert (answer.status, answer.content, answer.field("x-seen")) == (413, b"less, please", "yes")


async def test_content_sent_to_nobody_is_not_waited_for() -> None:
    async with serving(make_app()) as server, connect(server) as client:
        await client.send(b"POST /nowhere HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\n")
        assert (await client.answer()).status == 404


async def test_head_has_the_fields_and_no_content() -> None:
    async with serving(make_app()) as server, connect(server) as client:
        for target in (b"/plain", b"/chunks"):
            await client.send(b"HEAD " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
            assert (await client.answer("HEAD")).status == 200
        await client.send(b"GET /plain HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await client.answer()).content == b"hello"


@pytest.mark.parametrize(
    ("method", "target", "status", "allow"),
    [
        (b"GET", b"/nowhere", 404, None),
        (b"GET", b"/users/seven", 404, None),
        (b"DELETE", b"/plain", 405, "GET, HEAD, OPTIONS"),
        (b"OPTIONS", b"/plain", 204, "GET, HEAD, OPTIONS"),
        (b"BREW", b"/plain", 405, "GET, HEAD, OPTIONS"),
    ],
)
async def test_what_is_not_there(method: bytes, target: bytes, status: int, allow: str | None) -> None:
    async with serving(make_app()) as server, connect(server) as client:
        await client.send(method + b" " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
        answer = await client.answer()
        assert (answer.status, answer.field("allow")) == (status, allow)


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", 505),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    ],
)
async def test_a_broken_request_is_answered_and_the_connection_closed(wire: bytes, status: int) -> None:
    async with serving(make_app()) as server, connect(server) as client:
        await client.send(wire + b"GET /plain HTTP/1.1\r\n" + HOST + b"\r\n")
        answer = await client.answer()
        assert (answer.status, answer.field("connection")) == (status, "close")
        assert await client.ended() == b""


async def test_broken_content_is_answered_with_400() -> None:
    async with serving(make_app()) as server, connect(server) as client:
        await client.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n")
        answer = await client.answer()
        assert (answer.status, answer.field("connection")) == (400, "close")


async def test_a_half_closed_client_gets_its_answers() -> None:
    request = b"GET /async HTTP/1.1\r\n" + HOST + b"\r\n"
    async with serving(make_app()) as server:
        assert (await talk(server, request * 3)).count(b"HTTP/1.1 200 OK") == 3


async def test_connection_close_is_obeyed() -> None:
    async with serving(make_app()) as server, connect(server) as client:
        await client.send(b"GET /plain HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        await client.send(b"GET /plain HTTP/1.1\r\n" + HOST + b"\r\n")
        answer = await client.answer()
        assert (answer.content, answer.field("connection")) == (b"hello", "close")
        assert await client.ended() == b""
        assert server.statistics()["requests"] == 1


async def test_http_1_0_ends_with_the_connection() -> None:
    async with serving(make_app()) as server:
        answer = await talk(server, b"GET /chunks HTTP/1.0\r\n\r\n")
        assert answer.endswith(b"\r\n\r\nchunk 0\nchunk 1\nchunk 2\n")
        assert b"chunked" not in answer.lower().split(b"\r\n\r\n")[0]


async def test_an_error_before_the_head_is_a_500_with_an_id(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(make_app()) as server, connect(server) as client:
        await client.send(b"GET /raises HTTP/1.1\r\n" + HOST + b"Accept: application/json\r\n\r\n")
        answer = await client.answer()
        assert answer.status == 500
        assert b"secret" not in answer.content
        problem = json.loads(answer.content)
        assert any("secret detail" in record.exc_text for record in caplog.records if record.exc_text) or any(
            record.exc_info and "secret detail" in str(record.exc_info[1]) for record in caplog.records
        )
        assert any(str(value) in caplog.text for key, value in problem.items() if "id" in key or key == "instance")
        await client.send(b"GET /plain HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await client.answer()).content == b"hello"


@pytest.mark.parametrize("target", [b"/raises-late", b"/too-long", b"/too-short"])
async def test_an_error_after_the_head_cuts_the_connection(target: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "rat")
    async with serving(make_app()) as server, connect(server) as client:
        await client.send(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.answer()
        assert server.statistics()["handler_errors"] == 1


@pytest.mark.parametrize("after", [b"/raises-late", b"/too-long", b"/too-short", b"/stray", b"/cancelled"])
@pytest.mark.parametrize("count", [1, 3])
async def test_the_answers_before_one_that_is_cut_arrive(
    after: bytes, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "rat")
    app = make_app()

    @app.get("/stray")
    async def stray(request: Request) -> str:
        raise Stray

    @app.get("/cancelled")
    async def cancelled(request: Request) -> str:
        raise asyncio.CancelledError

    async with serving(app) as server, connect(server) as client:
        targets = [b"/plain"] * count + [after]
        await client.send(b"".join(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n" for target in targets))
        for _ in range(count):
            assert (await asyncio.wait_for(client.answer(), 5)).content == b"hello"
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(client.answer(), 5)


class Stray(BaseException):
    """Derived from BaseException, as what no ``except Exception`` shall catch."""


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("begins", [False, True])
async def test_what_is_no_exception_cuts_the_connection_as_well(
    waits: bool, begins: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "rat")
    app = make_app()

    async def stray() -> bytes:
        if waits:
            await asyncio.sleep(0)
        raise Stray

    async def pieces() -> AsyncIterator[bytes]:
        yield b"begun"
        yield await stray()

    @app.get("/stray")
    async def answer(request: Request) -> object:
        return Response(pieces()) if begins else await stray()

    async with serving(app) as server:
        for _ in range(2):
            async with connect(server) as client:
                await client.send(b"GET /stray HTTP/1.1\r\n" + HOST + b"\r\n")
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await asyncio.wait_for(client.answer(), 5)
        assert server.statistics()["handler_errors"] == 2


@pytest.mark.parametrize("error", [Stray(), asyncio.CancelledError()], ids=["stray", "cancelled"])
@pytest.mark.parametrize("before", [b"", b"/plain", b"/async"])
async def test_what_a_plain_handler_raises_is_its_own(
    error: BaseException, before: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "rat")
    app = make_app()

    @app.get("/stray")
    def stray(request: Request) -> str:
        raise error

    async with serving(app) as server, connect(server) as client:
        targets = [before, b"/stray"] if before else [b"/stray"]
        await client.send(b"".join(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n" for target in targets))

        async def answers() -> None:
            for _ in targets:
                await asyncio.wait_for(client.answer(), 5)

        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await answers()
        assert server.statistics()["handler_errors"] == 1
        assert server.statistics()["disconnects"] == 0
    error.__traceback__ = None


async def test_what_is_closed_with_an_answer_is_closed_as_the_task_that_made_it() -> None:
    app = Rat()
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[object] = []

    @app.get("/closing")
    async def closing(request: Request) -> Response:
        task, token = asyncio.current_task(), variable.set("mine")
        seen.append(variable.get())

        def close() -> None:
            assert task is not None
            seen.append(asyncio.current_task() is task)
            variable.reset(token)

        response = Response(b"closed")
        response.on_close(close)
        return response

    async with serving(app) as server, connect(server) as client:
        for _ in range(3):
            await client.send(b"GET /closing HTTP/1.1\r\n" + HOST + b"\r\n")
            assert (await client.answer()).content == b"closed"
    assert seen == ["mine", True] * 3


@pytest.mark.parametrize("way", ["status", "field", "length"])
async def test_an_answer_that_was_spoilt_is_not_sent_and_the_client_is_not_left_waiting(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "rat")
    app = Rat()

    @app.get("/spoilt")
    async def spoilt(request: Request) -> Response:
        response: Any = Response(b"spoilt", headers={"content-length": "1"} if way == "length" else None)
        if way == "status":
            response.status = "200"
        elif way == "field":
            response.replace_fields([(b"x", None)])
        return response  # type: ignore[no-any-return]

    async with serving(app) as server, connect(server) as client:
        await client.send(b"GET /spoilt HTTP/1.1\r\n" + HOST + b"\r\n")
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            assert (await asyncio.wait_for(client.answer(), 5)).status == 500
        assert server.statistics()["handler_errors"] == 1


async def test_unread_content_is_passed_over_or_the_connection_closed() -> None:
    async with serving(make_app()) as server:
        async with connect(server) as client:
            await client.send(b"POST /unread HTTP/1.1\r\n" + HOST + b"Content-Length: 5000\r\n\r\n")
            assert (await client.answer()).content == b"not read"
            await client.send(b"x" * 5000 + b"GET /plain HTTP/1.1\r\n" + HOST + b"\r\n")
            assert (await client.answer()).content == b"hello"
        async with connect(server) as client:
            await client.send(b"POST /unread HTTP/1.1\r\n" + HOST + b"Content-Length: 5000000\r\n\r\n")
            answer = await client.answer()
            assert (answer.content, answer.field("connection")) == (b"not read", "close")
            await client.ended()


async def test_the_access_log_has_a_line_for_each_answer_and_times_that_pass_within_a_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Rat()

    @app.get("/busy")
    def busy(request: Request) -> str:
        until = time.monotonic() + 0.003
        while time.monotonic() < until:
            pass
        return "done"

    @app.get("/fails")
    async def fails(request: Request) -> AsyncIterator[str]:
        yield "begun"
        raise ValueError("in the middle")

    with caplog.at_level(logging.INFO, "rat.access"):
        async with serving(app, access_log=True) as server:
            await talk(server, b"GET /busy?a=1 HTTP/1.1\r\n" + HOST + b"\r\nGET /no HTTP/1.0\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                await talk(server, b"GET /fails HTTP/1.1\r\n" + HOST + b"\r\n")
    busy_line, missing, failed = [record.getMessage() for record in caplog.records if record.name == "rat.access"]
    line = re.fullmatch(r'127\.0\.0\.1 "GET /busy\?a=1" 200 ([\d.]+)ms', busy_line)
    assert line is not None
    assert float(line[1]) >= 3.0
    assert missing.startswith('127.0.0.1 "GET /no" 404 ')
    assert failed.startswith('127.0.0.1 "GET /fails" 200 cut ')


@pytest.mark.parametrize(
    ("target", "content", "phrase"),
    [("/" + "a" * 9000, b"", "URI Too Long"), ("/echo", b"Content-Length: 99999999999\r\n", "Content Too Large")],
)
async def test_an_error_has_one_name_in_its_status_line_and_its_content(
    target: str, content: bytes, phrase: str
) -> None:
    async with serving(make_app()) as server:
        answer = await talk(server, b"POST %b HTTP/1.1\r\n" % target.encode() + HOST + content + b"\r\n")
    assert answer.count(phrase.encode()) == 2
    assert b"Request" not in answer


@pytest.mark.parametrize("lane", ["auto", "h11"])
@pytest.mark.parametrize("fields", [{"Content-Length": "10"}, {"Content-Length": "x"}])
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_length_that_is_not_so_is_a_500_and_the_connection_goes_on(
    lane: str, fields: dict[str, str], is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()

    @app.get("/wrong")
    def wrong(request: Request) -> Response:
        return Response("abc", headers=fields)

    @app.get("/wrong-async")
    async def wrong_async(request: Request) -> Response:
        return Response("abc", headers=fields)

    async with serving(app, config=ServerConfig(http=lane)) as server, connect(server) as client:
        await client.send(b"GET /wrong%b HTTP/1.1\r\n" % (b"-async" if is_async else b"") + HOST + b"\r\n")
        answer = await client.answer()
        assert answer.status == 500
        assert b"error_id" in answer.content
        assert b"declared" not in answer.content
        assert "cannot be sent: " in caplog.text
        await client.send(b"GET /plain HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await client.answer()).content == b"hello"
        assert server.statistics()["responses_5xx"] == 1
        assert server.statistics()["handler_errors"] == 1


async def test_a_client_that_speaks_tls_is_told_so_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "rat.server"):
        async with serving(make_app()) as server:
            answer = await talk(server, bytes.fromhex("1603010200010001fc0303"))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert "request line begins with byte 0x16, as TLS does, which is not spoken on this port" in caplog.text
