"""Which ticks the price book believes, and when a price counts as fresh."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vyomo_rt.domain.money import MAX_PRICE_E4
from vyomo_rt.domain.quote import Quote
from vyomo_rt.market import book as book_module
from vyomo_rt.market.book import MAX_AHEAD_MS, PriceBook

START_MS = 1_770_000_000_000
FRESH_FOR_MS = 15_000
HOUR_MS = 3_600_000


class Desk:
    """A book with a clock that is set by hand, and what it told the trading side."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.heard: list[Quote] = []
        self.book = PriceBook(lambda: self.now_ms, "ingest", FRESH_FOR_MS, self.heard.append)

    def held(self, symbol: str = "NIFTY") -> Quote:
        quote = self.book.quote(symbol)
        assert quote is not None
        return quote


@pytest.fixture
def desk() -> Desk:
    return Desk()


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
    desk = Desk()
    last: dict[str, tuple[int, int]] = {}
    accepted = 0
    for tick in sent:
        desk.now_ms += tick.wait_ms
        as_of_ms = None if tick.age_ms is None else desk.now_ms - tick.age_ms
        before = last.get(tick.symbol)
        reason = desk.book.accept(tick.symbol, tick.price_e4, as_of_ms)
        earliest_ms = before[1] if before else 0
        held_ms = max(desk.now_ms, earliest_ms) if as_of_ms is None else as_of_ms
        believable = (
            0 < tick.price_e4 <= MAX_PRICE_E4
            and earliest_ms <= held_ms <= desk.now_ms + MAX_AHEAD_MS
        )
        assert (reason is None) == believable
        if believable:
            accepted += 1
            last[tick.symbol] = (tick.price_e4, held_ms)
            assert desk.heard[-1] == desk.held(tick.symbol)
            assert desk.book.last_accepted_ms == desk.now_ms
        assert {q.symbol: (q.price_e4, q.as_of_ms) for q in desk.book.quotes()} == last
    assert len(desk.heard) == accepted


@settings(deadline=None)
@example(age_ms=0, later_ms=FRESH_FOR_MS)
@given(age_ms=st.integers(-MAX_AHEAD_MS, 2 * FRESH_FOR_MS), later_ms=st.integers(0, HOUR_MS))
def test_a_price_is_stale_when_it_is_older_than_its_source_promises(
    age_ms: int, later_ms: int
) -> None:
    desk = Desk()
    desk.book.accept("NIFTY", 101, START_MS - age_ms)
    desk.now_ms += later_ms
    # A moment that lies ahead counts as the moment of receipt.
    assert desk.held().stale == (max(age_ms, 0) + later_ms > FRESH_FOR_MS)
    assert [desk.held()] == desk.book.quotes()


def test_a_first_tick_that_is_an_hour_old_is_stale_at_once(desk: Desk) -> None:
    assert desk.book.accept("NIFTY", 101, START_MS - HOUR_MS) is None
    assert desk.heard[0].stale
    assert desk.held().stale


def test_an_identical_tick_renews_freshness_and_is_heard_but_is_no_change(desk: Desk) -> None:
    desk.book.accept("NIFTY", 101, START_MS)
    version = desk.book.version
    desk.now_ms += HOUR_MS
    assert desk.held().stale
    assert desk.book.accept("NIFTY", 101, START_MS) is None
    assert not desk.held().stale
    assert desk.heard[-1] == desk.held()
    assert desk.book.version == version
    assert desk.book.last_accepted_ms == desk.now_ms


def test_the_same_moment_with_another_price_is_a_new_tick_of_that_moment(desk: Desk) -> None:
    desk.book.accept("NIFTY", 101, START_MS)
    version = desk.book.version
    desk.now_ms += HOUR_MS
    assert desk.book.accept("NIFTY", 102, START_MS) is None
    assert desk.held().price_e4 == 102
    assert desk.held().stale
    assert desk.book.version > version


def test_a_tick_without_a_moment_counts_as_of_now_but_not_before_the_last(desk: Desk) -> None:
    desk.book.accept("NIFTY", 101)
    assert desk.held().as_of_ms == START_MS
    desk.book.accept("NIFTY", 102, START_MS + 3000)
    desk.book.accept("NIFTY", 103)
    assert (desk.held().price_e4, desk.held().as_of_ms) == (103, START_MS + 3000)


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
        (102, -1, "before 1970-01-01"),
    ],
)
def test_a_refusal_says_why_and_changes_nothing(
    desk: Desk, price_e4: int, as_of_ms: int | None, reason: str
) -> None:
    desk.book.accept("NIFTY", 101, START_MS + 1000)
    held, version = desk.held(), desk.book.version
    assert desk.book.accept("NIFTY", price_e4, as_of_ms) == reason
    assert (desk.held(), desk.book.version, len(desk.heard)) == (held, version, 1)


def test_a_server_clock_that_is_set_back_does_not_stop_the_prices(desk: Desk) -> None:
    desk.book.accept("NIFTY", 101)
    desk.now_ms -= HOUR_MS
    assert desk.book.accept("NIFTY", 102, desk.now_ms) is None
    assert desk.held().as_of_ms == desk.now_ms
    assert not desk.held().stale


def test_a_price_that_nobody_renews_after_the_clock_was_set_back_is_stale(desk: Desk) -> None:
    """Else it would be fresh for another hour, and trades be opened on it."""
    desk.book.accept("NIFTY", 101)
    desk.now_ms -= MAX_AHEAD_MS
    assert not desk.held().stale, "so little may be the clock's correction"
    desk.now_ms -= HOUR_MS
    assert desk.held().stale
    assert desk.book.quotes()[0].stale
    assert desk.book.accept("NIFTY", 101) is None
    assert not desk.held().stale


def test_restored_prices_are_stale_until_a_tick_renews_them(desk: Desk) -> None:
    kept = [Quote(s, 105, START_MS - 1, "ingest", stale=False) for s in ("NIFTY", "SBIN", "TCS")]
    desk.book.accept("TCS", 106)
    version = desk.book.version
    desk.book.restore(kept)
    assert desk.book.version == version
    assert desk.held("NIFTY") == replace(kept[0], stale=True)
    assert desk.held("TCS").price_e4 == 106
    assert desk.book.accept("NIFTY", 104, START_MS - 2) is not None
    assert desk.book.accept("NIFTY", 104, START_MS) is None
    assert desk.book.accept("SBIN", 105, START_MS - 1) is None
    assert not any(quote.stale for quote in desk.book.quotes())


def test_the_version_grows_with_each_new_tick_only(desk: Desk) -> None:
    versions = [desk.book.version]
    for price_e4, as_of_ms in [(101, START_MS), (101, START_MS), (101, START_MS + 1), (0, None)]:
        desk.book.accept("NIFTY", price_e4, as_of_ms)
        versions.append(desk.book.version)
    assert versions == [0, 1, 1, 2, 2]


def test_a_full_book_refuses_new_symbols_and_goes_on_with_the_old_ones(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book_module, "MAX_SYMBOLS", 1)
    assert desk.book.accept("NIFTY", 101) is None
    assert desk.book.accept("SBIN", 101) == "no room for SBIN: the server holds 1 symbols already"
    assert desk.book.accept("NIFTY", 102) is None


def test_a_symbol_without_a_price_has_no_quote(desk: Desk) -> None:
    assert desk.book.quote("NIFTY") is None
    assert desk.book.quotes() == []
