"""One message as the bytes that each transport sends, built once for everybody."""

from __future__ import annotations

from enum import IntEnum
from struct import pack
from typing import Literal, NamedTuple

Transport = Literal["ws", "sse"]


class Framing(IntEnum):
    """How a connection wants its messages wrapped; the index into ``Frame.data``."""

    WS = 0
    SSE = 1

    @property
    def label(self) -> Transport:
        """Its name in logs and figures."""
        return "ws" if self is Framing.WS else "sse"


class Frame(NamedTuple):
    """The same JSON text as a WebSocket text frame and as an SSE event in a chunk of its own."""

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


def make_frame(
    event: str, text: bytes, event_id: str | None = None, retry_ms: int | None = None
) -> Frame:
    """Frame a JSON text; ``event_id`` is the position that SSE clients resume from."""
    retry_line = f"retry: {retry_ms}\n" if retry_ms is not None else ""
    id_line = f"id: {event_id}\n" if event_id else ""
    head = f"{retry_line}event: {event}\n{id_line}data: ".encode()
    return Frame(event, (ws_text(text), chunk(head + text + b"\n\n")))


def chunk(data: bytes) -> bytes:
    """A chunk of an HTTP/1.1 body (RFC 9112, section 7.1).

    Many clients pass on only whole chunks, so each write to a stream has to be whole chunks.
    """
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
"""Tells the client of a chunked body that it has ended, and was not cut off."""


def without_chunks(chunks: bytes) -> bytes:
    """The content of whole chunks, for clients of HTTP/1.0, which has no chunks."""
    parts = []
    at = 0
    while at < len(chunks):
        start = chunks.index(b"\r\n", at) + 2
        end = start + int(chunks[at : start - 2], 16)
        parts.append(chunks[start:end])
        at = end + 2
    return b"".join(parts)


def ws_text(payload: bytes) -> bytes:
    """An unmasked, final WebSocket text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return pack("!BB", 0x81, size) + payload
    if size < 65536:
        return pack("!BBH", 0x81, 126, size) + payload
    return pack("!BBQ", 0x81, 127, size) + payload


_TIMESTAMP = b'"timestamp":"'
_GAP = bytes(len("2026-11-23T09:15:00.000Z"))
"""Stands for a timestamp in frames that are kept; JSON has no raw zero bytes."""


def without_stamp(frame: Frame) -> Frame:
    """The frame with a gap in place of its ``timestamp``."""
    datas = []
    for data in frame.data:
        start = data.rindex(_TIMESTAMP) + len(_TIMESTAMP)
        datas.append(data[:start] + _GAP + data[start + len(_GAP) :])
    return Frame(frame.event, (datas[Framing.WS], datas[Framing.SSE]))


def with_stamps(data: bytes, stamp: str) -> bytes:
    """Joined frames with a timestamp in all their gaps."""
    return data.replace(_GAP, stamp.encode())


KEEP_ALIVE = (b"\x89\x00", chunk(b":\n"))
"""By framing: a WebSocket ping, and an SSE comment (no blank line: that would end a block)."""

KEEP_ALIVE_EVENT = make_frame("keep_alive", b"{}").sse
"""For SSE clients that ask for it, because EventSource hides comments from a page."""
