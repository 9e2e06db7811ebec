"""Sans-I/O connection for DataValue frames: bytes in, events out; events in, bytes out.

Knows no socket, clock or task.  One instance for each side of a connection.  What may come when stands in
:mod:`rat.frames.tables`; the half that speaks is :class:`rat.frames.sending.FrameSender`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rat.codec.frame import FLAGS_ALLOWED, Flag, Kind, verify_checksum
from rat.config import FrameLimits
from rat.errors import CodecError, RemoteProtocolError
from rat.events import CLOSED, NEED_DATA, PAUSED, Signal
from rat.frames import events
from rat.frames.held import FrameHolder
from rat.frames.holding import COUNTED_CALL
from rat.frames.payloads import call_from_value, error_from_value, goaway_from_value, pack_goaway
from rat.frames.pieces import BETWEEN_PIECES, Pieces
from rat.frames.reader import FrameReader
from rat.frames.settings import FEATURES, accept, agree, offer, pack_hello, parse_hello
from rat.frames.tables import CONNECTION, ConnectionState, StreamState
from rat.frames.values import Values

__all__ = ["FramesEngine"]

_KINDS: Final = {int(kind): kind for kind in Kind}
_ALLOWED: Final = {kind: int(flags) for kind, flags in FLAGS_ALLOWED.items()}
_CHECKSUM: Final = int(Flag.CHECKSUM)
_COMPRESSED: Final = int(Flag.COMPRESSED)
_MORE: Final = int(Flag.MORE)
_OPEN: Final = int(Flag.OPEN)
_SHARED: Final = int(Flag.SHARED)
_FEATURE_FLAGS: Final = {"checksum": _CHECKSUM, "zstd": _COMPRESSED, "tables": _SHARED}
_NONE: Final[Mapping[int, int]] = {}
_CALLS: Final[Mapping[int, int]] = {Kind.CALL << 24: 0}
_CALLS_SHARED: Final[Mapping[int, int]] = {Kind.CALL << 24: 0, Kind.CALL << 24 | _SHARED << 16: _SHARED}
"""Headers of calls that need no further judgement: the word that holds kind and flags, and the flags."""
_SILENT: Final = 256
"""Most frames without an event, such as PING, that are read in one call."""
_ON_CONNECTION: Final = frozenset((Kind.HELLO, Kind.PING, Kind.PONG, Kind.GOAWAY))
_FIXED: Final = {Kind.END: 0, Kind.CANCEL: 0, Kind.CREDIT: 4, Kind.PING: 8, Kind.PONG: 8}
"""Kinds whose payload has one size, in bytes."""


class FramesEngine(FrameHolder):
    """One side of one connection.

    Bytes go in with ``receive_data`` or through :attr:`reader`; ``next_event`` is pulled.  What
    this side has to say is gathered, answers to PING and the last words before a failure included, until :meth:`take`
    hands it over; ``send`` does both.  Values are encoded in the call that sends them.

    After a RemoteProtocolError one GOAWAY is left to be taken; then the connection is to be closed.
    """

    __slots__ = ("_calls_at_once", "_eof", "_fast", "_offer", "_pieces", "_strange", "pongs", "reader")

    def __init__(
        self,
        limits: FrameLimits,
        *,
        is_client: bool,
        features: frozenset[str] = frozenset(FEATURES),
        profile: events.Profile = "full",
    ) -> None:
        super().__init__(limits, is_client=is_client)
        self._offer = offer(limits, features, profile)
        self.reader = FrameReader(limits.hello)
        """Where bytes go by :meth:`FrameReader.get_buffer`, and frames come from."""
        self._pieces: Pieces | None = None
        self._calls_at_once = _NONE
        self._fast: Mapping[int, int] = _NONE
        """Flags of the calls that need no further judgement, by the word in their header.  Empty between pieces."""
        self._strange = _CHECKSUM | _COMPRESSED | _SHARED
        """Flags that were not agreed on."""
        self._eof = False
        self.pongs = 0
        """Answers to PING so far."""
        if is_client:
            self._writer.frame(Kind.HELLO, 0, 0, pack_hello(self._offer))

    # -- bytes in

    def receive_data(self, data: bytes) -> None:
        """Take bytes of the peer."""
        if self.state is not ConnectionState.FAILED:
            self.reader.receive_data(data)

    def receive_eof(self) -> None:
        """The peer will send no more."""
        self._eof = True

    def wanted(self) -> int:
        """How many bytes would complete the frame that is being read; 0 when that is not known."""
        return self.reader.wanted()

    @property
    def is_at_end(self) -> bool:
        """Whether the peer will send no more."""
        return self._eof

    @property
    def is_drained(self) -> bool:
        """Whether everything that has come was taken, and more may come."""
        return not self._eof and not self.reader.is_inside_frame

    @property
    def is_inside_frame(self) -> bool:
        """Whether a part of a frame is here, or a part of a value: its deadline runs."""
        return self.reader.is_inside_frame or self._pieces is not None

    # -- events out

    def next_event(self) -> events.Event | Signal:
        """The next event; NEED_DATA; or CLOSED after the peer's end or a failure.  Raises RemoteProtocolError.

        PAUSED when many frames have been read that were none: there is more, and others may be waiting.
        """
        reader = self.reader
        silent = 0
        while True:
            try:
                frame = reader.next_frame()
            except CodecError as error:
                raise self._refuse("frame_size", error.message) from None
            if frame is None:
                return self._nothing()
            word, stream_id, payload = frame
            flags = self._fast.get(word)
            if flags is not None and stream_id > self._last_remote and stream_id & 1 == self._parity:
                event = self._receive_call(flags, stream_id, payload, reader.is_owned)
            else:
                event = self._receive(word, stream_id, payload)
            if event is not None:
                return event
            silent += 1
            if silent == _SILENT:
                return PAUSED

    def _nothing(self) -> Signal:
        if self.state is ConnectionState.FAILED or self.state is ConnectionState.CLOSED:
            return CLOSED
        if not self._eof:
            return NEED_DATA
        if self.is_inside_frame:
            partial = self.reader.describe_partial()
            raise self._refuse("incomplete", f"the connection ended inside a frame or value, after {partial}")
        self.state = ConnectionState.CLOSED
        return CLOSED

    def _refuse(self, code: str, message: str) -> RemoteProtocolError:
        """The peer broke a rule: say so once, read no more.  Returns what is to be raised."""
        self.state = ConnectionState.FAILED
        self._fast = _NONE
        self._pieces = None
        self._calls.clear()
        self.reader = FrameReader(0)
        self._writer.frame(Kind.GOAWAY, 0, 0, pack_goaway(events.Goaway(self._last_remote, code, message)))
        return RemoteProtocolError(message, status=None)

    def fail(self, code: str, message: str) -> None:
        """Give up on the peer: one GOAWAY is said, nothing more is read."""
        self._refuse(code, message)

    def _receive(self, word: int, stream_id: int, payload: bytes | memoryview) -> events.Event | None:
        """Any frame, judged in full."""
        kind = _KINDS.get(word >> 24)
        if kind is None:
            raise self._refuse("protocol", f"frame of unknown kind {word >> 24}")
        flags = (word >> 16) & 0xFF
        strange = flags & (~_ALLOWED[kind] | self._strange)
        if strange:
            raise self._refuse("protocol", f"{kind.name} frame with flags 0x{strange:02x}, which were not agreed on")
        if word & 0xFFFF:
            raise self._refuse("protocol", f"{kind.name} frame with 0x{word & 0xFFFF:04x} in the reserved field")
        becomes = CONNECTION[self.state].get(kind)
        if becomes is None:
            raise self._refuse("protocol", f"{kind.name} frame, and {self.state.value}"
                               if self.state is ConnectionState.HELLO else f"a second {kind.name} frame")  # fmt: skip
        if (stream_id == 0) is not (kind in _ON_CONNECTION):
            raise self._refuse("protocol", f"{kind.name} frame on stream {stream_id}")
        is_owned = type(payload) is bytes or self.reader.is_owned
        try:
            if flags & _CHECKSUM:
                payload = verify_checksum(kind, flags, stream_id, payload)
        except CodecError as error:
            raise self._refuse("checksum", f"{kind.name} frame on stream {stream_id}: {error.message}") from None
        if flags & _COMPRESSED:
            payload = self._decompress(kind, payload)
            is_owned = True
        if flags & _MORE and self._pieces is None:
            self._pieces = Pieces(kind, flags, stream_id, self._limits.assembled, self._refuse)
            self._fast = _NONE
        if self._pieces is not None and kind not in BETWEEN_PIECES:
            pieces = self._pieces
            whole = pieces.add(kind, flags, stream_id, payload)
            if whole is None:
                return self._hold_pieces(pieces, kind, flags, stream_id)
            payload, is_owned = whole, True
            self._pieces = None
            self._fast = self._calls_at_once
            if pieces.is_dropped:
                self._dropped(kind, stream_id, pieces.size)
                return None
        fixed = _FIXED.get(kind)
        if fixed is not None and len(payload) != fixed:
            came = f"{kind.name} frame with {len(payload)} bytes of payload"
            raise self._refuse("protocol", f"{came}, and it has {fixed}")
        self.state = becomes
        match kind:
            case Kind.CALL:
                return self._receive_call(flags, self._new_remote(stream_id), payload, is_owned)
            case Kind.RESULT | Kind.ITEM:
                return self._receive_value(kind, flags, stream_id, payload, is_owned)
            case Kind.DATA:
                return self._receive_blob(stream_id, payload, is_owned)
            case Kind.END | Kind.CANCEL:
                if self._step(kind, stream_id) is None:
                    return None
                return events.End(stream_id) if kind is Kind.END else events.Cancel(stream_id)
            case Kind.CREDIT:
                return self._receive_credit(stream_id, int.from_bytes(payload))
            case Kind.ERROR:
                return self._receive_error(stream_id, payload)
            case Kind.HELLO:
                return self._receive_hello(payload)
            case Kind.GOAWAY:
                return self._receive_goaway(payload)
            case Kind.PONG:
                return events.Pong(bytes(payload))
            case Kind.PING:
                self.pongs += 1
                self._writer.frame(Kind.PONG, 0, 0, bytes(payload))
                return None

    # -- values

    def _decompress(self, kind: Kind, payload: bytes | memoryview) -> bytes:
        compressor = self._writer.compressor
        assert compressor is not None  # the flag is strange otherwise
        try:
            return compressor.decompress(payload, self._limits.payload)
        except CodecError as error:
            raise self._refuse("compression", f"{kind.name} frame: {error.message}") from None

    def _decode(self, kind: Kind, flags: int, stream_id: int, payload: bytes | memoryview, is_owned: bool) -> Any:
        try:
            return self._codec.decode(payload, flags, is_owned=is_owned)
        except CodecError as error:
            raise self._refuse("value", f"{kind.name} frame on stream {stream_id}: {error}") from None

    # -- what the kinds mean

    def _receive_hello(self, payload: bytes | memoryview) -> events.Hello:
        try:
            self.peer = parse_hello(bytes(payload))
        except CodecError as error:
            raise self._refuse("hello", f"HELLO frame: {error}") from None
        is_server = self._parity == 1
        if is_server:
            self.agreed = agree(self.peer, self._offer)
            self._writer.frame(Kind.HELLO, 0, 0, pack_hello(self.agreed))
        else:
            self.agreed = self.peer
            try:
                accept(self._offer, self.peer)
            except CodecError as error:
                raise self._refuse("version", error.message) from None
        features = self.agreed.features
        self._codec = Values(self._limits, self.agreed.profile, has_tables="tables" in features)
        self._writer.configure(self.peer.frame, is_summed="checksum" in features, is_compressed="zstd" in features)
        self._writer.direct = min(self._writer.direct, self.peer.value)
        self.reader.limit = self._limits.payload
        for feature in features:
            self._strange &= ~_FEATURE_FLAGS[feature]
        self._calls_at_once = self._fast = _CALLS_SHARED if "tables" in features else _CALLS
        return self.peer

    def _new_remote(self, stream_id: int) -> int:
        """The id of a new call of the peer, judged."""
        if stream_id & 1 != self._parity:
            raise self._refuse("protocol", f"CALL on stream {stream_id}, and the caller's ids are "
                               f"{'odd' if self._parity else 'even'}")  # fmt: skip
        if stream_id <= self._last_remote:
            raise self._refuse("protocol", f"CALL on stream {stream_id}, after one on stream {self._last_remote}")
        return stream_id

    def _receive_call(
        self, flags: int, stream_id: int, payload: bytes | memoryview, is_owned: bool
    ) -> events.Event | None:
        self._last_remote = stream_id
        calls = self._calls
        if len(calls) >= self._limits.streams and self._remote_calls() >= self._limits.streams:
            raise self._refuse("streams", f"call {stream_id} while {self._remote_calls()} are in flight, limit "
                               f"{self._limits.streams}")  # fmt: skip
        over = self._hold_arguments(stream_id, len(payload)) if len(payload) >= COUNTED_CALL else None
        is_refused = over is not None and over.stream_id == stream_id
        if is_refused and not flags & _SHARED:
            return None
        value = self._decode(Kind.CALL, flags, stream_id, payload, is_owned)
        if is_refused:
            return None
        call = self._opened(flags, stream_id, value)
        if over is None:
            return call
        over.event = call
        return over

    def _dropped(self, kind: Kind, stream_id: int, size: int) -> None:
        """The last piece of a value has come that was not kept."""
        if kind is Kind.CALL:
            self._last_remote = self._new_remote(stream_id)
            self._hold_arguments(stream_id, size)

    def _opened(self, flags: int, stream_id: int, value: Any) -> events.Call | None:
        """The call that *value* is; None if it was answered with an error here."""
        if self.state is ConnectionState.DRAINING:
            self._error(events.Error(stream_id, "draining", "this side takes no new calls"))
            return None
        call = call_from_value(stream_id, value, bool(flags & _OPEN))
        if isinstance(call, str):
            self._error(events.Error(stream_id, "bad_call", call))
            return None
        self._calls[stream_id] = self._new_stream(StreamState.OPEN) if flags & _OPEN else None
        return call

    def _remote_calls(self) -> int:
        return sum(1 for stream_id in self._calls if stream_id & 1 == self._parity)

    def _receive_error(self, stream_id: int, payload: bytes | memoryview) -> events.Event | None:
        error = error_from_value(stream_id, self._decode(Kind.ERROR, 0, stream_id, payload, True))
        if isinstance(error, str):
            raise self._refuse("protocol", error)
        return None if self._step(Kind.ERROR, stream_id) is None else error

    def _receive_goaway(self, payload: bytes | memoryview) -> events.Event:
        try:
            goaway = goaway_from_value(payload)
        except CodecError as error:
            raise self._refuse("value", f"GOAWAY frame: {error}") from None
        self.peer_goaway = goaway
        return goaway
