"""granian (Rust), one worker, with its own interface and with ASGI."""

from bench.harness.peer import ALL, Peer, Start


def granian(app: str, interface: str, start: Start) -> list[str]:
    return [
        *(
            start.python,
            "-m",
            "granian",
            app,
            "--interface",
            interface,
            "--host",
            "127.0.0.1",
            "--port",
            str(start.port),
        ),
        *("--workers", "1", "--loop", "uvloop", "--http", "1", "--log-level", "warning", "--backlog", "2048"),
    ]


PEERS = [
    Peer(
        "granian",
        lambda start: granian("bench.peers.apps.rsgi:app", "rsgi", start),
        core=True,
        late=0.2,
        needs=("granian",),
    ),
    Peer(
        "granian-asgi",
        lambda start: granian("bench.peers.apps.asgi:app", "asginl", start),
        ALL - {"big", "small", "idle"},
        late=0.2,
        needs=("granian",),
    ),
]
