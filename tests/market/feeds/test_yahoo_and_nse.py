"""``vyomo-rt serve --feed yahoo,nse``: one takes the other's place."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import Stream, watching
from tests.market.feeds import nse, yahoo
from tests.market.feeds.running import OPEN_MS
from tests.market.feeds.serving import serving
from vyomo_rt.market.feeds.nse.feed import NseFeed
from vyomo_rt.market.feeds.yahoo.feed import YahooFeed


class Day:
    """Both sites and the time of the day, which a test puts forward."""

    def __init__(self) -> None:
        self.now_ms = OPEN_MS
        self.yahoo = yahoo.MockYahoo(OPEN_MS - 5000)
        self.nse = nse.MockNse(OPEN_MS - 5000)

    def now(self) -> int:
        return self.now_ms


@pytest.fixture
async def day(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Day]:
    monkeypatch.setattr(YahooFeed, "pace", yahoo.FAST)
    monkeypatch.setattr(NseFeed, "pace", nse.FAST)
    day = Day()
    async with serving(day.yahoo), serving(day.nse):
        yield day


async def shown(watcher: Stream, source: str) -> dict[str, object]:
    """The next price of NIFTY that is of this source."""
    while True:
        price: dict[str, object] = (await watcher.next("price_update"))["data"]
        if price["source"] == source:
            return price


async def test_nse_follows_yahoo_without_triggering_a_stop_between_their_prices(
    day: Day, make_settings: MakeSettings
) -> None:
    settings = make_settings(feed=("yahoo", "nse"), yahoo_url=day.yahoo.url, nse_url=day.nse.url)
    async with serve_here(settings, now=day.now) as server:
        session_id = await server.new_session()
        order = {"symbol": "NIFTY", "entryPrice": 24200, "stopLoss": 24180}
        trade = await server.open_trade(session_id, **order)
        async with watching("ws", server.url, symbols=["NIFTY"], priceInterval=100) as watcher:
            price = await shown(watcher, "yahoo")
            assert (price["price"], price["stale"]) == (24190.05, False)
            _, answer = await server.call("GET", "/instruments?symbols=NIFTY")
            (nifty,) = answer["instruments"]
            # The day before, 24 November, is a holiday.
            assert (nifty["previousClose"], nifty["previousCloseDate"]) == (24120, "2026-11-23")
            day.yahoo.fails_with(429, b"", "text/html")
            await day.nse.set_price("NIFTY", 24170.0)
            day.now_ms += YahooFeed.fresh_for_ms + 1000
            day.nse.at_ms = day.now_ms - 5000
            price = await shown(watcher, "nse")
            assert price["price"] == 24170
            _, document = await server.call("GET", f"/trades/{trade['tradeId']}")
            assert document["status"] == "OPEN"
        async with watching("sse", server.url, symbols=["NIFTY"]) as watcher:
            while (feed := (await watcher.next("feed_status"))["data"])["sources"][0]["state"] != (
                "DOWN"
            ):
                pass
            assert "429" in feed["sources"][0]["message"]
            await day.nse.set_price("NIFTY", 24171.0)
            closed = await server.closed(trade["tradeId"])
    assert (closed["exitReason"], closed["exitPrice"]) == ("SL", 24171)
