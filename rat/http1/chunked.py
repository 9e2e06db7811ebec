"""One strict decoder of chunked content and its trailers.

Serves the fast lane and the h11 way alike: h11 itself drops extensions unseen, without a bound, and takes a bare LF.
Knows no connection.  RFC 9112, section 7.1.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from rat.config import Limits
from rat.errors import RemoteProtocolError
from rat.http1.screen import TOKEN, judge_fields

__all__ = ["TRAILER_FORBIDDEN", "ChunkState", "ChunkedDecoder"]

_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]+)(?:[ \t]*+;[ \t]*+%s(?:[ \t]*+=[ \t]*+(?:%s|%s))?)*+\r\n" % (TOKEN, TOKEN, _QUOTED)
)
TRAILER_FORBIDDEN = frozenset({b"content-length", b"host", b"transfer-encoding"})
"""Fields that frame or route a message come before its content or not at all (RFC 9110, section 6.5.1)."""


class ChunkState(Enum):
    SIZE = "in the line with the size of a chunk"
    DATA = "in the data of a chunk"
    DATA_END = "in the CRLF behind the data"
    TRAILERS = "in the trailer section"
    DONE = "the content is whole"


# A global is cheaper than an attribute of an Enum, which costs 0.15 us on CPython 3.11; these are asked for per chunk.
_SIZE: Final = ChunkState.SIZE
_DATA: Final = ChunkState.DATA
_DATA_END: Final = ChunkState.DATA_END
_TRAILERS: Final = ChunkState.TRAILERS
_DONE: Final = ChunkState.DONE


class ChunkedDecoder:
    """Decodes the chunked content of one message, however its bytes are cut.

    *trailers* holds the trailer fields once *state* is DONE.  *received* counts bytes of content.
    """

    __slots__ = ("_carry", "_limits", "_overhead", "_remaining", "received", "state", "trailers")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._carry = bytearray()
        self._remaining = 0
        self._overhead = 0
        self.state = _SIZE
        self.received = 0
        self.trailers: list[tuple[bytes, bytes]] = []

    @property
    def is_done(self) -> bool:
        """The content and its trailers are whole."""
        return self.state is _DONE

    def wanted(self) -> int:
        """Bytes that would complete what is being read; 0 when that is not known."""
        if self.state is _DATA:
            return self._remaining + 2
        return 0

    def decode(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Decode *data* from *at*, append content to *pieces*, and return where the message or the data ended.

        Raises RemoteProtocolError (400, 431 for trailers); content before the error is in *pieces*.
        """
        end = len(data)
        while at < end and self.state is not _DONE:
            if self.state is _DATA:
                piece = data[at : at + self._remaining]
                pieces.append(piece)
                at += len(piece)
                self.received += len(piece)
                self._remaining -= len(piece)
                if not self._remaining:
                    self.state = _DATA_END
                    self._remaining = 2
            elif self.state is _DATA_END:
                if self._remaining == 2 and data.startswith(b"\r\n", at):
                    at += 2
                    self.state = _SIZE
                    continue
                byte = data[at]
                if byte != (0x0D if self._remaining == 2 else 0x0A):
                    raise RemoteProtocolError(f"byte {byte:#04x} behind the data of a chunk, where CRLF was due")
                at += 1
                self._remaining -= 1
                if not self._remaining:
                    self.state = _SIZE
            else:
                at = self._line(data, at)
        return at

    def _line(self, data: bytes, at: int) -> int:
        """Take one line, or what there is of it."""
        in_trailers = self.state is _TRAILERS
        newline = data.find(b"\n", at)
        if newline < 0:
            self._carry += data[at:]
            if in_trailers:
                self._check_trailer_section(len(self._carry))
            elif len(self._carry) > self._limits.chunk_line + 1:
                raise self._line_too_long()
            return len(data)
        line = data[at : newline + 1]
        if in_trailers:
            self._trailer_line(line)
        else:
            if self._carry:
                line = bytes(self._carry) + line
                self._carry.clear()
            self._chunk_line(line)
        return newline + 1

    def _chunk_line(self, line: bytes) -> None:
        limits = self._limits
        if len(line) > limits.chunk_line + 2:
            raise self._line_too_long()
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise RemoteProtocolError(f"malformed chunk line {line[:64]!r}")
        digits = match[1]
        if len(digits) > limits.chunk_size_digits:
            raise RemoteProtocolError(f"chunk size of {len(digits)} digits, limit {limits.chunk_size_digits}")
        size = int(digits, 16)
        needed = max(1, (size.bit_length() + 3) // 4) + 2
        self._overhead += len(line) - needed
        allowed = limits.chunk_overhead + self.received // 100
        if self._overhead > allowed:
            raise RemoteProtocolError(f"{self._overhead} bytes of chunk extensions and padding, limit {allowed}")
        if size:
            self._remaining = size
            self.state = _DATA
        else:
            self.state = _TRAILERS

    def _trailer_line(self, line: bytes) -> None:
        # The section gathers in the carry, and is judged when its empty line has come.
        carry = self._carry
        carry += line
        self._check_trailer_section(len(carry))
        if not carry.endswith(b"\r\n"):
            raise RemoteProtocolError(f"bare LF at byte {len(carry) - 1} of the trailer section")
        if len(carry) > 2 and not carry.endswith(b"\r\n\r\n"):
            return
        limits = self._limits
        section = bytes(carry[:-2])
        carry.clear()
        if len(section) > limits.trailer_section:
            raise self._trailers_too_long()
        self.trailers = judge_fields(section, limits.trailer_section, limits.trailers)
        for name, _ in self.trailers:
            if name in TRAILER_FORBIDDEN:
                raise RemoteProtocolError(f"field {name.decode()} in the trailer section")
        self.state = _DONE

    def _check_trailer_section(self, size: int) -> None:
        # Two bytes more are the CRLF of the empty line.
        if size > self._limits.trailer_section + 2:
            raise self._trailers_too_long()

    def _trailers_too_long(self) -> RemoteProtocolError:
        return RemoteProtocolError(f"trailer section of more than {self._limits.trailer_section} bytes", status=431)

    def _line_too_long(self) -> RemoteProtocolError:
        return RemoteProtocolError(f"chunk line of more than {self._limits.chunk_line} bytes")
