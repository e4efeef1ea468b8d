"""The market's clock of a replay."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic

from vyomo_rt.domain.moment import HOUR_MS, MINUTE_MS, MarketMs, day_of


class ReplayClock:
    """Stands at the last moment that was played, or runs from there to the next one.

    ``at_ms`` is the last moment up to which everything is decided and stored.
    """

    def __init__(self, begin_ms: int, monotonic_s: Callable[[], float] = monotonic) -> None:
        self.at_ms = begin_ms
        self._monotonic_s = monotonic_s
        self._until_ms = begin_ms
        self._anchor = (0.0, begin_ms)
        """A moment of the world and one of the market that belong together."""
        self._rate = 0.0

    def __call__(self) -> MarketMs:
        """The market's time."""
        if self._until_ms <= self.at_ms:
            return MarketMs(self.at_ms)
        since_s, since_ms = self._anchor
        run_ms = since_ms + int((self._monotonic_s() - since_s) * 1000 * self._rate)
        return MarketMs(max(self.at_ms, min(run_ms, self._until_ms)))

    def start(self, rate: float) -> None:
        """Let it run from where it stands, so many times as fast as the world's."""
        self.stop()
        self._anchor, self._rate = (self._monotonic_s(), self.at_ms), rate

    def stop(self) -> None:
        """Let it stand where it is."""
        self.at_ms = self()
        self._until_ms = self.at_ms

    def run_to(self, until_ms: int) -> float:
        """Let it run up to a moment; returns in how many seconds it is there."""
        self._until_ms = until_ms
        since_s, since_ms = self._anchor
        due_s = since_s + (until_ms - since_ms) / (1000 * self._rate)
        return due_s - self._monotonic_s()

    def set(self, at_ms: int) -> None:
        """It has come to a moment, and stands there."""
        self.at_ms = self._until_ms = at_ms


def rate_of(speed: str) -> float:
    """How fast the market's clock runs, as a setting says it; infinite for ``max``."""
    return math.inf if speed == "max" else float(speed)


def from_ms(begin_ms: int, start_at: str | None) -> int:
    """The moment of a time of day in India on the day of a moment; that one without a time."""
    if start_at is None:
        return begin_ms
    hours, minutes = map(int, start_at.split(":"))
    return day_of(begin_ms) + hours * HOUR_MS + minutes * MINUTE_MS
