"""What counts as a right answer.

Knows no socket.  A judge remembers the contents that it has found right, so that a million equal answers cost a
million set look-ups and not a million parses.
"""

from __future__ import annotations

import json
import zlib

from rat.loadgen.answers import Answer

__all__ = ["Judge"]

_REMEMBERED = 256


class Judge:
    """Judges answers by status, content, JSON value, size or checksum; what is None is not looked at.

    status   the status code; None: any from 200 to 399
    content  the exact bytes
    value    what the content must be as JSON, however it is spelled
    size     bytes of content
    crc      zlib.crc32 of the content
    """

    __slots__ = ("_right", "content", "crc", "size", "status", "value")

    def __init__(
        self,
        *,
        status: int | None = None,
        content: bytes | None = None,
        value: object = None,
        size: int | None = None,
        crc: int | None = None,
    ) -> None:
        self.status = status
        self.content = content
        self.value = value
        self.size = size
        self.crc = crc
        self._right: set[tuple[int, bytes]] = set()

    def __call__(self, answer: Answer) -> str | None:
        """What is wrong with *answer*, or None."""
        content = answer.content
        if content is not None and (answer.status, content) in self._right:
            return None
        fault = self._fault(answer)
        if fault is None and content is not None and len(content) <= 4096:
            if len(self._right) >= _REMEMBERED:
                self._right.clear()
            self._right.add((answer.status, content))
        return fault

    def _fault(self, answer: Answer) -> str | None:
        if self.status is None:
            if not 200 <= answer.status < 400:
                return f"status {answer.status}"
        elif answer.status != self.status:
            return f"status {answer.status}, expected {self.status}"
        if self.size is not None and answer.size != self.size:
            return f"{answer.size} bytes of content, expected {self.size}"
        if self.content is not None and answer.content != self.content:
            return f"content {_shown(answer)}, expected {self.content[:60]!r}"
        if self.value is not None:
            try:
                value = json.loads(answer.content or b"")
            except ValueError:
                return f"content {_shown(answer)} is no JSON"
            if value != self.value:
                return f"JSON {_shown(answer)} is not the value expected"
        if self.crc is not None:
            crc = answer.crc if answer.content is None else zlib.crc32(answer.content)
            if crc != self.crc:
                return f"checksum {crc:08x} of {answer.size} bytes, expected {self.crc:08x}"
        return None


def _shown(answer: Answer) -> str:
    return f"of {answer.size} bytes" if answer.content is None else repr(answer.content[:60])
