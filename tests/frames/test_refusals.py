"""Bad input: one GOAWAY that says why, then nothing more is read.  However the bytes come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from rat.codec import encode
from rat.codec.frame import FLAGS_ALLOWED, Flag, Kind, pack_frame
from rat.config import FrameLimits
from rat.errors import RemoteProtocolError
from rat.events import CLOSED
from rat.frames import events
from rat.frames.engine import FramesEngine
from rat.frames.tables import ConnectionState
from tests.frames.support import (
    FEEDS,
    Feed,
    call_frame,
    joined,
    kinds,
    last_words,
    pair,
    pull,
    server_after_hello,
    splits,
    whole,
)

SMALL = FrameLimits(payload=1024, assembled=3000, hello=1024, streams=3, credit=100)
OPENED = call_frame(1, flags=Flag.OPEN)
NULL = encode(None)
HELLO = pack_frame(Kind.HELLO, 0, 0, encode({}, profile="bincode"))
_UNAGREED = Flag.MORE | Flag.OPEN  # what a kind may carry without a feature
BYTES_90 = encode(b"x" * 88)


@dataclass(frozen=True)
class Bad:
    """*wire* after HELLO, what the engine says of it, and the code of its GOAWAY."""

    wire: bytes
    message: str
    code: str = "protocol"
    before: tuple[type[events.Event], ...] = ()
    features: frozenset[str] = field(default_factory=frozenset)


def frame(text: str) -> bytes:
    return bytes.fromhex(text)


CASES = {
    "length 0": Bad(frame("00 00 00 00"), "frame of 0 bytes, and its header alone takes 8", "frame_size"),
    "length 1": Bad(frame("00 00 00 01"), "frame of 1 bytes, and its header alone takes 8", "frame_size"),
    "length 7": Bad(frame("00 00 00 07"), "frame of 7 bytes, and its header alone takes 8", "frame_size"),
    "length 4 GiB": Bad(frame("ff ff ff ff"), "frame with a payload of 4294967287 bytes, limit 1024", "frame_size"),
    "length above the limit": Bad(frame("00 00 04 09"), "frame with a payload of 1025 bytes, limit 1024", "frame_size"),
    "length bad after a good frame": Bad(
        call_frame(1) + frame("00 00 00 00"), "frame of 0 bytes, and its header alone takes 8", "frame_size",
        (events.Call,),
    ),
    "kind 0": Bad(pack_frame(0, 0, 1), "frame of unknown kind 0"),
    "kind 13": Bad(pack_frame(13, 0, 1), "frame of unknown kind 13"),
    "flag 0x80": Bad(pack_frame(Kind.CALL, 0x80, 1), "CALL frame with flags 0x80, which were not agreed on"),
    "checksum not agreed": Bad(
        pack_frame(Kind.CALL, Flag.CHECKSUM, 1, NULL), "CALL frame with flags 0x02, which were not agreed on"
    ),
    "zstd not agreed": Bad(
        pack_frame(Kind.CALL, Flag.COMPRESSED, 1, NULL), "CALL frame with flags 0x01, which were not agreed on"
    ),
    "tables not agreed": Bad(
        pack_frame(Kind.CALL, Flag.SHARED, 1, NULL), "CALL frame with flags 0x10, which were not agreed on"
    ),
    "more on END": Bad(pack_frame(Kind.END, Flag.MORE, 1), "END frame with flags 0x04, which were not agreed on"),
    "open on RESULT": Bad(
        pack_frame(Kind.RESULT, Flag.OPEN, 1, NULL), "RESULT frame with flags 0x08, which were not agreed on"
    ),
    "reserved field": Bad(
        frame("00 00 00 08 02 00 00 01 00 00 00 01"), "CALL frame with 0x0001 in the reserved field"
    ),
    "HELLO twice": Bad(HELLO, "a second HELLO frame"),
    "stream 0": Bad(call_frame(0), "CALL frame on stream 0"),
    "PING on a stream": Bad(pack_frame(Kind.PING, 0, 1, bytes(8)), "PING frame on stream 1"),
    "id of the wrong side": Bad(call_frame(2), "CALL on stream 2, and the caller's ids are odd"),
    "id used again": Bad(
        call_frame(3) + call_frame(3), "CALL on stream 3, after one on stream 3", before=(events.Call,)
    ),
    "id going down": Bad(
        call_frame(5) + call_frame(3), "CALL on stream 3, after one on stream 5", before=(events.Call,)
    ),
    "too many calls": Bad(
        b"".join(call_frame(n) for n in (1, 3, 5, 7)), "call 7 while 3 are in flight, limit 3", "streams",
        (events.Call,) * 3,
    ),
    "too many open calls": Bad(
        b"".join(call_frame(n, flags=Flag.OPEN) for n in (1, 3, 5, 7)), "call 7 while 3 are in flight, limit 3",
        "streams", (events.Call,) * 3,
    ),
    "item of a call never made": Bad(
        pack_frame(Kind.ITEM, 0, 1, NULL), "ITEM frame on stream 1, which was never opened"
    ),
    "cancel of a call never made": Bad(
        pack_frame(Kind.CANCEL, 0, 9), "CANCEL frame on stream 9, which was never opened"
    ),
    "result of a call never made": Bad(
        pack_frame(Kind.RESULT, 0, 2, NULL), "RESULT frame on stream 2, which was never opened"
    ),
    "result from the caller": Bad(
        call_frame(1) + pack_frame(Kind.RESULT, 0, 1, NULL), "RESULT frame on stream 1 from the wrong side",
        before=(events.Call,),
    ),
    "error from the caller": Bad(
        call_frame(1) + pack_frame(Kind.ERROR, 0, 1, encode({"code": "x", "message": ""})),
        "ERROR frame on stream 1 from the wrong side", before=(events.Call,),
    ),
    "item of a whole call": Bad(
        call_frame(1) + pack_frame(Kind.ITEM, 0, 1, NULL),
        "ITEM frame on stream 1, and the caller has sent all, the answer is owed", before=(events.Call,),
    ),
    "end twice": Bad(
        OPENED + pack_frame(Kind.END, 0, 1) * 2,
        "END frame on stream 1, and the caller has sent all, the answer is owed", before=(events.Call, events.End),
    ),
    "item after end": Bad(
        OPENED + pack_frame(Kind.END, 0, 1) + pack_frame(Kind.ITEM, 0, 1, NULL),
        "ITEM frame on stream 1, and the caller has sent all, the answer is owed", before=(events.Call, events.End),
    ),
    "end with a payload": Bad(
        OPENED + pack_frame(Kind.END, 0, 1, b"x"), "END frame with 1 bytes of payload, and it has 0",
        before=(events.Call,),
    ),
    "ping of 7 bytes": Bad(pack_frame(Kind.PING, 0, 0, bytes(7)), "PING frame with 7 bytes of payload, and it has 8"),
    "credit of 3 bytes": Bad(
        OPENED + pack_frame(Kind.CREDIT, 0, 1, bytes(3)), "CREDIT frame with 3 bytes of payload, and it has 4",
        before=(events.Call,),
    ),
    "credit of 0": Bad(
        OPENED + pack_frame(Kind.CREDIT, 0, 1, bytes(4)),
        "CREDIT of 0 bytes on stream 1, which has 100 and may have 2147483647", "credit", (events.Call,),
    ),
    "credit beyond 2^31": Bad(
        OPENED + pack_frame(Kind.CREDIT, 0, 1, (0x7FFF_FFFF).to_bytes(4)),
        "CREDIT of 2147483647 bytes on stream 1, which has 100 and may have 2147483647", "credit", (events.Call,),
    ),
    "data over the credit": Bad(
        OPENED + pack_frame(Kind.DATA, 0, 1, bytes(101)), "DATA frame of 101 bytes on stream 1, credit 100", "credit",
        (events.Call,),
    ),
    "items over the credit": Bad(
        OPENED + pack_frame(Kind.ITEM, 0, 1, BYTES_90) * 3, "ITEM frame of 90 bytes on stream 1, credit 0", "credit",
        (events.Call, events.Item, events.Item),
    ),
    "data without data": Bad(
        OPENED + pack_frame(Kind.DATA, 0, 1), "DATA frame on stream 1 without data", before=(events.Call,)
    ),
    "a value cut short": Bad(
        pack_frame(Kind.CALL, 0, 1, b"\xc2\x41"), "CALL frame on stream 1: ", "value"
    ),
    "bytes after the value": Bad(
        pack_frame(Kind.CALL, 0, 1, encode(["f", []]) + b"x"), "CALL frame on stream 1: ", "value"
    ),
    "a call without a payload": Bad(pack_frame(Kind.CALL, 0, 1), "CALL frame on stream 1: ", "value"),
    "an item that is no value": Bad(
        OPENED + pack_frame(Kind.ITEM, 0, 1, b"\xff"), "ITEM frame on stream 1: ", "value", (events.Call,)
    ),
    "a goaway that is no value": Bad(pack_frame(Kind.GOAWAY, 0, 0, b"\xff"), "GOAWAY frame: ", "value"),
    "a goaway without code": Bad(
        pack_frame(Kind.GOAWAY, 0, 0, encode({"last": 1}, profile="bincode")), "GOAWAY frame: ", "value"
    ),
    "an empty piece": Bad(
        pack_frame(Kind.CALL, Flag.MORE, 1, b"x") + pack_frame(Kind.CALL, Flag.MORE, 1),
        "CALL frame on stream 1 is a piece without bytes",
    ),
    "a call between pieces": Bad(
        pack_frame(Kind.CALL, Flag.MORE, 1, b"x") + call_frame(3),
        "CALL frame on stream 3 between the pieces of a CALL on stream 1",
    ),
    "another kind between pieces": Bad(
        OPENED + pack_frame(Kind.ITEM, Flag.MORE, 1, b"x") + pack_frame(Kind.END, 0, 1),
        "END frame on stream 1 between the pieces of a ITEM on stream 1", before=(events.Call,),
    ),
    "pieces beyond the limit": Bad(
        pack_frame(Kind.CALL, Flag.MORE, 1, bytes(1024)) * 3,
        "value of at least 3072 bytes in pieces, limit 3000", "value_size",
    ),
    "a wrong checksum": Bad(
        pack_frame(Kind.CALL, Flag.CHECKSUM, 1, encode(["f", []]))[:-1] + b"\x00",
        "CALL frame on stream 1: checksum ", "checksum", features=frozenset({"checksum"}),
    ),
    "no room for the checksum": Bad(
        pack_frame(Kind.END, 0, 1)[:5] + bytes([Flag.CHECKSUM]) + bytes(2) + (1).to_bytes(4),
        "END frame on stream 1: payload of 0 bytes, and its checksum alone takes 4", "checksum",
        features=frozenset({"checksum"}),
    ),
    "a table reference out of nowhere": Bad(
        pack_frame(Kind.CALL, Flag.SHARED, 1, b"\x33\x80"), "CALL frame on stream 1: ", "value",
        features=frozenset({"tables"}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bad_frames_are_refused_once(case: Bad, feed: Feed) -> None:
    server = server_after_hello(SMALL, features=case.features)
    outcome = feed(server, case.wire)
    assert [type(event) for event in outcome] == [*case.before, str]
    assert isinstance(outcome[-1], str)
    assert outcome[-1].startswith(case.message)
    assert case.message.endswith(" ") or outcome[-1] == case.message
    goaway = last_words(server)
    assert (goaway.code, goaway.message) == (case.code, outcome[-1])
    assert server.state is ConnectionState.FAILED
    # Nothing is read any more, and nothing more is said.
    server.receive_data(call_frame(99))
    assert server.next_event() is CLOSED
    assert server.take() == []


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if len(case.wire) < 1500])
def test_bad_frames_are_refused_the_same_way_however_they_are_cut(name: str) -> None:
    case = CASES[name]
    expected = whole(server_after_hello(SMALL, features=case.features), case.wire)
    for first, second in splits(case.wire):
        server = server_after_hello(SMALL, features=case.features)
        outcome = whole(server, first)
        if not outcome or not isinstance(outcome[-1], str):
            outcome += whole(server, second)
        assert outcome == expected


def test_every_kind_that_is_not_known_is_refused() -> None:
    for kind in sorted({*range(256)} - {*Kind}):
        server = server_after_hello(SMALL)
        assert whole(server, pack_frame(kind, 0, 1)) == [f"frame of unknown kind {kind}"]
        assert last_words(server).code == "protocol"


@pytest.mark.parametrize("kind", Kind)
def test_every_flag_that_a_kind_may_not_carry_is_refused(kind: Kind) -> None:
    every = frozenset({"checksum", "zstd", "tables"})
    for features, allowed in ((every, FLAGS_ALLOWED[kind]), (frozenset[str](), FLAGS_ALLOWED[kind] & _UNAGREED)):
        for flag in (1 << bit for bit in range(8) if not allowed & 1 << bit):
            server = server_after_hello(SMALL, features=features)
            assert whole(server, pack_frame(kind, flag, 1)) == [
                f"{kind.name} frame with flags 0x{flag:02x}, which were not agreed on"
            ]
            assert last_words(server).code == "protocol"


HELLO_CASES: dict[str, tuple[bytes, str, str]] = {
    "CALL first": (call_frame(1), "CALL frame, and the peer's HELLO has not come", "protocol"),
    "HELLO above its limit": (frame("00 00 04 09"), "frame with a payload of 1025 bytes, limit 1024", "frame_size"),
    "HELLO on a stream": (pack_frame(Kind.HELLO, 0, 1, b""), "HELLO frame on stream 1", "protocol"),
    "HELLO with a checksum": (
        pack_frame(Kind.HELLO, Flag.CHECKSUM, 0, encode({}, profile="bincode")),
        "HELLO frame with flags 0x02, which were not agreed on", "protocol",
    ),
    "HELLO that is no value": (pack_frame(Kind.HELLO, 0, 0, b"\xff"), "HELLO frame: ", "hello"),
    "HELLO that is no map": (
        pack_frame(Kind.HELLO, 0, 0, encode([], profile="bincode")),
        "HELLO frame: HELLO holds a list, and must hold a map at $", "hello",
    ),
    "HELLO of version 0": (
        pack_frame(Kind.HELLO, 0, 0, encode({"version": 0}, profile="bincode")),
        "HELLO frame: HELLO says 0, and may say 1 to 4294967295 at $.version", "hello",
    ),
    "HELLO with a frame limit of 1": (
        pack_frame(Kind.HELLO, 0, 0, encode({"frame": 1}, profile="bincode")),
        "HELLO frame: HELLO says 1, and may say 1024 to 4294967287 at $.frame", "hello",
    ),
    "HELLO without credit": (
        pack_frame(Kind.HELLO, 0, 0, encode({"credit": 0}, profile="bincode")),
        "HELLO frame: HELLO says 0, and may say 1 to 2147483647 at $.credit", "hello",
    ),
    "HELLO with true for a number": (
        pack_frame(Kind.HELLO, 0, 0, encode({"streams": True}, profile="bincode")),
        "HELLO frame: HELLO says True, and may say 0 to 2147483648 at $.streams", "hello",
    ),
    "HELLO of an unknown profile": (
        pack_frame(Kind.HELLO, 0, 0, encode({"profile": "json"}, profile="bincode")),
        "HELLO frame: HELLO asks for 'json', and there are full, bincode at $.profile", "hello",
    ),
    "HELLO with features that are no strings": (
        pack_frame(Kind.HELLO, 0, 0, encode({"features": [1]}, profile="bincode")),
        "HELLO frame: HELLO must name its features in a list of strings at $.features", "hello",
    ),
    "HELLO in the full profile": (pack_frame(Kind.HELLO, 0, 0, b"\xe0"), "HELLO frame: ", "hello"),
}  # fmt: skip


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("case", HELLO_CASES.values(), ids=HELLO_CASES)
def test_a_connection_that_does_not_begin_with_a_good_hello_is_refused(
    case: tuple[bytes, str, str], feed: Feed
) -> None:
    wire, message, code = case
    server = FramesEngine(SMALL, is_client=False)
    (outcome,) = feed(server, wire)
    assert isinstance(outcome, str)
    assert outcome.startswith(message)
    assert last_words(server).code == code


def answer_with(**fields: object) -> Callable[[], bytes]:
    return lambda: pack_frame(Kind.HELLO, 0, 0, encode(fields, profile="bincode"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"version": 2}, "the server speaks version 2 and profile full, asked for were 1 and full"),
        ({"profile": "bincode"}, "the server speaks version 1 and profile bincode, asked for were 1 and full"),
        ({"features": ["zstd"]}, "the server answers with features ['zstd'], offered were []"),
    ],
)
def test_a_client_refuses_what_it_did_not_ask_for(fields: dict[str, object], message: str) -> None:
    client = FramesEngine(SMALL, is_client=True, features=frozenset())
    client.take()
    assert whole(client, answer_with(**fields)()) == [message]


def test_a_client_refuses_answers_from_nowhere() -> None:
    client, _ = pair()
    assert whole(client, pack_frame(Kind.RESULT, 0, 1, NULL)) == ["RESULT frame on stream 1, which was never opened"]


def test_an_error_frame_that_says_nothing_is_refused() -> None:
    for value, message in (
        ([], "ERROR frame on stream 1 holds a list, and must hold a map"),
        ({"message": "x"}, "ERROR frame on stream 1: code and message must be strings"),
    ):
        client, _ = pair()
        client.call(events.Call(client.open_stream(), "f", []))
        assert whole(client, pack_frame(Kind.ERROR, 0, 1, encode(value))) == [message]


BAD_CALLS = {
    "a map": ({}, "a call is a list of name, args, and perhaps kwargs and options"),
    "a name alone": (["f"], "a call is a list of name, args, and perhaps kwargs and options"),
    "five parts": (["f", [], {}, {}, 1], "a call is a list of name, args, and perhaps kwargs and options"),
    "a number for a name": ([1, []], "the name of a call is a string, and came as int"),
    "a string for args": (["f", "args"], "the args of a call are a list, and came as str"),
    "a list for kwargs": (["f", [], []], "the kwargs of a call are a map or none, and came as list"),
    "a list for options": (["f", [], {}, []], "the options of a call are a map or none, and came as list"),
}


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("case", BAD_CALLS.values(), ids=BAD_CALLS)
def test_a_value_that_is_no_call_fails_that_call_and_no_other(case: tuple[object, str], feed: Feed) -> None:
    value, message = case
    client, server = pair()
    client.call(events.Call(1, "placeholder", []))
    client.take()
    assert feed(server, pack_frame(Kind.CALL, 0, 1, encode(value)) + call_frame(3, "good")) == [
        events.Call(3, "good", [])
    ]
    answer = joined(server)
    assert kinds(answer) == [Kind.ERROR]
    assert whole(client, answer) == [events.Error(1, "bad_call", message)]


@pytest.mark.parametrize(
    "wire", [call_frame(1), OPENED + pack_frame(Kind.ITEM, Flag.MORE, 1, b"x" * 20)], ids=["frame", "value"]
)
def test_an_end_inside_a_frame_or_value_is_said_and_an_end_between_frames_is_none(wire: bytes) -> None:
    boundary = len(OPENED) if wire.startswith(OPENED) else 0
    for cut in range(len(wire) + 1):
        server = server_after_hello(SMALL)
        whole(server, wire[:cut])
        server.receive_eof()
        if cut in (0, boundary) or (cut == len(wire) and boundary == 0):
            assert server.next_event() is CLOSED
            assert server.state is ConnectionState.CLOSED
        else:
            with pytest.raises(RemoteProtocolError, match="the connection ended inside a frame or value, after "):
                server.next_event()
            assert last_words(server).code == "incomplete"


def test_a_refusal_leaves_the_answers_that_were_given_before_it_in_place() -> None:
    client, server = pair()
    client.call(events.Call(1, "f", []))
    server.receive_data(joined(client) + bytes(4))
    assert server.next_event() == events.Call(1, "f", [])
    server.result(1, "answer")
    assert pull(server) == ["frame of 0 bytes, and its header alone takes 8"]
    data = joined(server)
    assert kinds(data) == [Kind.RESULT, Kind.GOAWAY]
    assert whole(client, data) == [
        events.Result(1, "answer"),
        events.Goaway(1, "frame_size", "frame of 0 bytes, and its header alone takes 8"),
    ]
