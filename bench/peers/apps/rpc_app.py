"""The echo call with grpcio's asyncio server, and over websockets; the record travels as msgpack in both."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import msgpack
import uvloop

from rat.cli.bench import RECORD


async def serve_grpc(port: int) -> None:
    import grpc

    async def echo(value: Any, context: Any) -> Any:
        return value

    method = grpc.unary_unary_rpc_method_handler(
        echo, request_deserializer=msgpack.unpackb, response_serializer=msgpack.packb
    )

    async def records(count: Any, context: Any) -> Any:
        for _ in range(count):
            yield RECORD

    stream = grpc.unary_stream_rpc_method_handler(
        records, request_deserializer=msgpack.unpackb, response_serializer=msgpack.packb
    )
    server = grpc.aio.server()
    methods = {"Echo": method, "Records": stream}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", methods),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


async def serve_websockets(port: int) -> None:
    from websockets.asyncio.server import serve

    async def connected(socket: Any) -> None:
        async for message in socket:
            number, value = msgpack.unpackb(message)
            await socket.send(msgpack.packb([number, value]))

    async with serve(connected, "127.0.0.1", port, compression=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    work = {"grpc": serve_grpc, "websockets": serve_websockets}[sys.argv[1]]
    # grpc brings a loop of its own in its C core, and is documented for asyncio's.
    factory = None if sys.argv[1] == "grpc" else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work(int(os.environ["BENCH_PORT"])))
