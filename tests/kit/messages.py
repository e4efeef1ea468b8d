"""Messages as they stand in what a server writes."""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Message(NamedTuple):
    """One message as a client got it; ``id`` and ``retry`` only exist on SSE."""

    text: str
    id: str | None = None
    retry: str | None = None
    event: str | None = None

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.text)
        return value

    @property
    def type(self) -> str:
        return str(self.json["type"])


def read_frames(data: bytes) -> list[Message]:
    """The texts of whole, unmasked WebSocket frames; pings are left out."""
    found = []
    while data:
        head, size, start = data[0], data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4]), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10]), 10
        payload = data[start : start + size]
        assert len(payload) == size, "a write ends in the middle of a frame"
        if head == 0x81:
            found.append(Message(payload.decode()))
        else:
            assert head == 0x89, f"an unexpected frame {head:#x}"
        data = data[start + size :]
    return found


def read_chunks(data: bytes) -> list[bytes]:
    """The whole chunks of an HTTP/1.1 body; an empty one ends it."""
    found = []
    while data:
        size, _, data = data.partition(b"\r\n")
        end = int(size, 16)
        assert data[end : end + 2] == b"\r\n", "a write ends in the middle of a chunk"
        found.append(data[:end])
        data = data[end + 2 :]
    assert b"" not in found[:-1], "a body goes on behind its end"
    return found


def read_events(data: bytes) -> list[Message]:
    """The events of whole SSE blocks in chunks; comment lines are left out."""
    found = []
    text = b"".join(read_chunks(data)).decode()
    while text.startswith(":"):
        _, _, text = text.partition("\n")
    assert not text or text.endswith("\n\n"), "a write ends in the middle of a block"
    for block in text.removesuffix("\n\n").split("\n\n") if text else ():
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line[:1] != ":")
        found.append(
            Message(fields["data"], fields.get("id"), fields.get("retry"), fields["event"])
        )
    return found
