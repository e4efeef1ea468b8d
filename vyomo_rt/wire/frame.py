"""One message as the bytes that each transport sends, built once for everybody."""

from __future__ import annotations

from enum import IntEnum
from struct import pack
from typing import NamedTuple


class Framing(IntEnum):
    """How a connection wants its messages wrapped; the index into ``Frame.data``."""

    WS = 0
    SSE = 1

    @property
    def label(self) -> str:
        """Its name in logs and figures."""
        return self.name.lower()


class Frame(NamedTuple):
    """The same JSON text as a WebSocket text frame and as an SSE event."""

    event: str
    """What the message is called on SSE: its type, or ``server_error``."""
    data: tuple[bytes, bytes]
    """By framing."""

    @property
    def ws(self) -> bytes:
        return self.data[Framing.WS]

    @property
    def sse(self) -> bytes:
        return self.data[Framing.SSE]


def make_frame(event: str, text: bytes, event_id: str | None = None) -> Frame:
    """Frame a JSON text; ``event_id`` is the position that SSE clients resume from."""
    id_line = f"id: {event_id}\n" if event_id else ""
    head = f"event: {event}\n{id_line}data: ".encode()
    return Frame(event, (ws_text(text), head + text + b"\n\n"))


def ws_text(payload: bytes) -> bytes:
    """An unmasked, final WebSocket text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return pack("!BB", 0x81, size) + payload
    if size < 65536:
        return pack("!BBH", 0x81, 126, size) + payload
    return pack("!BBQ", 0x81, 127, size) + payload


def extended(text: bytes, addition: bytes) -> bytes:
    """A JSON object's text with one more member at its end."""
    return text[:-1] + b"," + addition + b"}"


def position(session_id: int, seq: int, epoch: str) -> str:
    """The SSE ``id:`` of a place in a session's history."""
    return f"{session_id}-{seq}-{epoch}"


KEEP_ALIVE = (b"\x89\x00", b":\n")
"""By framing: a WebSocket ping, and an SSE comment (no blank line: that would end a block)."""
