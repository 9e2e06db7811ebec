"""One subscriber of a hub: replay, then live; an async iterator, or a sink that takes bytes as they are published.

Knows its hub, and of the connection only two callables.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final, Literal

from rat.stream.backlog import Backlog
from rat.stream.broker import HubEvent
from rat.stream.delivery import TRANSITIONS, EndReason, Sink, SubscriptionState, frame_chunk
from rat.stream.heartbeat import Cancellable
from rat.stream.policy import Policy
from rat.stream.sse import HEARTBEAT, EncodedEvent, ServerSentEvent, encode_event
from rat.stream.statistics import Counts

if TYPE_CHECKING:
    from rat.stream.hub import Hub
    from rat.stream.topics import Topic, TopicPattern

__all__ = ["Subscription"]

log = logging.getLogger("rat.stream")

_REPLAYING: Final[Literal[SubscriptionState.REPLAYING]] = SubscriptionState.REPLAYING
_QUEUED: Final[Literal[SubscriptionState.QUEUED]] = SubscriptionState.QUEUED
_DIRECT: Final[Literal[SubscriptionState.DIRECT]] = SubscriptionState.DIRECT
_ENDED: Final[Literal[SubscriptionState.ENDED]] = SubscriptionState.ENDED

_GATHER = 64 * 1024
"""Queued events are joined up to this many bytes for one call of the sink."""
_HEARTBEAT_CHUNK = frame_chunk(HEARTBEAT)


class Subscription(AsyncIterator[EncodedEvent]):
    """Events of some topics, in the order in which they were published, each once.

    Iterate it, or ``attach`` a sink; one or the other, one task at a time.  A cancelled ``__anext__`` has consumed
    nothing.  Where something was missed, the event ``rat.gap`` says so.  It holds its place in the hub until ``close``,
    whether it was ever used or not.  Its queue is bounded; while it replays it holds no queue at all, because the rings
    do.
    """

    __slots__ = (
        "__weakref__",
        "_backlog",
        "_chunked",
        "_direct",
        "_expiry",
        "_heartbeat",
        "_hub",
        "_on_end",
        "_policy",
        "_ready",
        "_sink",
        "_spoke",
        "_state",
        "_topics",
        "_waiter",
        "_where",
        "end_reason",
        "identity",
        "names",
        "patterns",
        "since",
    )

    def __init__(
        self,
        hub: Hub,
        names: tuple[str, ...],
        patterns: tuple[TopicPattern, ...],
        *,
        where: Callable[[HubEvent], bool] | None,
        policy: Policy | None,
        max_events: int,
        max_bytes: int,
        identity: Any,
        since: float,
    ) -> None:
        self._hub = hub
        self.names = names
        """The topics and patterns that were asked for."""
        self.patterns = patterns
        self.identity = identity
        """Who subscribed, as far as the caller told."""
        self.since = since
        self._where = where
        self._policy = policy
        self._backlog = Backlog(max_events, max_bytes)
        self._direct = 0
        self._topics: list[Topic] = []
        self._state: SubscriptionState = _QUEUED
        self._waiter: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._on_end: Callable[[EndReason], object] | None = None
        self._chunked = False
        self._ready = False
        self._heartbeat: float | None = None
        self._spoke = since
        self._expiry: Cancellable | None = None
        self.end_reason: EndReason | None = None

    @property
    def state(self) -> SubscriptionState:
        return self._state

    @property
    def is_direct(self) -> bool:
        """The sink is called by the publisher itself; else a queue or a ring stands between."""
        return self._state is _DIRECT

    @property
    def queued_events(self) -> int:
        return len(self._backlog)

    @property
    def queued_bytes(self) -> int:
        return self._backlog.size

    # -- the hub's side

    def begin(self, cursor: int, *, replay: bool, gap: dict[str, Any] | None, expiry: Cancellable | None) -> None:
        """Start behind the event *cursor*; *gap* is what was missed before, if anything."""
        self._backlog.cursor = cursor
        self._expiry = expiry
        if replay:
            self._state = _REPLAYING
            self._backlog.replay({topic.name: topic.ring for topic in self._topics})
        if gap is not None:
            self._backlog.say_gap(**gap)

    def join(self, topic: Topic) -> None:
        """*topic* matches from now on."""
        self._topics.append(topic)
        topic.add(self, by_name=topic.name in self.names)
        self._backlog.join(topic.name, topic.ring)

    def part(self, topic: Topic) -> None:
        """The hub forgets *topic*."""
        self._topics.remove(topic)
        self._backlog.part(topic.name)

    @property
    def topics(self) -> list[Topic]:
        return self._topics

    def offer(self, event: HubEvent, chunk: bytes) -> None:
        """Take *event*, just published; *chunk* is the same framed as a chunk.  bench: one call per subscriber."""
        if event.sequence <= self._backlog.cursor:
            return
        if self._where is not None and not self._admits(event):
            return
        state = self._state
        if state is _DIRECT:
            self._direct += 1
            self._spoke = event.time
            try:
                going = self._sink(chunk if self._chunked else event.wire)  # type: ignore[misc]
            except Exception:
                self._fail("the sink")
                return
            if not going and self.is_direct:
                self._move("pressure")
        elif state is _QUEUED:
            self._enqueue(event)
        elif state is _REPLAYING:
            # What the ring holds is found there later; what it cannot hold must wait here.
            if not self._hub.ring_keeps(event.topic):
                self._enqueue(event)
            self._stir()

    def beat(self, now: float) -> None:
        """Break the silence of a sink that takes events directly."""
        if self._heartbeat is None or self._state is not _DIRECT or now - self._spoke < self._heartbeat:
            return
        self._spoke = now
        if not self._send(HEARTBEAT, _HEARTBEAT_CHUNK) and self.is_direct:
            self._move("pressure")

    def end(self, reason: EndReason) -> None:
        """Leave the hub; the client is told, unless the owner asked for it or there is pressure on the sink."""
        if self._state is _ENDED:
            return
        direct = self._state is _DIRECT
        self._move("end")
        self.end_reason = reason
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        self._backlog.clear()
        self._hub.leave(self, reason)
        self._topics = []
        if reason is not EndReason.CLOSED:
            farewell = encode_event(ServerSentEvent(event="rat.close", data={"reason": reason.value}))
            if self._sink is None:
                self._backlog.say(EncodedEvent(farewell))
            elif direct and reason is not EndReason.FAILED:
                self._send(farewell, frame_chunk(farewell))
        on_end, self._on_end, self._sink = self._on_end, None, None
        self._wake()
        if on_end is not None and reason is not EndReason.CLOSED:
            on_end(reason)

    # -- the owner's side

    def close(self) -> None:
        """Leave the hub.  What is still queued is dropped.  Any number of times."""
        self.end(EndReason.CLOSED)

    async def aclose(self) -> None:
        """The same as :meth:`close`."""
        self.close()

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> EncodedEvent:
        if self._sink is not None:
            raise RuntimeError("a sink is attached to this subscription")
        while True:
            event = self._pull()
            if event is not None:
                return event
            if self._state is _ENDED:
                raise StopAsyncIteration
            if self._waiter is not None:
                raise RuntimeError("another task reads this subscription already")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def attach(
        self,
        sink: Sink,
        *,
        chunked: bool = True,
        heartbeat: float | None = 15.0,
        on_end: Callable[[EndReason], object] | None = None,
    ) -> None:
        """Hand everything to *sink* from now on, what is held already in this call.

        With *chunked* every piece is a chunk of HTTP/1.1, framed once for all subscribers.  *heartbeat* seconds of
        silence give a comment (None: never).  *on_end* is called when the subscription ends for any other reason than
        ``close``, after the last call of *sink*; at once when it has ended so before.  Raises RuntimeError when it is
        closed or in use.
        """
        if self.end_reason is EndReason.CLOSED or self._sink is not None or self._waiter is not None:
            raise RuntimeError(f"cannot attach a sink to a subscription that is {self._usage()}")
        if self.end_reason is not None:
            farewell = self._pull()
            if farewell is not None:
                sink(frame_chunk(farewell.wire) if chunked else farewell.wire)
            if on_end is not None:
                on_end(self.end_reason)
            return
        self._sink = sink
        self._on_end = on_end
        self._chunked = chunked
        self._heartbeat = heartbeat or None
        self._spoke = self._hub.now()
        self._hub.attached(self)
        self.resume()

    def detach(self) -> None:
        """Call the sink no more; events queue up until it is iterated, attached again or closed."""
        self._hub.detached(self)
        self._sink = None
        self._on_end = None
        self._ready = False
        if self._state is _DIRECT:
            self._move("detach")

    def resume(self) -> None:
        """The sink can take more: hand it what has been held back, until it says no."""
        while self._sink is not None and self._state is not _DIRECT:
            data = self._gather()
            if not data:
                # A filter may have raised while the rings were read, and ended it.
                if self.state is _QUEUED:
                    self._backlog.release()
                    self._move("an empty queue and a sink")
                self._ready = True
                return
            self._ready = False
            self._spoke = self._hub.now()
            if not self._send(data, frame_chunk(data) if self._chunked else data):
                return

    # -- inside

    def _usage(self) -> str:
        if self._state is _ENDED:
            return "closed"
        return "attached" if self._sink is not None else "being iterated"

    def _pull(self) -> EncodedEvent | None:
        """The next event, or None when there is none now."""
        hub, backlog = self._hub, self._backlog
        event = backlog.pull(hub.now(), hub.sequence, None if self._where is None else self._admits)
        if self._state is _REPLAYING and not backlog.is_replaying:
            self._move("the end of the rings")
        return event

    def _gather(self) -> bytes:
        pieces = []
        size = 0
        while size < _GATHER and (event := self._pull()) is not None:
            pieces.append(event.wire)
            size += len(event.wire)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _enqueue(self, event: HubEvent) -> None:
        if not self._backlog.push(event, self._policy or self._hub.policy(event.topic)):
            self.end(EndReason.OVERFLOW)
        else:
            self._wake()

    def _admits(self, event: HubEvent) -> bool:
        if self._state is _ENDED:
            return False
        try:
            return bool(self._where(event))  # type: ignore[misc]
        except Exception:
            self._fail("the filter")
            return False

    def _fail(self, what: str) -> None:
        log.exception("%s of a subscription to %s raised; it ends", what, ", ".join(self.names))
        self.end(EndReason.FAILED)

    def _send(self, plain: bytes, chunk: bytes) -> bool:
        if self._sink is None:
            return False
        try:
            return self._sink(chunk if self._chunked else plain)
        except Exception:
            if self._state is not _ENDED:
                self._fail("the sink")
            return False

    def counts(self) -> Counts:
        """What became of its events so far."""
        counts = self._backlog.counts()
        counts.delivered += self._direct
        return counts

    def _stir(self) -> None:
        if self._ready:
            self.resume()
        else:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _move(self, sees: str) -> None:
        self._state = TRANSITIONS[self._state, sees]

    def __repr__(self) -> str:
        return f"Subscription({', '.join(self.names)}: {self._state.name}, {self.queued_events} queued)"
