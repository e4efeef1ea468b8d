"""The simulated feed: four ticks a second for each of its symbols."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Self

from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.quote import Tick
from vyomo_rt.exchange.market_hours import MarketHours
from vyomo_rt.market.feed import Feed, FeedContext
from vyomo_rt.market.feeds.sim.path import STEP_MS, PricePath
from vyomo_rt.market.feeds.sim.symbols import SimSymbol, load_symbols
from vyomo_rt.market.wanted import Wanted


class SimFeed(Feed):
    """Prices that look like a market's, the same for the same seed and moment.

    Day and night, or with ``hours`` in each symbol's session, after which the close stands.
    """

    source = "sim"
    fresh_for_ms = 2_000

    def __init__(
        self,
        now: MarketClock,
        seed: str,
        symbols: Iterable[SimSymbol],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        hours: MarketHours | None = None,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._hours = hours
        self._paths = {
            symbol.symbol: PricePath(
                seed,
                symbol.symbol,
                symbol.base_price_e4,
                symbol.tick_e4,
                symbol.annual_volatility_percent,
            )
            for symbol in symbols
        }

    @classmethod
    def made_for(cls, context: FeedContext) -> Self:
        settings, now, calendar = context
        hours = MarketHours(calendar) if settings.market_hours else None
        return cls(now, settings.seed, load_symbols(), hours=hours)

    def knows(self, symbol: str, /) -> bool:
        return symbol in self._paths

    async def ticks(self, _wanted: Wanted) -> AsyncGenerator[Tick, None]:
        """Every symbol's price or close at once, then on each quarter second of the clock.

        All of them, wanted or not: together they cost less than finding out.

        Quarter seconds that were missed are left out, so a machine that wakes from sleep
        goes on with the current price.
        """
        last_ms: int | None = None
        while True:
            now_ms = self._now()
            step_ms = now_ms - now_ms % STEP_MS
            # A sleep may end a moment early by this clock.
            if step_ms != last_ms:
                for symbol, path in self._paths.items():
                    if self._hours and not self._hours.in_session(symbol, step_ms, step_ms):
                        if last_ms is None:
                            yield self._close(symbol, path, self._hours, step_ms)
                        continue
                    if last_ms is not None and not path.is_drawn(step_ms):
                        # Drawing a minute takes half a millisecond, at midnight with a new day
                        # two. At the start there is nobody yet to hold up.
                        await self._sleep(0)
                    yield Tick(symbol, path.price_e4(step_ms), step_ms, self.source)
                last_ms = step_ms
            await self._sleep((STEP_MS - self._now() % STEP_MS) / 1000)

    def _close(self, symbol: str, path: PricePath, hours: MarketHours, moment_ms: int) -> Tick:
        """The last price of the session before a moment."""
        last_ms = hours.last_close_ms(symbol, moment_ms) - STEP_MS
        return Tick(symbol, path.price_e4(last_ms), last_ms, self.source)
