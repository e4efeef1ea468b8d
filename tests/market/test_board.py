"""Which ticks the board believes, and when a price counts as fresh."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.market.market import FRESH_FOR_MS, START_MS, Market
from vyomo_rt.domain.money import MAX_PRICE_E4
from vyomo_rt.domain.quote import Quote
from vyomo_rt.exchange.symbol_classes import class_of
from vyomo_rt.market.book import DELAYED_MS, MAX_AHEAD_MS

HOUR_MS = 3_600_000


@pytest.fixture
def market() -> Market:
    return Market()


@dataclass(frozen=True)
class Sent:
    wait_ms: int
    symbol: str
    price_e4: int
    age_ms: int | None


ticks = st.builds(
    Sent,
    wait_ms=st.integers(0, 20_000),
    symbol=st.sampled_from(["NIFTY", "SBIN"]),
    price_e4=st.sampled_from([-1, 0, 100, 101, 119, MAX_PRICE_E4 + 1]),
    age_ms=st.none() | st.integers(-MAX_AHEAD_MS - 2, 20_000),
)


@settings(deadline=None)
@given(st.lists(ticks, max_size=40))
def test_the_last_accepted_tick_wins_and_no_symbol_goes_back_in_time(sent: list[Sent]) -> None:
    market = Market()
    last: dict[str, tuple[int, int]] = {}
    accepted = 0
    for tick in sent:
        market.now_ms += tick.wait_ms
        as_of_ms = None if tick.age_ms is None else market.now_ms - tick.age_ms
        before = last.get(tick.symbol)
        reason = market.accept(tick.symbol, tick.price_e4, as_of_ms)
        earliest_ms = before[1] if before else 0
        held_ms = max(market.now_ms, earliest_ms) if as_of_ms is None else as_of_ms
        believable = (
            0 < tick.price_e4 <= MAX_PRICE_E4
            and earliest_ms <= held_ms <= market.now_ms + MAX_AHEAD_MS
        )
        assert (reason is None) == believable
        if believable:
            accepted += 1
            last[tick.symbol] = (tick.price_e4, held_ms)
            assert market.heard[-1] == market.confirmed(tick.symbol)
            assert market.book.last_accepted_ms == market.now_ms
        assert {q.symbol: (q.price_e4, q.as_of_ms) for q in market.board.quotes()} == last
    assert len(market.heard) == accepted


wild_ticks = st.builds(
    Sent,
    wait_ms=st.sampled_from([0, 1, 500, 2_000, 20_000, 90_000]),
    symbol=st.sampled_from(["NIFTY", "NIFTY26NOV24000CE"]),
    price_e4=st.sampled_from([10, 19, 100, 119, 121, 150, 501, 700]),
    age_ms=st.none() | st.integers(-2, 20_000) | st.integers(DELAYED_MS - 2, DELAYED_MS + 2),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(wild_ticks, max_size=30), st.sampled_from([FRESH_FOR_MS, HOUR_MS]))
def test_whatever_comes_nothing_that_is_held_or_stale_triggers_and_no_moment_goes_back(
    sent: list[Sent], fresh_for_ms: int
) -> None:
    market = Market(fresh_for_ms)
    for tick in sent:
        market.now_ms += tick.wait_ms
        before = market.board.confirmed(tick.symbol), market.board.quote(tick.symbol)
        held_before, heard = market.book.is_held(tick.symbol), len(market.heard)
        as_of_ms = None if tick.age_ms is None else market.now_ms - tick.age_ms
        refused = market.accept(tick.symbol, tick.price_e4, as_of_ms) is not None
        confirmed, shown = before
        if refused or market.book.is_held(tick.symbol):
            assert len(market.heard) == heard
            assert market.board.confirmed(tick.symbol) == confirmed
        else:
            (quote,) = market.heard[heard:]
            assert quote == market.confirmed(tick.symbol) == market.shown(tick.symbol)
            is_near = confirmed is None or class_of(tick.symbol).allows(
                confirmed.price_e4, tick.price_e4
            )
            assert is_near or held_before, "a jump counts only after another one"
            is_new = confirmed is None or quote.as_of_ms != confirmed.as_of_ms
            if is_new and not quote.stale:
                assert market.now_ms - quote.as_of_ms <= min(fresh_for_ms, DELAYED_MS)
        for last, newest in (
            (confirmed, market.board.confirmed(tick.symbol)),
            (shown, market.board.quote(tick.symbol)),
        ):
            assert last is None or (newest is not None and newest.as_of_ms >= last.as_of_ms)


@settings(deadline=None)
@example(age_ms=0, later_ms=FRESH_FOR_MS)
@given(age_ms=st.integers(-MAX_AHEAD_MS, 2 * FRESH_FOR_MS), later_ms=st.integers(0, HOUR_MS))
def test_a_price_is_stale_when_it_is_older_than_its_source_promises(
    age_ms: int, later_ms: int
) -> None:
    market = Market()
    market.accept("NIFTY", 101, START_MS - age_ms)
    market.now_ms += later_ms
    # A moment that lies ahead counts as the moment of receipt.
    assert market.confirmed().stale == (max(age_ms, 0) + later_ms > FRESH_FOR_MS)
    assert [market.confirmed()] == market.board.quotes()


def test_a_first_tick_that_is_an_hour_old_is_stale_at_once(market: Market) -> None:
    assert market.accept("NIFTY", 101, START_MS - HOUR_MS) is None
    assert market.heard[0].stale
    assert market.confirmed().stale


def test_an_identical_tick_renews_freshness_and_is_heard_but_is_no_change(market: Market) -> None:
    market.accept("NIFTY", 101, START_MS)
    market.book.changed.clear()
    market.now_ms += HOUR_MS
    assert market.confirmed().stale
    assert market.accept("NIFTY", 101, START_MS) is None
    assert not market.confirmed().stale
    assert market.heard[-1] == market.confirmed()
    assert not market.book.changed
    assert market.book.last_accepted_ms == market.now_ms


def test_the_same_moment_with_another_price_is_a_new_tick_of_that_moment(market: Market) -> None:
    market.accept("NIFTY", 101, START_MS)
    market.book.changed.clear()
    market.now_ms += HOUR_MS
    assert market.accept("NIFTY", 102, START_MS) is None
    assert market.confirmed().price_e4 == 102
    assert market.confirmed().stale
    assert market.book.changed == {"NIFTY"}


def test_a_tick_without_a_moment_counts_as_of_now_but_not_before_the_last(market: Market) -> None:
    market.accept("NIFTY", 101)
    assert market.confirmed().as_of_ms == START_MS
    market.accept("NIFTY", 102, START_MS + 3000)
    market.accept("NIFTY", 103)
    assert (market.confirmed().price_e4, market.confirmed().as_of_ms) == (103, START_MS + 3000)


@pytest.mark.parametrize(
    ("price_e4", "as_of_ms", "reason"),
    [
        (0, None, "price must be greater than 0"),
        (MAX_PRICE_E4 + 1, None, "price must be at most 10000000"),
        (102, START_MS + 999, "older than the last price of NIFTY (2026-02-02T02:40:01.000Z)"),
        (
            102,
            START_MS + 5001,
            "more than 5 s ahead of the server's clock (2026-02-02T02:40:00.000Z)",
        ),
        (
            102,
            START_MS + 19_800_000 - 900,
            (
                "more than 5 s ahead of the server's clock (2026-02-02T02:40:00.000Z); "
                "is it Indian time sent as UTC?"
            ),
        ),
        (102, -1, "before 1970-01-01"),
    ],
)
def test_a_refusal_says_why_and_changes_nothing(
    market: Market, price_e4: int, as_of_ms: int | None, reason: str
) -> None:
    market.accept("NIFTY", 101, START_MS + 1000)
    held, changed = market.confirmed(), set(market.book.changed)
    assert market.accept("NIFTY", price_e4, as_of_ms) == reason
    assert (market.confirmed(), market.book.changed, len(market.heard)) == (held, changed, 1)


def test_a_server_clock_that_is_set_back_does_not_stop_the_prices(market: Market) -> None:
    market.accept("NIFTY", 101)
    market.now_ms -= HOUR_MS
    assert market.accept("NIFTY", 102, market.now_ms) is None
    assert market.confirmed().as_of_ms == market.now_ms
    assert not market.confirmed().stale


def test_a_price_that_nobody_renews_after_the_clock_was_set_back_is_stale(market: Market) -> None:
    """Else it would be fresh for another hour, and trades be opened on it."""
    market.accept("NIFTY", 101)
    market.now_ms -= MAX_AHEAD_MS
    assert not market.confirmed().stale, "so little may be the clock's correction"
    market.now_ms -= HOUR_MS
    assert market.confirmed().stale
    assert market.board.quotes()[0].stale
    assert market.accept("NIFTY", 101) is None
    assert not market.confirmed().stale


def test_restored_prices_are_stale_until_a_tick_renews_them(market: Market) -> None:
    kept = [Quote(s, 105, START_MS - 1, "ingest", stale=False) for s in ("NIFTY", "SBIN", "TCS")]
    market.accept("TCS", 106)
    market.book.changed.clear()
    market.board.restore(market.book, kept)
    assert not market.book.changed, "what comes from the store need not be written there"
    assert market.confirmed("NIFTY") == replace(kept[0], stale=True)
    assert market.confirmed("TCS").price_e4 == 106
    assert market.accept("NIFTY", 104, START_MS - 2) is not None
    assert market.accept("NIFTY", 104, START_MS) is None
    assert market.accept("SBIN", 105, START_MS - 1) is None
    assert not any(quote.stale for quote in market.board.quotes())


def test_who_saves_prices_is_told_of_each_that_is_another(market: Market) -> None:
    for price_e4, as_of_ms, changed in [
        (101, START_MS, {"NIFTY"}),
        (101, START_MS, set()),
        (101, START_MS + 1, {"NIFTY"}),
        (0, None, set()),
        (500, START_MS + 2, set()),
        (505, START_MS + 3, {"NIFTY"}),
    ]:
        market.book.changed.clear()
        market.accept("NIFTY", price_e4, as_of_ms)
        assert market.book.changed == changed, price_e4


def test_a_symbol_without_a_price_has_no_quote(market: Market) -> None:
    assert market.board.quote("NIFTY") is None
    assert market.board.quotes() == []


@pytest.mark.parametrize(("late_ms", "is_delayed"), [(DELAYED_MS, False), (DELAYED_MS + 1, True)])
def test_a_price_that_came_over_a_minute_late_is_stale_however_long_prices_count_as_fresh(
    late_ms: int, is_delayed: bool
) -> None:
    market = Market(fresh_for_ms=HOUR_MS)
    market.tick(101, as_of_ms=START_MS - late_ms)
    assert (market.confirmed().stale, market.heard[-1].stale) == (is_delayed, is_delayed)
    assert market.shown() == market.confirmed(), "it is shown"
    market.now_ms += DELAYED_MS
    market.tick(101, as_of_ms=START_MS - late_ms)
    assert market.heard[-1].stale is is_delayed, "to say it once more does not make it true"


def test_whoever_trades_on_delayed_prices_has_them_as_fresh_as_they_came() -> None:
    market = Market(trade_on_delayed=True)
    market.tick(101, as_of_ms=START_MS - HOUR_MS)
    assert not market.heard[-1].stale
    market.now_ms += FRESH_FOR_MS + 1
    assert market.confirmed().stale
    market.tick(101, as_of_ms=START_MS - HOUR_MS)
    assert not market.heard[-1].stale
    market.arrived_ms = market.now_ms
    market.now_ms += FRESH_FOR_MS + 1
    market.tick(102)
    assert market.heard[-1].stale, "it waited while the process stood still"


def test_what_waited_while_the_process_stood_still_counts_as_of_the_moment_before() -> None:
    market = Market()
    market.tick(100)
    market.tick(100, "SBIN", as_of_ms=START_MS)
    market.arrived_ms = START_MS + 100
    market.now_ms += HOUR_MS
    market.tick(101)
    assert (market.heard[-1].as_of_ms, market.heard[-1].stale) == (START_MS + 100, True)
    market.tick(100, "SBIN", as_of_ms=START_MS)
    assert market.heard[-1].stale, "nor does a repetition say more than it did then"
    market.tick(102, as_of_ms=market.now_ms)
    assert not market.heard[-1].stale, "one with a moment says itself how old it is"
