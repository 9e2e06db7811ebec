"""The application for granian's own interface, RSGI."""

from __future__ import annotations

from typing import Any

import orjson

from bench.peers.apps.common import HELLO, MESSAGE, PIECE, PIECES, TOKENS, Ticker, files, token_bytes

ticker = Ticker()
TEXT = [("content-type", "text/plain; charset=utf-8")]
JSON = [("content-type", "application/json")]
BINARY = [("content-type", "application/octet-stream")]
STREAM = [("content-type", "text/event-stream"), ("cache-control", "no-store")]


class App:
    """Routes by path."""

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        path = scope.path
        if path == "/":
            protocol.response_bytes(200, TEXT, HELLO)
        elif path == "/json":
            protocol.response_bytes(200, JSON, orjson.dumps(MESSAGE))
        elif path == "/echo":
            protocol.response_bytes(200, JSON, orjson.dumps(orjson.loads(await protocol())))
        elif path == "/upload":
            size = 0
            async for piece in protocol:
                size += len(piece)
            protocol.response_bytes(200, JSON, orjson.dumps({"size": size}))
        elif path == "/chunked":
            stream = protocol.response_stream(200, BINARY)
            for _ in range(PIECES):
                await stream.send_bytes(PIECE)
        elif path == "/tokens":
            stream = protocol.response_stream(200, STREAM)
            for number in range(TOKENS):
                await stream.send_bytes(token_bytes(number))
        elif path == "/events":
            await self.events(protocol.response_stream(200, STREAM))
        elif path in ("/files/big.bin", "/files/small.bin"):
            protocol.response_file(200, BINARY, str(files() / path.rpartition("/")[2]))
        else:
            protocol.response_bytes(404, TEXT, b"not found")

    async def events(self, stream: Any) -> None:
        await stream.send_bytes(b": hello\n\n")
        queue = ticker.subscribe()
        try:
            while True:
                await stream.send_bytes(await queue.get())
        finally:
            ticker.unsubscribe(queue)


app = App()
