"""Two feeds with all that keeps them, over hours of virtual time: who speaks, and what acts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from itertools import pairwise

from tests.market.market import START_MS
from tests.stream.virtual import START_S
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import Clocks, MarketMs
from vyomo_rt.domain.quote import FeedState, Quote, Tick
from vyomo_rt.market.board import Board
from vyomo_rt.market.book import Book
from vyomo_rt.market.feed import Feed, FeedRefused
from vyomo_rt.market.health import SourceHealth
from vyomo_rt.market.monitor import FeedMonitor
from vyomo_rt.market.ranking import RETURN_AFTER_MS
from vyomo_rt.market.supervisor import Supervisor
from vyomo_rt.market.wanted import Wanted

Play = Callable[["Played"], AsyncGenerator[Tick, None]]

FRESH_FOR_S = 15
LOW, HIGH = 1000, 1010
"""The prices of the first and of the second begin with these: they never agree."""


def now_s() -> float:
    """Seconds since the test began."""
    return asyncio.get_running_loop().time() - START_S


def now() -> MarketMs:
    return MarketMs(START_MS + round(now_s() * 1000))


class Played(Feed):
    """A source that ticks once a second, or does what a play says."""

    fresh_for_ms = FRESH_FOR_S * 1000

    def __init__(self, name: str, price_e4: int, play: Play | None = None) -> None:
        self.source = name  # type: ignore[misc]
        self._price_e4 = price_e4
        self._play = play
        self.begun = 0

    def tick(self, *, age_s: float = 0) -> Tick:
        """Its price, another one each second."""
        at_ms = now() - round(age_s * 1000)
        return Tick("NIFTY", self._price_e4 + at_ms // 1000 % 7, at_ms, self.source)

    async def seconds(self, count: float) -> AsyncGenerator[Tick, None]:
        until_s = now_s() + count
        while now_s() < until_s:
            yield self.tick()
            await asyncio.sleep(1)

    async def ticks(self, wanted: Wanted) -> AsyncGenerator[Tick, None]:
        del wanted
        self.begun += 1
        async for tick in self._play(self) if self._play else self.seconds(1e9):
            yield tick


class Stage:
    """The first plays, the second ticks all along; who was shown is noted four times a second."""

    def __init__(self, play: Play) -> None:
        self.feeds = [Played("first", LOW, play), Played("second", HIGH)]
        demand = Demand()
        books = [
            Book(feed.source, feed.fresh_for_ms, demand=demand, arrived=now) for feed in self.feeds
        ]
        self.acted: list[Quote] = []
        self.is_one_voice = True
        """Whether each price that counted was the one that was shown then."""
        self.board = Board(books, now, self._on_price, demand=demand)
        sources = [
            SourceHealth(feed, book, self.board)
            for feed, book in zip(self.feeds, books, strict=True)
        ]
        self.monitor = FeedMonitor(sources, demand, Clocks.live(now))
        self._supervisors = [Supervisor(one, Wanted(demand), self.board) for one in sources]
        self.changes: list[tuple[float, str]] = []
        """When somebody else was shown, and who."""

    def _on_price(self, quote: Quote) -> None:
        if not quote.stale:
            self.acted.append(quote)
        self.is_one_voice = self.is_one_voice and quote == self.board.quote("NIFTY")

    async def run_for(self, seconds: float) -> None:
        running = [asyncio.create_task(one.run()) for one in self._supervisors]
        until_s = now_s() + seconds
        while now_s() < until_s:
            await asyncio.sleep(0.25)
            quote = self.board.quote("NIFTY")
            assert quote is not None
            if not self.changes or self.changes[-1][1] != quote.source:
                self.changes.append((now_s(), quote.source))
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        assert self.is_one_voice

    @property
    def speakers(self) -> list[str]:
        return [source for _, source in self.changes]


async def test_a_socket_that_stays_open_and_silent_is_replaced_when_its_promise_ends() -> None:
    async def play(feed: Played) -> AsyncGenerator[Tick, None]:
        async for tick in feed.seconds(60):
            yield tick
        await asyncio.sleep(1e9)

    stage = Stage(play)
    await stage.run_for(120)
    assert stage.speakers == ["first", "second"]
    assert 59 + FRESH_FOR_S < stage.changes[1][0] <= 60 + FRESH_FOR_S
    status = stage.monitor.status()
    assert status.state is FeedState.LIVE
    assert [one.state for one in status.sources] == [FeedState.DEGRADED, FeedState.LIVE]
    assert "first is DEGRADED: no tick since" in status.message
    assert stage.feeds[0].begun == 1


async def test_a_source_that_reconnects_at_once_and_replays_keeps_its_place() -> None:
    async def play(feed: Played) -> AsyncGenerator[Tick, None]:
        for age_s in range(5, 0, -1):
            yield feed.tick(age_s=age_s)
        async for tick in feed.seconds(100):
            yield tick
        raise ConnectionError("the source was restarted")

    stage = Stage(play)
    await stage.run_for(600)
    assert stage.feeds[0].begun >= 5
    assert stage.speakers == ["first"]
    moments = [quote.as_of_ms for quote in stage.acted]
    assert moments == sorted(moments)


async def test_a_source_that_was_away_is_believed_after_half_a_minute_and_acts_a_second_later() -> (
    None
):
    async def play(feed: Played) -> AsyncGenerator[Tick, None]:
        if feed.begun == 1:
            async for tick in feed.seconds(60):
                yield tick
        if now_s() < 300:
            raise ConnectionError("the source is away")
        async for tick in feed.seconds(1e9):
            yield tick

    stage = Stage(play)
    await stage.run_for(600)
    assert stage.speakers == ["first", "second", "first"]
    assert stage.changes[2][0] >= 300 + RETURN_AFTER_MS / 1000
    sources = [quote.source for quote in stage.acted]
    assert [source for source, after in pairwise(sources) if source != after] == ["first", "second"]
    back_ms = START_MS + stage.changes[2][0] * 1000
    acts_again_ms = next(q.as_of_ms for q in stage.acted if q.as_of_ms > back_ms)
    assert acts_again_ms - back_ms <= 1000


async def test_a_source_that_comes_and_goes_for_hours_is_left_alone() -> None:
    async def play(feed: Played) -> AsyncGenerator[Tick, None]:
        async for tick in feed.seconds(10):
            yield tick
        raise ConnectionError("the source is away again")

    stage = Stage(play)
    await stage.run_for(3600)
    assert stage.feeds[0].begun > 40
    assert stage.speakers[-1] == "second"
    assert len(stage.changes) <= 4


async def test_a_source_whose_key_has_expired_stays_down_while_the_next_speaks() -> None:
    async def play(feed: Played) -> AsyncGenerator[Tick, None]:
        async for tick in feed.seconds(60):
            yield tick
        raise FeedRefused("the key has expired: log in and restart the server")

    stage = Stage(play)
    await stage.run_for(900)
    assert stage.speakers == ["first", "second"]
    assert stage.feeds[0].begun == 1
    down = stage.monitor.status().sources[0]
    assert (down.state, down.message.endswith("log in and restart the server")) == ("DOWN", True)
