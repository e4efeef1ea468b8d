"""A session's newest events as ready frames: the event lane of all its peers."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

from vyomo_rt.wire.frame import Frame, Framing

MAX_BYTES = 64 * 1024 * 1024
"""In bytes: what all logs together may hold; the store has the rest."""

_TRIM_AT_ONCE = 1000
_ENTRY_BYTES = 200
"""What Python needs for an entry besides its bytes."""


class Passage(NamedTuple):
    """A part of the log, and the number of the last event read."""

    frames: list[Frame]
    seq: int


class Shelf:
    """All logs, within one budget: the longest ones lose their oldest entries first."""

    def __init__(self, max_bytes: int) -> None:
        self.bytes = 0
        self._max_bytes = max_bytes
        self._logs: set[SessionLog] = set()

    def add(self, log: SessionLog) -> None:
        self._logs.add(log)

    def remove(self, log: SessionLog) -> None:
        self._logs.discard(log)
        self.bytes -= log.bytes

    def make_room(self, for_bytes: int) -> None:
        """Forget old entries until so many bytes fit, or nothing is left."""
        if self.bytes + for_bytes > self._max_bytes:
            # A little more than needed, so that it isn't done for each event.
            goal_bytes = self._max_bytes * 15 // 16 - for_bytes
            while self.bytes > max(0, goal_bytes):
                for log in sorted(self._logs, key=_size, reverse=True):
                    if self.bytes <= goal_bytes:
                        break
                    log.drop((len(log) + 1) // 2)


class SessionLog:
    """Events ``base + 1`` … ``end`` of a session; older ones are in the store.

    ``limit`` is how far behind a reader may be. The log is trimmed in steps, so it may
    hold a few more entries than that; or fewer, if the shelf has no room.
    """

    __slots__ = ("_entries", "_limit", "_shelf", "base", "bytes")

    def __init__(self, base: int, limit: int, shelf: Shelf) -> None:
        self.base = base
        self.bytes = 0
        self._entries: list[Frame] = []
        self._limit = limit
        self._shelf = shelf
        shelf.add(self)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def end(self) -> int:
        """The number of the newest event."""
        return self.base + len(self._entries)

    def append(self, entry: Frame) -> None:
        if len(self._entries) >= self._limit + _TRIM_AT_ONCE - 1:
            self.drop(_TRIM_AT_ONCE)
        self._shelf.make_room(size_of(entry))
        self._entries.append(entry)
        self._grow(size_of(entry))

    def prepend(self, entries: Sequence[Frame]) -> None:
        """Put older events in front of the log; they end where it begins."""
        self._entries[:0] = entries
        self.base -= len(entries)
        self._grow(sum(map(size_of, entries)))

    def drop(self, count: int) -> None:
        """Forget the oldest entries."""
        self._grow(-sum(map(size_of, self._entries[:count])))
        del self._entries[:count]
        self.base += count

    def within_reach(self, seq: int) -> bool:
        """Whether a reader at this place is not too far behind."""
        return seq <= self.end <= seq + self._limit

    def is_lost(self, seq: int) -> bool:
        """Whether a reader is too far behind, including the events that came while it read."""
        return self.end > seq + self._limit + _TRIM_AT_ONCE

    def read(self, seq: int, types: Container[str], framing: Framing, max_bytes: int) -> Passage:
        """The events after ``seq``, without other types, about ``max_bytes`` of them."""
        frames: list[Frame] = []
        size = 0
        index = seq - self.base
        while index < len(self._entries) and size < max_bytes:
            frame = self._entries[index]
            if frame.event in types:
                frames.append(frame)
                size += len(frame.data[framing])
            index += 1
        return Passage(frames, self.base + index)

    def _grow(self, by_bytes: int) -> None:
        self.bytes += by_bytes
        self._shelf.bytes += by_bytes


def size_of(entry: Frame) -> int:
    """About how many bytes of memory an entry takes."""
    return _ENTRY_BYTES + sum(map(len, entry.data))


def _size(log: SessionLog) -> int:
    return log.bytes
