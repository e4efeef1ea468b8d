"""A server with several sources, and how they are said to be doing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.streams import watching, web_socket
from tests.market.rivals import START_MS, Rivals
from tests.market.scripted import One, Two, installed
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.domain.moment import Clocks
from vyomo_rt.domain.quote import FeedState, FeedStatus
from vyomo_rt.market import choice
from vyomo_rt.market.feed import FeedRefused
from vyomo_rt.market.feeds.ingest import IngestFeed
from vyomo_rt.market.health import SourceHealth
from vyomo_rt.market.monitor import FeedMonitor


@pytest.fixture
async def server(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rest]:
    feeds = installed()
    monkeypatch.setattr(choice, "installed_feeds", lambda: feeds)
    async with serve_here(make_settings(feed=("one", "two"))) as server:
        yield server


async def test_a_stop_waits_over_a_change_of_source_and_clients_see_who_fails(
    server: Rest,
) -> None:
    session_id = await server.new_session()
    order = {"symbol": "NIFTY", "entryPrice": 100, "stopLoss": 95}
    trade = await server.open_trade(session_id, **order)
    async with watching("ws", server.url, symbols=["NIFTY"], priceInterval=100) as watcher:
        One.script.put_nowait(100)
        price = (await watcher.next("price_update"))["data"]
        assert (price["source"], price["price"]) == ("one", 100)
        Two.script.put_nowait(90)
        while (price := (await watcher.next("price_update"))["data"])["source"] != "two":
            pass
        assert (price["price"], price["stale"]) == (90, False)
        _, document = await server.call("GET", f"/trades/{trade['tradeId']}")
        assert document["status"] == "OPEN"
        Two.script.put_nowait(91)
        closed = await server.closed(trade["tradeId"])
        assert (closed["exitReason"], closed["exitPrice"]) == ("SL", 91)
        One.script.put_nowait(FeedRefused("the key has expired: log in again"))
        while (feed := (await watcher.next("feed_status"))["data"])["sources"][0]["state"] != (
            "DOWN"
        ):
            pass
    why = "the feed one cannot go on: the key has expired: log in again"
    assert (feed["source"], feed["state"]) == ("one,two", "LIVE")
    assert feed["message"] == f"two: prices are coming in; one is DOWN: {why}"
    assert feed["sources"] == [
        {"source": "one", "state": "DOWN", "message": why},
        {"source": "two", "state": "LIVE", "message": "prices are coming in"},
    ]
    async with server.http.get(f"{server.url}/metrics") as answer:
        figures = await answer.text()
    assert 'vyomo_rt_source_up{source="one"} 0.0' in figures
    assert 'vyomo_rt_source_up{source="two"} 1.0' in figures
    assert "vyomo_rt_feed_up 1.0" in figures
    async with watching("sse", server.url, symbols=["NIFTY"]) as later:
        assert (await later.next("feed_status"))["data"]["sources"] == feed["sources"]


async def test_a_symbol_is_unknown_if_no_source_knows_it(server: Rest) -> None:
    async with web_socket(server.url) as watcher:
        symbols = ["NIFTY", "ONLY-TWO", "NOBODYS"]
        answer = await watcher.ask("subscribe_prices", symbols=symbols)
        assert answer["result"]["unknown"] == ["NOBODYS"]


async def test_the_close_of_the_session_before_is_that_of_the_best_source_that_knows_it(
    server: Rest,
) -> None:
    _, answer = await server.call("GET", "/instruments?symbols=NIFTY,SBIN")
    nifty, sbin = answer["instruments"]
    assert (nifty["previousClose"], nifty["previousCloseDate"]) == (98.5, "2026-11-25")
    assert not {"previousClose", "previousCloseDate"} & sbin.keys()


async def test_an_order_for_a_symbol_that_nobody_watches_is_told_to_watch_it_or_to_name_a_price(
    server: Rest,
) -> None:
    """Its source is not asked for it, so no price would come, however long one waits."""
    session_id = await server.new_session()
    path, order = f"/sessions/{session_id}/trades", {"symbol": "NIFTY", "quantity": 1}
    status, problem = await server.call("POST", path, order)
    assert (status, problem["field"]) == (409, "entryPrice")
    assert problem["detail"] == (
        "no price of NIFTY is known: watch it first (subscribe_prices) or give entryPrice"
    )
    async with watching("ws", server.url, symbols=["NIFTY"]) as watcher:
        Two.script.put_nowait(100)
        await watcher.next("price_update")
        status, trade = await server.call("POST", path, order)
    assert (status, trade["entryPrice"]) == (201, 100)


async def test_two_feeds_of_one_name_end_the_start(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeds = installed()
    monkeypatch.setattr(choice, "installed_feeds", lambda: feeds | {"again": feeds["one"]})
    with pytest.raises(CannotStart, match="feed again: another one is named one on its ticks"):
        async with serve_here(make_settings(feed=("one", "again"))):
            pass


class Watched(Rivals):
    """Two sources, and what is said of them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (
            SourceHealth(self._feed(name), book, self.board) for name, book in self.books.items()
        )
        sources = [self.first, self.second]
        self.monitor = FeedMonitor(sources, self.demand, Clocks.live(lambda: self.now_ms))

    @staticmethod
    def _feed(name: str) -> IngestFeed:
        feed = IngestFeed(15_000)
        feed.source = name  # type: ignore[misc]
        return feed

    def status(self) -> FeedStatus:
        return self.monitor.status()


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_prices_come_in_if_they_do_from_one_source_and_the_others_are_named(
    watched: Watched,
) -> None:
    assert watched.status().state is FeedState.DEGRADED
    watched.says("second", 1000)
    assert watched.status().state is FeedState.LIVE
    assert watched.status().message == (
        "second: prices are coming in; first is DEGRADED: waiting for the first tick"
    )
    assert watched.status().is_news, "whoever comes later hears of the one that is missing"
    watched.says("first", 1000)
    assert watched.status().message == "first: prices are coming in"
    assert [source.state for source in watched.status().sources] == [FeedState.LIVE] * 2
    assert not watched.status().is_news


def test_of_two_that_fail_the_better_one_decides(watched: Watched) -> None:
    watched.first.failure = "it is out"
    assert (watched.status().state, watched.status().message) == (
        FeedState.DEGRADED,
        "second: waiting for the first tick; first is DOWN: it is out",
    )
    watched.second.failure = "so is it"
    assert watched.status().state is FeedState.DOWN
    assert watched.status().message == "first: it is out; second is DOWN: so is it"


def test_late_prices_behind_a_source_that_is_out_say_that_stops_wait(watched: Watched) -> None:
    watched.first.failure = "it is out"
    watched.says("second", 1000, age_s=900)
    assert watched.status().state is FeedState.DEGRADED
    assert watched.status().message.startswith("second: prices are 15 minutes late: stops wait")


def test_a_source_that_rests_does_not_hide_one_that_fails(watched: Watched) -> None:
    watched.second.feed.resting = "nobody wants anything of it"
    watched.first.failure = "it is out"
    assert watched.status().state is FeedState.DOWN
    watched.first.failure = None
    watched.first.feed.resting = "nor of this"
    assert watched.status().state is FeedState.LIVE


def test_each_source_names_the_symbols_that_it_has_no_price_of(watched: Watched) -> None:
    watched.first.feed.unserved = ["A", "B"]
    watched.second.feed.unserved = ["B"]
    first, second = watched.status().sources
    assert first.message.endswith("2 symbols get no price: A, B")
    assert second.message.endswith("1 symbol gets no price: B")
    assert watched.status().message.endswith("; 1 symbol gets no price: B"), "by no source at all"


def test_a_change_of_any_source_is_told_and_the_log_warns_while_one_fails(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    watched.says("first", 1000)
    watched.says("second", 1000)
    assert watched.monitor.poll() is not None
    assert watched.monitor.poll() is None
    watched.second.failure = "it is out"
    told = watched.monitor.poll()
    assert told is not None
    assert (told.state, told.since_ms) == (FeedState.LIVE, START_MS)
    assert "second is DOWN: it is out" in told.message
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
