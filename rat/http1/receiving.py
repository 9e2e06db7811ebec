"""What content the request in hand has, as it comes: counted or decoded, handed on, or thrown away.

The half of the engine that takes bytes which are no head.  Sees of the other one the state and where the bytes lie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rat.config import Limits
from rat.errors import RemoteProtocolError
from rat.events import CLOSED, NEED_DATA, PAUSED, ContentReceived, EndOfMessage, Signal
from rat.http1.chunked import ChunkedDecoder
from rat.http1.content import LengthDecoder
from rat.http1.sending import AnswerSide
from rat.http1.state import Answer, HttpState, Step

__all__ = ["ContentSide"]

_BODY: Final = HttpState.BODY


class ContentSide(AnswerSide):
    """The content of requests; HttpEngine inherits it, and adds their heads."""

    __slots__ = ("_at", "_content", "_data", "_eof", "_error", "_limits", "_scanned", "_swallowed")

    def __init__(self, limits: Limits, date: Callable[[], bytes], server_header: bytes | None) -> None:
        super().__init__(date, server_header)
        self._limits = limits
        # What came and was not consumed is _data[_at:], and _data is empty when all was consumed; a bytearray when it
        # came in pieces.  No head ends between _at and _scanned.
        self._data: bytes | bytearray = b""
        self._at = 0
        self._scanned = 0
        self._eof = False
        # The content of the request in hand.
        self._content: LengthDecoder | ChunkedDecoder | None = None
        self._error: RemoteProtocolError | None = None
        self._swallowed = 0

    def wanted(self) -> int:
        """How many bytes would complete what is being read; 0 when that is not known."""
        if self._content is None:
            return 0
        return max(0, self._content.wanted() - (len(self._data) - self._at))

    @property
    def needs_continue(self) -> bool:
        """The client waits for 100 (Continue): no content came, and neither 100 nor a final answer was sent."""
        return self._continue and self.state is _BODY and self._at >= len(self._data)

    @property
    def unread(self) -> int:
        """Bytes that have come and no event has been made of."""
        return len(self._data) - self._at

    @property
    def content_outstanding(self) -> bool:
        """Content of the last request never came, or bytes came that nobody will read: close lingering."""
        content = self._content
        return (content is not None and not content.is_done) or self._at < len(self._data)

    def discard_content(self) -> None:
        """Nobody will read the rest of the content: swallow it from now on, up to ``limits.linger`` bytes."""
        if self.state is HttpState.BODY:
            self._move(Step.CONTENT_UNWANTED)

    def _too_much_outstanding(self) -> bool:
        """More content of a known length than would be swallowed.  Chunked content is counted when it comes."""
        content = self._content
        if not isinstance(content, LengthDecoder):
            return False
        return content.remaining > self._limits.linger + len(self._data) - self._at

    def _fail(self, error: RemoteProtocolError) -> RemoteProtocolError:
        """The peer broke the rules with *error*."""
        if self._answer is Answer.NONE:
            # The request in hand is none that could be read: nothing is known of it.
            self._answer = Answer.OWED
            self._request = None
            self._by_lane = False
        self.must_close = True
        self._quick = self._continue = False
        self._move(Step.PEER_FAILED)
        return error

    def _consumed(self, end: int) -> None:
        """All before *end* was read.  Lets go of the bytes when that is all."""
        if end >= len(self._data):
            self._data = b""
            end = 0
        self._at = self._scanned = end

    def _next_content(self) -> ContentReceived | EndOfMessage | Signal:
        content = self._content
        assert content is not None
        try:
            piece = self._take_content(content)
        except RemoteProtocolError as error:
            raise self._fail(error) from None
        if piece is None:
            return NEED_DATA
        self._continue = False
        if piece:
            return ContentReceived(piece)
        self._content = None
        self._move(Step.CONTENT_END)
        return EndOfMessage(content.trailers)

    def _take_content(self, content: LengthDecoder | ChunkedDecoder) -> bytes | None:
        """What came of *content*, as it came if all of it is content.  Empty at its end, None for nothing.

        Raises RemoteProtocolError, but content that stood before the error comes first.
        """
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        pieces: list[bytes] = []
        data = self._data
        if self._at < len(data) and not content.is_done:
            if not isinstance(data, bytes):
                data = self._data = bytes(memoryview(data)[self._at :])
                self._at = 0
            try:
                self._consumed(content.decode(data, self._at, pieces))
            except RemoteProtocolError as error:
                if not pieces:
                    raise
                self._error = error
        if pieces:
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if content.is_done:
            return b""
        if self._eof:
            missing = content.wanted() or "some"
            raise RemoteProtocolError(f"the peer closed while {missing} bytes of content were to come")
        return None

    def _swallow(self) -> Signal | None:
        """Throw away content that nobody reads.  None when the next head is due."""
        content = self._content
        assert content is not None
        owed = self._answer is not Answer.NONE
        limit = self._limits.linger
        try:
            while piece := self._take_content(content):
                self._swallowed += len(piece)
                if self._swallowed > limit:
                    raise RemoteProtocolError(f"{self._swallowed} bytes of content that nobody reads, limit {limit}")
        except RemoteProtocolError:
            # Nobody asked for this content, so nobody is told what is wrong with it: the connection ends.
            self.must_close = True
            self._move(Step.CONTENT_END if owed else Step.PEER_FAILED)
            return PAUSED if owed else CLOSED
        if piece is None:
            return NEED_DATA
        self._content = None
        self._move(Step.CONTENT_END)
        return PAUSED if owed else None
