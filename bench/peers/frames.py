"""Peers of the frame workloads beside this server: msgpack over asyncio's streams."""

from bench.harness.peer import Peer

PEERS = [
    Peer(
        "msgpack-streams",
        lambda start: [start.python, "-m", "bench.peers.apps.frames_app", "msgpack"],
        frozenset({"frames"}),
        core=True,
        needs=("msgpack", "uvloop"),
    )
]
