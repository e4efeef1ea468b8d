"""The last ticks of all nodes by their numbers, for those that have missed some."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

KEPT_S = 30.0

Entry = tuple[str, int, int | None, str, int, int]
"""A tick, and the moments by which its owner judged it: now, and its arrival."""


class _Batch(NamedTuple):
    """Ticks that were told together; packed, as they are hardly ever asked for."""

    added_s: float
    first: int
    packed: bytes


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[Entry]).decode


class TickLog:
    """Ticks in order, without a gap. Their numbers go on when the prices have another owner."""

    def __init__(self, time_s: Callable[[], float]) -> None:
        self.last = 0
        """The number of the newest one."""
        self._time_s = time_s
        self._kept: deque[_Batch] = deque()

    def add(self, entries: Sequence[Entry]) -> None:
        """The next ticks."""
        if not entries:
            return
        now_s = self._time_s()
        self._kept.append(_Batch(now_s, self.last + 1, _pack(entries)))
        self.last += len(entries)
        while self._kept[0].added_s < now_s - KEPT_S:
            self._kept.popleft()

    def since(self, first: int, most: int) -> Sequence[Entry] | None:
        """Some ticks from a number on; None if they are not kept any more."""
        if first > self.last:
            return []
        batches: list[_Batch] = []
        # From the newest back: most are asked for when they are new.
        for batch in reversed(self._kept):
            batches.append(batch)
            if batch.first <= first:
                break
        else:
            return None
        skipped = first - batches[-1].first
        found: list[Entry] = []
        while batches and len(found) < skipped + most:
            found += _unpack(batches.pop().packed)
        return found[skipped : skipped + most]

    def go_on_from(self, number: int) -> None:
        """What came before is not known tick by tick."""
        self.last = number
        self._kept.clear()
