"""The decoder of chunked content against h11, and against every cut."""

from __future__ import annotations

import random

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rat.config import Limits
from rat.errors import RemoteProtocolError
from rat.http1.chunked import ChunkedDecoder, ChunkState
from tests.support.examples import examples, seed, times

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
Read = tuple[bytes, list[tuple[bytes, bytes]], int, bool] | int | None


def ours(pieces: list[bytes], limits: Limits | None = None) -> Read:
    """Content, trailers, bytes consumed and whether it ended; or the status of the error."""
    decoder = ChunkedDecoder(limits or Limits())
    content: list[bytes] = []
    used = 0
    try:
        for piece in pieces:
            used += decoder.decode(piece, 0, content)
    except RemoteProtocolError as error:
        return error.status
    assert decoder.received == len(b"".join(content))
    assert decoder.is_done is (decoder.state is ChunkState.DONE)
    return b"".join(content), decoder.trailers, used, decoder.is_done


def of_h11(wire: bytes) -> Read:
    connection = h11.Connection(h11.SERVER, 1 << 20)
    connection.receive_data(HEAD + wire)
    content = b""
    try:
        connection.next_event()
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                content += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                rest, _ = connection.trailing_data
                return content, list(event.headers), len(wire) - len(rest), True
            else:
                return content, [], len(wire), False
    except h11.RemoteProtocolError:
        return None


EXTENSIONS = [b"", b";a", b";a=b;c", b' ; a = "b;\\"c"', b";;", b";a=\x01", b" ", b";" + b"e" * 300]
SIZES = [b"%x", b"%X", b"0%x", b"0x%x", b"+%x"]
ENDS = [b"\r\n", b"\n", b""]
TRAILERS = [b"", b"A: b\r\n", b"A:\r\nB: c \r\n", b"A : b\r\n", b"A: b\n", b" A: b\r\n", b"Host: x\r\n"]


def encode(source: random.Random) -> bytes:
    """Chunked content; in one of two everything is right."""
    good = source.random() < 0.5
    parts = []
    for _ in range(source.randrange(4)):
        data = source.randbytes(source.choice([1, 2, 15, 16, 300]))
        parts += [
            source.choice(SIZES[:3] if good else SIZES) % len(data),
            source.choice(EXTENSIONS[: 4 if good else 8]),
        ]
        parts += [b"\r\n", data, b"\r\n" if good else source.choice(ENDS)]
    parts += [source.choice([b"0", b"000"]), b"\r\n", source.choice(TRAILERS[: 3 if good else 7])]
    return b"".join(parts) + (b"\r\n" if good else source.choice(ENDS))


def mutate(source: random.Random, wire: bytes) -> bytes:
    data = bytearray(wire)
    if source.random() < 0.2 and data:
        data[source.randrange(len(data))] = source.choice(b"\r\n 0;:af")
    return bytes(data)


def test_whatever_is_accepted_means_the_same_to_h11() -> None:
    source = random.Random(1)
    accepted = refused = 0
    for _ in range(4_000):
        wire = mutate(source, encode(source)) + source.choice([b"", b"GET "])
        result = ours([wire])
        if isinstance(result, tuple) and result[3]:
            accepted += 1
            reference = of_h11(wire)
            # h11 knows no white space around the semicolon, which RFC 9112, section 7.1.1 has us parse.
            assert result == reference or (reference is None and b" ;" in wire), wire
        else:
            refused += 1
    assert accepted > 800
    assert refused > 800


@pytest.mark.generated
def test_the_verdict_does_not_depend_on_the_cut() -> None:
    source = random.Random(seed(2))
    for _ in range(times(100)):
        wire = mutate(source, encode(source))
        expected = ours([wire])
        assert ours([wire[at : at + 1] for at in range(len(wire))]) == expected, wire
        for at in range(1, len(wire)):
            assert ours([wire[:at], wire[at:]]) == expected, (wire, at)


@given(st.binary(max_size=60), st.integers(0, 60))
@examples(150)
def test_no_bytes_do_harm(wire: bytes, at: int) -> None:
    assert ours([wire[:at], wire[at:]]) == ours([wire])


@pytest.mark.parametrize("past", [-1, 0, 1])
def test_the_overhead_grows_with_the_content(past: int) -> None:
    limits = Limits(chunk_overhead=10)
    extension = b";" + b"e" * (19 + past)
    wire = b"3e8\r\n" + bytes(1000) + b"\r\n1" + extension + b"\r\nx\r\n0\r\n\r\n"
    assert (ours([wire], limits) == 400) is (past > 0)


def test_wanted_is_the_rest_of_the_chunk() -> None:
    decoder = ChunkedDecoder(Limits())
    decoder.decode(b"a\r\n012", 0, [])
    assert decoder.wanted() == 9
    decoder.decode(b"3456789", 0, [])
    assert decoder.wanted() == 0


def test_dribbled_trailers_are_judged_once() -> None:
    section = b"".join(b"X-%d: y\r\n" % number for number in range(32))
    wire = b"0\r\n" + section + b"\r\n"
    result = ours([wire[at : at + 1] for at in range(len(wire))])
    assert isinstance(result, tuple)
    assert len(result[1]) == 32
