"""A feed with what keeps it running, listening to a mock, at a moment that is set by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from tests.kit.waiting import until
from tests.market.feeds.serving import Mock, MockStream, serving
from tests.market.market import Market
from vyomo_rt.domain.moment import Clocks
from vyomo_rt.domain.quote import FeedState, FeedStatus
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.health import SourceHealth
from vyomo_rt.market.monitor import FeedMonitor
from vyomo_rt.market.supervisor import Supervisor
from vyomo_rt.market.wanted import Wanted

OPEN_MS = 1_795_584_600_000
"""2026-11-25 11:00 in India, a Wednesday."""

M = TypeVar("M", bound=Mock)


class Running(Market, Generic[M]):
    task: asyncio.Task[None]
    """What runs the feed; it ends where no retry would help."""

    def __init__(self, mock: M) -> None:
        self.feed = mock.feed(Calendar.shipped(), self.now)
        super().__init__(self.feed.fresh_for_ms, source=self.feed.source)
        self.mock = mock
        self.now_ms = OPEN_MS
        health = SourceHealth(self.feed, self.book, self.board)
        self.monitor = FeedMonitor([health], self.demand, Clocks.live(self.now))
        self.supervisor = Supervisor(health, Wanted(self.demand), self.board)

    @property
    def status(self) -> FeedStatus:
        self.monitor.poll()
        return self.monitor.status()

    async def becomes(self, state: FeedState, words: str = "") -> str:
        """Wait until the feed is said to be so, in these words."""
        await until(lambda: self.status.state is state and words in self.status.message)
        return self.status.message

    async def priced(self, symbol: str, price_e4: int) -> None:
        def has_come() -> bool:
            quote = self.board.confirmed(symbol)
            return quote is not None and quote.price_e4 == price_e4

        await until(has_come)


@asynccontextmanager
async def running(mock: M, *symbols: str, now_ms: int = OPEN_MS) -> AsyncIterator[Running[M]]:
    """The feed while it runs, with these symbols wanted."""
    async with serving(mock):
        market = Running(mock)
        market.now_ms = now_ms
        market.demand.wanted(symbols)
        market.task = asyncio.create_task(market.supervisor.run())
        try:
            yield market
        finally:
            market.task.cancel()
            await asyncio.wait([market.task])


async def recovers(market: Running[M]) -> None:
    """The source comes back, with a new price."""
    market.mock.heals()
    await until(lambda: not isinstance(market.mock, MockStream) or market.mock.sockets)
    await market.mock.set_price("NIFTY", 24_200.0)
    await market.priced("NIFTY", 242_000_000)
    await market.becomes(FeedState.LIVE)
