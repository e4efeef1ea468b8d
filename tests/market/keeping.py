"""A feed with what keeps it running."""

from __future__ import annotations

from tests.kit.waiting import until
from tests.market.market import Market
from vyomo_rt.domain.moment import Clocks
from vyomo_rt.domain.quote import FeedState
from vyomo_rt.market.feed import Feed
from vyomo_rt.market.health import SourceHealth
from vyomo_rt.market.monitor import FeedMonitor
from vyomo_rt.market.supervisor import Supervisor
from vyomo_rt.market.wanted import Wanted


class Kept(Market):
    """A feed with what keeps it."""

    def __init__(self, feed: Feed) -> None:
        super().__init__(source=feed.source)
        health = SourceHealth(feed, self.book, self.board)
        self.monitor = FeedMonitor([health], self.demand, Clocks.live(self.now))
        self.supervisor = Supervisor(health, Wanted(self.demand), self.board)

    async def becomes(self, state: FeedState) -> None:
        await until(lambda: self.monitor.status().state is state)
