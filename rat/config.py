"""Every bound of the server, under its name.

Frozen dataclasses; sizes in bytes and times in seconds.  Knows nothing of what obeys them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from rat.errors import ConfigError

__all__ = ["KIB", "MIB", "FrameLimits", "Limits", "ServerConfig", "StreamLimits", "Timeouts"]

KIB = 1024
MIB = 1024 * 1024


def _check_positive(settings: object) -> None:
    for item in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, item.name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
            raise ConfigError(f"{item.name} is {value}, and may not be negative")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of HTTP/1.1.  All sizes in bytes."""

    request_line: int = 8 * KIB
    """Longest request line; 414 past it.  RFC 9112, section 3 asks for 8,000 octets at least."""
    head: int = 32 * KIB
    """Longest head: request line, field section and the empty line; 431 past it."""
    field_line: int = 16 * KIB
    """Longest single field line; 431 past it."""
    fields: int = 100
    """Most fields in a head; 431 past it."""
    body: int = 8 * MIB
    """Largest content of a request on a route that names no limit of its own; 413 past it."""
    chunk_size_digits: int = 16
    """Most hexadecimal digits of a chunk size; 400 past it."""
    chunk_line: int = 256
    """Longest chunk line, extensions included; 400 past it."""
    chunk_overhead: int = 4 * KIB
    """All chunk extensions and leading zeros of one message together, plus 1 % of the content; 400 past it."""
    trailer_section: int = 8 * KIB
    """Longest trailer section; 431 past it."""
    trailers: int = 32
    """Most trailer fields; 431 past it."""
    write_high_water: int = 64 * KIB
    """Written and not yet taken by the socket; the producer waits above it, and sends four times as much at once while
    the socket takes it all."""
    write_low_water: int = 16 * KIB
    """The producer goes on below it."""
    body_high_water: int = 256 * KIB
    """Content received and not yet read by the handler; reading pauses above it."""
    linger: int = 1 * MIB
    """Most bytes read and thrown away while an early error answer lingers."""
    ranges: int = 8
    """Most ranges answered in one request (RFC 9110, section 14.2); past it the whole file is sent."""
    multipart_parts: int = 1_000
    """Most parts of multipart content; 413 past it."""
    multipart_head: int = 16 * KIB
    """Longest head of one part; 400 past it."""

    def __post_init__(self) -> None:
        _check_positive(self)
        if self.write_low_water > self.write_high_water:
            raise ConfigError(
                f"write_low_water {self.write_low_water} is above write_high_water {self.write_high_water}"
            )


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Deadlines in seconds.  Nothing waits for a peer without one."""

    head: float = 10.0
    """The whole head, from its first byte; on a new connection from accept."""
    keep_alive: float = 75.0
    """Idle between two requests."""
    body_stall: float = 30.0
    """Longest silence inside a request body that is being read."""
    body_rate: float = 500.0
    """Least bytes per second of a request body, once *body_rate_grace* seconds have passed; 0 for none."""
    body_rate_grace: float = 20.0
    """How long content may come slower than that."""
    write_stall: float = 30.0
    """Longest time without progress of a write before the connection is aborted."""
    linger: float = 2.0
    """How long an early error answer is kept readable before the connection closes."""
    graceful: float = 30.0
    """How long a graceful stop waits for what is in flight."""
    request: float | None = None
    """Longest time a handler may take to produce its response head; None for no limit."""

    def __post_init__(self) -> None:
        _check_positive(self)


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Bounds of event streams and of the hub."""

    heartbeat: float = 15.0
    """Seconds of silence after which an event stream sends a comment."""
    subscriber_events: int = 256
    """Most events queued for one subscriber; past it the topic's policy acts."""
    subscriber_bytes: int = 1 * MIB
    """Most bytes queued for one subscriber; past it the topic's policy acts."""
    replay_events: int = 1_000
    """Most events that a topic keeps for who comes back."""
    replay_seconds: float = 300.0
    """How long a topic keeps them."""
    replay_bytes: int = 8 * MIB
    """Most bytes of events that a topic keeps."""

    def __post_init__(self) -> None:
        _check_positive(self)


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """Bounds of the frame protocol.  Sizes in bytes."""

    payload: int = 1 * MIB
    """Largest payload of one frame; refused from its length alone."""
    assembled: int = 16 * MIB
    """Largest value that continues over several frames."""
    depth: int = 64
    """Deepest nesting of a value."""
    items: int = 1_000_000
    """Most items of a value that take no bytes of their own."""
    hello: int = 64 * KIB
    """Largest HELLO frame."""
    frame_timeout: float = 10.0
    """Longest time for one frame to arrive, from its first byte."""
    streams: int = 256
    """Most calls in flight on one connection."""
    credit: int = 64 * KIB
    """First flow-control window of each stream."""
    growth: int = 8 * MIB
    """Bytes by which the windows of one connection's streams grow, together, while their readers wait for more; 0 for
    none.  A peer has *streams* times *credit* and this under way at most.  Chromium grows a QUIC stream to 6 MiB."""
    held: int = 64 * MIB
    """Bytes that one connection has sent and nobody has read: items and data, each counted as 32 or more, and arguments
    of 4 KiB or more until their call is over.  Past it the call with the most unread, or else the newest, ends with
    ERROR ``exhausted``; a client waits with arguments that would pass it.  Never less than *assembled* and *payload*.
    Node.js gives an HTTP/2 session 10 MB."""
    pongs: int = 1000
    """Most answers to PING that a client owes a server that reads nothing; past it the connection is lost.  A server
    stops reading instead.  nghttp2 keeps as many."""

    def __post_init__(self) -> None:
        _check_positive(self)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Everything a server can be told apart from its address."""

    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    stream: StreamLimits = field(default_factory=StreamLimits)
    frames: FrameLimits = field(default_factory=FrameLimits)
    connections: int = 10_000
    """Most connections at once; also bounded by the file descriptors that the process may open, less 64."""
    backlog: int = 2048
    """Connections that the kernel holds until they are accepted."""
    http: str = "auto"
    """``auto``: the fast lane where it recognises a head, h11 otherwise; ``h11``: h11 for all."""
    server_header: str | None = "rat"
    """The Server field's value; None leaves the field out."""
    compress: bool = True
    """Compress answers for clients that accept it (RFC 9110, section 8.4); ``compress=False`` on one forbids."""

    def __post_init__(self) -> None:
        if self.http not in ("auto", "h11"):
            raise ConfigError(f"http is {self.http!r}, and may be 'auto' or 'h11'")
        if self.connections < 1:
            raise ConfigError(f"connections is {self.connections}, and must be at least 1")
