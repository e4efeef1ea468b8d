"""A session's newest trade events as ready frames: the event lane of all its peers."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

from vyomo_rt.wire.frame import Frame, Framing

_TRIM_AT_ONCE = 1000


class Passage(NamedTuple):
    """Some of the log, and the number of the last event read."""

    frames: list[Frame]
    cursor: int


class SessionLog:
    """Events ``base + 1`` … ``end`` of a session; older ones are in the store.

    ``limit`` is how far behind a reader may be. Trimming happens in steps, so a
    few more than that may be held.
    """

    __slots__ = ("_entries", "_limit", "base")

    def __init__(self, base: int, limit: int) -> None:
        self.base = base
        self._entries: list[Frame] = []
        self._limit = limit

    @property
    def end(self) -> int:
        """The number of the newest event."""
        return self.base + len(self._entries)

    def append(self, entry: Frame) -> None:
        self._entries.append(entry)
        if len(self._entries) >= self._limit + _TRIM_AT_ONCE:
            del self._entries[:_TRIM_AT_ONCE]
            self.base += _TRIM_AT_ONCE

    def prepend(self, entries: Sequence[Frame]) -> None:
        """Put older events, which end where the log begins, before it."""
        self._entries[:0] = entries
        self.base -= len(entries)

    def within_reach(self, cursor: int) -> bool:
        """Whether a reader at this place is not too far behind."""
        return cursor <= self.end <= cursor + self._limit

    def read(self, cursor: int, types: Container[str], framing: Framing, max_bytes: int) -> Passage:
        """The events after ``cursor``, without other types, about ``max_bytes`` of them."""
        frames: list[Frame] = []
        size = 0
        index = cursor - self.base
        while index < len(self._entries) and size < max_bytes:
            frame = self._entries[index]
            if frame.event in types:
                frames.append(frame)
                size += len(frame.data[framing])
            index += 1
        return Passage(frames, self.base + index)
