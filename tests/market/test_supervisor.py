"""A feed is kept running, whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest

from tests.kit.waiting import until
from tests.market.keeping import Kept
from tests.market.market import FRESH_FOR_MS
from vyomo_rt.domain.quote import FeedState, Quote, Tick
from vyomo_rt.market import supervisor as supervisor_module
from vyomo_rt.market.feed import Feed
from vyomo_rt.market.feeds.ingest import IngestFeed
from vyomo_rt.market.wanted import Wanted

MORE, FAIL = True, False


class Cable(Feed):
    """A feed that sends a tick, or fails, when the test says so."""

    source = "cable"
    fresh_for_ms = FRESH_FOR_MS

    def __init__(self) -> None:
        self.told: asyncio.Queue[bool] = asyncio.Queue()
        self.begun = 0
        self.ended = 0

    async def ticks(self, wanted: Wanted) -> AsyncGenerator[Tick, None]:
        del wanted
        self.begun += 1
        try:
            while await self.told.get() is MORE:
                yield Tick("NIFTY", 100, None, self.source)
            raise ConnectionError("the cable is out")
        finally:
            self.ended += 1


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "_FIRST_PAUSE_S", 0.01)


async def test_a_feed_that_fails_is_started_again_and_down_until_its_next_tick() -> None:
    feed = Cable()
    kept = Kept(feed)
    running = asyncio.create_task(kept.supervisor.run())
    feed.told.put_nowait(MORE)
    await kept.becomes(FeedState.LIVE)
    feed.told.put_nowait(FAIL)
    await until(lambda: feed.begun == 2)
    status = kept.monitor.status()
    assert status.state is FeedState.DOWN
    assert "the cable is out" in status.message
    feed.told.put_nowait(MORE)
    await kept.becomes(FeedState.LIVE)
    assert kept.shown().source == "cable"
    running.cancel()
    await asyncio.wait([running])
    assert feed.ended == feed.begun == 2, "nothing is left open"


async def test_a_board_that_fails_stops_no_feed() -> None:
    feed = Cable()
    kept = Kept(feed)
    on_fire = True

    def on_price(quote: Quote) -> None:
        if on_fire:
            raise RuntimeError("the desk is on fire")
        kept.heard.append(quote)

    kept.board._on_price = on_price
    running = asyncio.create_task(kept.supervisor.run())
    feed.told.put_nowait(MORE)
    await kept.becomes(FeedState.DOWN)
    assert "the desk is on fire" in kept.monitor.status().message
    await until(lambda: feed.begun == 2)
    assert feed.ended == 1
    on_fire = False
    feed.told.put_nowait(MORE)
    await kept.becomes(FeedState.LIVE)
    running.cancel()
    await asyncio.wait([running])


async def test_a_feed_whose_ticks_are_posted_need_not_be_kept_running() -> None:
    kept = Kept(IngestFeed())
    await asyncio.wait_for(kept.supervisor.run(), timeout=30)
    assert kept.monitor.status().state is FeedState.DEGRADED


async def test_what_is_no_tick_is_refused_and_the_log_names_feed_and_symbol_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wrong: list[Any] = [99.5, True, "100", None]

    class Floating(Cable):
        async def ticks(self, wanted: Wanted) -> AsyncGenerator[Tick, None]:
            for price in wrong:
                yield Tick("NIFTY", price, None, self.source)
            yield Tick("NIFTY", 100, cast("int", 1.5), self.source)
            async for tick in super().ticks(wanted):
                yield tick

    feed = Floating()
    kept = Kept(feed)
    running = asyncio.create_task(kept.supervisor.run())
    feed.told.put_nowait(MORE)
    await kept.becomes(FeedState.LIVE)
    assert [quote.price_e4 for quote in kept.heard] == [100]
    [line] = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert line == (
        "the feed cable yields what is no tick, of 'NIFTY': price_e4 is 99.5, it must be an int,"
        " of ₹0.0001"
    )
    running.cancel()
    await asyncio.wait([running])
