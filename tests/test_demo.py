"""The integration demo, driven over a real socket: each endpoint, its page, and what it refuses."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rat.cli.loading import load_app
from rat.codec import decode
from rat.server import RatServer
from tests.support.serving import Answer, Client, connect, serving

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "examples" / "integration_demo.py"
MIB = 1 << 20


@pytest.fixture
async def server() -> AsyncIterator[RatServer]:
    async with serving(load_app(str(DEMO))) as server:
        yield server


async def get(server: RatServer, target: str, *fields: str) -> Answer:
    async with connect(server) as client:
        await client.send(request("GET", target, *fields))
        return await client.answer()


def request(method: str, target: str, *fields: str) -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: demo", *fields, "", ""]).encode()


async def post(server: RatServer, target: str, content: bytes, *fields: str) -> Answer:
    async with connect(server) as client:
        await client.send(request("POST", target, f"Content-Length: {len(content)}", *fields) + content)
        return await client.answer()


def of_json(answer: Answer) -> Any:
    assert answer.status == 200, answer
    return json.loads(answer.content)


class Event(NamedTuple):
    """An event as a browser would see it."""

    event: str
    data: Any
    id: str | None


def events(content: bytes) -> list[Event]:
    found = []
    for block in content.decode().split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        fields = {name: value for name, _, value in lines}
        if "data" in fields:
            data = fields["data"]
            found.append(Event(fields["event"], json.loads(data) if data.startswith("{") else data, fields.get("id")))
    return found


async def stream(server: RatServer, target: str, *fields: str) -> list[Event]:
    answer = await get(server, target, *fields)
    assert answer.status == 200, answer
    assert answer.field("content-type") == "text/event-stream; charset=utf-8"
    return events(answer.content)


# -- the page


async def test_the_page_needs_nothing_but_this_server(server: RatServer) -> None:
    page = await get(server, "/")
    assert page.status == 200
    assert (page.field("content-type") or "").startswith("text/html")
    waiting = re.findall(r'(?:src|href)="(/[^"]+)"', page.content.decode())
    seen = {}
    while waiting:
        path = waiting.pop()
        answer = await get(server, path)
        assert answer.status == 200, path
        assert answer.field("cache-control") == "no-cache", path
        seen[path] = (answer.field("content-type") or "").partition(";")[0]
        text = answer.content.decode()
        assert re.findall(r"https?://", text) == []
        waiting += [
            path
            for name in re.findall(r'from "(\./|/)([\w./]+)"', text)
            if (path := "".join(name).replace("./", "/assets/")) not in seen
        ]
    assert seen.pop("/assets/style.css") == "text/css"
    assert set(seen.values()) == {"text/javascript"}


async def test_the_page_has_a_card_for_each_endpoint(server: RatServer) -> None:
    page = (await get(server, "/")).content.decode()
    paths = {route.path for route in server.app.routes} - {"/", "/assets/{path:path}", "/decoder/{path:path}"}
    assert paths == set(re.findall(r"</b> (/[\w-]+)</p>", page))


# -- DataValue


def nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield tree
    for child in tree.get("children", ()):
        yield from nodes(child)


async def test_the_sample_is_shown_as_a_tree_that_covers_its_bytes(server: RatServer) -> None:
    answer = of_json(await get(server, "/data-value-demo"))
    data = bytes.fromhex(answer["hex"])
    assert answer["size"] == len(data)
    assert answer["round_trip"] == "equal"
    assert answer["tree"]["offset"] == 0
    assert answer["tree"]["size"] == len(data)
    assert [child["key"] for child in answer["tree"]["children"]] == list(decode(data))
    for node in nodes(answer["tree"]):
        for child in node.get("children", ()):
            assert node["offset"] <= child["offset"]
            assert child["offset"] + child["size"] <= node["offset"] + node["size"]


async def test_json_comes_back_as_it_was_sent(server: RatServer) -> None:
    value = {"name": "Ada", "born": 1815, "scores": [0.5, 1.5], "friends": [{"id": 1}, {"id": 2}], "none": None}
    content = json.dumps(value).encode()
    answer = of_json(await post(server, "/data-value-demo", content, "Content-Type: application/json"))
    assert decode(bytes.fromhex(answer["hex"])) == value
    assert answer["json"] == value
    assert answer["json_size"] == len(json.dumps(value, separators=(",", ":")))
    assert answer["round_trip"] == "equal"


@pytest.mark.parametrize(
    ("content", "media_type", "status", "detail"),
    [
        (b'{"a": [1, 2}', "application/json", 400, "offset 11"),
        (b"\xff", "application/json", 400, "offset 0"),
        (b"a=1", "application/x-www-form-urlencoded", 415, "application/x-www-form-urlencoded"),
        (b"[" * 100 + b"]" * 100, "application/json", 400, "64"),
        (b'"' + b"x" * 70_000 + b'"', "application/json", 413, "limit of 65536 bytes"),
    ],
)
async def test_what_is_no_json_is_refused(
    server: RatServer, content: bytes, media_type: str, status: int, detail: str
) -> None:
    answer = await post(server, "/data-value-demo", content, f"Content-Type: {media_type}")
    assert answer.status == status
    assert detail in json.loads(answer.content)["detail"]


# -- upload


async def send_in_pieces(client: Client, piece: bytes, count: int) -> None:
    for _ in range(count):
        await client.send(piece)


async def test_an_upload_is_hashed_and_not_held(server: RatServer) -> None:
    piece, count = bytes(range(256)) * 4096, 64
    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(piece)
    async with connect(server) as client:
        await client.send(request("POST", "/large-file-upload", f"Content-Length: {len(piece) * count}"))
        await send_in_pieces(client, piece, count)
        answer = of_json(await client.answer())
    assert (answer["size"], answer["sha256"]) == (len(piece) * count, digest.hexdigest())
    assert answer["memory"]["grown"] < 16 * MIB
    assert answer["mb_per_second"] > 0


async def test_an_upload_may_come_chunked(server: RatServer) -> None:
    async with connect(server) as client:
        await client.send(request("POST", "/large-file-upload", "Transfer-Encoding: chunked"))
        await client.send(b"3\r\nabc\r\n" + b"2\r\nde\r\n" + b"0\r\n\r\n")
        answer = of_json(await client.answer())
    assert answer["sha256"] == hashlib.sha256(b"abcde").hexdigest()


MULTIPART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n%s\r\n--x--\r\n'


async def test_an_upload_may_come_as_a_form(server: RatServer) -> None:
    content = bytes(range(256)) * 1000
    media_type = "Content-Type: multipart/form-data; boundary=x"
    answer = of_json(await post(server, "/large-file-upload", MULTIPART % content, media_type))
    assert (answer["size"], answer["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


async def test_a_form_that_ends_early_is_refused(server: RatServer) -> None:
    content = (MULTIPART % b"abc")[:-8]
    answer = await post(server, "/large-file-upload", content, "Content-Type: multipart/form-data; boundary=x")
    assert answer.status == 400


# -- events


async def test_quickmem_says_what_it_measured_in_both_forms(server: RatServer) -> None:
    found = await stream(server, "/sse-quickmem?count=6&interval=0")
    assert [event.event for event in found] == ["connected", *["update"] * 5, "heartbeat", "update", "end"]
    updates = [event for event in found if event.event == "update"]
    assert [event.id for event in updates] == ["1", "2", "3", "4", "5", "6"]
    for event in updates:
        value = decode(base64.b64decode(event.data["datavalue"]))
        assert value["number"] == event.data["value"]["number"] == int(event.id or 0)
        assert value["time"].isoformat() == event.data["value"]["time"]
        assert value["memory"]["peak"] >= value["memory"]["resident"] > MIB


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("/sse-quickmem?count=5&interval=0", "Last-Event-ID: 3"),
        ("/sse-quickmem?count=5&interval=0&last_event_id=3", "Accept: text/event-stream"),
    ],
)
async def test_quickmem_goes_on_after_the_last_event(server: RatServer, target: str, field: str) -> None:
    found = await stream(server, target, field)
    assert found[0].data["resumed_after"] == 3
    assert [event.id for event in found if event.event == "update"] == ["4", "5"]
    assert found[-1] == Event("end", {"updates": 2}, None)


async def test_events_arrive_one_by_one(server: RatServer) -> None:
    async with connect(server) as client:
        await client.send(request("GET", "/sse-quickmem?count=2&interval=0.05"))
        status, _ = await client.head()
        assert status == 200
        chunks = []
        while chunk := await client.chunk():
            chunks.append([event.event for event in events(chunk)])
    assert chunks[0] == ["connected"]
    assert chunks[1] == ["update"]


# -- chunks


@pytest.mark.parametrize("fields", [(), ("Accept-Encoding: gzip, deflate, br, zstd",)], ids=["curl", "browser"])
async def test_chunks_come_as_they_are_made(server: RatServer, fields: tuple[str, ...]) -> None:
    async with connect(server) as client:
        await client.send(request("GET", "/chunked-demo?chunks=4&delay_ms=5&size=200", *fields))
        await client.head()
        lines = []
        while chunk := await client.chunk():
            assert len(chunk) == 200
            lines.append(json.loads(chunk))
    assert [(line["chunk"], line["of"]) for line in lines] == [(number, 4) for number in (1, 2, 3, 4)]
    times = [line["at_ms"] for line in lines]
    assert all(later - earlier >= 4 for earlier, later in pairwise(times))


# -- a file in three ways


def content_of(found: list[Event]) -> bytes:
    return b"".join(base64.b64decode(event.data["data"]) for event in found if event.event == "chunk")


@pytest.mark.parametrize(("size", "chunk_size"), [(0, 1024), (1, 1024), (4096, 1024), (100_000, 4096)])
async def test_a_file_comes_whole_in_every_way(server: RatServer, size: int, chunk_size: int) -> None:
    target = f"/large-file-sse?size={size}&chunk_size={chunk_size}"
    found = await stream(server, target)
    data = content_of(found)
    assert [event.event for event in found[:2]] == ["start", "cost"]
    assert (found[0].data["chunks"], found[0].data["offset"]) == (-(-size // chunk_size), 0)
    assert (found[-1].event, found[-1].data["sha256"]) == ("complete", hashlib.sha256(data).hexdigest())
    assert len(data) == size
    cost = found[1].data
    assert cost["base64_bytes"] == sum(len(event.data["data"]) for event in found if event.event == "chunk")
    assert cost["sendfile_bytes"] == size
    for way in ("chunked", "sendfile"):
        assert (await get(server, f"{target}&way={way}")).content == data


async def test_a_file_goes_on_after_the_last_chunk(server: RatServer) -> None:
    target = "/large-file-sse?size=10000&chunk_size=1024"
    first = await stream(server, target)
    whole = content_of(first)
    seventh = [event for event in first if event.event == "chunk"][6]
    await get(server, f"{target}&way=sendfile")  # asked for in between, it is still the same file
    found = await stream(server, target, f"Last-Event-ID: {seventh.id}")
    assert found[0].data["offset"] == 7 * 1024
    assert content_of(found) == whole[7 * 1024 :]
    assert found[-1].data["sha256"] == hashlib.sha256(whole).hexdigest()


async def test_a_download_that_was_cut_is_resumed(server: RatServer) -> None:
    target = "/large-file-sse?size=100000&way=sendfile"
    first = await get(server, target)
    resumed = await get(server, target, "Range: bytes=60000-", f"If-Range: {first.field('etag')}")
    assert (resumed.status, resumed.content) == (206, first.content[60_000:])


# -- performance


async def test_performance_is_measured_for_every_size_and_codec(server: RatServer) -> None:
    answer = of_json(await get(server, "/performance-test?sizes=100,2000&iterations=3"))
    assert {(row["size"], row["codec"]) for row in answer["rows"]} == {
        (size, codec) for size in (100, 2000) for codec in ("datavalue", "json", "orjson", "pickle")
    }
    for row in answer["rows"]:
        assert row["encode_us"] >= row["encode_best_us"] > 0
        assert row["decode_us"] >= row["decode_best_us"] > 0
    assert answer["versions"].keys() >= {"python", "rat", "orjson"}
    assert answer["machine"]["cores"] >= 1


# -- what is refused


@pytest.mark.parametrize(
    ("target", "detail"),
    [
        ("/sse-quickmem?count=0", "count"),
        ("/sse-quickmem?count=ten", "count"),
        ("/sse-quickmem?interval=61", "interval"),
        ("/sse-quickmem?interval=nan", "interval"),
        ("/sse-quickmem?count=5&last_event_id=6", "Last-Event-ID"),
        ("/sse-quickmem?last_event_id=x", "Last-Event-ID"),
        ("/chunked-demo?chunks=10001", "chunks"),
        ("/chunked-demo?delay_ms=-1", "delay_ms"),
        ("/chunked-demo?size=0", "size"),
        ("/large-file-sse?size=268435457", "size"),
        ("/large-file-sse?chunk_size=1", "chunk_size"),
        ("/large-file-sse?size=1&way=pigeon", "way"),
        ("/performance-test?sizes=", "sizes"),
        ("/performance-test?sizes=1,2,x", "sizes"),
        ("/performance-test?sizes=0", "sizes"),
        ("/performance-test?sizes=4194305", "sizes"),
        ("/performance-test?sizes=" + "1," * 8 + "1", "sizes"),
        ("/performance-test?sizes=" + "1" * 5000, "sizes"),
        ("/performance-test?iterations=1001", "iterations"),
        ("/performance-test?sizes=4194304&iterations=17", "limit 67108864"),
    ],
)
async def test_a_query_out_of_bounds_is_refused_by_name(server: RatServer, target: str, detail: str) -> None:
    answer = await get(server, target, "Accept: application/json")
    assert answer.status == 400
    assert detail in json.loads(answer.content)["detail"]
