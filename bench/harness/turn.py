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
    pace        what the fixed piece of ``bench.harness.pace`` took meanwhile, in microseconds; 0 if unknown
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
    pace: float = 0.0
