"""What Yahoo alone does, or has done to it."""

from __future__ import annotations

import json

import pytest

from tests.kit.waiting import until
from tests.market.feeds.running import OPEN_MS, recovers
from tests.market.feeds.serving import recorded
from tests.market.feeds.yahoo import FAST, asked_more, polling
from vyomo_rt.domain.limits import BackOff
from vyomo_rt.domain.quote import FeedState
from vyomo_rt.market.feeds.yahoo.feed import USER_AGENTS, YahooFeed

NIFTY_E4 = 241_900_500
LIVE, DOWN = FeedState.LIVE, FeedState.DOWN


async def test_403_is_tried_as_each_browser_and_then_left_alone() -> None:
    await refused_with(403)


async def test_429_is_tried_as_each_browser_and_then_left_alone() -> None:
    await refused_with(429)


async def test_404_without_json_counts_as_too_many_requests() -> None:
    await refused_with(404)


async def refused_with(status: int) -> None:
    async with polling("NIFTY", pace=FAST._replace(pauses_s=(0.1, 0.2))) as polled:
        await polled.priced("NIFTY", NIFTY_E4)
        polled.mock.agents.clear()
        polled.mock.fails_with(status, recorded("yahoo/too_many_requests.html"))
        told = await polled.becomes(DOWN, f"Yahoo refuses to answer ({status}")
        assert "asked again after" in told
        assert tuple(polled.mock.agents[:3]) == USER_AGENTS
        assert polled.shown().price_e4 == NIFTY_E4, "the last price stays"
        await recovers(polled)


async def test_the_pause_after_a_429_grows_from_one_minute_to_five() -> None:
    back_off = BackOff(YahooFeed.pace.pauses_s)
    assert [back_off.next_s() for _ in range(5)] == [60, 120, 240, 300, 300]
    async with polling("NIFTY", pace=FAST._replace(pauses_s=(0.01, 0.02))) as polled:
        polled.mock.fails_with(429)
        await until(lambda: len(polled.mock.agents) >= 3 * len(USER_AGENTS))
        await recovers(polled)


async def test_a_source_that_says_how_long_to_wait_is_left_alone_for_so_long() -> None:
    async with polling("NIFTY") as polled:
        polled.mock.fails_with(429, b"", "text/html", **{"Retry-After": "77"})
        await polled.becomes(DOWN, "asked again after 77 s")


async def test_the_browser_that_was_answered_is_used_again() -> None:
    async with polling("NIFTY") as polled:
        polled.mock.agents_refused = set(USER_AGENTS[:1])
        await polled.priced("NIFTY", NIFTY_E4)
        await asked_more(polled.mock)
        assert polled.mock.agents.count(USER_AGENTS[0]) == 1
        assert set(polled.mock.agents[1:]) == {USER_AGENTS[1]}


async def test_html_instead_of_json_is_said_to_be_no_json() -> None:
    async with polling("NIFTY") as polled:
        header = {"X-Long": "x" * 20_000}  # Yahoo's pages have such
        polled.mock.fails_with(200, recorded("yahoo/consent.html"), **header)
        told = await polled.becomes(DOWN, "Yahoo sends no whole JSON")
        assert "<!DOCTYPE html>" in told
        await recovers(polled)


async def test_an_answer_without_end_is_given_up() -> None:
    async with polling("NIFTY") as polled:
        polled.mock.fails_with(200, b" " * 5_000_000, "application/json")
        await polled.becomes(DOWN, "Yahoo sends more than")
        await recovers(polled)


@pytest.mark.parametrize("body", [b"[]", b'{"^NSEI": 7}', b'{"^NSEI": {"close": "x"}}', b"null"])
async def test_json_of_another_form_is_a_failure(body: bytes) -> None:
    async with polling("NIFTY") as polled:
        polled.mock.fails_with(200, body, "application/json")
        await polled.becomes(DOWN, "Yahoo ")
        await recovers(polled)


async def test_one_row_of_another_form_costs_only_its_own_price() -> None:
    async with polling("RELIANCE", "NIFTY") as polled:
        polled.mock.rows["RELIANCE.NS"]["close"] = {"0": 1300}
        await polled.priced("NIFTY", NIFTY_E4)
        assert polled.board.quote("RELIANCE") is None
        assert "1 symbol gets no price: RELIANCE" in await polled.becomes(LIVE, "no price")


async def test_trailing_nulls_leave_the_last_minute_that_has_a_price() -> None:
    async with polling("TCS", "M&M") as polled:
        await polled.priced("TCS", 33_001_000)
        await polled.priced("M&M", 29_510_500)
        assert polled.confirmed("TCS").as_of_ms == OPEN_MS - 65_000
        assert polled.confirmed("M&M").as_of_ms == OPEN_MS - 185_000
        assert "%26" in polled.mock.paths[0], "an & ends no parameter"


async def test_a_day_without_a_trade_yet_has_the_price_from_before_its_first_minute() -> None:
    async with polling("TCS") as polled:
        polled.mock.rows["TCS.NS"]["close"] = [None] * 4
        await polled.priced("TCS", 33_001_000)
        assert polled.confirmed("TCS").as_of_ms == OPEN_MS - 185_000


async def test_a_symbol_without_minutes_gives_no_price() -> None:
    """A price whose moment is not known must not look like one of now."""
    async with polling("TCS", "NIFTY") as polled:
        polled.mock.rows["TCS.NS"].update(timestamp=[], close=[])
        await polled.priced("NIFTY", NIFTY_E4)
        await asked_more(polled.mock)
        assert polled.board.quote("TCS") is None


async def test_only_unknown_symbols_are_no_failure() -> None:
    """Also where Yahoo says so by a 404 with JSON."""
    async with polling("TYPO") as polled:
        polled.mock.fails_with(404, recorded("yahoo/not_found.json"), "application/json")
        await polled.becomes(LIVE, "1 symbol gets no price: TYPO")


async def test_a_failure_is_forgotten_where_only_unknown_symbols_are_wanted() -> None:
    async with polling("TYPO") as polled:
        polled.mock.fails_with(500)
        await polled.becomes(DOWN)
        polled.mock.fault = None
        await polled.becomes(LIVE)


async def test_the_older_form_of_the_answer_is_read_as_well() -> None:
    async with polling("NIFTY", "TCS", "M&M", "RELIANCE") as polled:
        answer = json.loads(recorded("yahoo/spark_v7.json"))
        for result in answer["spark"]["result"]:
            response = result["response"][0]
            response["timestamp"] = polled.mock.row(result["symbol"])["timestamp"]
        polled.mock.fails_with(200, json.dumps(answer).encode(), "application/json")
        await polled.priced("NIFTY", NIFTY_E4)
        await polled.priced("TCS", 33_001_000)
        await polled.priced("RELIANCE", 13_018_000)
