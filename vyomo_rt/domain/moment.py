"""Moments are ints of epoch milliseconds; trading days are dates in Asia/Kolkata."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, NewType, cast

MarketMs = NewType("MarketMs", int)
"""A moment of the market: for prices, trades, trading days and what follows from a price."""

WallMs = NewType("WallMs", int)
"""A moment of the world: for sending, creating, leases and expiry."""

MarketClock = Callable[[], MarketMs]
"""Returns the market's time: live, that of the wall clock. A replay sets it and speeds it up."""

WallClock = Callable[[], WallMs]
"""Returns the world's time. Measure durations with neither clock, but with a monotonic one."""


class Clocks(NamedTuple):
    """Both clocks."""

    market: MarketClock
    wall: WallClock

    @classmethod
    def live(cls, now: Callable[[], int]) -> Clocks:
        """The clocks of a server whose market runs with the world: one function for both."""
        return cls(cast(MarketClock, now), cast(WallClock, now))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
IST_AHEAD_MS = 19_800_000
"""Asia/Kolkata: without daylight saving since 1945, so no zone database is needed."""


def trading_day(moment_ms: int) -> date:
    """The date in Asia/Kolkata; it changes at 18:30 UTC."""
    return date.fromordinal(_EPOCH_ORDINAL + (moment_ms + IST_AHEAD_MS) // DAY_MS)


def day_start_ms(day: date) -> int:
    """The moment at which a date begins in Asia/Kolkata."""
    return (day.toordinal() - _EPOCH_ORDINAL) * DAY_MS - IST_AHEAD_MS


def minute_of(moment_ms: int) -> int:
    """When the minute of a moment began."""
    return moment_ms - moment_ms % MINUTE_MS


def hour_of(moment_ms: int) -> int:
    """When the hour of a moment began in Asia/Kolkata, which is half an hour off others."""
    return moment_ms - (moment_ms + IST_AHEAD_MS) % HOUR_MS


def day_of(moment_ms: int) -> int:
    """When the date of a moment began in Asia/Kolkata."""
    return moment_ms - (moment_ms + IST_AHEAD_MS) % DAY_MS


def to_datetime(moment_ms: int) -> datetime:
    """The moment as an aware UTC datetime, exact to the millisecond."""
    return _EPOCH + timedelta(milliseconds=moment_ms)


def to_ms(moment: datetime) -> int:
    """Epoch milliseconds of an aware datetime, cut (not rounded) to the millisecond."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def iso(moment_ms: int) -> str:
    """UTC, ISO 8601, exactly three millisecond digits and ``Z``."""
    second, ms = divmod(moment_ms, 1000)
    return f"{_iso_second(second)}.{ms:03d}Z"


def iso_ist(moment_ms: int) -> str:
    """Asia/Kolkata, ISO 8601, to the second, with ``+05:30``: for the hours of a market."""
    return to_datetime(moment_ms + IST_AHEAD_MS).strftime("%Y-%m-%dT%H:%M:%S+05:30")


@lru_cache(maxsize=256)
def _iso_second(second: int) -> str:
    # Half of the time that a price takes to encode, and most prices are of the last seconds.
    return to_datetime(second * 1000).strftime("%Y-%m-%dT%H:%M:%S")
