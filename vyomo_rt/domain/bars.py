"""Bars: the first, highest, lowest and last price of a span of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from vyomo_rt.domain.moment import DAY_MS, HOUR_MS, MINUTE_MS, day_of

OpeningOf = Callable[[int], int]
"""When the market opens on the date of a moment, both in epoch milliseconds."""


class Interval(Enum):
    """The span of a bar; its value is what clients call it."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    QUARTER_HOUR = "15m"
    HOUR = "1h"
    DAY = "1d"

    @property
    def ms(self) -> int:
        return _LENGTHS_MS[self]


_LENGTHS_MS = {
    Interval.MINUTE: MINUTE_MS,
    Interval.FIVE_MINUTES: 5 * MINUTE_MS,
    Interval.QUARTER_HOUR: 15 * MINUTE_MS,
    Interval.HOUR: HOUR_MS,
    Interval.DAY: DAY_MS,
}


@dataclass(slots=True)
class Bar:
    """Prices of a span of time, in the order in which they counted.

    ``is_partial`` says that the server did not follow the symbol during all of its time. A bar
    without a price (``count`` 0) only carries that mark.
    """

    start_ms: int
    open_e4: int = 0
    high_e4: int = 0
    low_e4: int = 0
    close_e4: int = 0
    count: int = 0
    is_partial: bool = False

    def take(self, price_e4: int) -> None:
        """The next price."""
        if not self.count:
            self.open_e4 = self.high_e4 = self.low_e4 = price_e4
        elif price_e4 > self.high_e4:
            self.high_e4 = price_e4
        elif price_e4 < self.low_e4:
            self.low_e4 = price_e4
        self.close_e4 = price_e4
        self.count += 1

    def join(self, later: Bar) -> None:
        """The bar of a later time, as a part of this one."""
        if later.count:
            if not self.count:
                self.open_e4, self.high_e4, self.low_e4 = later.open_e4, later.high_e4, later.low_e4
            self.high_e4 = max(self.high_e4, later.high_e4)
            self.low_e4 = min(self.low_e4, later.low_e4)
            self.close_e4 = later.close_e4
            self.count += later.count
        self.is_partial |= later.is_partial


class SymbolMinute(NamedTuple):
    """A bar of a minute, and whose it is."""

    symbol: str
    bar: Bar


class Standing(NamedTuple):
    """A symbol's newest minute, how late its prices are, and whether it is followed."""

    symbol: str
    bar: Bar
    lag_ms: int
    is_followed: bool


class SymbolHour(NamedTuple):
    """A symbol's minutes of one hour."""

    symbol: str
    hour_ms: int
    bars: list[Bar]


class NewestBars(NamedTuple):
    """Bars that are in no document of an hour yet, as they were at a moment."""

    saved_ms: int
    standings: list[Standing]
    minutes: list[SymbolMinute]


class Aggregation:
    """Makes longer bars of shorter ones, which come in order."""

    def __init__(self, start_of: Callable[[int], int]) -> None:
        self._start_of = start_of
        self.bars: list[Bar] = []
        """In order, those without a price too; more may follow for the last one."""

    def add(self, bar: Bar) -> None:
        """The next one."""
        start_ms = self._start_of(bar.start_ms)
        if not self.bars or self.bars[-1].start_ms != start_ms:
            self.bars.append(Bar(start_ms))
        self.bars[-1].join(bar)


def starts(interval: Interval, opening_of: OpeningOf) -> Callable[[int], int]:
    """Which bar of an interval a minute belongs to: returns the bar's start.

    Bars shorter than a day count from the opening of their date, back and forth, and begin at its
    midnight at the earliest. The bar of a day starts with the opening, and has all of the date's
    prices.
    """
    if interval is Interval.MINUTE:
        return lambda minute_ms: minute_ms
    if interval is Interval.DAY:
        return opening_of
    length_ms = interval.ms

    def start_of(minute_ms: int) -> int:
        opening_ms = opening_of(minute_ms)
        start_ms = minute_ms - (minute_ms - opening_ms) % length_ms
        return max(start_ms, day_of(minute_ms))

    return start_of
