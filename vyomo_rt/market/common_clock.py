"""The one clock of all nodes: that of the node which owns the prices."""

from __future__ import annotations

import math
from collections.abc import Callable

_SLEW_MS = 1.0
"""By so much a clock that runs ahead comes back with each time that it hears the owner's."""


class CommonClock:
    """Epoch milliseconds that never go back.

    The owner's clock is the wall's. Others run on from what they last heard of it, by a
    monotonic clock; what was long on its way says nothing new.
    """

    def __init__(self, wall: Callable[[], int], time_s: Callable[[], float]) -> None:
        self.store_ahead_ms = 0
        """How far the store's clock is ahead of this machine's."""
        self._wall = wall
        self._time_s = time_s
        self._ahead_ms = -math.inf
        """The owner's clock, less the monotonic one; without it the store's clock counts."""
        self._term = 0
        self._last_ms = 0
        self.is_owner = False

    def __call__(self) -> int:
        if self.is_owner:
            now_ms = self._wall()
        elif self._ahead_ms == -math.inf:
            now_ms = self._wall() + self.store_ahead_ms
        else:
            now_ms = int(self._ahead_ms + self._time_s() * 1000)
        self._last_ms = max(self._last_ms, now_ms)
        return self._last_ms

    def hear(self, owner_ms: int, term: int) -> None:
        """The owner's clock showed this when it sent something."""
        ahead_ms = owner_ms - self._time_s() * 1000
        if term != self._term:
            self._term, self._ahead_ms = term, ahead_ms
        else:
            self._ahead_ms = max(self._ahead_ms - _SLEW_MS, ahead_ms)
