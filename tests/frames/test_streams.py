"""The credit of one call: what may be sent, what is given back, and when a window grows.  No frames, no I/O."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.frames.streams import MAX_CREDIT, Stream
from rat.frames.tables import StreamState

FIRST = 1000
PLENTY = 1 << 40


def stream(first: int = FIRST) -> Stream:
    return Stream(StreamState.OPEN, send_window=first, receive_window=first)


def fill(receiver: Stream) -> int:
    """All the data that the peer may send."""
    size = receiver.receive_credit
    assert receiver.receive_data(size) == size
    return size


def test_a_window_that_both_sides_wait_for_is_doubled_until_nothing_is_left_of_the_bound() -> None:
    receiver, left, windows = stream(), 5000, []
    for _ in range(6):
        size = fill(receiver)
        assert receiver.consume(size) == size
        growth = receiver.grow(left - receiver.grown)
        assert growth == receiver.receive_window - size
        windows.append(receiver.receive_window)
    assert windows == [2000, 4000, 6000, 6000, 6000, 6000]
    assert receiver.grown == left


def test_a_reader_that_waits_although_the_peer_has_credit_waits_for_the_peer() -> None:
    receiver = stream()
    for _ in range(50):
        receiver.receive_data(300)
        receiver.consume(300)
        assert receiver.grow(PLENTY) == 0
    assert receiver.receive_window == FIRST


def test_a_reader_that_finds_something_each_time_gets_no_more() -> None:
    receiver = stream()
    fill(receiver)
    given = 0
    for _ in range(1000):
        # It takes ten bytes, and the peer has used what it was given before it takes the next ones.
        given += receiver.consume(10)
        if receiver.receive_credit:
            fill(receiver)
    assert receiver.receive_window == FIRST
    assert given == 10_000


def test_a_peer_that_has_waited_is_given_what_was_held_as_well() -> None:
    receiver = stream()
    fill(receiver)
    assert receiver.consume(900) == 900
    assert receiver.receive_data(900) == 900
    assert receiver.consume(100) == 0
    assert receiver.consume(399) == 0
    assert receiver.grow(1) == 500
    assert (receiver.receive_credit, receiver.receive_window) == (500, 1001)


@pytest.mark.parametrize("most", [-5, 0])
def test_nothing_grows_where_nothing_may(most: int) -> None:
    receiver = stream()
    receiver.consume(fill(receiver))
    assert receiver.grow(most) == 0


def test_a_window_ends_at_the_most_that_the_protocol_knows() -> None:
    receiver = stream(MAX_CREDIT - 10)
    receiver.consume(fill(receiver))
    assert receiver.grow(PLENTY) == 10
    receiver.consume(fill(receiver))
    assert receiver.grow(PLENTY) == 0
    assert receiver.receive_credit == MAX_CREDIT


def test_a_large_value_is_charged_half_of_the_first_window_however_far_it_has_grown() -> None:
    sender, receiver = stream(), stream()
    sender.send_credit += receiver.consume(receiver.receive_data(sender.send_credit))
    sender.send_credit += receiver.grow(PLENTY) - FIRST
    assert sender.charge(5000) == receiver.receive_value(5000) == FIRST // 2


STEP = st.one_of(
    st.tuples(st.just("data"), st.integers(1, 5000)),
    st.tuples(st.just("value"), st.integers(1, 5000)),
    st.tuples(st.just("take"), st.integers(1, 4)),
    st.tuples(st.just("wait"), st.just(0)),
)


@given(st.integers(1, 3000), st.integers(0, 9000), st.lists(STEP, max_size=200))
def test_both_sides_agree_and_no_bound_is_passed(first: int, most: int, steps: list[tuple[str, int]]) -> None:
    sender, receiver = stream(first), stream(first)
    unread: list[int] = []
    waited = False
    for step, number in steps:
        if step == "data":
            size = min(number, sender.send_credit)
            if size:
                sender.send_credit -= size
                assert receiver.receive_data(size) == size
                unread.append(size)
        elif step == "value":
            due = sender.charge(number)
            if due:
                assert receiver.receive_value(number) == due
                unread.append(due)
        elif step == "take":
            for _ in range(min(number, len(unread))):
                sender.send_credit += receiver.consume(unread.pop(0))
        elif not unread:
            waited = True
            sender.send_credit += receiver.grow(most - receiver.grown)
        assert sender.send_credit == receiver.receive_credit <= receiver.receive_window
        assert sum(unread) <= receiver.receive_window <= first + most
        assert waited or receiver.receive_window == first
    for size in unread:
        sender.send_credit += receiver.consume(size)
    # Whatever has happened: once all is read, the largest value can be sent.
    assert sender.charge(1 << 30)


@pytest.mark.parametrize(("sizes", "grows"), [([500, 500], True), ([500, 501], False), ([501, 500], True),
                                              ([500, 469, 31], False), ([500, 468, 32], True)])  # fmt: skip
def test_a_window_grows_for_values_that_are_charged_in_full_and_are_no_crumbs(sizes: list[int], grows: bool) -> None:
    receiver = stream()
    for size in sizes:
        receiver.receive_value(size)
    receiver.consume(receiver.receive_window)
    assert (receiver.grow(PLENTY) > 0) is grows
