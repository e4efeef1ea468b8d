"""The feed with what keeps it, asking a mock of Yahoo, at a moment that is set by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.kit.waiting import until
from tests.market.market import Market
from tests.market.yahoo.mock import MockYahoo, mock_yahoo
from vyomo_rt.domain.quote import FeedState, FeedStatus
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.market.feeds.fetching import Pace
from vyomo_rt.market.feeds.names import Names
from vyomo_rt.market.feeds.yahoo.feed import YahooFeed
from vyomo_rt.market.health import SourceHealth
from vyomo_rt.market.monitor import FeedMonitor
from vyomo_rt.market.supervisor import Supervisor
from vyomo_rt.market.wanted import Wanted

OPEN_MS = 1_795_584_600_000
"""2026-11-25 11:00 in India, a Wednesday."""

FAST = Pace(least_s=0.01, round_s=0.01, timeout_s=30.0, pauses_s=(0.05, 0.1))


class Polled(Market):
    def __init__(self, mock: MockYahoo, pace: Pace) -> None:
        super().__init__(YahooFeed.fresh_for_ms, source=YahooFeed.source)
        self.mock = mock
        self.now_ms = OPEN_MS
        self.feed = YahooFeed(
            Names.of_source("yahoo"), mock.url, Calendar.shipped(), self.now, pace
        )
        health = SourceHealth(self.feed, self.book, self.board)
        self.monitor = FeedMonitor([health], self.demand, self.now)
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

    async def asked_more(self, times: int = 3) -> None:
        """Wait until the mock was asked some more times."""
        already = len(self.mock.asked)
        await until(lambda: len(self.mock.asked) >= already + times)


@asynccontextmanager
async def polling(
    *symbols: str, late_s: int = 5, pace: Pace = FAST, now_ms: int = OPEN_MS
) -> AsyncIterator[Polled]:
    """The feed while it polls, with prices that are so late."""
    async with mock_yahoo(now_ms // 1000 - late_s) as mock:
        polled = Polled(mock, pace)
        polled.now_ms = now_ms
        polled.demand.wanted(symbols)
        running = asyncio.create_task(polled.supervisor.run())
        try:
            yield polled
        finally:
            running.cancel()
            await asyncio.wait([running])
