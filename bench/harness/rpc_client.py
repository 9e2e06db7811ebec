"""Load for peers whose protocols only their own clients speak: grpcio, websockets.  Prints what `rat bench` prints.

python -m bench.harness.rpc_client grpc|websockets PORT --in-flight N -d SECONDS --server-pid PID
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic, process_time
from typing import Any

import msgpack  # type: ignore[import-untyped,import-not-found,unused-ignore]

from bench.harness.blob_client import ITEMS
from rat.cli.bench import RECORD
from rat.loadgen.histogram import Histogram
from rat.loadgen.processes import cpu_seconds

Call = Callable[[Any], Awaitable[Any]]


@contextlib.asynccontextmanager
async def grpc_calls(port: int) -> AsyncIterator[Call]:
    """A function that calls Echo."""
    import grpc  # type: ignore[import-untyped,import-not-found,unused-ignore]

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel.unary_unary(
            "/bench.Echo/Echo", request_serializer=msgpack.packb, response_deserializer=msgpack.unpackb
        )


async def grpc_stream(port: int, duration: float, pid: int) -> dict[str, Any]:
    """Stream records, call after call, for *duration* seconds."""
    import grpc

    answers, faults = 0, Counter[str]()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        records = channel.unary_stream(
            "/bench.Echo/Records", request_serializer=msgpack.packb, response_deserializer=msgpack.unpackb
        )
        assert [record async for record in records(2)] == [RECORD] * 2
        cpu, used, started = process_time(), cpu_seconds(pid), monotonic()
        while monotonic() - started < duration:
            count = 0
            async for record in records(ITEMS):
                count += 1
                if record != RECORD:
                    faults[f"item {record!r:.60}"] += 1
            answers += count
            if count != ITEMS:
                faults[f"{count} items, where {ITEMS} were due"] += 1
        seconds = monotonic() - started
        return {
            "answers": answers,
            "answers_per_second": answers / seconds,
            "content_bytes": 0,
            "seconds": seconds,
            "latency": None,
            "faults": dict(faults),
            "client_full": False,  # it has more to do than the server, which is measured by its CPU
            "server_cpu": cpu_seconds(pid) - used,
            "client_cpu": process_time() - cpu,
        }


@contextlib.asynccontextmanager
async def websocket_calls(port: int) -> AsyncIterator[Call]:
    """A function that sends a numbered message and waits for its echo."""
    from websockets.asyncio.client import connect  # type: ignore[import-not-found,unused-ignore]

    waiting: dict[int, asyncio.Future[Any]] = {}
    last = 0
    async with connect(f"ws://127.0.0.1:{port}", compression=None) as socket:

        async def receive() -> None:
            async for message in socket:
                number, value = msgpack.unpackb(message)
                waiting.pop(number).set_result(value)

        async def call(value: Any) -> Any:
            nonlocal last
            last += 1
            waiting[last] = future = asyncio.get_running_loop().create_future()
            await socket.send(msgpack.packb([last, value]))
            return await future

        receiver = asyncio.create_task(receive())
        yield call
        receiver.cancel()


async def run(kind: str, port: int, in_flight: int, duration: float, pid: int) -> dict[str, Any]:
    """Keep *in_flight* calls going for *duration* seconds."""
    latency = Histogram()
    faults: Counter[str] = Counter()
    answers = 0
    async with {"grpc": grpc_calls, "websockets": websocket_calls}[kind](port) as call:
        await call(RECORD)
        cpu, used, started = process_time(), cpu_seconds(pid), monotonic()
        end = started + duration

        async def caller() -> None:
            nonlocal answers
            while (begun := monotonic()) < end:
                value = await call(RECORD)
                latency.record(monotonic() - begun)
                if value == RECORD:
                    answers += 1
                else:
                    faults[f"answer {value!r:.60}"] += 1

        await asyncio.gather(*(caller() for _ in range(in_flight)))
        seconds = monotonic() - started
        return {
            "answers": answers,
            "answers_per_second": answers / seconds,
            "seconds": seconds,
            "latency": latency.summary(),
            "faults": dict(faults),
            "client_full": (process_time() - cpu) / seconds > 0.95,
            "server_cpu": cpu_seconds(pid) - used,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("grpc", "websockets"))
    parser.add_argument("port", type=int)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("-d", "--duration", type=float, default=1.0)
    parser.add_argument("--server-pid", type=int, required=True)
    parser.add_argument("--stream", action="store_true", help="grpc: a stream of records in place of calls")
    args = parser.parse_args()
    if args.stream:
        print(json.dumps(asyncio.run(grpc_stream(args.port, args.duration, args.server_pid))))
        return 0
    figures = asyncio.run(run(args.kind, args.port, args.in_flight, args.duration, args.server_pid))
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
