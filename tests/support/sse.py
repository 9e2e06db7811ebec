"""A strict reader of event streams, step by step as the standard has it, for tests.

https://html.spec.whatwg.org/#event-stream-interpretation
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

__all__ = ["EventSource", "Received", "parse"]


@dataclass(frozen=True, slots=True)
class Received:
    """What a client's listener sees."""

    event: str
    data: str
    last_event_id: str


class EventSource:
    """Feed it bytes as they come; ``events``, ``comments`` and ``retry`` (milliseconds) are what they said."""

    def __init__(self) -> None:
        self.events: list[Received] = []
        self.comments: list[str] = []
        self.retry: int | None = None
        self.last_event_id = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._first = True
        self._skip_line_feed = False
        self._line = ""
        self._data = ""
        self._type = ""
        self._id = ""

    def feed(self, data: bytes) -> None:
        text = self._decoder.decode(data)
        if self._first and text:
            self._first = False
            text = text.removeprefix("\ufeff")
        for character in text:
            if self._skip_line_feed:
                self._skip_line_feed = False
                if character == "\n":
                    continue
            if character in "\r\n":
                self._skip_line_feed = character == "\r"
                line, self._line = self._line, ""
                self._take(line)
            else:
                self._line += character

    def _take(self, line: str) -> None:
        if not line:
            self._dispatch()
        elif line[0] == ":":
            self.comments.append(line[1:].removeprefix(" "))
        else:
            name, _, value = line.partition(":")
            self._field(name, value.removeprefix(" "))

    def _field(self, name: str, value: str) -> None:
        if name == "event":
            self._type = value
        elif name == "data":
            self._data += value + "\n"
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value and all("0" <= digit <= "9" for digit in value):
            self.retry = int(value)

    def _dispatch(self) -> None:
        self.last_event_id = self._id
        data, kind = self._data, self._type
        self._data = self._type = ""
        if data:
            self.events.append(Received(kind or "message", data.removesuffix("\n"), self.last_event_id))


def parse(data: bytes) -> EventSource:
    """All that *data* says."""
    source = EventSource()
    source.feed(data)
    return source
