"""Which of NSE's addresses is asked for what, and how often."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.kit.waiting import until
from tests.market.feeds.nse import FAST, MockNse
from tests.market.feeds.running import OPEN_MS, recovers, running
from tests.market.feeds.serving import recorded
from vyomo_rt.domain.quote import FeedState
from vyomo_rt.market.feeds.fetching import Pace
from vyomo_rt.market.feeds.names import Names
from vyomo_rt.market.feeds.nse.answers import read_constituents, read_indices, read_quote
from vyomo_rt.market.feeds.nse.feed import USER_AGENTS, NseFeed
from vyomo_rt.market.feeds.reading import Price

LIVE, DOWN = FeedState.LIVE, FeedState.DOWN


def mock_nse(pace: Pace = FAST) -> MockNse:
    return MockNse(OPEN_MS - 5000, pace)


async def test_indices_come_in_one_request_an_indexs_stocks_in_another_the_rest_singly() -> None:
    mock = mock_nse()
    async with running(mock, "NIFTY", "FINNIFTY", "RELIANCE", "TCS", "M&M", "OLAELEC") as market:
        await market.priced("NIFTY", 241_900_500)
        await market.priced("FINNIFTY", 248_016_000)
        await market.priced("RELIANCE", 13_018_000)
        await market.priced("M&M", 29_510_500)
        await market.priced("OLAELEC", 384_800)
        await market.becomes(LIVE, "prices are coming in")
    kinds = {path.partition("?")[0] for path in mock.paths}
    assert kinds == {
        "/option-chain",
        "/api/allIndices",
        "/api/equity-stock-indices",
        "/api/NextApi/apiClient/GetQuoteApi",
    }
    assert all("symbol=OLAELEC" in path for path in mock.asked("GetQuoteApi"))
    assert mock.most_at_once == 1


async def test_moments_without_a_zone_are_indian_time() -> None:
    async with running(mock_nse(), "NIFTY", "TCS", "OLAELEC") as market:
        for symbol, price_e4 in (("NIFTY", 241_900_500), ("TCS", 33_001_000), ("OLAELEC", 384_800)):
            await market.priced(symbol, price_e4)
            assert market.confirmed(symbol).as_of_ms == OPEN_MS - 5000


async def test_a_stock_that_is_not_in_the_list_any_more_is_asked_for_singly() -> None:
    mock = mock_nse()
    mock.constituents = [row for row in mock.constituents if row["symbol"] != "TCS"]
    async with running(mock, "TCS", "RELIANCE") as market:
        await market.priced("TCS", 33_001_000)
        await market.becomes(LIVE, "prices are coming in")
        assert market.status.message == "prices are coming in"
        assert len(mock.asked("symbol=TCS")) >= 1


async def test_where_the_list_is_gone_its_stocks_are_asked_for_singly() -> None:
    mock = mock_nse()
    mock.has_list = False
    mock.quotes["RELIANCE"] = 1301.8
    async with running(mock, "TCS", "RELIANCE") as market:
        await market.priced("TCS", 33_001_000)
        await market.priced("RELIANCE", 13_018_000)
        await until(lambda: len(mock.asked("GetQuoteApi")) >= 4)
        assert len(mock.asked("equity-stock-indices")) == 1


async def test_without_its_cookies_nse_refuses_and_a_visit_gets_them() -> None:
    mock = mock_nse()
    async with running(mock, "NIFTY") as market:
        await market.priced("NIFTY", 241_900_500)
        assert len(mock.asked("option-chain")) == 1
        assert mock.agents[0] == mock.agents[1] == USER_AGENTS[0]
        mock.cookies.clear()
        mock.page = "/"
        await mock.set_price("NIFTY", 24_195.0)
        await market.priced("NIFTY", 241_950_000)
        assert mock.agents[-1] == USER_AGENTS[1]


async def test_whoever_was_too_fast_waits_for_as_long_as_nse_says() -> None:
    async with running(mock_nse(), "NIFTY") as market:
        market.mock.fails_with(403, b"<html>Please try again after 10 minutes.</html>")
        await market.becomes(DOWN, "NSE refuses to answer (403, it wants no such requests)")
        assert "asked again after 600 s" in market.status.message


async def test_its_cookies_may_come_from_its_first_page_only() -> None:
    mock = mock_nse()
    mock.page = "/"
    async with running(mock, "NIFTY") as market:
        await market.priced("NIFTY", 241_900_500)


async def test_a_page_that_is_gone_is_no_obstacle() -> None:
    class Gateway(MockNse):
        def respond(self, request: Any) -> Any:
            return self._respond(request)

    async with running(Gateway(OPEN_MS - 5000), "NIFTY") as market:
        await market.priced("NIFTY", 241_900_500)


async def test_no_more_than_three_requests_are_made_in_a_second() -> None:
    assert NseFeed.pace.least_s >= 1 / 3
    mock = mock_nse(FAST._replace(least_s=0.05, round_s=0.1))
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    async with running(mock, "NIFTY", "TCS", "OLAELEC", "TYPO", "TYPE"):
        await until(lambda: len(mock.paths) >= 8)
        assert loop.time() - begun_s >= 7 * 0.05


async def test_few_symbols_are_asked_for_once_in_five_seconds() -> None:
    assert NseFeed.pace.round_s == 5.0
    mock = mock_nse(FAST._replace(round_s=0.2))
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    async with running(mock, "NIFTY", "BANKNIFTY"):
        await until(lambda: len(mock.asked("allIndices")) >= 4)
        assert loop.time() - begun_s >= 3 * 0.2


async def test_more_symbols_than_it_can_ask_for_are_told() -> None:
    symbols = [f"S{number:03}" for number in range(NseFeed.max_symbols + 3)]
    async with running(mock_nse(), "NIFTY", *symbols) as market:
        await until(lambda: "symbols get no price: S099, S100" in market.status.message)


async def test_contracts_and_indices_of_others_are_told_and_not_asked_for() -> None:
    mock = mock_nse()
    async with running(mock, "NIFTY", "NIFTY24NOV2624000CE", "SENSEX") as market:
        await market.becomes(LIVE, "2 symbols get no price: NIFTY24NOV2624000CE, SENSEX")
        assert not mock.asked("GetQuoteApi")


async def test_an_index_may_go_by_nses_own_name() -> None:
    async with running(mock_nse(), "NIFTY BANK", "INDIA VIX") as market:
        await market.priced("NIFTY BANK", 520_143_000)
        await market.priced("INDIA VIX", 128_300)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"data": 7}', b'"x"', b"null"])
async def test_an_answer_of_another_form_is_a_failure(body: bytes) -> None:
    async with running(mock_nse(), "NIFTY") as market:
        market.mock.fails_with(200, body, "application/json")
        await market.becomes(DOWN, "the feed nse failed: NSE ")
        await recovers(market)


def test_numbers_may_be_texts_and_rows_without_a_price_or_a_moment_have_none() -> None:
    prices = read_indices(recorded("nse/all_indices.json"))
    assert prices["NIFTY MIDCAP SELECT"].price_e4 == 128_013_500
    assert prices["NIFTY FIN SERVICE"] == prices["NIFTY FINANCIAL SERVICES"]
    body = b'{"data": [{"symbol": "A", "lastPrice": 5}, {"symbol": "B", "lastPrice": "-"}, 7]}'
    assert read_constituents(body) == {}
    body = body.replace(b'"lastPrice": 5', b'"lastPrice": 5, "lastUpdateTime": "27-May-2026 11:07"')
    assert read_constituents(body)["A"] == Price(50_000, 1_779_860_220_000)
    assert read_quote("TYPO", b'{"msg": "no data found"}') is None


def test_a_name_may_have_alternatives() -> None:
    assert Names.of_source("nse").of("FINNIFTY") == (
        "NIFTY FIN SERVICE",
        "NIFTY FINANCIAL SERVICES",
    )
