"""The client of large content: keeps a connection to each server, and reads and judges every byte.

    python -m bench.harness.transfer_client

reads from standard input, pickled, the workload and the directory of the test files, then orders: a port, and whether
the answer is read at ``SPEED``.  Each is answered by the seconds that the transfer took and what was wrong with it.

Over the loopback the kernel's work for a connection is done by whoever happens to run.  Where the reader waits for the
server, the server pays for it, and for waking the reader up to 1,400 times in 64 MiB; where the server waits for room,
the reader pays.  A reader about as fast as the server falls from one into the other, and the same server cost 0.24 and
0.46 s per GB in two turns.  So where the cost counts, content is read as a network would take it, at a fixed speed that
nearly all servers keep up with: they wait for room.
"""

from __future__ import annotations

import pickle
import socket
import sys
import time
from pathlib import Path
from typing import cast

from bench.harness.check import requests_of
from bench.harness.workload import Workload
from rat.errors import reason
from rat.loadgen.answers import Answer, AnswerParser, BadAnswer

SPEED = 0.8e9
"""Bytes a second."""
READ = 1 << 18
"""Bytes of one read.  The kernel wakes the reader when there are so many, not for each packet."""
BUFFER = 1 << 20
"""Bytes of the kernel's buffers.  Left to itself it gave one connection 0.7 MiB and the next 32, where half of the
content has room at once: twice the cost."""
PATIENCE = 10.0
"""Seconds that a transfer may take."""


class Connection:
    """To one server."""

    def __init__(self, port: int) -> None:
        """Raises OSError."""
        self._socket = socket.socket()
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        self._socket.settimeout(PATIENCE)
        try:
            self._socket.connect(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise
        self._parser = AnswerParser()
        self._least = 1
        self.received = 0

    def ask(self, head: bytes, content: bytes, size: int, speed: float) -> Answer:
        """Send *head* and *content* of a request and read its answer.  Raises OSError and BadAnswer.

        size   bytes that the answer has at least if it is right
        speed  bytes a second at which it is read at most; 0 for no bound
        """
        due = time.monotonic()
        deadline = due + PATIENCE
        self._socket.settimeout(PATIENCE)
        self.received = 0
        sent = self._socket.sendmsg([head, content]) - len(head)  # a head is shorter than any buffer
        self._socket.sendall(memoryview(content)[sent:])
        answers: list[Answer] = []
        while not answers:
            # No more than surely comes, for less would never wake it.  The first read is for the head.
            self._wait_for(max(1, min(READ, size - self.received)) if self.received else 1)
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            data = self._socket.recv(READ)
            if not data:
                raise BadAnswer(f"closed after {self.received} bytes of an answer")
            self.received += len(data)
            answers = self._parser.feed(data)
            if speed:
                now = time.monotonic()
                due = max(due + len(data) / speed, now)
                time.sleep(due - now)
        if len(answers) > 1 or not self._parser.is_idle:
            raise BadAnswer("more was answered than asked")
        return answers[0]

    def _wait_for(self, least: int) -> None:
        if least != self._least:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, least)
            self._least = least

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class TransferClient:
    """Connections to servers, by their ports, and what is asked of them.  A context manager, which closes them."""

    def __init__(self, workload: Workload, files: Path) -> None:
        self._workload = workload
        self._judge = workload.judge(files)
        self._content = workload.content(0) if workload.content else b""
        self._heads: dict[int, bytes] = {}
        self._open: dict[int, Connection] = {}

    def transfer(self, port: int, *, paced: bool) -> tuple[float, str | None]:
        """One transfer, to its end: seconds, and what was wrong with it or None."""
        if port not in self._heads:
            request = requests_of(self._workload, f"http://127.0.0.1:{port}")[0]
            self._heads[port] = request[: len(request) - len(self._content)]
        speed = SPEED if paced and not self._content else 0.0
        began = time.monotonic()
        kept = port in self._open
        try:
            try:
                fault = self._ask(port, speed)
            except (OSError, BadAnswer):
                # RFC 9112, section 9.3.1: a server may close a connection that waits, whatever is on its way.
                if not kept or self._open[port].received:
                    raise
                self._drop(port)
                began = time.monotonic()
                fault = self._ask(port, speed)
        except TimeoutError:
            fault = f"no answer within {PATIENCE:.0f} s"
        except BadAnswer as error:
            fault = str(error)
        except OSError as error:
            fault = reason(error)
        if fault:
            self._drop(port)
        return time.monotonic() - began, fault

    def _ask(self, port: int, speed: float) -> str | None:
        if port not in self._open:
            self._open[port] = Connection(port)
        answer = self._open[port].ask(self._heads[port], self._content, self._judge.size or 0, speed)
        if answer.closes:
            self._drop(port)
        return self._judge(answer)

    def _drop(self, port: int) -> None:
        if connection := self._open.pop(port, None):
            connection.close()

    def __enter__(self) -> TransferClient:
        return self

    def __exit__(self, *exc: object) -> None:
        for port in list(self._open):
            self._drop(port)


def main() -> None:
    workload, files = pickle.load(sys.stdin.buffer)
    with TransferClient(workload, files) as client:
        while True:
            try:
                port, paced = cast(tuple[int, bool], pickle.load(sys.stdin.buffer))
            except EOFError:
                return
            pickle.dump(client.transfer(port, paced=paced), sys.stdout.buffer)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
