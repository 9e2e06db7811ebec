"""What ``rat bench`` prints: a progress bar, a text for people, an object for programs.

Knows results, not how they came about.
"""

from __future__ import annotations

import sys
from typing import Any

from rat.loadgen.frames import FramesPlan, FramesResult
from rat.loadgen.http import HttpResult, Plan
from rat.loadgen.sse import SsePlan, SseResult

__all__ = ["Bar", "frames_json", "frames_text", "http_json", "http_text", "sse_json", "sse_text"]

FULL = 0.95
"""Above this share of its own core the generator may be what limits the figures."""
_WIDTH = 30
_FULL_TEXT = "the load generator's own core was full ({:.0%}): the server may be able to do more"


class Bar:
    """A progress bar on standard error, when that is a terminal."""

    def __init__(self, quiet: bool) -> None:
        self._shown = sys.stderr.isatty() and not quiet

    def http(self, share: float, result: HttpResult) -> None:
        """Draw for requests."""
        self._draw(share, f"{result.answers:,} answers, {sum(result.faults.values()):,} wrong")

    def sse(self, share: float, result: SseResult) -> None:
        """Draw for event streams."""
        self._draw(share, f"{result.events:,} events, {result.gaps:,} gaps")

    def frames(self, share: float, result: FramesResult) -> None:
        """Draw for calls."""
        self._draw(share, f"{result.answers:,} answers, {sum(result.faults.values()):,} wrong")

    def clear(self) -> None:
        """Take the bar away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _draw(self, share: float, text: str) -> None:
        if self._shown:
            full = int(share * _WIDTH)
            sys.stderr.write(f"\r[{'#' * full}{'.' * (_WIDTH - full)}] {share:4.0%}  {text}\x1b[K")
            sys.stderr.flush()


def http_json(plan: Plan, result: HttpResult, mode: str) -> dict[str, Any]:
    """The result for programs.  Seconds and bytes."""
    target = plan.target
    return {
        "mode": mode,
        "url": f"http://{target.authority}{target.path}",
        "connections": plan.connections,
        "pipeline": plan.pipeline,
        "rate_asked": plan.rate,
        "answers": result.answers,
        "answers_per_second": result.rate,
        "content_bytes": result.content_bytes,
        "sent_bytes": result.sent_bytes,
        "seconds": result.seconds,
        "latency": result.latency.summary(),
        "latency_corrected": plan.rate is not None,
        "latency_uncorrected": result.service.summary() if plan.rate is not None else None,
        "unanswered": result.unanswered,
        "reconnects": result.reconnects,
        "faults": dict(result.faults),
        "client_cpu": result.client_cpu,
        "client_full": _is_full(plan, result),
        "server_cpu": result.server_cpu,
    }


def sse_json(plan: SsePlan, result: SseResult) -> dict[str, Any]:
    """The result for programs.  Seconds and bytes."""
    target = plan.target
    return {
        "mode": "sse",
        "url": f"http://{target.authority}{target.path}",
        "clients": plan.clients,
        "clients_at_end": result.clients,
        "events": result.events,
        "events_per_second": result.rate,
        "comments": result.comments,
        "content_bytes": result.content_bytes,
        "seconds": result.seconds,
        "gaps": result.gaps,
        "silent": result.silent,
        "latency": result.latency.summary() if result.latency.total else None,
        "faults": dict(result.faults),
        "client_cpu": result.client_cpu,
        "client_full": result.client_share > FULL,
        "server_cpu": result.server_cpu,
        "memory_per_client": result.memory_per_client,
    }


def frames_json(plan: FramesPlan, result: FramesResult) -> dict[str, Any]:
    """The result for programs.  Seconds and bytes."""
    return {
        "mode": "frames",
        "url": f"rat://{plan.host}:{plan.port}",
        "connections": plan.connections,
        "in_flight": plan.in_flight,
        "answers": result.answers,
        "answers_per_second": result.rate,
        "content_bytes": result.content_bytes,
        "sent_bytes": result.answers * len(plan.call),
        "seconds": result.seconds,
        "latency": result.latency.summary(),
        "unanswered": result.unanswered,
        "faults": dict(result.faults),
        "client_cpu": result.client_cpu,
        "client_full": result.client_share > FULL,
        "server_cpu": result.server_cpu,
    }


def frames_text(plan: FramesPlan, result: FramesResult) -> str:
    """The result for people."""
    lines = [
        f"{result.answers:,} right answers in {result.seconds:.2f} s: {result.rate:,.0f} a second, "
        f"{_connections(plan.connections)}, {plan.in_flight} calls in flight on each"
    ]
    if result.answers:
        lines.append(_latency("latency", result.latency.summary()))
    if result.server_cpu is not None and result.answers:
        each = result.server_cpu / result.answers * 1e6
        lines.append(f"server    {result.server_cpu:.2f} s of CPU, {each:,.1f} us a call")
    lines += [f"wrong     {times:,} x {fault}" for fault, times in result.faults.most_common()]
    if result.unanswered:
        lines.append(f"missing   {result.unanswered:,} calls were not answered")
    if result.client_share > FULL:
        lines.append(_FULL_TEXT.format(result.client_share))
    return "\n".join(lines)


def http_text(plan: Plan, result: HttpResult, mode: str) -> str:
    """The result for people."""
    lines = [
        f"{result.answers:,} right answers in {result.seconds:.2f} s: {result.rate:,.0f} a second, "
        f"{_connections(plan.connections)}, {plan.pipeline} in flight on each"
    ]
    if mode == "upload":
        lines.append(f"sent      {_rate(result.sent_bytes, result.seconds)}")
    elif mode == "download" or result.content_bytes > 100 * 1024 * max(1, result.answers):
        lines.append(f"received  {_rate(result.content_bytes, result.seconds)}")
    if plan.rate is not None:
        lines.append(_latency("latency", result.latency.summary()) + "   from when each was due")
        lines.append(_latency("service", result.service.summary()) + "   from when each was sent")
    else:
        lines.append(_latency("latency", result.latency.summary()))
    if result.server_cpu is not None and result.answers:
        moved = result.sent_bytes if mode == "upload" else result.content_bytes
        each = f"{result.server_cpu / result.answers * 1e6:,.1f} us an answer"
        if mode in ("upload", "download"):
            each = f"{result.server_cpu / (moved / 1e9):.3f} s per GB" if moved else "nothing moved"
        lines.append(f"server    {result.server_cpu:.2f} s of CPU, {each}")
    for fault, times in result.faults.most_common():
        lines.append(f"wrong     {times:,} x {fault}")
    if result.unanswered:
        lines.append(f"missing   {result.unanswered:,} requests were not answered")
    if result.reconnects:
        lines.append(f"reconnected {result.reconnects:,} times")
    if _is_full(plan, result):
        lines.append(_full_line(plan, result))
    return "\n".join(lines)


def sse_text(plan: SsePlan, result: SseResult) -> str:
    """The result for people."""
    lines = [
        f"{result.events:,} events to {result.clients:,} of {plan.clients:,} subscribers in {result.seconds:.2f} s: "
        f"{result.rate:,.0f} a second"
    ]
    if result.latency.total:
        lines.append(_latency("on the way", result.latency.summary()))
    if result.server_cpu is not None and result.events:
        lines.append(
            f"server    {result.server_cpu:.2f} s of CPU, {result.server_cpu / result.events * 1e6:,.1f} us an event"
        )
    if result.memory_per_client is not None:
        lines.append(f"server    {result.memory_per_client / 1024:,.1f} KiB for each subscriber")
    if result.gaps:
        lines.append(f"wrong     {result.gaps:,} gaps or repetitions in the numbering")
    if result.silent:
        lines.append(f"missing   {result.silent:,} subscribers were given nothing in that time")
    for fault, times in result.faults.most_common():
        lines.append(f"wrong     {times:,} x {fault}")
    if result.client_share > FULL:
        lines.append(_FULL_TEXT.format(result.client_share))
    return "\n".join(lines)


def _is_full(plan: Plan, result: HttpResult) -> bool:
    # With a rate the generator spins while it waits, so its CPU says nothing: what counts is whether it was late.
    if plan.rate is not None:
        return result.lateness.percentile(99.0) > 0.001
    return result.client_share > FULL


def _full_line(plan: Plan, result: HttpResult) -> str:
    if plan.rate is not None:
        late = result.lateness.percentile(99.0) * 1e3
        return f"the load generator was late itself (p99 {late:.1f} ms): {plan.rate:,.0f} a second is too much"
    return _FULL_TEXT.format(result.client_share)


def _latency(name: str, figures: dict[str, float]) -> str:
    return (
        f"{name:9} " + "  ".join(f"{key} {value * 1e3:.2f}" for key, value in figures.items() if key != "min") + " ms"
    )


def _connections(number: int) -> str:
    return "1 connection" if number == 1 else f"{number:,} connections"


def _rate(size: int, seconds: float) -> str:
    return f"{size / 1e6:,.0f} MB, {size / 1e6 / seconds:,.0f} MB/s" if seconds else f"{size / 1e6:,.0f} MB"
