"""This server, as installed or as in the tree that PYTHONPATH names; and the same with everything through h11."""

from bench.harness.peer import ALL, FRAMES, Peer, Start


def command(start: Start) -> list[str]:
    app = "bench.peers.apps.rat_app:app"
    return [start.python, "-m", "rat", "serve", app, "--port", str(start.port), "--log-level", "warning"]


PEERS = [
    Peer("rat", command, ALL | FRAMES, core=True, needs=("uvloop",)),
    # As much at once as the windows of the other grow to.
    Peer(
        "rat, 8 MiB credit",
        command,
        frozenset({"blob-streams"}),
        core=True,
        needs=("uvloop",),
        variables=lambda start: {"RAT_FRAMES_CREDIT": "8MiB"},
    ),
    Peer("rat-h11", lambda start: [*command(start), "--http", "h11"], asks=ALL & {"hello", "json", "echo"}),
]
