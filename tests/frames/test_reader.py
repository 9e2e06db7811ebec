"""Where frames begin and end, however the bytes come: given, or read into what the reader offers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.codec.frame import PREFIX_SIZE, Kind, pack_frame
from rat.frames.reader import EXACT_FROM, FrameReader

SLAB = memoryview(bytearray(2 * EXACT_FROM))
LARGE = EXACT_FROM + 1000
LIMIT = 2 * LARGE
SIZES = st.lists(st.sampled_from([0, 1, 20, 5000, EXACT_FROM - 9, EXACT_FROM, LARGE, LIMIT]), min_size=1, max_size=6)


def wire_of(sizes: Sequence[int]) -> bytes:
    return b"".join(
        pack_frame(Kind.DATA, 0, number, bytes([number]) * size) for number, size in enumerate(sizes, start=1)
    )


def frames_of(reader: FrameReader, wire: bytes, reads: Iterable[int]) -> tuple[list[tuple[int, bytes]], list[int]]:
    """Stream id and payload of every frame; and how many bytes each read was offered."""
    found, offered, left = [], [], memoryview(wire)
    for most in reads:
        if not left:
            break
        buffer = reader.get_buffer(SLAB)
        offered.append(len(buffer))
        count = min(most, len(buffer), len(left))
        buffer[:count] = left[:count]
        left = left[count:]
        if reader.buffer_updated(SLAB, count):
            while (frame := reader.next_frame()) is not None:
                found.append((frame[1], bytes(frame[2])))
        reader.release()
    assert not left
    return found, offered


@given(SIZES, st.lists(st.integers(1, LIMIT), max_size=40))
def test_frames_are_the_same_however_they_are_read(sizes: list[int], reads: list[int]) -> None:
    expected = [(number, bytes([number]) * size) for number, size in enumerate(sizes, start=1)]
    rest = [4000] * (sum(sizes) // 4000 + 1000)
    found, offered = frames_of(FrameReader(LIMIT), wire_of(sizes), [*reads, *rest])
    assert found == expected
    assert min(offered) > 0
    given = FrameReader(LIMIT)
    given.receive_data(wire_of(sizes))
    assert [(frame[1], bytes(frame[2])) for frame in iter(given.next_frame, None)] == expected
    assert not given.is_inside_frame


def test_large_frames_behind_each_other_are_read_where_they_stay() -> None:
    sizes = [LARGE] * 4
    found, offered = frames_of(FrameReader(LIMIT), wire_of(sizes), [LIMIT] * 20)
    assert [len(payload) for _, payload in found] == sizes
    # The first from the slab; then each read has room for a payload and the next prefix, and no more.
    assert offered[0] == len(SLAB)
    assert offered[2:] == [LARGE + PREFIX_SIZE] * (len(offered) - 2)


@pytest.mark.parametrize("tail", range(PREFIX_SIZE + 1))
def test_a_prefix_that_came_with_a_large_frame_may_be_cut_anywhere(tail: int) -> None:
    wire = wire_of([LARGE, LARGE, 3])
    reader = FrameReader(LIMIT)
    found, _ = frames_of(reader, wire, [PREFIX_SIZE, LARGE + tail, LIMIT, LIMIT, LIMIT, LIMIT])
    assert [len(payload) for _, payload in found] == [LARGE, LARGE, 3]
    assert not reader.is_inside_frame


def test_what_a_large_frame_holds_is_not_touched_by_what_follows() -> None:
    reader = FrameReader(LIMIT)
    kept = [payload for _, payload in read(reader, wire_of([LARGE] * 5))]
    assert [(len(view), set(view)) for view in kept] == [(LARGE, {number}) for number in range(1, 6)]


def test_a_length_alone_gets_no_buffer() -> None:
    reader = FrameReader(LIMIT)
    wire = memoryview(wire_of([LIMIT]))
    sent = 0
    while sent < 64 * 1024:
        buffer = reader.get_buffer(SLAB)
        assert len(buffer) == len(SLAB) - sent
        buffer[:4096] = wire[sent : sent + 4096]
        sent += 4096
        assert reader.buffer_updated(SLAB, 4096)
        assert reader.next_frame() is None
        reader.release()
        assert reader.has_large is (sent >= 64 * 1024)
    assert reader.wanted() == len(wire) - sent


def read(reader: FrameReader, wire: bytes) -> list[tuple[int, memoryview | bytes]]:
    """*wire* in as few reads as the reader allows, and nothing behind it: what comes out."""
    found, left = [], memoryview(wire)
    while left:
        buffer = reader.get_buffer(SLAB)
        count = min(len(buffer), len(left))
        buffer[:count] = left[:count]
        left = left[count:]
        if reader.buffer_updated(SLAB, count):
            found += [(frame[1], frame[2]) for frame in iter(reader.next_frame, None)]
        reader.release()
    return found


@pytest.mark.parametrize("before", [0, 3])
def test_after_two_large_frames_of_one_length_the_next_is_read_at_once_where_it_stays(before: int) -> None:
    reader = FrameReader(LIMIT)
    frames = [pack_frame(Kind.DATA, 0, number, bytes([number]) * LIMIT) for number in range(5)]
    small = pack_frame(Kind.CREDIT, 0, 9, bytes(4)) * before
    read(reader, frames[0])
    read(reader, frames[1])
    for frame in frames[2:]:
        buffer = reader.get_buffer(SLAB)
        assert len(buffer) >= len(frame)
        buffer[: before * 16 + LIMIT] = memoryview(small + frame)[: before * 16 + LIMIT]
        assert bool(reader.buffer_updated(SLAB, before * 16 + LIMIT)) is bool(before)
        assert [stream for _, stream, _ in iter(reader.next_frame, None)] == [9] * before
        reader.release()
        ((_, payload),) = read(reader, frame[LIMIT:])
        assert payload == frame[PREFIX_SIZE:]
        assert isinstance(payload, memoryview)
        assert payload.obj is buffer.obj
        assert reader.is_owned


def test_memory_that_is_read_ahead_into_is_shared_by_all_who_wait() -> None:
    readers = [FrameReader(LIMIT) for _ in range(3)]
    for reader in readers:
        for number in range(2):
            read(reader, pack_frame(Kind.DATA, 0, number, bytes(LIMIT)))
    assert len({id(reader.get_buffer(SLAB).obj) for reader in readers}) == 1


def test_after_a_large_frame_of_another_length_nothing_is_read_ahead() -> None:
    reader = FrameReader(LIMIT)
    for size in (LIMIT, LIMIT, LIMIT - 1):
        read(reader, pack_frame(Kind.DATA, 0, 1, bytes(size)))
    assert reader.get_buffer(SLAB).obj is SLAB.obj
