"""The simulated feed: four ticks a second for each of its symbols, day and night."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.quote import Tick
from vyomo_rt.market.feeds.sim.path import STEP_MS, PricePath
from vyomo_rt.market.feeds.sim.symbols import SimSymbol


class SimFeed:
    """Prices that look like a market's, the same for the same seed and moment."""

    source = "sim"
    fresh_for_ms = 2_000
    takes_posts = False

    def __init__(
        self,
        now: MarketClock,
        seed: str,
        symbols: Iterable[SimSymbol],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
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

    def knows(self, symbol: str) -> bool:
        return symbol in self._paths

    async def ticks(self) -> AsyncGenerator[Tick, None]:
        """Every symbol's price at once, then on each quarter second of the clock, for ever.

        Quarter seconds that went by unseen are left out, so a machine that wakes
        from sleep goes on with the present price.
        """
        last_ms: int | None = None
        while True:
            now_ms = self._now()
            step_ms = now_ms - now_ms % STEP_MS
            # A sleep may end a moment early by this clock.
            if step_ms != last_ms:
                for symbol, path in self._paths.items():
                    if last_ms is not None and not path.is_drawn(step_ms):
                        # Drawing a minute takes half a millisecond, at midnight with a new day
                        # two. At the start there is nobody yet to hold up.
                        await self._sleep(0)
                    yield Tick(symbol, path.price_e4(step_ms), step_ms, self.source)
                last_ms = step_ms
            await self._sleep((STEP_MS - self._now() % STEP_MS) / 1000)
