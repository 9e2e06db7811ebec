"""Strict questions to a server, beside the load: is every answer the right one?

wrk counts answers and looks at status codes only.  So before, while and after it runs, a slow and careful client
asks the same questions and reads every byte of every answer.
"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

from bench.harness.workload import Load, Workload
from rat.loadgen.answers import Answer, AnswerParser, BadAnswer
from rat.loadgen.judge import Judge
from rat.loadgen.requests import BROWSER_FIELDS, build_requests, parse_url

PATIENCE = 10.0
QUESTIONS = 8
PAUSE = 0.1


def fields_of(workload: Workload) -> list[tuple[str, str]]:
    """The fields of its requests beside Host, Cookie and Content-Length."""
    content_type = [("Content-Type", "application/json")] if workload.echo else []
    return content_type + (list(BROWSER_FIELDS) if workload.browser else [])


def requests_of(workload: Workload, url: str, count: int = 1024) -> list[bytes]:
    """The requests of a workload, each different where the workload allows it."""
    transfer = workload.load is Load.TRANSFER
    return build_requests(
        parse_url(url + workload.path),
        method=workload.method,
        fields=fields_of(workload),
        contents=[workload.content(0)] if workload.content else (),
        vary=not transfer,
        count=1 if transfer else count,
    )


def ask(port: int, requests: list[bytes], judge: Judge, *, pipelined: bool = False) -> str | None:
    """Send *requests* on one connection, all at once if *pipelined*; what is wrong with the answers, or None."""
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            connection.settimeout(PATIENCE)
            parser = AnswerParser()
            for batch in [b"".join(requests)] if pipelined else requests:
                connection.sendall(batch)
                wanted = len(requests) if pipelined else 1
                answers: list[Answer] = []
                while len(answers) < wanted:
                    data = connection.recv(262_144)
                    if not data:
                        return f"closed after {len(answers)} of {wanted} answers"
                    answers += parser.feed(data)
                for answer in answers:
                    if fault := judge(answer):
                        return fault
                if len(answers) > wanted or not parser.is_idle:
                    return "more was answered than asked"
    except TimeoutError:
        return f"no answer within {PATIENCE:.0f} s"
    except BadAnswer as error:
        return str(error)
    except OSError as error:
        return f"connection: {error.strerror or error}"
    return None


def check(workload: Workload, port: int, files: Path, turn: int = 0, questions: int = QUESTIONS) -> str | None:
    """Ask what the workload asks, otherwise in every turn; what is wrong with the answers, or None."""
    if workload.load in (Load.EVENTS, Load.FRAMES) or "hello" in workload.extra:
        return None  # the load generator reads every event and every frame itself
    url = f"http://127.0.0.1:{port}"
    if workload.echo and workload.content:
        for number in range(turn * QUESTIONS + 1, turn * QUESTIONS + questions + 1):
            content = workload.content(number)
            target = parse_url(f"{url}{workload.path}?turn={turn}")
            request = build_requests(target, method=workload.method, fields=fields_of(workload), contents=[content])
            if fault := ask(port, request, Judge(status=200, value=json.loads(content))):
                return fault
        return None
    requests = requests_of(workload, url)
    if workload.load is Load.TRANSFER:
        return ask(port, requests, workload.judge(files))
    start = turn * QUESTIONS % (len(requests) - 2 * QUESTIONS)
    some = requests[start : start + max(questions, workload.pipeline)]
    return ask(port, some, workload.judge(files), pipelined=workload.pipeline > 1)


class Watch:
    """Asks on a connection of its own while the load runs.  A context manager; ``fault`` says what was wrong."""

    def __init__(self, workload: Workload, port: int, files: Path) -> None:
        self.fault: str | None = None
        self.asked = 0
        self._workload = workload
        self._port = port
        self._files = files
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        turn = 1
        while not self._end.wait(PAUSE) and self.fault is None:
            self.fault = check(self._workload, self._port, self._files, turn)
            turn += 1
            self.asked += max(QUESTIONS, self._workload.pipeline)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()
