"""The floor: a bare uvloop protocol that parses nothing."""

from bench.harness.peer import Peer

PEERS = [
    Peer(
        "floor",
        lambda start: [start.python, "-m", "bench.peers.apps.floor"],
        core=True,
        needs=("uvloop", "orjson"),
        variables=lambda start: {"BENCH_FLOOR": start.floor},
    )
]
