"""A price that jumps too far is held until something confirms it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rest import Rest
from tests.kit.server import MakeSettings, serve_here
from tests.kit.waiting import until
from tests.market.market import FRESH_FOR_MS, START_MS, Market
from vyomo_rt.market.book import JUMP_HELD_MS


@pytest.fixture
def market() -> Market:
    market = Market()
    market.tick(1000)
    return market


def prices(market: Market) -> tuple[int, int]:
    """The price that is shown, and the one that counts."""
    return market.shown().price_e4, market.confirmed().price_e4


@pytest.mark.parametrize("price_e4", [801, 800, 1200, 1199])
def test_a_move_within_the_limit_is_believed_at_once(market: Market, price_e4: int) -> None:
    market.tick(price_e4)
    assert (prices(market), market.told) == ((price_e4, price_e4), [1000, price_e4])


@pytest.mark.parametrize("price_e4", [1, 799, 1201, 9000])
def test_a_jump_is_neither_shown_nor_told(market: Market, price_e4: int) -> None:
    market.tick(price_e4)
    market.now_ms += JUMP_HELD_MS - 1
    assert (prices(market), market.told) == ((1000, 1000), [1000])
    assert not market.confirmed().stale


def test_without_contradiction_it_is_shown_as_stale_and_still_does_not_count(
    market: Market,
) -> None:
    as_of_ms = market.now_ms + 100
    market.tick(1500, as_of_ms=as_of_ms)
    market.now_ms += JUMP_HELD_MS
    shown = market.shown()
    assert (shown.price_e4, shown.as_of_ms, shown.stale) == (1500, as_of_ms, True)
    assert market.board.quotes() == [shown]
    assert market.confirmed().price_e4 == 1000
    assert not market.confirmed().stale
    market.now_ms += 3_600_000
    assert (prices(market), market.told) == ((1500, 1000), [1000])
    market.tick(1510)
    assert (prices(market), market.told) == ((1510, 1510), [1000, 1510])
    assert not market.shown().stale


def test_a_price_near_the_confirmed_one_takes_it_back_though_it_is_shown(market: Market) -> None:
    market.tick(1500)
    market.now_ms += JUMP_HELD_MS
    market.tick(1001)
    assert (prices(market), market.told) == ((1001, 1001), [1000, 1001])
    assert not market.book.is_held("NIFTY")


def test_a_second_price_on_its_side_confirms_it_and_only_that_one_counts(market: Market) -> None:
    market.tick(1500)
    market.tick(1400)
    assert (prices(market), market.told) == ((1400, 1400), [1000, 1400])
    market.now_ms += JUMP_HELD_MS
    assert prices(market) == (1400, 1400), "the first one is past"


def test_the_same_price_of_a_later_moment_confirms_it(market: Market) -> None:
    market.tick(1500)
    market.now_ms += 1
    market.tick(1500)
    assert market.told == [1000, 1500]


def test_the_very_same_tick_once_more_does_not_confirm_it_nor_put_it_off(market: Market) -> None:
    for _ in range(3):
        market.tick(1500, as_of_ms=START_MS)
        assert (prices(market), market.told) == ((1000, 1000), [1000])
        assert market.book.is_held("NIFTY")
        market.now_ms += JUMP_HELD_MS // 3
    market.now_ms += JUMP_HELD_MS // 3
    assert prices(market) == (1500, 1000)
    market.tick(1500, as_of_ms=START_MS)
    assert market.told == [1000]


def test_a_price_that_flips_to_and_fro_does_not_fill_the_log(
    market: Market, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        market.tick(1500)
        market.tick(1000)
    assert len(caplog.records) == 1


def test_a_price_near_the_last_one_contradicts_it_for_good(market: Market) -> None:
    market.tick(1500)
    market.tick(1001)
    market.now_ms += JUMP_HELD_MS
    assert (prices(market), market.told) == ((1001, 1001), [1000, 1001])
    market.tick(1500)
    assert prices(market) == (1001, 1001), "a new jump waits anew"


def test_a_jump_to_the_other_side_takes_its_place_and_waits_itself(market: Market) -> None:
    market.tick(1500)
    market.now_ms += JUMP_HELD_MS - 1
    market.tick(500)
    market.now_ms += JUMP_HELD_MS - 1
    assert prices(market) == (1000, 1000)
    market.now_ms += 1
    assert (prices(market), market.told) == ((500, 1000), [1000])


def test_once_a_doubt_is_shown_the_newest_one_is_so_that_what_is_shown_does_not_go_back(
    market: Market,
) -> None:
    market.tick(1500)
    market.now_ms += JUMP_HELD_MS
    market.tick(500)
    assert prices(market) == (500, 1000)
    assert market.shown().as_of_ms == market.now_ms


def test_a_tick_older_than_the_held_one_contradicts_nothing(market: Market) -> None:
    market.tick(1500, as_of_ms=START_MS + 1000)
    assert market.accept("NIFTY", 1000, START_MS + 999) is not None
    assert market.book.is_held("NIFTY")


def test_a_confirming_tick_that_is_old_itself_is_told_as_stale(market: Market) -> None:
    market.tick(1500)
    market.now_ms += FRESH_FOR_MS + 1
    market.tick(1400, as_of_ms=START_MS)
    assert market.heard[-1].stale
    market.tick(1401)
    assert not market.heard[-1].stale


def test_a_clock_that_is_set_back_hides_nothing_for_ever(market: Market) -> None:
    market.tick(1500)
    market.now_ms -= 3_600_000
    assert prices(market) == (1500, 1000)


def test_a_held_price_does_not_make_the_last_one_fresh_but_the_feed_is_alive(
    market: Market,
) -> None:
    market.now_ms += FRESH_FOR_MS - 1000
    market.tick(1500)
    assert market.book.last_accepted_ms == market.book.last_fresh_ms == market.now_ms
    market.now_ms += 1500
    assert market.confirmed().stale


@pytest.mark.parametrize(
    ("symbol", "falls_to", "rises_to"),
    [
        ("NIFTY", 80, 120),
        ("RELIANCE", 80, 120),
        ("BAJFINANCE", 80, 120),
        ("NIFTY26DECFUT", 80, 120),
        ("NIFTY26NOV24000CE", 20, 500),
        ("BANKNIFTY 52000 PE", 20, 500),
        ("NFO:RELIANCE26DEC1300CE", 20, 500),
        ("NIFTY-22000-CE", 20, 500),
        ("OPTIDXNIFTY26NOV2026CE22000", 20, 500),
    ],
)
def test_stocks_indices_and_futures_may_move_by_a_fifth_and_options_fivefold(
    symbol: str, falls_to: int, rises_to: int
) -> None:
    for price_e4 in (falls_to - 1, falls_to, rises_to, rises_to + 1):
        market = Market()
        market.tick(100, symbol)
        market.tick(price_e4, symbol)
        assert market.book.is_held(symbol) == (price_e4 not in (falls_to, rises_to))


misprints = st.integers(1, 799) | st.integers(1201, 3000)


@given(st.lists(st.tuples(st.integers(0, 900), misprints), max_size=30))
def test_one_misprint_between_true_prices_never_shows(sent: list[tuple[int, int]]) -> None:
    market = Market()
    market.tick(1000)
    for wait_ms, price_e4 in sent:
        market.now_ms += wait_ms
        market.tick(price_e4)
        market.now_ms += 900
        assert prices(market) == (1000, 1000)
        market.tick(1000)
    assert set(market.told) == {1000}


async def test_a_misprint_closes_no_trade_and_a_confirmed_gap_closes_it_at_its_price(
    server: Rest,
) -> None:
    session_id = await server.new_session()
    await server.tick("BANKNIFTY", 196)
    trade = await server.open_trade(session_id, entryPrice=196, stopLoss=190)
    _, answer = await server.call("POST", "/ticks", {"symbol": "banknifty", "price": 19.6})
    assert answer == {"accepted": 1, "rejected": [], "held": ["BANKNIFTY"]}
    await server.tick("BANKNIFTY", 196.1)
    await server.tick("BANKNIFTY", 150)
    _, prices = await server.call("GET", "/prices?symbols=BANKNIFTY")
    assert prices["prices"][0]["price"] == 196.1
    await server.tick("BANKNIFTY", 149.95)
    document = await server.closed(trade["tradeId"])
    assert (document["exitPrice"], document["exitReason"]) == (149.95, "SL")


async def test_an_options_misprint_closes_nothing_and_its_move_closes_at_the_second_price(
    server: Rest,
) -> None:
    symbol = "NIFTY26NOV24500CE"
    session_id = await server.new_session()
    await server.tick(symbol, 41)
    order = {"symbol": symbol, "entryPrice": 41}
    won = await server.open_trade(session_id, **order, target=60)
    lost = await server.open_trade(session_id, **order, stopLoss=38)
    for misprint in (24150.5, 0.05):
        _, answer = await server.call("POST", "/ticks", {"symbol": symbol, "price": misprint})
        assert answer["held"] == [symbol]
        await server.tick(symbol, 41.2)
    await server.tick(symbol, 250)
    await server.tick(symbol, 252)
    document = await server.closed(won["tradeId"])
    assert (document["exitPrice"], document["exitReason"]) == (252, "TARGET")
    _, document = await server.call("GET", f"/trades/{lost['tradeId']}")
    assert document["status"] == "OPEN"


async def test_a_misprint_that_nothing_contradicts_is_shown_and_all_else_goes_by_the_last_price(
    server: Rest,
) -> None:
    """Stop, figures, an opening and a close by hand; a second tick then closes what is due."""
    session_id = await server.new_session()
    await server.tick("BANKNIFTY", 196)
    kept = await server.open_trade(session_id, entryPrice=196, stopLoss=190)
    await server.tick("BANKNIFTY", 150)

    async def shown() -> dict[str, Any] | None:
        _, answer = await server.call("GET", "/prices?symbols=BANKNIFTY")
        price: dict[str, Any] = answer["prices"][0]
        return price if price["price"] == 150 else None

    assert (await until(shown))["stale"] is True
    by_hand = await server.open_trade(session_id, entryPrice=None)
    assert by_hand["entryPrice"] == 196
    assert (await server.close_trade(by_hand["tradeId"]))["exitPrice"] == 196
    _, session = await server.call("GET", f"/sessions/{session_id}")
    assert (session["openTrades"], session["unrealizedPnL"]) == (1, 0)
    await server.tick("BANKNIFTY", 151)
    document = await server.closed(kept["tradeId"])
    assert (document["exitPrice"], document["exitReason"]) == (151, "SL")


async def test_a_price_in_doubt_does_not_become_the_last_one_by_a_restart(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings()
    async with serve_here(settings) as server:
        await server.tick("BANKNIFTY", 196)
        await server.tick("BANKNIFTY", 150)
    async with serve_here(settings) as server:
        _, answer = await server.call("GET", "/prices")
        (price,) = answer["prices"]
        assert (price["price"], price["stale"]) == (196, True)
