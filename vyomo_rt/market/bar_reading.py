"""Reads bars of any interval, from documents and memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from vyomo_rt.domain.bars import Aggregation, Bar, Interval, starts
from vyomo_rt.domain.moment import DAY_MS, HOUR_MS, day_of, hour_of
from vyomo_rt.market.bar_keeping import KeptBars
from vyomo_rt.market.bars import Bars

Opening = Callable[[str, int], int]
"""When a symbol's session opens on the date of a moment."""


class Span(NamedTuple):
    """Bars that start between two moments, both included."""

    first_ms: int
    last_ms: int


class BarReader:
    """Reads a symbol's bars in order; memory knows the newest ones."""

    def __init__(self, bars: Bars, kept: KeptBars, opening: Opening) -> None:
        self._bars = bars
        self._kept = kept
        self._opening = opening

    async def read(
        self, symbol: str, interval: Interval, span: Span, most: int
    ) -> tuple[list[Bar], int | None]:
        """The first bars of a span, at most so many, and the start of the one after them.

        The bar that still runs is among them, as far as it is. Raises Unavailable.
        """
        opening = self._opening
        start_of = starts(interval, lambda moment_ms: opening(symbol, moment_ms))
        aggregation = Aggregation(start_of)
        is_daily = interval is Interval.DAY
        source = self._hours_of_days(symbol, span) if is_daily else self._minutes(symbol, span)
        found: list[Bar] = []
        async for bars in source:
            for bar in bars:
                aggregation.add(bar)
            found = [one for one in aggregation.bars if one.count and one.start_ms >= span.first_ms]
            if len(found) > most + 1 or (found and found[-1].start_ms > span.last_ms):
                break
        found = [one for one in found if one.start_ms <= span.last_ms]
        return found[:most], found[most].start_ms if len(found) > most else None

    async def _minutes(self, symbol: str, span: Span) -> AsyncIterator[Sequence[Bar]]:
        """Minutes from the first one of the span on, page by page."""
        # Before the store is asked: meanwhile they may move there.
        newest = self._bars.minutes(symbol)
        last_ms = span.last_ms + HOUR_MS
        async for hours in self._kept.hours(symbol, hour_of(span.first_ms), hour_of(last_ms)):
            page = {bar.start_ms: bar for hour in hours for bar in hour.bars}
            end_ms = hours[-1].hour_ms + HOUR_MS
            for start_ms in [start_ms for start_ms in newest if start_ms < end_ms]:
                page[start_ms] = newest.pop(start_ms)
            yield [page[start_ms] for start_ms in sorted(page) if start_ms >= span.first_ms]
        yield [bar for start_ms, bar in newest.items() if start_ms >= span.first_ms]

    async def _hours_of_days(self, symbol: str, span: Span) -> AsyncIterator[Sequence[Bar]]:
        """A bar for each hour of the dates of the span, page by page."""
        newest = await self._newest_hours(symbol)
        first_ms, last_ms = day_of(span.first_ms), day_of(span.last_ms)
        async for days in self._kept.days(symbol, first_ms, last_ms):
            page = {start_ms: bar for _, hours in days for start_ms, bar in hours.items()}
            end_ms = days[-1][0] + DAY_MS
            for start_ms in [start_ms for start_ms in newest if start_ms < end_ms]:
                page[start_ms] = newest.pop(start_ms)
            yield [page[start_ms] for start_ms in sorted(page) if start_ms >= first_ms]
        yield [bar for start_ms, bar in newest.items() if start_ms >= first_ms]

    async def _newest_hours(self, symbol: str) -> dict[int, Bar]:
        """The hours of which memory has minutes, in order, by their start."""
        newest = self._bars.minutes(symbol)
        if not newest:
            return {}
        hours = Aggregation(hour_of)
        first_ms = hour_of(next(iter(newest)))
        async for bars in self._minutes(symbol, Span(first_ms, max(newest))):
            for bar in bars:
                hours.add(bar)
        return {bar.start_ms: bar for bar in hours.bars}
