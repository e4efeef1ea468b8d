"""WebSocket frames of a client, parsed by wsproto, with the protocol's limits.

Where many short ones come, those that are plain texts are read by hand.
"""

from __future__ import annotations

from collections.abc import Iterator

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from vyomo_rt.wire.closing import CloseCode


class Violation(Exception):
    """The client broke a rule; the connection is closed with ``code``."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


_WHOLE_TEXT = 0x81
_MASKED = 0x80
_TWO_BYTES, _EIGHT_BYTES = 126, 127
_KEY_BYTES = 4


def frame_bytes(data: bytes, at: int) -> int | None:
    """How long the frame is that begins there; None if its head is not yet complete."""
    if len(data) < at + 2:
        return None
    size = data[at + 1] & 0x7F
    head = 2 + (_KEY_BYTES if data[at + 1] & _MASKED else 0)
    more = {_TWO_BYTES: 2, _EIGHT_BYTES: 8}.get(size, 0)
    if len(data) < at + 2 + more:
        return None
    return head + more + (int.from_bytes(data[at + 2 : at + 2 + more]) if more else size)


def is_plain_text(data: bytes, at: int) -> bool:
    """Whether the frame that begins there is a masked text by itself."""
    return data[at] == _WHOLE_TEXT and data[at + 1] & _MASKED != 0


def plain_text(data: bytes, at: int, end: int) -> bytes | None:
    """The content of such a frame; None if it is not UTF-8."""
    start = at + 2 + _KEY_BYTES + (2 if data[at + 1] & 0x7F == _TWO_BYTES else 0)
    size = end - start
    key = data[start - _KEY_BYTES : start] * (size // _KEY_BYTES + 1)
    text = (int.from_bytes(data[start:end]) ^ int.from_bytes(key[:size])).to_bytes(size)
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            return None
    return text


class Inbound:
    """Turns bytes into complete text messages and control events."""

    __slots__ = ("_begun", "_max_bytes", "_parser", "_unfinished")

    def __init__(self, max_bytes: int) -> None:
        self._parser = Connection(ConnectionType.SERVER)
        self._max_bytes = max_bytes
        # As bytes: many small texts would take many times their own memory.
        self._begun = bytearray()
        self._unfinished = False

    @property
    def idle(self) -> bool:
        """Whether nothing is half received, so that the parser may be dropped."""
        frames = self._parser._proto._frame_decoder  # noqa: SLF001
        return not self._unfinished and frames.header is None and not frames.buffer.buffer

    def receive(self, data: bytes) -> Iterator[str | Ping | Pong | CloseConnection]:
        """The messages and events that the bytes complete. Raises Violation."""
        self._parser.receive_data(data)
        for event in self._parser.events():
            if isinstance(event, TextMessage):
                yield from self._text(event)
            elif isinstance(event, BytesMessage):
                raise Violation(CloseCode.BINARY, "binary frames are not supported: send text")
            elif isinstance(event, CloseConnection) and self._parser.state is ConnectionState.OPEN:
                # wsproto's way to report bytes that break the protocol.
                raise Violation(event.code, (event.reason or "protocol error")[:100])
            elif isinstance(event, Ping | Pong | CloseConnection):
                yield event

    def close(self, code: int, reason: str) -> bytes:
        """The close frame that begins the closing handshake."""
        return self._parser.send(CloseConnection(code=code, reason=reason))

    def answer(self, event: Ping | CloseConnection) -> bytes:
        """The pong to a ping, or the close frame that ends the closing handshake."""
        return self._parser.send(event.response())

    def _text(self, event: TextMessage) -> Iterator[str]:
        data = event.data.encode()
        if len(self._begun) + len(data) > self._max_bytes:
            raise Violation(
                CloseCode.TOO_BIG, f"a message may have at most {self._max_bytes} bytes"
            )
        self._unfinished = not event.message_finished
        if self._unfinished:
            self._begun += data
        elif self._begun:
            text = (self._begun + data).decode()
            self._begun.clear()
            yield text
        else:
            yield event.data
