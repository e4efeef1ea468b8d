"""Keeps bars: the newest minute at once, whole hours as documents of each symbol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Protocol

from vyomo_rt.domain.bars import Bar, NewestBars, Standing, SymbolHour, SymbolMinute
from vyomo_rt.domain.errors import VyomoError
from vyomo_rt.domain.moment import DAY_MS, HOUR_MS, MINUTE_MS, MarketClock, hour_of
from vyomo_rt.market.bars import Bars

MINUTES_KEPT_MS = 30 * DAY_MS

_SETTLE_AFTER_MS = 20 * MINUTE_MS
"""Sources are late by a quarter of an hour at most."""
_HOURS_AT_ONCE = 10
"""Documents in a piece: a trade's write may have to wait for that."""
_PAUSE_S = 0.05
_TELL_TIME_EVERY_MS = MINUTE_MS


class KeptBars(Protocol):
    """What the market needs of a store; ``vyomo_rt.store`` has the implementation.

    Its methods raise Unavailable, those that write also OutcomeUnknown; then the same is asked
    again later.
    """

    async def load(self) -> NewestBars:
        """What a former start had kept."""

    async def save_standings(self, standings: Sequence[Standing], saved_ms: int, /) -> None:
        """Keep the newest minutes in place of those before."""

    async def add_minutes(self, minutes: Sequence[SymbolMinute], /) -> None:
        """Keep finished minutes until their hours are settled."""

    async def settle(self, hours: Sequence[SymbolHour], /) -> None:
        """Put minutes into the documents of their hours, and those into the days'."""

    async def forget_minutes(self, before_hour_ms: int, /) -> None:
        """Remove the minutes of hours that are settled."""

    async def expire(self, before_ms: int, /) -> bool:
        """Remove some of the oldest hours from before a moment; whether there were any."""

    def hours(
        self, symbol: str, first_ms: int, last_ms: int, /
    ) -> AsyncIterator[Sequence[SymbolHour]]:
        """The settled hours of a symbol from one to another, in order, page by page."""

    def days(
        self, symbol: str, first_ms: int, last_ms: int, /
    ) -> AsyncIterator[Sequence[tuple[int, dict[int, Bar]]]]:
        """Likewise the days: for each a bar of every settled hour, by its start."""


class BarKeeper:
    """Saves what changed, and restores it at the next start.

    The newest minutes of all symbols are one small document, written each second; finished ones
    are added to a journal. A whole hour becomes a document of each symbol, when no late price can
    come for it any more. So a minute of five hundred symbols costs the store little.
    """

    def __init__(self, bars: Bars, kept: KeptBars, now: MarketClock) -> None:
        self._bars = bars
        self._kept = kept
        self._now = now
        self._saved_ms = 0
        self._settled_ms = 0
        self._dropped_ms = 0
        self._follows_another = False

    async def restore(self) -> None:
        """Load what was kept, and begin to follow what is wanted. Raises Unavailable."""
        kept = await self._kept.load()
        self._bars.restore(kept.standings, kept.minutes, kept.saved_ms)
        self._bars.start()

    async def save(self) -> None:
        """Save what changed, if the store is there."""
        bars, now_ms = self._bars, self._now()
        if self._follows_another and not await self._take_over():
            return
        bars.fold()
        if not bars.has_changed and abs(now_ms - self._saved_ms) < _TELL_TIME_EVERY_MS:
            return
        bars.has_changed = False
        finished = bars.take_finished()
        try:
            await self._kept.add_minutes(finished)
            finished = []
            await self._kept.save_standings(bars.standings(), now_ms)
            self._saved_ms = now_ms
        except VyomoError:
            bars.give_back(finished)
            bars.has_changed = True

    def begin(self) -> None:
        """This server keeps the bars from now on, and another one did before."""
        self._follows_another = True

    async def _take_over(self) -> bool:
        """Take what the other has kept; False if the store is away."""
        with suppress(VyomoError):
            kept = await self._kept.load()
            standing = (SymbolMinute(each.symbol, each.bar) for each in kept.standings)
            self._bars.merge([*kept.minutes, *standing])
            self._follows_another = False
        return not self._follows_another

    def follow(self) -> None:
        """Another server keeps the bars: hold only what it may not have settled yet."""
        over_ms = hour_of(self._now() - _SETTLE_AFTER_MS - HOUR_MS)
        finished = self._bars.take_finished()
        self._bars.give_back([each for each in finished if each.bar.start_ms >= over_ms])
        if over_ms != self._dropped_ms:
            self._bars.drop(self._bars.hours_before(over_ms))
            self._dropped_ms = over_ms

    async def settle(self) -> None:
        """Make documents of the hours that are over, and remove some that are too old.

        Slowly, since trades come first. What is left is done at the next call.
        """
        over_ms = hour_of(self._now() - _SETTLE_AFTER_MS)
        if over_ms == self._settled_ms:
            return
        with suppress(VyomoError):
            hours = self._bars.hours_before(over_ms)
            for start in range(0, len(hours), _HOURS_AT_ONCE):
                await asyncio.sleep(_PAUSE_S if start else 0)
                some = hours[start : start + _HOURS_AT_ONCE]
                await self._kept.settle(some)
                self._bars.drop(some)
            await self._kept.forget_minutes(over_ms)
            if not await self._kept.expire(over_ms - MINUTES_KEPT_MS):
                self._settled_ms = over_ms
