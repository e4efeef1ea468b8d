"""How a feed is said to be doing, and when that is news."""

from __future__ import annotations

import time

import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import watching, web_socket
from tests.market.market import FRESH_FOR_MS, START_MS, Market
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.moment import Clocks
from vyomo_rt.domain.quote import FeedState, FeedStatus
from vyomo_rt.market.feed import Feed
from vyomo_rt.market.feeds.ingest import IngestFeed
from vyomo_rt.market.health import SourceHealth
from vyomo_rt.market.monitor import FeedMonitor
from vyomo_rt.market.wanted import Wanted


class Ingest(Market):
    """An ingest feed, its board and its monitor."""

    def __init__(self, *, trade_on_delayed: bool = False) -> None:
        super().__init__(trade_on_delayed=trade_on_delayed)
        self.feed: Feed = IngestFeed(fresh_for_ms=FRESH_FOR_MS)
        health = SourceHealth(self.feed, self.book, self.board)
        self.monitor = FeedMonitor([health], self.demand, Clocks.live(self.now))

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
    ingest.accept("NIFTY", 1)
    live = status(FeedState.LIVE, "prices are coming in", after_ms=1_000)
    assert ingest.poll_after(1_000) == live
    for _ in range(10):
        ingest.accept("NIFTY", 1)
        assert ingest.poll_after(15_000) is None
    assert ingest.monitor.status() == live


def test_a_change_that_somebody_was_shown_is_told_to_be_over(ingest: Ingest) -> None:
    ingest.accept("NIFTY", 1)
    ingest.poll_after(0)
    ingest.now_ms += 15_001
    assert ingest.monitor.status().state is FeedState.DEGRADED
    ingest.accept("NIFTY", 1)
    assert ingest.poll_after(0) == status(FeedState.LIVE, "prices are coming in", 15_001)
    assert ingest.poll_after(0) is None


def test_it_is_late_once_no_tick_came_for_longer_than_promised(ingest: Ingest) -> None:
    ingest.accept("NIFTY", 1)
    ingest.poll_after(15_000)
    late = status(FeedState.DEGRADED, "no tick since 2026-02-02T02:40:00.000Z", after_ms=15_001)
    assert ingest.poll_after(1) == late
    assert ingest.poll_after(3_600_000) is None
    ingest.accept("NIFTY", 1)
    assert ingest.poll_after(0) == status(
        FeedState.LIVE, "prices are coming in", after_ms=15_001 + 3_600_000
    )


def test_it_is_late_if_no_tick_comes_after_the_clock_was_set_back(ingest: Ingest) -> None:
    ingest.accept("NIFTY", 1)
    ingest.poll_after(0)
    back_ms = -3_600_000
    late = status(FeedState.DEGRADED, "no tick since 2026-02-02T02:40:00.000Z", after_ms=back_ms)
    assert ingest.poll_after(back_ms) == late
    ingest.accept("NIFTY", 1)
    assert ingest.poll_after(0) == status(FeedState.LIVE, "prices are coming in", after_ms=back_ms)


def test_it_is_late_while_all_that_comes_is_old_and_live_with_the_first_fresh_price(
    ingest: Ingest,
) -> None:
    old_ms = 20_000
    for number in range(4):
        ingest.tick(100 + number, as_of_ms=ingest.now_ms - old_ms)
        told = ingest.poll_after(250)
        as_of = "2026-02-02T02:39:40.000Z"
        late = f"ticks come in, but late: NIFTY is as of {as_of}"
        assert told == (status(FeedState.DEGRADED, late, 250) if number == 0 else None)
    newest = ingest.monitor.status()
    assert (newest.message, newest.since_ms) == (late.replace("40.000", "40.750"), START_MS + 250)
    ingest.tick(100)
    assert ingest.poll_after(0) == status(FeedState.LIVE, "prices are coming in", 1_000)
    ingest.tick(101, "SBIN", as_of_ms=ingest.now_ms - old_ms)
    assert ingest.poll_after(FRESH_FOR_MS) is None, "one late symbol is not a late feed"
    ingest.tick(102, "SBIN", as_of_ms=ingest.now_ms - old_ms)
    assert "SBIN is as of" in message_of(ingest.poll_after(1))


def test_refused_ticks_and_restored_prices_do_not_count_as_life(ingest: Ingest) -> None:
    ingest.accept("NIFTY", 1)
    kept = ingest.board.quotes()
    restarted = Ingest()
    restarted.board.restore(restarted.book, kept)
    assert restarted.accept("NIFTY", 0) is not None
    why = "ticks come in but are refused: price must be greater than 0"
    assert restarted.poll_after(1_000) == status(FeedState.DEGRADED, why, after_ms=1_000)
    restarted.board.refuse("ingest", None, "expected an object")
    assert restarted.poll_after(0) is None
    assert restarted.monitor.status().message.endswith("refused: expected an object")
    assert message_of(restarted.poll_after(FRESH_FOR_MS + 1)) == "waiting for the first tick"


def test_the_log_hears_of_refused_ticks_once_a_minute(
    ingest: Ingest, caplog: pytest.LogCaptureFixture
) -> None:
    def refusals_told() -> list[str]:
        return [told for told in caplog.messages if "refused in the last minute" in told]

    for number in range(1000):
        ingest.accept(f"S{number}", 1, START_MS + 60_000)
    ingest.poll_after(0)
    of_last = "the last for S999: more than 5 s ahead of the server's clock (2026-02-02T"
    assert len(refusals_told()) == 1
    assert refusals_told()[0].startswith(
        f"1000 ticks of ingest refused in the last minute, {of_last}"
    )
    ingest.board.refuse("ingest", None, "expected an object")
    ingest.poll_after(59_999)
    assert len(refusals_told()) == 1
    ingest.poll_after(1)
    assert refusals_told()[1:] == [
        "1 tick of ingest refused in the last minute, the last: expected an object"
    ]
    ingest.poll_after(3_600_000)
    assert len(refusals_told()) == 2


def test_whoever_trades_on_delayed_prices_is_told_so_and_live() -> None:
    ingest = Ingest(trade_on_delayed=True)
    ingest.tick(100, as_of_ms=START_MS - 900_000)
    told = ingest.poll_after(0)
    assert told is not None
    assert told.state is FeedState.LIVE
    assert "delayed prices trigger too (--trade-on-delayed)" in told.message


def message_of(status: FeedStatus | None) -> str:
    assert status is not None
    return status.message


async def test_streams_metrics_and_refusals_say_that_prices_come_too_late(server: Rest) -> None:
    """And a BUY whose stop they pass stays open, until a fresh one comes."""
    session_id = await server.new_session()
    order = {"symbol": "NIFTY", "entryPrice": 100, "stopLoss": 90}
    trade = await server.open_trade(session_id, **order)
    async with watching("ws", server.url, symbols=["NIFTY"]) as watcher:
        for number in range(12):
            ms = round(time.time() * 1000) - 20_000
            await server.tick("NIFTY", 80 - number / 20, ts=ms)
        while "but late: NIFTY is as of" not in (
            feed := (await watcher.next("feed_status"))["data"]["message"]
        ):
            pass
        assert feed.endswith("Z")
        assert "vyomo_rt_feed_up 0.0" in await metrics(server)
        path = f"/sessions/{session_id}/trades"
        status, problem = await server.call("POST", path, {"symbol": "NIFTY", "quantity": 1})
        assert status == 409
        assert "no fresh price of NIFTY is known (the last is as of 20" in problem["detail"]
        _, document = await server.call("GET", f"/trades/{trade['tradeId']}")
        assert document["status"] == "OPEN"
        await server.tick("NIFTY", 80)
        while (await watcher.next("feed_status"))["data"]["state"] != "LIVE":
            pass
        assert "vyomo_rt_feed_up 1.0" in await metrics(server)
    assert (await server.closed(trade["tradeId"]))["exitReason"] == "SL"


async def test_a_watcher_can_ask_why_its_prices_are_refused(server: Rest) -> None:
    async def refusals(connection_id: str) -> list[str]:
        _, document = await server.call("GET", f"/connections/{connection_id}")
        return [reason for reason in document["reasons"] if reason.startswith("ticks of")]

    async with web_socket(server.url) as watcher:
        connection_id = (await watcher.ask("subscribe_prices", symbols=["NIFTY"]))["connectionId"]
        rows = [{"symbol": " nifty", "price": "23"}, {"symbol": "OTHER", "price": 0}]
        await server.call("POST", "/ticks", rows)
        (why,) = await refusals(connection_id)
        assert why.startswith("ticks of NIFTY come in but are refused: price")
        await server.tick("NIFTY", 23)
        assert await refusals(connection_id) == []


async def metrics(server: Rest) -> str:
    async with server.http.get(f"{server.url}/metrics") as response:
        return await response.text()


async def test_it_prices_any_symbol_from_outside_and_sends_nothing(ingest: Ingest) -> None:
    assert ingest.feed.knows("ANYTHING")
    assert ingest.feed.takes_posts
    assert [tick async for tick in ingest.feed.ticks(Wanted(Demand()))] == []


async def test_trading_on_delayed_prices_is_said_on_streams_and_on_the_page(
    make_settings: MakeSettings,
) -> None:
    """And a price of a quarter of an hour ago closes a trade."""
    async with serve_here(make_settings(trade_on_delayed=True)) as server:
        session_id = await server.new_session()
        order = {"symbol": "NIFTY", "entryPrice": 100, "stopLoss": 90}
        trade = await server.open_trade(session_id, **order)
        async with watching("sse", server.url, symbols=["NIFTY"]) as watcher:
            await server.tick("NIFTY", 89, ts=round(time.time() * 1000) - 900_000)
            while (feed := (await watcher.next("feed_status"))["data"])["state"] != "LIVE":
                pass
            assert "--trade-on-delayed" in feed["message"]
            assert (await server.closed(trade["tradeId"]))["exitReason"] == "SL"
        async with server.http.get(server.url) as page:
            assert "Trading on delayed prices" in await page.text()
