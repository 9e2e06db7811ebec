"""The queue of a subscriber that does not keep up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.stream.broker import HubEvent
from rat.stream.policy import Policy, SubscriberQueue


def event(sequence: int, key: str | None = None, size: int = 0) -> HubEvent:
    made = HubEvent("e", sequence, "t", b"", key, 0.0)
    made.wire = bytes(size)
    return made


def drain(queue: SubscriberQueue) -> list[int | str]:
    """Sequence numbers, and ``-n`` where n events were said to be missing."""
    seen: list[int | str] = []
    while True:
        if gap := queue.take_gap():
            seen.append(f"-{gap}")
        if not len(queue):
            return seen
        seen.append(queue.pop().sequence)


@pytest.mark.parametrize(
    ("policy", "keys", "left"),
    [
        (Policy.DROP_OLDEST, "-----", ["-2", 3, 4, 5]),
        (Policy.DROP_NEWEST, "-----", [1, 2, 3, "-2"]),
        (Policy.COALESCE, "aabab", [4, 5]),
        (Policy.COALESCE, "abcde", ["-2", 3, 4, 5]),
        (Policy.COALESCE, "-----", ["-2", 3, 4, 5]),
        (Policy.COALESCE, "abcb-", ["-1", 3, 4, 5]),
    ],
)
def test_what_gives_way_beyond_three_events(policy: Policy, keys: str, left: list[int | str]) -> None:
    queue = SubscriberQueue(3, 1000)
    for number, key in enumerate(keys, 1):
        assert queue.push(event(number, None if key == "-" else key), policy)
    assert drain(queue) == left


def test_disconnect_says_so_and_takes_nothing() -> None:
    queue = SubscriberQueue(2, 1000)
    assert [queue.push(event(n), Policy.DISCONNECT) for n in (1, 2, 3)] == [True, True, False]
    assert drain(queue) == [1, 2]


@pytest.mark.parametrize(("size", "left"), [(9, [1, 2]), (10, [1, 2]), (11, ["-1", 2]), (50, ["-1", 2])])
def test_bytes_are_a_bound(size: int, left: list[int | str]) -> None:
    queue = SubscriberQueue(100, 20)
    queue.push(event(1, size=10), Policy.DROP_OLDEST)
    queue.push(event(2, size=size), Policy.DROP_OLDEST)
    assert drain(queue) == left
    assert queue.size == 0


def test_a_gap_is_said_where_it_is() -> None:
    queue = SubscriberQueue(2, 1000)
    for number in (1, 2, 3):
        queue.push(event(number), Policy.DROP_NEWEST)
    assert queue.pop().sequence == 1
    queue.push(event(4), Policy.DROP_NEWEST)
    assert drain(queue) == [2, "-1", 4]


def test_a_gap_survives_the_event_before_which_it_stood() -> None:
    queue = SubscriberQueue(2, 1000)
    for number in (1, 2, 3):
        queue.push(event(number), Policy.DROP_NEWEST)
    queue.pop()
    queue.push(event(4, "a"), Policy.COALESCE)
    queue.push(event(5, "a"), Policy.COALESCE)
    assert drain(queue) == [2, "-1", 5]


def test_a_gap_survives_the_event_that_is_dropped_behind_it() -> None:
    queue = SubscriberQueue(1, 1000)
    queue.push(event(1), Policy.DROP_NEWEST)
    queue.push(event(2), Policy.DROP_NEWEST)
    queue.pop()
    queue.push(event(3), Policy.DROP_NEWEST)
    queue.push(event(4), Policy.DROP_OLDEST)
    assert drain(queue) == ["-2", 4]


@given(
    st.integers(1, 4),
    st.integers(1, 30),
    st.lists(st.none() | st.tuples(st.sampled_from(Policy), st.sampled_from([None, "a", "b"]), st.integers(0, 12))),
)
def test_every_event_is_accounted_for(
    max_events: int, max_bytes: int, steps: list[tuple[Policy, str | None, int] | None]
) -> None:
    queue = SubscriberQueue(max_events, max_bytes)
    pushed = popped = refused = said = 0
    last = 0
    for number, step in enumerate(steps, 1):
        if step is None:
            said += queue.take_gap()
            if len(queue):
                popped += 1
                sequence = queue.pop().sequence
                assert sequence > last
                last = sequence
        else:
            policy, key, size = step
            pushed += 1
            refused += not queue.push(event(number, key, size), policy)
        assert len(queue) <= max_events
        assert queue.size <= max_bytes or len(queue) == 1
        dropped = queue.dropped_oldest + queue.dropped_newest
        assert pushed == popped + refused + dropped + queue.coalesced + len(queue)
    said += sum(-int(seen) for seen in drain(queue) if isinstance(seen, str))
    assert said == queue.dropped_oldest + queue.dropped_newest
    assert queue.size == 0
