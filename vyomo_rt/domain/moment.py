"""Moments are ints of epoch milliseconds; trading days are dates in Asia/Kolkata."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

Clock = Callable[[], int]
"""Returns the present as epoch milliseconds, UTC."""

IST = timezone(timedelta(hours=5, minutes=30), "IST")
"""Asia/Kolkata: without daylight saving since 1945, so no zone database is needed."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def trading_day(moment_ms: int) -> date:
    """The date in Asia/Kolkata; it changes at 18:30 UTC."""
    return to_datetime(moment_ms).astimezone(IST).date()


def to_datetime(moment_ms: int) -> datetime:
    """The moment as an aware UTC datetime, exact to the millisecond."""
    return _EPOCH + timedelta(milliseconds=moment_ms)


def to_ms(moment: datetime) -> int:
    """Epoch milliseconds of an aware datetime, cut (not rounded) to the millisecond."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def iso(moment_ms: int) -> str:
    """UTC, ISO 8601, exactly three millisecond digits and ``Z``."""
    return to_datetime(moment_ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment_ms % 1000:03d}Z"
