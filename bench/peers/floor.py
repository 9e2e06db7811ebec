"""The floor: a bare uvloop protocol that parses nothing."""

from bench.harness.peer import ALL, FRAMES, Peer, Start

BLOBS = {"blobs": "echo", "blob-streams": "echo", "items": "items", "receive": "floor"}


def command(start: Start) -> list[str]:
    if start.floor == "frames":
        return [start.python, "-m", "bench.peers.apps.frames_app", "raw"]
    if start.floor in BLOBS:
        return [start.python, "-m", "bench.peers.apps.blobs_app", BLOBS[start.floor]]
    return [start.python, "-m", "bench.peers.apps.floor"]


PEERS = [
    Peer(
        "floor",
        command,
        ALL | FRAMES | {"receive"},
        core=True,
        needs=("uvloop", "orjson"),
        variables=lambda start: {"BENCH_FLOOR": start.floor},
    )
]
