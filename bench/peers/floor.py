"""The floor: a bare uvloop protocol that parses nothing."""

from bench.harness.peer import ALL, FRAMES, Peer, Start


def command(start: Start) -> list[str]:
    if start.floor == "frames":
        return [start.python, "-m", "bench.peers.apps.frames_app", "raw"]
    return [start.python, "-m", "bench.peers.apps.floor"]


PEERS = [
    Peer(
        "floor",
        command,
        ALL | FRAMES,
        core=True,
        needs=("uvloop", "orjson"),
        variables=lambda start: {"BENCH_FLOOR": start.floor},
    )
]
