"""One ``rat serve`` in a process of its own, and what can be seen of it from outside."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Stand"]

ROOT = Path(__file__).resolve().parents[2]
APP = Path(__file__).with_name("app.py")
PAGE = os.sysconf("SC_PAGE_SIZE")
CLOCK = os.sysconf("SC_CLK_TCK")
SHORT = ("timeouts.head=2", "timeouts.body_stall=2", "timeouts.write_stall=3", "timeouts.linger=0.5",
         "frames.frame_timeout=2")  # fmt: skip
"""Deadlines short enough to be met within an attack."""


class Stand:
    """A server under attack: started by ``async with``, ended by SIGKILL if nothing else has ended it."""

    def __init__(self, loop: str, *, descriptors: int | None = None, settings: tuple[str, ...] = ()) -> None:
        self.loop = loop
        self.root = ROOT
        self._settings = (*SHORT, *settings)
        self._descriptors = descriptors
        self._folder = tempfile.TemporaryDirectory(prefix="rat-survive-")
        self.file = Path(self._folder.name) / "large.bin"
        self.log = Path(self._folder.name) / "log"
        self.port = 0
        self.calm = 0
        """Descriptors that are open while nobody is there."""
        self.calm_tasks = 0

    async def __aenter__(self) -> Stand:
        with self.file.open("wb") as file:
            file.truncate(64 << 20)
        command = [
            sys.executable,
            "-m",
            "rat",
            "serve",
            str(APP),
            "--port",
            "0",
            "--loop",
            self.loop,
            "--no-access-log",
        ]
        for setting in self._settings:
            command += ["--set", setting]
        limit = self._descriptors

        def bound() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

        with self.log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220
                command,
                cwd=self._folder.name,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), "SURVIVE_FILE": str(self.file)},
                preexec_fn=bound,
            )
        assert self.process.stdout is not None
        await asyncio.to_thread(self.process.stdout.readline)
        address = (await asyncio.to_thread(self.process.stdout.readline)).decode().strip()
        if not address:
            raise RuntimeError(f"the server did not start: {self.log.read_text()}")
        self.port = int(address.rpartition(":")[2])
        try:
            await self._warm_up()
        except (ConnectionError, TimeoutError) as error:
            raise RuntimeError(f"the server does not answer, {error}: {self.log.read_text()}") from error
        return self

    async def _warm_up(self) -> None:
        for _ in range(50):
            await self.get("/plain")
            await self.get("/later")
        await self.get("/file", timeout=60)
        self.calm = self.descriptors()
        self.calm_tasks = int((await self.debug())["tasks"])
        await asyncio.sleep(0.1)
        self.calm = self.descriptors()

    async def __aexit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._folder.cleanup()

    # -- asking it

    async def get(self, path: str, *, timeout: float = 10.0) -> tuple[int, bytes]:
        """Status and content of one answer on a connection of its own."""
        return await self.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode(), timeout=timeout)

    async def ask(self, wire: bytes, *, timeout: float = 10.0) -> tuple[int, bytes]:
        """Status and content of the answer to *wire*, which asks the server to close."""
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(wire)
                answer = await reader.read(-1)
            finally:
                writer.close()
        head, _, content = answer.partition(b"\r\n\r\n")
        if not head:
            raise ConnectionError("closed without an answer")
        return int(head.split(b" ", 2)[1]), content

    async def publish(self, text: str, topic: str = "ticks") -> None:
        head = f"POST /publish?topic={topic} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        await self.ask(f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode())

    async def debug(self) -> dict[str, Any]:
        """Tasks and subscribers of the server, and what is queued for them."""
        status, content = await self.get("/debug")
        assert status == 200, (status, content)
        return dict(json.loads(content))

    # -- looking at it

    @property
    def pid(self) -> int:
        return self.process.pid

    def descriptors(self) -> int:
        """Open descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident(self) -> int:
        """Resident memory in bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE

    def cpu(self) -> float:
        """Seconds of CPU used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK

    async def busy(self, seconds: float) -> float:
        """Share of a core used over *seconds*."""
        cpu, start = self.cpu(), time.monotonic()
        await asyncio.sleep(seconds)
        return (self.cpu() - cpu) / (time.monotonic() - start)

    def lines(self) -> list[str]:
        """What the server has logged."""
        return self.log.read_text(errors="replace").splitlines()

    async def until(self, holds: Callable[[], object], timeout: float) -> float:
        """Wait until something holds, or *timeout* is over; the seconds that took."""
        start = time.monotonic()
        # Another process is watched: no event of this one tells.
        while not holds() and time.monotonic() - start < timeout:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return time.monotonic() - start

    async def until_descriptors(self, count: int, timeout: float) -> float:
        """Wait until at most *count* descriptors are open; the seconds that took."""
        return await self.until(lambda: self.descriptors() <= count, timeout)

    async def until_told(self, what: str, most: int, least: int = 0, timeout: float = 10.0) -> int:
        """Ask for the number *what* until it is from *least* to *most*, or time is over; the last one told."""
        end = time.monotonic() + timeout
        number = -1
        while not least <= number <= most and time.monotonic() < end:
            number = int((await self.debug())[what])
            await asyncio.sleep(0.02)
        return number

    # -- clients

    def connect(self, wire: bytes = b"", *, receive_buffer: int | None = None) -> socket.socket:
        """A connection that does not block, with *wire* sent."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(("127.0.0.1", self.port))
        if wire:
            sock.sendall(wire)
        sock.setblocking(False)
        return sock

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, timeout: float) -> int:
        """The exit code, once the server has ended; 1000 if it does not."""
        await self.until(lambda: self.process.poll() is not None, timeout)
        code = self.process.poll()
        return 1000 if code is None else code
