"""The states of one connection of HTTP/1.1 on the server's side, and what leads from one to the other.

Data only; the engine moves along it, a test holds the engine to it, and the documentation shows it.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["TRANSITIONS", "Answer", "HttpState", "Step"]


class HttpState(Enum):
    """Where the request in hand stands."""

    IDLE = "no byte of a next request"
    HEAD = "part of a head, or the empty line before it"
    BODY = "content of the request outstanding, answer owed"
    ANSWER = "the request is whole, answer owed"
    DISCARD = "content that nobody reads outstanding, answer owed"
    DRAIN = "content that nobody reads outstanding, answer complete"
    FAILED = "the peer broke the rules; one answer may be sent or finished"
    CLOSED = "over"

    __hash__ = object.__hash__


class Step(Enum):
    """What happens to it."""

    HEAD_BEGINS = "a byte of a head, or of the empty line before it, came"
    REQUEST = "a head came, content is outstanding"
    WHOLE_REQUEST = "a request came with all of its content"
    CONTENT_END = "the content is whole, or as whole as it will be"
    CONTENT_UNWANTED = "nobody will read the content"
    ANSWER_END = "the answer is complete"
    LAST_ANSWER_END = "the answer is complete, and the connection ends with it"
    PEER_FAILED = "the peer broke the rules"
    PEER_CLOSED = "the peer sent all it had to send"
    BROKEN = "an answer began that cannot be completed"

    __hash__ = object.__hash__


class Answer(Enum):
    """Where the answer of this side stands."""

    NONE = "not owed"
    OWED = "owed, not begun"
    OPEN = "begun"

    __hash__ = object.__hash__


_S, _T = HttpState, Step
TRANSITIONS: Final[dict[tuple[HttpState, Step], HttpState]] = {
    # state      sees                   becomes
    (_S.IDLE, _T.HEAD_BEGINS): _S.HEAD,
    (_S.IDLE, _T.REQUEST): _S.BODY,
    (_S.IDLE, _T.WHOLE_REQUEST): _S.ANSWER,
    (_S.IDLE, _T.PEER_CLOSED): _S.CLOSED,
    (_S.IDLE, _T.PEER_FAILED): _S.FAILED,
    (_S.IDLE, _T.LAST_ANSWER_END): _S.CLOSED,
    (_S.HEAD, _T.HEAD_BEGINS): _S.HEAD,
    (_S.HEAD, _T.REQUEST): _S.BODY,
    (_S.HEAD, _T.WHOLE_REQUEST): _S.ANSWER,
    (_S.HEAD, _T.PEER_CLOSED): _S.CLOSED,
    (_S.HEAD, _T.PEER_FAILED): _S.FAILED,
    (_S.HEAD, _T.LAST_ANSWER_END): _S.CLOSED,
    (_S.BODY, _T.CONTENT_END): _S.ANSWER,
    (_S.BODY, _T.CONTENT_UNWANTED): _S.DISCARD,
    (_S.BODY, _T.ANSWER_END): _S.DRAIN,
    (_S.BODY, _T.LAST_ANSWER_END): _S.CLOSED,
    (_S.BODY, _T.PEER_FAILED): _S.FAILED,
    (_S.BODY, _T.BROKEN): _S.CLOSED,
    (_S.ANSWER, _T.ANSWER_END): _S.IDLE,
    (_S.ANSWER, _T.LAST_ANSWER_END): _S.CLOSED,
    (_S.ANSWER, _T.BROKEN): _S.CLOSED,
    (_S.DISCARD, _T.CONTENT_END): _S.ANSWER,
    (_S.DISCARD, _T.ANSWER_END): _S.DRAIN,
    (_S.DISCARD, _T.LAST_ANSWER_END): _S.CLOSED,
    (_S.DISCARD, _T.BROKEN): _S.CLOSED,
    (_S.DRAIN, _T.CONTENT_END): _S.IDLE,
    (_S.DRAIN, _T.PEER_FAILED): _S.CLOSED,
    (_S.FAILED, _T.LAST_ANSWER_END): _S.CLOSED,
    (_S.FAILED, _T.BROKEN): _S.CLOSED,
}
