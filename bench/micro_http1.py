"""CPU time of the HTTP/1.1 engine alone: microseconds per cycle of receive_data, next_event, send, next_event.

Every request differs from the one before it, and every answer is checked.  Ways are interleaved, the best round counts.
``python bench/micro_http1.py [--rounds N] [--json FILE]``
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

from rat.clock import Clock
from rat.config import Limits
from rat.events import NEED_DATA, CompleteResponse, ContentReceived, RequestReceived, Signal
from rat.http1.engine import HttpEngine

BROWSER = (
    b'Connection: keep-alive\r\nsec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"\r\nsec-ch-ua-mobile: ?0\r\n'
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/130.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n"
)
FIELDS = [(b"content-type", b"text/plain; charset=utf-8")]


def short(number: int) -> bytes:
    return b"GET /users/%d HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nCookie: session=%016x\r\n\r\n" % (number, number * 7919)


def browser(number: int) -> bytes:
    cookie = b"Cookie: session=%016x; theme=dark\r\n\r\n" % (number * 7919)
    return b"GET /users/%d?page=1 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n%b%b" % (number, BROWSER, cookie)


def post(number: int) -> bytes:
    head = (
        b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n\r\n"
    )
    return head + b"%01024d" % number


def pipelined(number: int) -> bytes:
    return b"".join(short(number * 16 + part) for part in range(16))


def answer_all(engine: HttpEngine, wires: list[bytes]) -> int:
    """Feed *wires* one by one and answer every request; returns the bytes written."""
    written = 0
    receive, pull, send = engine.receive_data, engine.next_event, engine.send
    for wire in wires:
        receive(wire)
        while (event := pull()) is not NEED_DATA:
            if type(event) is not RequestReceived:
                raise SystemExit(f"unexpected {event}")
            for part in send(CompleteResponse(200, FIELDS, b"Hello, world!")):
                written += len(part)
    return written


def upload(engine: HttpEngine, megabytes: int) -> int:
    """Receive content in segments of 256,000 bytes, the most that uvloop hands over at once."""
    segment = bytes(256_000)
    total = megabytes * 4 * len(segment)
    received = 0
    engine.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % total)
    for _ in range(megabytes * 4):
        engine.receive_data(segment)
        while not isinstance(event := engine.next_event(), Signal):
            if isinstance(event, ContentReceived):
                received += len(event.data)
    if received != total:
        raise SystemExit(f"{received} bytes of {total} arrived")
    return received


def engine_of(way: str) -> HttpEngine:
    return HttpEngine(Limits(), date=Clock().date, http=way)


def cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(rounds: int) -> dict[str, float]:
    cases: dict[str, tuple[Callable[[int], bytes], int]] = {
        "GET short": (short, 1),
        "GET browser": (browser, 1),
        "POST 1 KB": (post, 1),
        "GET short x16": (pipelined, 16),
    }
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, (make, per_wire) in cases.items():
            for way, count in (("auto", 4_000), ("h11", 400)):
                wires = [make(number) for number in range(count // per_wire)]
                expected = answer_all(engine_of(way), wires[:1]) * len(wires)
                engine = engine_of(way)
                sizes: list[int] = []
                used = cpu(lambda engine=engine, wires=wires, sizes=sizes: sizes.append(answer_all(engine, wires)))  # type: ignore[misc]
                if sizes != [expected]:
                    raise SystemExit(f"{name}: {sizes} bytes written, expected {expected}")
                key = f"{name}, {way}, us"
                best[key] = min(best.get(key, 1e9), used / (len(wires) * per_wire) * 1e6)
        used = cpu(lambda: upload(engine_of("auto"), 256))
        best["upload, engine alone, s/GB"] = min(best.get("upload, engine alone, s/GB", 1e9), used / 0.256)
    return {name: round(value, 3) for name, value in best.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="write the figures, the machine and the versions to this file")
    arguments = parser.parse_args()
    figures = measure(arguments.rounds)
    for name, value in figures.items():
        print(f"{name:32} {value:10.3f}")
    if arguments.json:
        about = {
            "python": sys.version.split()[0],
            "machine": platform.machine(),
            "processor": platform.processor(),
            "h11": version("h11"),
        }
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"about": about, "figures": figures}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
