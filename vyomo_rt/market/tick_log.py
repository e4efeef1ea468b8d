"""The last ticks of all nodes by their numbers, for those that have missed some."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

KEPT_S = 30.0

Entry = tuple[str, int, int | None, str, int, int]
"""A tick, and the moments by which its owner judged it: now, and its arrival."""


class TickLog:
    """Ticks in order, without a gap. Their numbers go on when the prices have another owner."""

    def __init__(self, time_s: Callable[[], float]) -> None:
        self.last = 0
        """The number of the newest one."""
        self._time_s = time_s
        self._kept: deque[tuple[float, Entry]] = deque()

    def add(self, entry: Entry) -> None:
        """The next tick."""
        now_s = self._time_s()
        self.last += 1
        self._kept.append((now_s, entry))
        while self._kept[0][0] < now_s - KEPT_S:
            self._kept.popleft()

    def since(self, first: int, most: int) -> Sequence[Entry] | None:
        """Some ticks from a number on; None if they are not kept any more."""
        kept = self._kept
        start = len(kept) - (self.last - first + 1)
        if start < 0:
            return None
        # By places, which a deque finds from its nearer end: most are asked for when they are new.
        return [kept[place][1] for place in range(start, min(start + most, len(kept)))]

    def go_on_from(self, number: int) -> None:
        """What came before is not known tick by tick."""
        self.last = number
        self._kept.clear()
