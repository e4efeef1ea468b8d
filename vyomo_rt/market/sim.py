"""The simulated feed: four ticks a second for each of its symbols, day and night."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.market.feed import Accept
from vyomo_rt.market.path import STEP_MS, PricePath
from vyomo_rt.market.symbols import SimSymbol


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
        self.symbols = tuple(self._paths)
        self.failure: str | None = None

    def knows(self, symbol: str) -> bool:
        return symbol in self._paths

    async def run(self, accept: Accept) -> None:
        """Tick at once, then on each quarter second of the clock, until cancelled.

        Quarter seconds that went by unseen are left out, so a machine that wakes
        from sleep goes on with the present price.
        """
        self.failure = None
        try:
            await self._tick_for_ever(accept)
        except Exception as error:
            self.failure = f"the simulator stopped: {error!r}"
            raise

    async def _tick_for_ever(self, accept: Accept) -> None:
        last_ms: int | None = None
        while True:
            now_ms = self._now()
            step_ms = now_ms - now_ms % STEP_MS
            # A sleep may end a moment early by this clock.
            if step_ms != last_ms:
                await self._tick(step_ms, accept, at_once=last_ms is None)
                last_ms = step_ms
            await self._sleep((STEP_MS - self._now() % STEP_MS) / 1000)

    async def _tick(self, step_ms: int, accept: Accept, *, at_once: bool) -> None:
        """Send every symbol's price; ``at_once`` for the first: there is nobody yet to hold up."""
        for symbol, path in self._paths.items():
            if not (at_once or path.is_drawn(step_ms)):
                # Drawing a minute takes half a millisecond, at midnight with a new day two.
                await self._sleep(0)
            accept(symbol, path.price_e4(step_ms), step_ms)
