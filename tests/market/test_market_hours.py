"""Prices and the feed outside the exchange's hours, for a server that follows them."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import watching, web_socket
from tests.kit.waiting import until
from tests.market.market import FRESH_FOR_MS, Market
from vyomo_rt.domain.market import MarketState
from vyomo_rt.domain.moment import Clocks, to_ms
from vyomo_rt.domain.quote import FeedState, FeedStatus
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.exchange.market_hours import MarketHours
from vyomo_rt.market.feeds.ingest import IngestFeed
from vyomo_rt.market.health import SourceHealth
from vyomo_rt.market.monitor import FeedMonitor


def ist(text: str) -> int:
    return to_ms(datetime.fromisoformat(f"{text}+05:30"))


class Exchange(Market):
    """A board and a monitor that follow the hours; the clock begins at noon."""

    def __init__(self, *, trade_on_delayed: bool = False) -> None:
        hours = MarketHours(Calendar.shipped())
        super().__init__(trade_on_delayed=trade_on_delayed, in_session=hours.in_session)
        self.at("2026-11-26 12:00")
        feed = IngestFeed(fresh_for_ms=FRESH_FOR_MS)
        health = SourceHealth(feed, self.book, self.board, hours)
        self.monitor = FeedMonitor([health], self.demand, Clocks.live(self.now))

    def at(self, moment: str) -> None:
        self.now_ms = ist(moment)

    def state_at(self, moment: str) -> FeedState:
        self.at(moment)
        return self.monitor.status().state

    def news_at(self, moment: str) -> FeedStatus | None:
        self.at(moment)
        return self.monitor.poll()


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


def test_the_last_price_of_a_session_is_stale_from_its_end_on(exchange: Exchange) -> None:
    exchange.at("2026-11-26 15:14:59")
    exchange.tick(240_000_000)
    assert not exchange.confirmed().stale
    exchange.at("2026-11-26 15:15")
    assert exchange.confirmed().stale
    assert exchange.shown().price_e4 == 240_000_000


@pytest.mark.parametrize("moment", ["15:20", "20:00", "09:10", "00:00"])
def test_a_tick_outside_a_session_is_shown_and_acts_on_nothing(
    exchange: Exchange, moment: str
) -> None:
    exchange.at(f"2026-11-26 {moment}")
    exchange.tick(240_000_000)
    assert exchange.shown().price_e4 == 240_000_000
    assert [quote.stale for quote in exchange.heard] == [True]


def test_a_price_of_the_preopen_is_not_fresh_when_the_session_begins(exchange: Exchange) -> None:
    exchange.at("2026-11-26 09:14:59")
    exchange.tick(240_000_000)
    exchange.at("2026-11-26 09:15")
    assert exchange.confirmed().stale
    exchange.tick(240_000_000, as_of_ms=exchange.now_ms - 500)
    assert exchange.confirmed().stale
    exchange.tick(240_000_000)
    assert not exchange.confirmed().stale


@pytest.mark.parametrize("trade_on_delayed", [False, True])
def test_a_close_said_again_the_next_morning_is_still_the_close(trade_on_delayed: bool) -> None:
    exchange = Exchange(trade_on_delayed=trade_on_delayed)
    exchange.at("2026-11-26 15:14:59")
    close_ms = exchange.now_ms
    exchange.tick(240_000_000, as_of_ms=close_ms)
    exchange.at("2026-11-27 09:20")
    exchange.tick(240_000_000, as_of_ms=close_ms)
    assert exchange.confirmed().stale


def test_each_symbol_has_its_own_hours_and_unknown_ones_have_none(exchange: Exchange) -> None:
    symbols = ("RELIANCE", "SMALLCAP", "NIFTY26DEC24000CE")
    for moment, fresh in (("15:30", "SMALLCAP NIFTY26DEC24000CE"), ("15:40", "SMALLCAP")):
        exchange.at(f"2026-11-26 {moment}")
        for symbol in symbols:
            exchange.tick(1_000_000, symbol)
        found = [symbol for symbol in symbols if not exchange.confirmed(symbol).stale]
        assert " ".join(found) == fresh


def test_a_contract_is_stale_once_it_has_expired(exchange: Exchange) -> None:
    exchange.at("2026-12-30 12:00")
    exchange.tick(1_000_000, "NIFTY26DEC24000CE")
    exchange.tick(1_000_000, "NIFTY27JAN24000CE")
    assert exchange.confirmed("NIFTY26DEC24000CE").stale
    assert not exchange.confirmed("NIFTY27JAN24000CE").stale


def test_a_feed_is_live_while_none_of_its_symbols_is_traded(exchange: Exchange) -> None:
    exchange.at("2026-11-26 15:14:50")
    exchange.tick(240_000_000)
    for moment in ("15:15", "15:15:04", "15:15:06", "15:20", "15:40", "23:00"):
        assert exchange.state_at(f"2026-11-26 {moment}") is FeedState.LIVE, moment
    for moment in ("2026-11-27 09:00", "2026-11-27 09:15", "2026-11-27 09:15:14"):
        assert exchange.state_at(moment) is FeedState.LIVE, moment
    assert exchange.state_at("2026-11-27 09:15:16") is FeedState.DEGRADED
    assert exchange.state_at("2026-11-28 12:00") is FeedState.LIVE


def test_a_feed_that_was_silent_before_the_close_is_not_alarmed_about_after_it(
    exchange: Exchange,
) -> None:
    exchange.at("2026-11-26 15:00")
    exchange.tick(240_000_000)
    assert exchange.state_at("2026-11-26 15:14:59") is FeedState.DEGRADED
    assert exchange.state_at("2026-11-26 15:15") is FeedState.LIVE


def test_ticks_that_come_at_night_are_neither_late_nor_missed(exchange: Exchange) -> None:
    exchange.at("2026-11-26 20:00")
    exchange.tick(240_000_000)
    status = exchange.monitor.status()
    assert (status.state, status.message) == (
        FeedState.LIVE,
        "outside market hours: the last prices stand",
    )


def test_a_symbol_without_hours_is_missed_at_night(exchange: Exchange) -> None:
    exchange.at("2026-11-26 20:00")
    exchange.tick(840_000, "USDINR")
    assert exchange.state_at("2026-11-26 20:00:16") is FeedState.DEGRADED


def test_before_the_first_tick_the_market_decides_whether_one_is_missed(
    exchange: Exchange,
) -> None:
    assert exchange.state_at("2026-11-26 12:00") is FeedState.DEGRADED
    assert exchange.state_at("2026-11-26 20:00") is FeedState.LIVE


def test_the_markets_state_is_news_by_itself(exchange: Exchange) -> None:
    exchange.at("2026-11-26 20:00")
    exchange.tick(240_000_000)
    exchange.monitor.poll()
    for moment, state in (
        ("2026-11-27 08:59:59", None),
        ("2026-11-27 09:00", MarketState.PREOPEN),
        ("2026-11-27 09:10", None),
        ("2026-11-27 09:15", MarketState.OPEN),
        ("2026-11-27 15:15", MarketState.AUCTION),
        ("2026-11-27 15:35", MarketState.CLOSED),
    ):
        news = exchange.news_at(moment)
        assert (None if news is None else news.market_state) == state, moment


def test_expired_contracts_with_open_trades_are_named(exchange: Exchange) -> None:
    held = ["NIFTY", "NIFTY26DEC24000CE", "RELIANCE26DECFUT", "NIFTY27JAN24000CE"]
    exchange.demand.wanted(held, held=True)
    exchange.at("2026-12-29 15:39")
    exchange.tick(1_000_000, "NIFTY26DEC24000CE")
    exchange.monitor.poll()
    news = exchange.news_at("2026-12-29 15:40")
    assert news is not None
    assert news.message.endswith(
        "; expired, to be closed by hand: NIFTY26DEC24000CE, RELIANCE26DECFUT"
    )
    assert news.is_news
    exchange.demand.released(held[1:3], held=True)
    weeklies = [f"NIFTY26N17{strike}CE" for strike in range(24_000, 24_700, 100)]
    exchange.demand.wanted(weeklies, held=True)
    news = exchange.news_at("2026-12-30 12:00")
    assert news is not None
    assert news.message.endswith("24300CE, NIFTY26N1724400CE and 2 more")
    exchange.demand.released([*weeklies, held[3]], held=True)
    exchange.tick(1_000_000)
    news = exchange.news_at("2026-12-30 12:00:01")
    assert news is not None
    assert not news.is_news


class Clock:
    def __init__(self, moment: str) -> None:
        self.now_ms = ist(moment)

    def __call__(self) -> int:
        return self.now_ms


async def stop_waits(server: Rest, clock: Clock) -> None:
    """A stop that the night does not trigger, and the morning does."""
    session_id = await server.new_session()
    order = {"symbol": "NIFTY", "quantity": 1}
    status, problem = await server.call("POST", f"/sessions/{session_id}/trades", order)
    assert status == 409
    assert "no fresh price of NIFTY is known" in problem["detail"]
    trade = await server.open_trade(session_id, **order, entryPrice=24_000, stopLoss=23_900)
    await server.tick("NIFTY", 23_800)
    _, shown = await server.call("GET", f"/trades/{trade['tradeId']}")
    assert shown["status"] == "OPEN"
    clock.now_ms = ist("2026-11-27 09:15")
    await server.tick("NIFTY", 23_850)
    assert (await server.closed(trade["tradeId"]))["exitPrice"] == 23_850


async def test_at_night_nothing_triggers_opens_or_alarms(make_settings: MakeSettings) -> None:
    clock = Clock("2026-11-26 20:00")
    async with serve_here(make_settings(market_hours=True), clock) as server:
        await server.tick("NIFTY", 24_000)
        async with watching("sse", server.url, symbols=["NIFTY"]) as watcher:
            assert (await watcher.next("price_update"))["data"]["stale"]
            told = (await watcher.next("feed_status"))["data"]
            assert (told["state"], told["marketState"]) == ("LIVE", "CLOSED")
            await stop_waits(server, clock)
            while told["marketState"] != "OPEN":
                told = (await watcher.next("feed_status"))["data"]
            assert told["state"] == "LIVE"


async def test_a_trade_on_an_expired_contract_is_told_of_until_it_is_closed(
    make_settings: MakeSettings,
) -> None:
    clock = Clock("2026-12-29 15:00")
    contract = "NIFTY26DEC24000CE"
    async with serve_here(make_settings(market_hours=True), clock) as server:
        await server.tick(contract, 100)
        trade = await server.open_trade(await server.new_session(), symbol=contract)
        clock.now_ms = ist("2026-12-30 10:00")
        await server.tick("NIFTY", 24_000)
        await server.tick(contract, 1)
        async with watching("sse", server.url, symbols=["NIFTY"]) as watcher:
            told = (await watcher.next("feed_status"))["data"]
            assert told["message"].endswith(f"; expired, to be closed by hand: {contract}")
            await server.close_trade(trade["tradeId"], 0)
            clock.now_ms += 1000
            while "expired" in told["message"]:
                told = (await watcher.next("feed_status"))["data"]
            assert told["message"] == "prices are coming in"


async def test_a_server_without_market_hours_knows_no_market_state(server: Rest) -> None:
    async with web_socket(server.url) as ws:
        await ws.ask("subscribe_prices", symbols=["NIFTY"])
        assert "marketState" not in (await ws.next("feed_status"))["data"]


async def test_the_simulated_market_shows_its_close_at_night_and_moves_by_day(
    make_settings: MakeSettings,
) -> None:
    clock = Clock("2026-11-26 20:00")
    async with serve_here(make_settings(feed=("sim",), market_hours=True), clock) as server:

        async def price(symbol: str) -> tuple[str, bool]:
            _, answer = await server.call("GET", f"/prices?symbols={symbol}")
            (found,) = answer["prices"]
            return found["asOf"], found["stale"]

        assert await price("NIFTY") == ("2026-11-26T09:44:59.750Z", True)
        assert await price("NIFTY26DEC24000CE") == ("2026-11-26T10:09:59.750Z", True)
        assert await price("USDINR") == ("2026-11-26T14:30:00.000Z", False)
        clock.now_ms = ist("2026-11-27 09:15:01")

        async def moves() -> bool:
            return await price("NIFTY") == ("2026-11-27T03:45:01.000Z", False)

        await until(moves)
