"""The simulated price path: a pure function of seed, symbol and time.

The logarithm of the price is fixed on three levels. At each midnight in India it
lies at a random distance from the base price. Between two midnights 1440 minute steps
lead from one value to the next; between two minutes 240 quarter seconds do. The
lower two levels are the same bridge: random steps, corrected so that they end where they
must. Every random number comes from a generator seeded with the name of what it
decides, so no price depends on which others were asked for before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from random import Random

from vyomo_rt.domain.moment import IST_AHEAD_MS

STEP_MS = 250
STEPS_A_MINUTE = 60_000 // STEP_MS
MINUTES_A_DAY = 1440
TRADING_DAYS_A_YEAR = 252

_OPEN_MINUTE = 9 * 60 + 15
_SESSION_MINUTES = 375


class PricePath:
    """One symbol's prices for all times, four a second, without end or gap."""

    def __init__(
        self,
        seed: str,
        symbol: str,
        base_price_e4: int,
        tick_e4: int,
        annual_volatility_percent: float,
    ) -> None:
        self._name = f"{seed}:{symbol}"
        self._base_price_e4 = base_price_e4
        self._tick_e4 = tick_e4
        self._day_volatility = annual_volatility_percent / 100 / math.sqrt(TRADING_DAYS_A_YEAR)
        # Only the day and the minute asked for last are kept.
        self._day: int | None = None
        self._minute_levels: list[float] = []
        self._minute: int | None = None
        self._prices_e4: list[int] = []

    def is_drawn(self, moment_ms: int) -> bool:
        """Whether that minute's prices are already drawn, so that asking costs nothing."""
        return (moment_ms + IST_AHEAD_MS) // 60_000 == self._minute

    def price_e4(self, moment_ms: int) -> int:
        """The price from the quarter second at or before ``moment_ms`` on."""
        minute, ms = divmod(moment_ms + IST_AHEAD_MS, 60_000)
        if minute != self._minute:
            self._prices_e4 = self._prices_of(minute)
            self._minute = minute
        return self._prices_e4[ms // STEP_MS]

    def _prices_of(self, minute: int) -> list[int]:
        day, minute_of_day = divmod(minute, MINUTES_A_DAY)
        if day != self._day:
            self._minute_levels = self._minute_levels_of(day)
            self._day = day
        start, end = self._minute_levels[minute_of_day : minute_of_day + 2]
        volatility = self._day_volatility * MINUTE_WEIGHTS[minute_of_day]
        rng = self._rng(f"minute {minute}")
        levels = bridge(rng, start, end, volatility, _STEP_WEIGHTS)
        return [self._snap(level) for level in levels[:-1]]

    def _minute_levels_of(self, day: int) -> list[float]:
        start, end = self._midnight_level(day), self._midnight_level(day + 1)
        rng = self._rng(f"day {day}")
        return bridge(rng, start, end, self._day_volatility, MINUTE_WEIGHTS)

    def _midnight_level(self, day: int) -> float:
        # The difference of two such levels has the variance of both: that of one day.
        rng = self._rng(f"midnight {day}")
        return self._day_volatility / math.sqrt(2) * rng.gauss(0, 1)

    def _rng(self, decision: str) -> Random:
        # A text seeds the same generator in every process, which hash() does not.
        return Random(f"{self._name}:{decision}")  # noqa: S311 - not for secrets

    def _snap(self, level: float) -> int:
        ticks = round(self._base_price_e4 * math.exp(level) / self._tick_e4)
        return max(ticks, 1) * self._tick_e4


def bridge(
    rng: Random, start: float, end: float, volatility: float, weights: Sequence[float]
) -> list[float]:
    """A random walk from ``start`` to ``end``: one level more than there are weights.

    A step's standard deviation is ``volatility`` x its weight, where the squares
    of the weights add up to 1. What a free walk misses ``end`` by is spread over
    the steps in proportion to their variances, as in a Brownian bridge.
    """
    walk = list(accumulate((volatility * w * shock(rng) for w in weights), initial=0.0))
    share = list(accumulate((w * w for w in weights), initial=0.0))
    missing = (end - start - walk[-1]) / share[-1]
    return [start + moved + missing * part for moved, part in zip(walk, share, strict=True)]


def shock(rng: Random) -> float:
    """Student's t with 4 degrees of freedom, scaled to variance 1: rare large moves.

    t is z / sqrt(c / 4) with z normal and c chi-squared with 4 degrees of freedom,
    which is -2 ln(u v) with u and v uniform; the variance of t is 2.
    """
    uniform = (1 - rng.random()) * (1 - rng.random())
    return rng.gauss(0, 1) / math.sqrt(-math.log(uniform))


def _minute_weight(minute_of_day: int) -> float:
    """How far prices move in a minute: most after the opening, more before the close.

    The shape in market hours is the U that studies of NSE prices find. The other
    hours move half as much, since a demonstration at night must move too.
    """
    since_open = minute_of_day - _OPEN_MINUTE
    if not 0 <= since_open < _SESSION_MINUTES:
        return 0.5
    until_close = _SESSION_MINUTES - since_open
    return 1 + 1.6 * math.exp(-since_open / 18) + 0.5 * math.exp(-until_close / 10)


def _normalised(weights: Sequence[float]) -> list[float]:
    length = math.hypot(*weights)
    return [weight / length for weight in weights]


MINUTE_WEIGHTS = _normalised([_minute_weight(minute) for minute in range(MINUTES_A_DAY)])
_STEP_WEIGHTS = _normalised([1.0] * STEPS_A_MINUTE)
