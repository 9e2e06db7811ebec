"""Values written and read piece by piece, however the bytes are cut, in flat memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.codec import CodecError, Piece, PieceKind, StreamDecoder, StreamEncoder, decode, encode
from rat.codec.stream import MAX_OPEN, TRANSITIONS, Position
from rat.errors import LocalProtocolError
from rat.events import CLOSED, NEED_DATA
from tests.codec.material import full_values, quick, same

VALUE, LIST, DICT, BYTES = PieceKind.VALUE, PieceKind.LIST, PieceKind.DICT, PieceKind.BYTES
KEY, CHUNK, END = PieceKind.KEY, PieceKind.CHUNK, PieceKind.END


def pieces(decoder: StreamDecoder) -> Iterator[Piece]:
    while isinstance(piece := decoder.next_event(), Piece):
        yield piece


def read(feeds: list[bytes], **options: Any) -> list[tuple[PieceKind, Any]]:
    """All pieces; neighbouring chunks count as one, since cuts decide where they part."""
    decoder = StreamDecoder(**options)
    found: list[tuple[PieceKind, Any]] = []
    for feed in feeds:
        decoder.receive_data(feed)
        for kind, value in pieces(decoder):
            if kind is CHUNK and found and found[-1][0] is CHUNK:
                found[-1] = CHUNK, found[-1][1] + value
            else:
                found.append((kind, value))
        assert decoder.next_event() is NEED_DATA
    decoder.receive_eof()
    assert decoder.next_event() is CLOSED
    return found


def feed_all(decoder: StreamDecoder, feeds: list[bytes]) -> None:
    for feed in feeds:
        decoder.receive_data(feed)
        list(pieces(decoder))


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


def sample() -> tuple[bytes, list[tuple[PieceKind, Any]], list[Any]]:
    """A stream with every piece: its bytes, its pieces, and its two values."""
    encoder = StreamEncoder()
    rows = [{"id": index, "name": "x" * (index % 5)} for index in range(50)]
    parts = [
        encoder.begin_dict(),
        encoder.key("head"),
        encoder.value({"version": 1}),
        encoder.key("rows"),
        encoder.begin_list(),
        *encoder.items(rows, size=100),
        encoder.value(rows),
        encoder.begin_list(),
        encoder.end(),
        encoder.end(),
        encoder.key("a long key" * 10),
        encoder.begin_bytes(),
        *encoder.chunk(b"abc"),
        *encoder.chunk(bytearray(b"")),
        *encoder.chunk(memoryview(b"de" * 200)),
        encoder.end(),
        encoder.key("blob"),
        encoder.value(bytes(40_000)),
        encoder.end(),
        encoder.value(rows[:2]),
    ]
    assert encoder.is_complete
    expected: list[tuple[PieceKind, Any]] = [
        (DICT, None),
        (KEY, "head"),
        (VALUE, {"version": 1}),
        (KEY, "rows"),
        (LIST, None),
        *[(VALUE, row) for row in rows],
        (VALUE, rows),
        (LIST, None),
        (END, None),
        (END, None),
        (KEY, "a long key" * 10),
        (BYTES, None),
        (CHUNK, b"abc" + b"de" * 200),
        (END, None),
        (KEY, "blob"),
        (BYTES, None),
        (CHUNK, bytes(40_000)),
        (END, None),
        (END, None),
        (VALUE, rows[:2]),
    ]
    first = {
        "head": {"version": 1},
        "rows": [*rows, rows, []],
        "a long key" * 10: b"abc" + b"de" * 200,
        "blob": bytes(40_000),
    }
    return b"".join(parts), expected, [first, rows[:2]]


def test_pieces_whole_and_in_small_feeds() -> None:
    data, expected, _ = sample()
    assert read([data]) == expected
    for size in (1, 7, 1000):
        assert read([data[place : place + size] for place in range(0, len(data), size)]) == expected


def test_every_cut_in_two() -> None:
    encoder = StreamEncoder()
    data = b"".join(
        [
            encoder.value({"a": [1.5] * 4}),
            encoder.begin_dict(),
            encoder.key("k"),
            encoder.begin_list(),
            encoder.value({"k": (1,)}),
            encoder.value({"k": 300}),
            encoder.end(),
            encoder.key("b"),
            encoder.begin_bytes(),
            *encoder.chunk(b"xyz"),
            encoder.end(),
            encoder.end(),
            b"\x30",
            encode({str(key): None for key in range(130)}),
            encode(bytes(300)),
        ]
    )
    whole = read([data], chunk_from=200)
    for cut in range(len(data) + 1):
        assert read([data[:cut], data[cut:]], chunk_from=200) == whole


def test_decode_reads_what_the_stream_encoder_writes() -> None:
    data, _, values = sample()
    second = encode(values[1])
    assert data.endswith(second)
    assert same(decode(data.removesuffix(second)), values[0])


@quick
@given(values=st.lists(full_values, max_size=4), size=st.integers(1, 30))
def test_items_and_top_level_values(values: list[Any], size: int) -> None:
    encoder = StreamEncoder()
    data = encoder.begin_list() + b"".join(encoder.items(values)) + encoder.end()
    assert same(decode(data), values)
    data += b"".join(encoder.value(value) for value in values)
    found = read([data[place : place + size] for place in range(0, len(data), size)])
    items = [(VALUE, value) for value in values]
    assert [kind for kind, _ in found] == [LIST, *[VALUE] * len(values), END, *[VALUE] * len(values)]
    assert same([value for kind, value in found if kind is VALUE], [value for _, value in items * 2])


STEPS: dict[str, Callable[[StreamEncoder], object]] = {
    "value": lambda encoder: encoder.value(1),
    "key": lambda encoder: encoder.key("k"),
    "chunk": lambda encoder: encoder.chunk(b"x"),
    "end": lambda encoder: encoder.end(),
}
WAYS: dict[Position, Callable[[StreamEncoder], object]] = {
    Position.TOP: lambda encoder: None,
    Position.ITEM: lambda encoder: encoder.begin_list(),
    Position.KEY: lambda encoder: encoder.begin_dict(),
    Position.VALUE: lambda encoder: (encoder.begin_dict(), encoder.key("k")),
    Position.CHUNK: lambda encoder: encoder.begin_bytes(),
}


@pytest.mark.parametrize("position", Position)
@pytest.mark.parametrize("step", STEPS)
def test_steps_that_have_a_place_and_those_that_have_none(position: Position, step: str) -> None:
    encoder = StreamEncoder()
    WAYS[position](encoder)
    if (position, step) in TRANSITIONS:
        STEPS[step](encoder)
        return
    with pytest.raises(LocalProtocolError, match=f"{step} where only {position.value} can stand"):
        STEPS[step](encoder)


@pytest.mark.parametrize("position", [Position.KEY, Position.CHUNK])
def test_containers_where_none_can_stand(position: Position) -> None:
    encoder = StreamEncoder()
    WAYS[position](encoder)
    for begin in (encoder.begin_list, encoder.begin_dict, encoder.begin_bytes):
        with pytest.raises(LocalProtocolError, match="value where only"):
            begin()


def test_refused_pieces_change_nothing() -> None:
    encoder = StreamEncoder()
    data = encoder.begin_dict()
    for wrong in ("\ud800", 5):
        with pytest.raises((CodecError, TypeError)):
            encoder.key(wrong)  # type: ignore[arg-type]
    data += encoder.key("k")
    with pytest.raises(CodecError):
        encoder.value({"x": object()})
    data += encoder.value({"y": 1}) + encoder.end()
    assert decode(data) == {"k": {"y": 1}}


def test_nesting_is_bounded_on_both_sides() -> None:
    encoder = StreamEncoder()
    data = b"".join(encoder.begin_list() for _ in range(MAX_OPEN))
    with pytest.raises(LocalProtocolError, match="nested deeper than 8 levels"):
        encoder.begin_list()
    decoder = StreamDecoder()
    decoder.receive_data(data + b"\x2c")
    with pytest.raises(CodecError, match="nested deeper than 8 levels at offset 8"):
        list(pieces(decoder))


def test_what_is_written_can_be_decoded_with_the_same_depth() -> None:
    encoder = StreamEncoder(max_depth=12)
    data = b"".join(encoder.begin_list() for _ in range(MAX_OPEN)) + encoder.value([[[[]]]])
    with pytest.raises(CodecError):
        encoder.value([[[[[]]]]])
    data += b"".join(encoder.end() for _ in range(MAX_OPEN))
    assert decode(data, max_depth=12)


@pytest.mark.parametrize(
    ("wire", "offset"),
    [
        ("802f", 1),
        ("2c80272f", 2),
        ("2d80802f", 1),
        ("2d41612f", 3),
        ("3030", 1),
        ("2c302f", 1),
        ("81c1e1c1ff80", 3),
        ("2efe", 1),
        ("8005ff", 1),
        ("2c33", 1),
        ("2ce1c161802f33", 6),
    ],
)
def test_refused_streams(wire: str, offset: int) -> None:
    data = bytes.fromhex(wire)
    for feeds in ([data], byte_by_byte(data)):
        decoder = StreamDecoder()
        with pytest.raises(CodecError) as refusal:
            feed_all(decoder, feeds)
        assert refusal.value.offset == offset
        with pytest.raises(CodecError):
            decoder.next_event()


@pytest.mark.parametrize("wire", ["c181c1", "2c", "2d", "2d4161", "2e", "2e0161", "30", "2e0561", "450161"])
def test_streams_that_end_inside_a_value(wire: str) -> None:
    decoder = StreamDecoder()
    decoder.receive_data(bytes.fromhex(wire))
    list(pieces(decoder))
    decoder.receive_eof()
    with pytest.raises(CodecError, match=f"the stream ends inside a value at offset {len(wire) // 2}"):
        decoder.next_event()
    with pytest.raises(LocalProtocolError, match="data after the end"):
        decoder.receive_data(b"x")


def test_values_beyond_the_limit_are_refused_from_their_head() -> None:
    for size, fits in ((98, True), (99, False)):
        decoder = StreamDecoder(max_value=100)
        decoder.receive_data(encode(b"x" * size)[:3])
        if fits:
            assert decoder.next_event() is NEED_DATA
            continue
        with pytest.raises(CodecError, match="value of 101 bytes and more, limit 100 at offset 0"):
            decoder.next_event()


def peak_of(run: Callable[[], None]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_long_list_takes_flat_memory() -> None:
    def run() -> None:
        encoder, decoder = StreamEncoder(), StreamDecoder()
        decoder.receive_data(encoder.begin_list())
        count = -1
        for part in encoder.items(({"id": index, "name": "n" * 50} for index in range(8_000)), size=8192):
            decoder.receive_data(part)
            count += sum(1 for _ in pieces(decoder))
        decoder.receive_data(encoder.end())
        assert [piece.kind for piece in pieces(decoder)] == [END]
        assert count == 8_000

    assert peak_of(run) < 256 * 1024


def test_a_large_blob_takes_flat_memory() -> None:
    block = bytes(100_000)

    def run() -> None:
        encoder, decoder = StreamEncoder(), StreamDecoder()
        decoder.receive_data(encoder.begin_bytes())
        size = 0
        for _ in range(300):
            for part in encoder.chunk(block):
                decoder.receive_data(part)
            size += sum(len(piece.value) for piece in pieces(decoder) if piece.kind is CHUNK)
        decoder.receive_data(encoder.end())
        assert [piece.kind for piece in pieces(decoder)] == [END]
        assert size == 300 * len(block)

    assert peak_of(run) < 1024 * 1024
