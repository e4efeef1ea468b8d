"""A price that jumps too far is held until something confirms it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rest import Rest
from tests.kit.waiting import until
from vyomo_rt.domain.quote import Quote
from vyomo_rt.market.book import JUMP_HELD_MS, PriceBook
from vyomo_rt.market.classes import class_of

START_MS = 1_770_000_000_000


class Desk:
    """A book with a clock that is set by hand, and the prices that it told."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.told: list[int] = []
        self.book = PriceBook(lambda: self.now_ms, "ingest", 15_000, self.hear)

    def hear(self, quote: Quote) -> None:
        self.told.append(quote.price_e4)

    def tick(self, price_e4: int, symbol: str = "NIFTY") -> None:
        assert self.book.accept(symbol, price_e4) is None

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        self.book.confirm_jumps()

    @property
    def shown(self) -> int:
        quote = self.book.quote("NIFTY")
        assert quote is not None
        return quote.price_e4


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.tick(1000)
    return desk


@pytest.mark.parametrize("price_e4", [801, 800, 1200, 1199])
def test_a_move_within_the_limit_is_believed_at_once(desk: Desk, price_e4: int) -> None:
    desk.tick(price_e4)
    assert (desk.shown, desk.told) == (price_e4, [1000, price_e4])


@pytest.mark.parametrize("price_e4", [1, 799, 1201, 9000])
def test_a_jump_is_neither_shown_nor_told(desk: Desk, price_e4: int) -> None:
    desk.tick(price_e4)
    desk.wait(JUMP_HELD_MS - 1)
    assert (desk.shown, desk.told) == (1000, [1000])


def test_a_second_price_on_its_side_confirms_it(desk: Desk) -> None:
    desk.tick(1500)
    desk.tick(1400)
    assert (desk.shown, desk.told) == (1400, [1000, 1400])
    desk.wait(JUMP_HELD_MS)
    assert desk.told == [1000, 1400], "the first one is past"


def test_the_same_price_of_a_later_moment_confirms_it(desk: Desk) -> None:
    desk.tick(1500)
    desk.now_ms += 1
    desk.tick(1500)
    assert desk.told == [1000, 1500]


def test_the_very_same_tick_once_more_does_not_confirm_it_nor_put_it_off(desk: Desk) -> None:
    for _ in range(3):
        assert desk.book.accept("NIFTY", 1500, START_MS) is None
        assert desk.told == [1000]
        assert desk.book.is_held("NIFTY")
        desk.wait(JUMP_HELD_MS // 3)
    desk.wait(JUMP_HELD_MS // 3)
    assert desk.told == [1000, 1500]
    assert not desk.book.is_held("NIFTY")


def test_a_price_that_flips_to_and_fro_does_not_fill_the_log(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        desk.tick(1500)
        desk.tick(1000)
    assert len(caplog.records) == 1


def test_a_price_near_the_last_one_contradicts_it_for_good(desk: Desk) -> None:
    desk.tick(1500)
    desk.tick(1001)
    desk.wait(JUMP_HELD_MS)
    assert (desk.shown, desk.told) == (1001, [1000, 1001])
    desk.tick(1500)
    assert desk.shown == 1001, "a new jump waits anew"


def test_a_jump_to_the_other_side_contradicts_it_and_waits_itself(desk: Desk) -> None:
    desk.tick(1500)
    desk.wait(JUMP_HELD_MS - 1)
    desk.tick(500)
    desk.wait(JUMP_HELD_MS - 1)
    assert desk.shown == 1000
    desk.wait(1)
    assert (desk.shown, desk.told) == (500, [1000, 500])


def test_what_nothing_contradicts_for_two_seconds_is_taken_with_its_own_moment(desk: Desk) -> None:
    desk.now_ms += 10
    desk.tick(1500)
    as_of_ms = desk.now_ms
    desk.wait(JUMP_HELD_MS)
    assert desk.told == [1000, 1500]
    assert desk.book.quotes() == [Quote("NIFTY", 1500, as_of_ms, "ingest", stale=False)]


def test_a_clock_that_is_set_back_holds_nothing_for_ever(desk: Desk) -> None:
    desk.tick(1500)
    desk.wait(-3_600_000)
    assert desk.shown == 1500


def test_a_held_price_does_not_make_the_last_one_fresh_but_the_feed_is_alive(desk: Desk) -> None:
    desk.wait(14_000)
    desk.tick(1500)
    assert desk.book.last_accepted_ms == desk.now_ms
    desk.now_ms += 1_500
    assert [quote.stale for quote in desk.book.quotes()] == [True]


@pytest.mark.parametrize(
    ("symbol", "limit_percent"),
    [
        ("NIFTY", 20),
        ("RELIANCE", 20),
        ("BAJFINANCE", 20),
        ("NIFTY26DECFUT", 20),
        ("NIFTY26NOV24000CE", None),
        ("BANKNIFTY 52000 PE", None),
        ("NFO:RELIANCE26DEC1300CE", None),
        ("NIFTY-22000-CE", None),
        ("OPTIDXNIFTY26NOV2026CE22000", None),
    ],
)
def test_options_may_jump_and_stocks_indices_and_futures_may_not(
    symbol: str, limit_percent: int | None
) -> None:
    assert class_of(symbol).jump_limit_percent == limit_percent


def test_an_option_is_believed_wherever_it_goes(desk: Desk) -> None:
    for price_e4 in (1000, 1, 90_000):
        desk.tick(price_e4, "NIFTY26NOV24000CE")
    assert desk.told[1:] == [1000, 1, 90_000]


misprints = st.integers(1, 799) | st.integers(1201, 3000)


@given(st.lists(st.tuples(st.integers(0, 900), misprints), max_size=30))
def test_one_misprint_between_true_prices_never_shows(sent: list[tuple[int, int]]) -> None:
    desk = Desk()
    desk.tick(1000)
    for wait_ms, price_e4 in sent:
        desk.wait(wait_ms)
        desk.tick(price_e4)
        desk.wait(900)
        desk.tick(1000)
    assert set(desk.told) == {1000}


async def closed(server: Rest, trade_id: int) -> dict[str, Any]:
    """The document of a trade once it is closed."""

    async def look() -> dict[str, Any] | None:
        _, now = await server.call("GET", f"/trades/{trade_id}")
        return now if now["status"] == "CLOSED" else None

    document: dict[str, Any] = await until(look)
    return document


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
    document = await closed(server, trade["tradeId"])
    assert (document["exitPrice"], document["exitReason"]) == (149.95, "SL")


async def test_a_gap_that_nobody_contradicts_closes_the_trade_after_two_seconds(
    server: Rest,
) -> None:
    session_id = await server.new_session()
    await server.tick("BANKNIFTY", 196)
    trade = await server.open_trade(session_id, entryPrice=196, stopLoss=190)
    await server.tick("BANKNIFTY", 150)
    assert (await closed(server, trade["tradeId"]))["exitPrice"] == 150
