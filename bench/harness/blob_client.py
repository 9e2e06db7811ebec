"""Load by frames that are no small calls; prints what `rat bench` prints, and checks every frame that comes.

values    blobs that are the argument of a call and its result
streams   blobs that go as data of one call and come back, with checksums and credit
receive   frames of --size bytes that are only received, and counted
items     small records that the server streams, call after call

python -m bench.harness.blob_client MODE PORT --size BYTES --call NAME -d SECONDS --server-pid PID
"""

from __future__ import annotations

import argparse
import asyncio
import json
import struct
import sys
import zlib
from collections import Counter
from time import monotonic, process_time
from typing import Any, cast

import uvloop

from rat.cli.bench import RECORD
from rat.codec import encode
from rat.codec.frame import Kind, checksum, pack_frame, pack_header
from rat.config import FrameLimits
from rat.frames.settings import offer, pack_hello, parse_hello
from rat.loadgen.processes import cpu_seconds

_PREFIX = struct.Struct(">IBBHI")
_CHECKSUM = 2
_OPEN = 8
_REPLY_WAIT = 20.0
IN_FLIGHT = 4
ITEMS = 2000
"""Records in one stream."""
WINDOW = 16 << 20
"""Bytes of a stream that may be under way towards this client: so many that the floor, which hands this client's own
credit back to it, is sent blobs and no crumbs.  With 8 MiB its pieces were of 0.87 MiB, and less work for each byte."""


class Peer(asyncio.BufferedProtocol):
    """One connection: sends while it may, checks what comes."""

    transport: asyncio.WriteTransport

    def __init__(self, mode: str, size: int, call: str) -> None:
        self.mode = mode
        self.size = size
        self.call = call
        self.moved = 0
        self.frames = 0
        self.faults: Counter[str] = Counter()
        self.running = False
        self.agreed = asyncio.Event()
        self.over = asyncio.Event()
        self._buffer = memoryview(bytearray(max(size, 256 << 10) + 4096))
        self._filled = 0
        self._features = frozenset({"checksum"}) if mode == "streams" else frozenset()
        self._sum_of_payload = 0
        self._stream = 1
        self._credit = self._held = self._under_way = self._sent = self._back = 0
        self._paused = False
        self._came = 0

    # -- out

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)
        limits = FrameLimits(credit=WINDOW)
        self.transport.write(pack_frame(Kind.HELLO, 0, 0, pack_hello(offer(limits, self._features))))

    def start(self) -> None:
        """Send as much as may be under way at once."""
        self.running = True
        blob = bytes(range(256)) * (self.size // 256 + 1)
        if self.mode == "values":
            self.payload = encode([self.call, [blob[: self.size - 64]]])
            # A view that a handler gets is a view in its answer; the floor sends back what it was sent.
            answer = encode(memoryview(blob[: self.size - 64])) if self.call else self.payload
            self._sum_of_payload = zlib.crc32(answer)
            for _ in range(IN_FLIGHT):
                self._send_call()
        elif self.mode == "streams":
            self.payload = blob[: self.size - 4]
            self._views = memoryview(self.payload)
            self._sum = checksum(Kind.DATA, _CHECKSUM, 1, (self.payload,))
            self.transport.write(pack_frame(Kind.CALL, _CHECKSUM | _OPEN, 1, encode([self.call, []])))
            self._send_data()
        elif self.mode == "items":
            self.payload = encode([self.call, [ITEMS]])
            self._item = encode(RECORD)
            self._send_call()
        else:
            self.payload = blob[: self.size]
            self._send_some()

    def _send_call(self) -> None:
        self.transport.writelines((pack_header(Kind.CALL, 0, self._stream, len(self.payload)), self.payload))
        self._stream += 2
        self._under_way += 1

    def _send_data(self) -> None:
        """Blob after blob, as much as the credit, and the number of them that may be under way, allow."""
        while self.running and self._under_way < IN_FLIGHT * len(self.payload) and self._credit:
            piece = self._views[self._sent : self._sent + self._credit]
            is_whole = len(piece) == len(self.payload)
            digest = self._sum if is_whole else checksum(Kind.DATA, _CHECKSUM, 1, (piece,))
            self._credit -= len(piece)
            self._under_way += len(piece)
            self._sent = (self._sent + len(piece)) % len(self.payload)
            self.transport.writelines((pack_header(Kind.DATA, _CHECKSUM, 1, len(piece) + 4), piece, digest))

    def _send_some(self) -> None:
        frame = pack_header(Kind.DATA, 0, 1, len(self.payload)) + self.payload
        many = frame * max(1, (256 << 10) // len(frame))
        while self.running and not self._paused:
            self.transport.write(many)
            self.frames += len(many) // len(frame)
            self.moved += len(many) // len(frame) * len(self.payload)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self.mode == "receive":
            self._send_some()

    def stop(self) -> None:
        """Send no more; ``over`` is set when everything has come back."""
        self.running = False
        if self.mode == "receive":
            self.transport.write(pack_frame(Kind.PING, 0, 0, bytes(8)))
        elif not self._under_way:
            self.over.set()

    # -- in

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        position = 0
        while self._filled - position >= 12:
            length, kind, flags, _, stream = _PREFIX.unpack_from(self._buffer, position)
            stop = position + 4 + length
            if stop > self._filled:
                break
            self._frame(kind, flags, stream, self._buffer[position + 12 : stop])
            position = stop
        rest = self._filled - position
        if position and rest:
            self._buffer[:rest] = bytes(self._buffer[position : self._filled])
        self._filled = rest

    def _frame(self, kind: int, flags: int, stream: int, payload: memoryview) -> None:
        if kind == Kind.HELLO:
            self._credit = parse_hello(bytes(payload)).credit
            self.agreed.set()
        elif self.mode == "items":
            self._item_came(kind, stream, payload)
        elif kind == Kind.CREDIT:
            self._credit += int.from_bytes(payload[:4])
            self._send_data()
        elif kind == (Kind.RESULT if self.mode == "values" else Kind.DATA):
            self._blob_back(flags, stream, payload)
        elif kind in (Kind.PONG, Kind.PING) and self.mode == "receive":
            if payload != struct.pack(">II", self.frames & 0xFFFFFFFF, self.moved & 0xFFFFFFFF):
                self.faults[f"{self.frames} frames were sent, {int.from_bytes(payload[:4])} received"] += 1
            self.over.set()
        elif kind not in (Kind.CALL, Kind.RESULT):
            self.faults[f"frame of kind {kind}: {bytes(payload[:80])!r}"] += 1
            self.over.set()

    def _item_came(self, kind: int, stream: int, payload: memoryview) -> None:
        if kind == Kind.ITEM:
            self._came += 1
            if bytes(payload) != self._item:
                self.faults[f"an item of {len(payload)} bytes that is not the record"] += 1
            return
        if kind != Kind.END or self._came != ITEMS:
            self.faults[f"{self._came} items, then kind {kind}, where {ITEMS} were due"] += 1
        self.frames += self._came
        self.moved += self._came * len(self._item)
        self._came = 0
        self._under_way -= 1
        if self.running:
            self._send_call()
        else:
            self.over.set()

    def _blob_back(self, flags: int, stream: int, payload: memoryview) -> None:
        if self.mode == "streams":
            self._data_back(flags, stream, payload)
        elif zlib.crc32(payload) != self._sum_of_payload:
            self.faults[f"a blob of {len(payload)} bytes that was not sent"] += 1
        self.moved += 2 * len(payload)
        self.frames += 1
        if self.mode == "streams":
            self._send_data()
        else:
            self._under_way -= 1
            if self.running:
                self._send_call()
        if not self.running and not self._under_way:
            self.over.set()

    def _data_back(self, flags: int, stream: int, payload: memoryview) -> None:
        """What follows of the blobs that were sent, cut as the server likes."""
        if bytes(payload[-4:]) != checksum(Kind.DATA, flags, stream, (payload[:-4],)):
            self.faults["a checksum that does not fit"] += 1
        size = len(payload) - 4
        end = self._back + size
        # A piece may go from one blob into the next.
        due = self.payload[self._back : end]
        if len(due) < size:
            due += self.payload[: size - len(due)]
        if bytes(payload[:-4]) != due:
            self.faults[f"data of {size} bytes that was not sent"] += 1
        self._back = end % len(self.payload)
        self._under_way -= size
        self._held += size
        if 2 * self._held >= WINDOW:
            self.transport.write(pack_frame(Kind.CREDIT, _CHECKSUM, 1, self._held.to_bytes(4)))
            self._held = 0

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.is_set():
            self.faults[f"connection closed: {exc}"] += 1
        self.over.set()
        self.agreed.set()


async def run(mode: str, port: int, size: int, call: str, duration: float, pid: int) -> dict[str, Any]:
    """Keep blobs of *size* bytes going for *duration* seconds."""
    loop = asyncio.get_running_loop()
    _, peer = await loop.create_connection(lambda: Peer(mode, size, call), "127.0.0.1", port)
    async with asyncio.timeout(_REPLY_WAIT):
        await peer.agreed.wait()
    cpu, used, started = process_time(), cpu_seconds(pid), monotonic()
    peer.start()
    try:
        async with asyncio.timeout(duration):
            await peer.over.wait()
    except TimeoutError:
        peer.stop()
    async with asyncio.timeout(_REPLY_WAIT):
        await peer.over.wait()
    seconds = monotonic() - started
    server_cpu = cpu_seconds(pid) - used
    peer.over.set()
    peer.transport.abort()
    return {
        "answers": peer.frames,
        "answers_per_second": peer.frames / seconds,
        "content_bytes": peer.moved,
        "seconds": seconds,
        "latency": None,
        "faults": dict(peer.faults),
        "client_full": (process_time() - cpu) / seconds > 0.95,
        "server_cpu": server_cpu,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=("values", "streams", "receive", "items"))
    parser.add_argument("port", type=int)
    parser.add_argument("--size", type=int, default=1 << 20)
    parser.add_argument("--call", default="")
    parser.add_argument("-d", "--duration", type=float, default=1.0)
    parser.add_argument("--server-pid", type=int, required=True)
    args = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(run(args.mode, args.port, args.size, args.call, args.duration, args.server_pid))
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
