"""What can go wrong with any source, and that its feed says so and recovers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from typing import NamedTuple

import pytest

from tests.kit.waiting import until
from tests.market.feeds.kite import MockKite
from tests.market.feeds.nse import MockNse
from tests.market.feeds.openalgo import MockOpenAlgo
from tests.market.feeds.running import OPEN_MS, recovers, running
from tests.market.feeds.serving import Mock, MockSite, MockStream, recorded
from tests.market.feeds.yahoo import MockYahoo, asked_more
from vyomo_rt.domain.market import PreviousClose
from vyomo_rt.domain.quote import FeedState
from vyomo_rt.market.feeds.sockets import SocketFeed

SOURCES: tuple[type[Mock], ...] = (MockYahoo, MockNse, MockKite, MockOpenAlgo)
LIVE, DEGRADED, DOWN = FeedState.LIVE, FeedState.DEGRADED, FeedState.DOWN
NIFTY_E4, TCS_E4 = 241_900_500, 33_001_000
EVENING_MS = OPEN_MS + 10 * 3_600_000


@pytest.fixture(params=SOURCES, ids=lambda kind: kind.name)
def mock(request: pytest.FixtureRequest) -> Mock:
    made: Mock = request.param(OPEN_MS - 5000)
    return made


class Fault(NamedTuple):
    """What a source does, and what is said of it."""

    name: str
    do: Callable[[Mock], None]
    words: str


FAULTS = (
    Fault("429", lambda mock: mock.fails_with(429), "refuses to answer (429, too many requests)"),
    Fault("500", lambda mock: mock.fails_with(500), "answers with status 500"),
    Fault("html", lambda mock: mock.fails_with(200, recorded("yahoo/consent.html")), ""),
    Fault("truncated", lambda mock: mock.truncates(), ""),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_source_that_fails_is_down_with_the_reason_and_live_once_it_is_back(
    mock: Mock, fault: Fault
) -> None:
    async with running(mock, "NIFTY") as market:
        await market.priced("NIFTY", NIFTY_E4)
        fault.do(mock)
        if isinstance(mock, MockStream):
            mock.prices["NIFTY"] = 24_195.0
            await mock.drop()
        words = fault.words
        if fault.name == "truncated":
            words = mock.down
        elif fault.name == "html":
            words = mock.down if isinstance(mock, MockSite) else "200 and opens no WebSocket"
        await market.becomes(DOWN, words)
        assert market.shown().price_e4 == NIFTY_E4, "the last price stays"
        await recovers(market)


async def test_a_source_that_hangs_is_given_up_and_asked_again(mock: Mock) -> None:
    if isinstance(mock, MockSite):
        mock.pace = mock.pace._replace(timeout_s=0.1)
    elif isinstance(mock, MockStream):
        mock.patience = mock.patience._replace(connect_s=0.1)
    mock.hangs()
    async with running(mock, "NIFTY") as market:
        await market.becomes(DOWN, "does not answer within 0.1 s")
        await recovers(market)


async def test_403_is_left_alone_for_a_while_or_for_good_where_it_is_about_the_key(
    mock: Mock,
) -> None:
    mock.fails_with(403, recorded("nse/access_denied.html"))
    async with running(mock, "NIFTY") as market:
        if isinstance(mock, MockKite):
            told = await market.becomes(DOWN, "the feed kite cannot go on: Kite refuses the key")
            assert "VYOMO_RT_KITE_ACCESS_TOKEN" in told
            await until(market.task.done)
            assert mock.connections == 1
        else:
            await market.becomes(DOWN, "refuses to answer (403")
            await recovers(market)


async def test_where_there_is_no_price_yet_the_others_come_all_the_same(mock: Mock) -> None:
    """A null, a zero, or nulls behind the last minute that has a price."""
    await mock.set_price("TCS", None)
    async with running(mock, "NIFTY", "TCS") as market:
        await market.priced("NIFTY", NIFTY_E4)
        await market.becomes(LIVE)
        if isinstance(mock, MockYahoo):
            await market.priced("TCS", TCS_E4)
        else:
            assert market.board.quote("TCS") is None
        await mock.set_price("TCS", 3_310.0)
        await market.priced("TCS", 33_100_000)


async def test_a_symbol_that_the_source_does_not_know_is_no_failure_and_told(mock: Mock) -> None:
    async with running(mock, "NIFTY", "TYPO") as market:
        await market.priced("NIFTY", NIFTY_E4)
        told = await market.becomes(LIVE, "1 symbol gets no price: TYPO")
        assert told.startswith("prices are coming in")
        market.demand.released(["TYPO"])
        await until(lambda: market.status.message == "prices are coming in")


async def test_moments_in_the_past_never_follow_newer_ones(mock: Mock) -> None:
    async with running(mock, "NIFTY") as market:
        await market.priced("NIFTY", NIFTY_E4)
        mock.at_ms -= 60_000
        await mock.set_price("NIFTY", 24_000.0)
        await until(lambda: market.book.refusals.last)
        assert market.book.refusals.last is not None
        assert "older than the last price of NIFTY" in market.book.refusals.last.reason
        assert market.confirmed().price_e4 == NIFTY_E4


async def test_moments_in_the_future_are_refused_and_the_feed_says_so(mock: Mock) -> None:
    mock.at_ms = OPEN_MS + 3_600_000
    async with running(mock, "NIFTY") as market:
        await market.becomes(DEGRADED, "ticks come in but are refused: more than 5 s ahead")
        assert market.board.quote("NIFTY") is None


async def test_prices_of_a_quarter_of_an_hour_ago_are_told_as_late_and_stops_wait(
    mock: Mock,
) -> None:
    mock.at_ms = OPEN_MS - 900_000
    async with running(mock, "NIFTY") as market:
        told = await market.becomes(DEGRADED, "prices are 15 minutes late: stops wait")
        assert "NIFTY is as of 2026-11-25T05:15:00.000Z" in told
        await mock.set_price("NIFTY", 24_100.0)
        await market.priced("NIFTY", 241_000_000)
        assert market.heard[-1].stale


async def test_a_source_that_says_the_same_again_makes_nothing_fresh_and_is_not_live(
    mock: Mock,
) -> None:
    """An answer may be a copy, and a socket may stay open and silent: a heartbeat is no data."""
    async with running(mock, "NIFTY") as market:
        await market.priced("NIFTY", NIFTY_E4)
        if isinstance(market.feed, SocketFeed) and isinstance(mock, MockStream):
            mock.is_mute = True
            market.feed.patience = mock.patience._replace(silent_s=0.1)
            await market.becomes(DOWN, mock.silent)
            market.feed.patience = mock.patience
        market.now_ms += market.feed.fresh_for_ms + 6000
        if isinstance(mock, MockSite):
            await market.becomes(DEGRADED, mock.silent)
        assert market.confirmed().stale
        mock.at_ms = market.now_ms
        await recovers(market)
        assert not market.confirmed().stale


async def test_a_source_that_replays_after_it_was_away_makes_nothing_fresh(mock: Mock) -> None:
    async with running(mock, "NIFTY", "TCS") as market:
        await market.priced("NIFTY", NIFTY_E4)
        await market.priced("TCS", TCS_E4)
        mock.fails_with(500)
        if isinstance(mock, MockStream):
            await mock.drop()
        await market.becomes(DOWN, "500")
        market.now_ms += market.feed.fresh_for_ms + 1000
        await mock.set_price("TCS", 3305.0)
        mock.heals()
        await market.priced("TCS", 33_050_000)  # as new as NIFTY, which is sent before it
        if isinstance(mock, MockSite):
            asked = len(mock.paths)
            await until(lambda: len(mock.paths) > asked + 2)
        assert market.confirmed("NIFTY").stale
        assert market.told.count(NIFTY_E4) == 1
        mock.at_ms = market.now_ms
        await recovers(market)


async def test_a_symbol_that_disappears_keeps_its_last_price_which_goes_stale(mock: Mock) -> None:
    async with running(mock, "TCS", "NIFTY") as market:
        await market.priced("TCS", TCS_E4)
        mock.forget("TCS")
        if isinstance(mock, MockStream):
            await mock.drop()
        if mock.name != "kite":  # it says nothing of an instrument that is traded no more
            await until(lambda: "1 symbol gets no price: TCS" in market.status.message)
        market.now_ms += market.feed.fresh_for_ms + 6000
        assert market.confirmed("TCS").stale
        assert market.confirmed("TCS").price_e4 == TCS_E4
        mock.at_ms = market.now_ms
        await recovers(market)


@pytest.mark.parametrize("kind", [MockYahoo, MockNse])
async def test_answers_without_any_row_are_no_reason_to_rest_while_the_market_is_open(
    kind: type[MockYahoo | MockNse],
) -> None:
    mock = kind(OPEN_MS - 5000)
    async with running(mock, "NIFTY", "TCS") as market:
        await market.priced("NIFTY", NIFTY_E4)
        await market.priced("TCS", TCS_E4)
        mock.fails_with(200, b'{"data": []}' if kind is MockNse else b"{}", "application/json")
        await until(lambda: "NIFTY" in market.status.message)
        await asked_more(mock, 5)
        market.now_ms += market.feed.fresh_for_ms + 6000
        await market.becomes(DEGRADED, "no tick since")
        mock.at_ms = market.now_ms
        await recovers(market)
        if isinstance(mock, MockNse):
            lists = len(mock.asked("equity-stock-indices"))
            await until(lambda: len(mock.asked("equity-stock-indices")) > lists)
            assert mock.asked("symbol=TCS") == []


async def test_the_close_of_the_session_before_is_told_with_the_price(mock: Mock) -> None:
    async with running(mock, "NIFTY", "TCS") as market:
        assert market.feed.previous_close("TCS") is None
        await market.priced("NIFTY", NIFTY_E4)
        await market.priced("TCS", TCS_E4)
        closes = [market.feed.previous_close(symbol) for symbol in ("NIFTY", "TCS")]
    if isinstance(mock, MockOpenAlgo):  # it does not tell
        assert closes == [None, None]
    else:
        # 2026-11-24 is a holiday.
        before = date(2026, 11, 23)
        assert closes == [PreviousClose(241_200_000, before), PreviousClose(32_900_000, before)]


async def test_while_the_market_is_closed_the_last_price_stands_and_the_feed_is_live(
    mock: Mock,
) -> None:
    """Also where the connection is lost then."""
    mock.at_ms = EVENING_MS - 3 * 3_600_000
    async with running(mock, "NIFTY", now_ms=EVENING_MS) as market:
        await market.priced("NIFTY", NIFTY_E4)
        await market.becomes(LIVE, "outside market hours")
        assert market.confirmed().stale
        if isinstance(mock, MockSite):
            asked = len(mock.paths)
            market.demand.wanted(["TCS"])
            await market.priced("TCS", TCS_E4)
            assert len(mock.paths) == asked + 1
        elif isinstance(mock, MockStream):
            await mock.drop()
            await asyncio.sleep(0.2)
            await market.becomes(LIVE, "outside market hours")
            assert mock.connections == 1
            market.demand.wanted(["TCS"])
            await market.priced("TCS", TCS_E4)


async def test_nothing_is_wrong_while_nobody_wants_anything(mock: Mock) -> None:
    async with running(mock) as market:
        await market.becomes(LIVE, "nobody watches or holds anything")
        if isinstance(mock, MockSite):
            assert mock.paths == []
        market.demand.wanted(["NIFTY"])
        await market.priced("NIFTY", NIFTY_E4)
        await market.becomes(LIVE, "prices are coming in")
