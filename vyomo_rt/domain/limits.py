"""How often something may be done: a bucket for each connection, caller or address; pauses."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

from vyomo_rt.domain.errors import RateLimited

_MOST_REMEMBERED = 10_000
_ROUNDING_S = 1e-6


class Pace(NamedTuple):
    """So many a second in the long run, and ``burst`` of them at once.

    A bucket is a number: the time at which it will be full again. A full one is any time in the
    past, so 0.0 is one, and what is full need not be remembered.
    """

    per_s: float
    burst: int

    def wait_s(self, bucket_s: float, now_s: float) -> float:
        """How long until something may be taken from a bucket."""
        wait_s = bucket_s - now_s - (self.burst - 1) / self.per_s
        return wait_s if wait_s > _ROUNDING_S else 0.0

    def taken(self, bucket_s: float, now_s: float) -> float:
        """The bucket after one was taken."""
        return max(bucket_s, now_s) + 1 / self.per_s


class BackOff:
    """Pauses that grow, up to the last one, until the other side answers again."""

    def __init__(self, pauses_s: Sequence[float]) -> None:
        self.pauses_s = pauses_s
        self.refused = 0
        """How often in a row."""

    def next_s(self) -> float:
        """The pause after one more refusal."""
        pause_s = self.pauses_s[min(self.refused, len(self.pauses_s) - 1)]
        self.refused += 1
        return pause_s


class Buckets:
    """A bucket for each key.

    Only those that are not full are remembered, and at most ten thousand, the last ones used: a
    stranger with a million addresses fills no memory. Times are those of ``time_s``.
    """

    def __init__(self, pace: Pace, time_s: Callable[[], float], what: str) -> None:
        self._pace = pace
        self._time_s = time_s
        self._what = what
        # A plain dict would look over all the places of those removed before its first one.
        self._buckets: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str) -> None:
        """Take one. Raises RateLimited, and takes nothing, if none is left."""
        now_s = self._time_s()
        bucket_s = self._buckets.pop(key, 0.0)
        wait_s = self._pace.wait_s(bucket_s, now_s)
        self._buckets[key] = bucket_s if wait_s else self._pace.taken(bucket_s, now_s)
        for oldest in list(islice(self._buckets, 2)):
            if self._buckets[oldest] <= now_s or len(self._buckets) > _MOST_REMEMBERED:
                del self._buckets[oldest]
        if wait_s:
            raise RateLimited(f"too many {self._what}: try again later", wait_s)


class Tally:
    """How many are open for each key."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._open: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def count(self, key: str) -> int:
        return self._open.get(key, 0)

    def enter(self, key: str) -> bool:
        """One more is open; whether it is within the limit."""
        self._open[key] = count = self._open.get(key, 0) + 1
        return count <= self.limit

    def leave(self, key: str) -> None:
        """One fewer is open."""
        if self._open[key] == 1:
            del self._open[key]
        else:
            self._open[key] -= 1
