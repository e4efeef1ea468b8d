"""A feed with what keeps it running."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.kit.waiting import until
from tests.market.market import Market
from vyomo_rt.domain.moment import MarketMs
from vyomo_rt.domain.quote import FeedState, Quote
from vyomo_rt.market.feed import Feed
from vyomo_rt.market.monitor import FeedMonitor
from vyomo_rt.market.supervisor import Supervisor
from vyomo_rt.market.wanted import Wanted


class NothingKept:
    """Stands where prices are not to be kept."""

    async def load(self) -> Iterable[Quote]:
        raise AssertionError

    async def save(
        self, _: Iterable[str], __: Callable[[str], Quote | None], /, *, pause_s: float
    ) -> None:
        raise AssertionError(pause_s)


class Kept(Market):
    """A feed with what keeps it."""

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self.monitor = FeedMonitor(feed, self.board, self.demand, lambda: MarketMs(self.now_ms))
        wanted = Wanted(self.demand)
        self.supervisor = Supervisor(feed, wanted, self.board, self.monitor, NothingKept())

    async def becomes(self, state: FeedState) -> None:
        await until(lambda: self.monitor.status().state is state)
