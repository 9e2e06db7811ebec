"""What one turn of load gave."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Turn:
    """What one turn of load gave.

    cost        in the workload's unit; None when nothing came of it
    rate        answers or events per second
    fault       what was wrong with the answers, or None
    client_cpu  CPU seconds of the client
    pieces      (work, CPU seconds, pace) of stretches of the turn.  Work is in units of the cost's inverse, so that CPU
                over work is the cost; pace is what the fixed piece of ``bench.harness.pace`` took, in microseconds
    """

    cost: float | None = None
    answers: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    server_cpu: float = 0.0
    client_cpu: float = 0.0
    client_full: bool = False
    fault: str | None = None
    latency: dict[str, float] = field(default_factory=dict)
    memory: float | None = None
    pieces: list[tuple[float, float, float]] = field(default_factory=list)
