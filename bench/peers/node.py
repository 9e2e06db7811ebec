"""Node's own http module."""

from bench.harness.environment import BENCH
from bench.harness.peer import Peer

PEERS = [
    Peer(
        "node",
        lambda start: ["node", str(BENCH / "peers" / "apps" / "node_app.mjs")],
        core=True,
        binary=("node", "--version"),
        # A file of 10 KiB takes 140 us in its first thousands of requests, then 68.
        warm=1.5,
    )
]
