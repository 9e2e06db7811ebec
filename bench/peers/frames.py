"""What else one would call procedures with: msgpack over asyncio's streams, grpcio, websockets; and ways to receive."""

from bench.harness.peer import Peer

PEERS = [
    Peer(
        "msgpack-streams",
        lambda start: [start.python, "-m", "bench.peers.apps.frames_app", "msgpack"],
        frozenset({"frames"}),
        core=True,
        needs=("msgpack", "uvloop"),
    ),
    Peer(
        "grpcio",
        lambda start: [start.python, "-m", "bench.peers.apps.rpc_app", "grpc"],
        frozenset({"frames", "items"}),
        needs=("grpcio", "msgpack"),
        client="grpc",
    ),
    Peer(
        "websockets",
        lambda start: [start.python, "-m", "bench.peers.apps.rpc_app", "websockets"],
        frozenset({"frames"}),
        needs=("websockets", "msgpack", "uvloop"),
        client="websockets",
    ),
    *(
        Peer(
            name,
            lambda start, what=what: [start.python, "-m", "bench.peers.apps.blobs_app", what],  # type: ignore[misc]
            frozenset({"receive"}),
            core=True,
            needs=("uvloop",),
        )
        for name, what in (("naive appending", "naive"), ("rat's reader", "pool"))
    ),
]
