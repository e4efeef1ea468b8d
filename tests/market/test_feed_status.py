"""How a feed is said to be doing, and when that is news."""

from __future__ import annotations

import pytest

from vyomo_rt.domain.quote import FeedState, FeedStatus
from vyomo_rt.market.book import PriceBook
from vyomo_rt.market.feed import Feed, FeedMonitor, IngestFeed

START_MS = 1_770_000_000_000


class Ingest:
    """An ingest feed, its book and its monitor, with a clock that is set by hand."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.feed: Feed = IngestFeed(fresh_for_ms=15_000)
        self.book = PriceBook(
            lambda: self.now_ms, self.feed.source, self.feed.fresh_for_ms, lambda _: None
        )
        self.monitor = FeedMonitor(self.feed, self.book, lambda: self.now_ms)

    def poll_after(self, wait_ms: int) -> FeedStatus | None:
        self.now_ms += wait_ms
        return self.monitor.poll()


@pytest.fixture
def ingest() -> Ingest:
    return Ingest()


def status(state: FeedState, message: str, after_ms: int) -> FeedStatus:
    return FeedStatus("ingest", state, message, START_MS + after_ms)


def test_it_waits_for_its_first_tick(ingest: Ingest) -> None:
    waiting = status(FeedState.DEGRADED, "waiting for the first tick", after_ms=0)
    assert ingest.poll_after(60_000) is None
    assert ingest.monitor.status() == waiting


def test_it_is_live_while_ticks_come_and_says_so_once(ingest: Ingest) -> None:
    ingest.book.accept("NIFTY", 1)
    live = status(FeedState.LIVE, "prices are coming in", after_ms=1_000)
    assert ingest.poll_after(1_000) == live
    for _ in range(10):
        ingest.book.accept("NIFTY", 1)
        assert ingest.poll_after(15_000) is None
    assert ingest.monitor.status() == live


def test_it_is_late_once_no_tick_came_for_longer_than_promised(ingest: Ingest) -> None:
    ingest.book.accept("NIFTY", 1)
    ingest.poll_after(15_000)
    late = status(FeedState.DEGRADED, "no tick since 2026-02-02T02:40:00.000Z", after_ms=15_001)
    assert ingest.poll_after(1) == late
    assert ingest.poll_after(3_600_000) is None
    ingest.book.accept("NIFTY", 1)
    assert ingest.poll_after(0) == status(
        FeedState.LIVE, "prices are coming in", after_ms=15_001 + 3_600_000
    )


def test_it_is_late_if_no_tick_comes_after_the_clock_was_set_back(ingest: Ingest) -> None:
    ingest.book.accept("NIFTY", 1)
    ingest.poll_after(0)
    back_ms = -3_600_000
    late = status(FeedState.DEGRADED, "no tick since 2026-02-02T02:40:00.000Z", after_ms=back_ms)
    assert ingest.poll_after(back_ms) == late
    ingest.book.accept("NIFTY", 1)
    assert ingest.poll_after(0) == status(FeedState.LIVE, "prices are coming in", after_ms=back_ms)


def test_refused_ticks_and_restored_prices_do_not_count_as_life(ingest: Ingest) -> None:
    ingest.book.accept("NIFTY", 1)
    kept = ingest.book.quotes()
    restarted = Ingest()
    restarted.book.restore(kept)
    assert restarted.book.accept("NIFTY", 0) is not None
    assert restarted.poll_after(1_000) is None
    assert restarted.monitor.status().state is FeedState.DEGRADED


async def test_it_prices_any_symbol_from_outside_and_runs_nothing(ingest: Ingest) -> None:
    assert ingest.feed.knows("ANYTHING")
    assert ingest.feed.takes_posts
    await ingest.feed.run(ingest.book.accept)
