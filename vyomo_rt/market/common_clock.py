"""The one clock of all nodes: that of the node which owns the prices."""

from __future__ import annotations

import math
from collections.abc import Callable

_OWNER_SLEW, _SLEW = 0.005, 0.01
"""By what part of the time that passes a clock that is ahead comes back: the owner's to the
wall's, others to the owner's."""
_WRONG_MS = 5000
"""A clock that was further ahead was wrong, and is set back at once."""
_STEP_MS = 1000
"""A wall that is set so far forward or back against the monotonic clock may be wrong now."""


class CommonClock:
    """Epoch milliseconds that never go back, unless a clock was wrong by seconds.

    The owner's clock is the wall's. Others run on from what they last heard of it, by a
    monotonic clock; what was long on its way says nothing new. A new owner whose wall is behind
    goes on from the clock that it followed, and comes back to its wall slowly enough for all. A
    wall that was set is not followed until it was compared with the store's clock.
    """

    def __init__(self, wall: Callable[[], int], time_s: Callable[[], float]) -> None:
        self.store_ahead_ms = 0
        """How far the store's clock is ahead of this machine's."""
        self._wall = wall
        self._time_s = time_s
        self._ahead_ms = -math.inf
        """The owner's clock, less the monotonic one; without it the store's clock counts."""
        self._heard_s = 0.0
        self._term = 0
        self._last_ms = 0
        self._is_owner = False
        self._excess_ms = 0
        """How far this clock was ahead of its wall when it began to own the prices."""
        self._began_s = 0.0
        self._wall_ahead_ms = 0.0
        """The wall of the owner, less the monotonic clock."""
        self.doubted_s: float | None = None
        """When it was noticed that the owner's wall was set, if it is not believed again."""

    def __call__(self) -> int:
        if self._is_owner:
            came_back_ms = int((self._time_s() - self._began_s) * 1000 * _OWNER_SLEW)
            now_ms = self._steady_wall() + max(0, self._excess_ms - came_back_ms)
        elif self._ahead_ms == -math.inf:
            now_ms = self._wall() + self.store_ahead_ms
        else:
            now_ms = int(self._ahead_ms + self._time_s() * 1000)
        self._last_ms = max(self._last_ms, now_ms)
        return self._last_ms

    def _steady_wall(self) -> int:
        time_s, wall_ms = self._time_s(), self._wall()
        ahead_ms = wall_ms - time_s * 1000
        if self.doubted_s is None and abs(ahead_ms - self._wall_ahead_ms) > _STEP_MS:
            self.doubted_s = time_s
        if self.doubted_s is not None:
            return int(time_s * 1000 + self._wall_ahead_ms)
        self._wall_ahead_ms = ahead_ms
        return wall_ms

    @property
    def wall_is_far(self) -> bool:
        """Whether the wall shows another time, so that one of the two is wrong."""
        return abs(self() - self._wall()) > _STEP_MS

    def begin(self) -> None:
        """This node owns the prices from now on, or its wall was compared again, and is right."""
        self._excess_ms = max(0, self() - self._wall())
        if self._excess_ms > _WRONG_MS:
            self._excess_ms = self._last_ms = 0
        self._began_s = self._time_s()
        self._wall_ahead_ms = self._wall() - self._began_s * 1000
        self.doubted_s = None
        self._is_owner = True

    def end(self) -> None:
        """Another node owns them: go on from here until it is heard."""
        self._ahead_ms = self() - self._time_s() * 1000
        self._heard_s = self._time_s()
        self._is_owner = False

    def hear(self, owner_ms: int, term: int) -> None:
        """The clock of an owner showed this when it sent something."""
        now_s = self._time_s()
        ahead_ms = owner_ms - now_s * 1000
        if term != self._term and self() - owner_ms > _WRONG_MS:
            self._ahead_ms, self._last_ms = ahead_ms, 0
        back_ms = (now_s - self._heard_s) * 1000 * _SLEW
        self._ahead_ms = max(self._ahead_ms - back_ms, ahead_ms)
        self._heard_s, self._term = now_s, term

    def reach(self, moment_ms: int) -> None:
        """Something happened elsewhere at this moment: what happens now is not before it."""
        if 0 < moment_ms - self() < _WRONG_MS:
            self._last_ms = moment_ms
