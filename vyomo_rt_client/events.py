"""Parses Server-Sent Events from bytes."""

from __future__ import annotations

import codecs
import re

_LINE_END = re.compile("\r\n|\r|\n")


class EventParser:
    """The data of the events in a byte stream, which may be cut anywhere.

    It follows the HTML standard, "Interpreting an event stream". It ignores types and ids,
    because every message of this server contains them.
    """

    def __init__(self) -> None:
        self.retry_ms: int | None = None
        # It removes a byte order mark, and waits for the rest of a character.
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._line = ""
        self._after_cr = False
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[str]:
        """The data of the events that these bytes complete."""
        text = self._decoder.decode(chunk)
        if not text:
            return []
        if self._after_cr:
            text = text.removeprefix("\n")  # the second half of a line's end
        self._after_cr = text.endswith("\r")
        *lines, self._line = _LINE_END.split(self._line + text)
        return [data for line in lines if (data := self._take(line)) is not None]

    def _take(self, line: str) -> str | None:
        if not line:
            data, self._data = self._data, []
            return "\n".join(data) if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value)
        return None
