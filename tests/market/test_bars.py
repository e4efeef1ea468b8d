"""Bars of a minute: which prices count, for which symbols, and which minutes are whole."""

from __future__ import annotations

from tests.market.market import START_MS, Market
from vyomo_rt.domain.bars import Bar, SymbolMinute
from vyomo_rt.domain.moment import MINUTE_MS, minute_of
from vyomo_rt.market.bars import Bars

FIRST_MS = minute_of(START_MS)


class Minutes(Market):
    """A board that tells its prices to bars; ``NIFTY`` is watched from the start."""

    def __init__(
        self, *, most: int = 500, closed: bool = False, trade_on_delayed: bool = False
    ) -> None:
        super().__init__(trade_on_delayed=trade_on_delayed)
        self.now_ms = FIRST_MS
        self.bars = self.new_bars(most, closed=closed)
        self.board._on_price = self.bars.on_quote
        self.demand.wanted(["NIFTY"])
        self.bars.start()

    def new_bars(self, most: int = 500, *, closed: bool = False) -> Bars:
        return Bars(self.demand, self.now, is_open=lambda *_: not closed, most=most)

    def tick_at(self, second: float, price_e4: int, symbol: str = "NIFTY") -> None:
        """A tick at so many seconds after the start, which comes and counts at once."""
        self.now_ms = FIRST_MS + int(second * 1000)
        self.tick(price_e4, symbol, as_of_ms=self.now_ms)
        self.bars.fold()

    def made(self, symbol: str = "NIFTY") -> list[Bar]:
        return list(self.bars.minutes(symbol).values())

    def restarted(self, saved_ms: int) -> Bars:
        """The bars of the next start, of what these had saved."""
        finished = self.bars.take_finished()
        after = self.new_bars()
        after.restore(self.bars.standings(), finished, saved_ms)
        return after


def minute(number: int) -> int:
    return FIRST_MS + number * MINUTE_MS


def test_a_price_counts_in_the_minute_of_its_moment() -> None:
    market = Minutes()
    for second, price in ((0, 100), (59.999, 103), (60, 99), (61, 98), (62, 101), (200, 100)):
        market.tick_at(second, price)
    assert market.made() == [
        Bar(minute(0), 100, 103, 100, 103, 2),
        Bar(minute(1), 99, 101, 98, 101, 3),
        Bar(minute(3), 100, 100, 100, 100, 1),
    ]


def test_an_identical_tick_counts_once_and_the_same_moment_with_another_price_again() -> None:
    market = Minutes()
    for price in (100, 100, 101, 100):
        market.tick_at(5, price)
    assert market.made() == [Bar(minute(0), 100, 101, 100, 100, 3)]


def test_a_jump_counts_once_it_is_confirmed_by_the_tick_that_confirms_it() -> None:
    market = Minutes()
    for second, price in ((1, 100), (2, 200), (3, 101), (4, 200), (5, 210)):
        market.tick_at(second, price)
    assert market.made() == [Bar(minute(0), 100, 210, 100, 210, 3)]


def test_a_late_price_counts_only_if_delayed_prices_are_fresh() -> None:
    for trades, counts in ((False, []), (True, [3])):
        market = Minutes(trade_on_delayed=trades)
        market.now_ms = minute(20)
        for price in (100, 101, 102):
            market.tick(price, as_of_ms=minute(5) + price)
        assert [bar.count for bar in market.made()] == counts


def test_a_minute_that_is_over_stays_as_it_is() -> None:
    market = Minutes()
    market.tick_at(59, 100)
    market.tick_at(61, 101)
    quote = market.confirmed()
    market.bars.on_quote(type(quote)("NIFTY", 150, minute(0), "another", stale=False))
    assert [bar.count for bar in market.made()] == [1, 1]


def test_the_minute_in_which_a_symbol_is_first_watched_is_partial_and_the_next_is_not() -> None:
    market = Minutes()
    market.now_ms = minute(0) + 1
    market.demand.wanted(["BANKNIFTY"])
    for second in (30, 90, 150):
        market.tick_at(second, 100, "BANKNIFTY")
        market.tick_at(second, 100)
    assert [bar.is_partial for bar in market.made("BANKNIFTY")] == [True, False, False]
    assert [bar.is_partial for bar in market.made()] == [False, False, False]


def test_a_minute_without_a_price_keeps_the_mark_that_it_is_partial() -> None:
    market = Minutes()
    market.now_ms = minute(0) + 1
    market.demand.wanted(["BANKNIFTY"])
    market.tick_at(100, 100, "BANKNIFTY")
    market.now_ms = minute(3) + 1
    market.demand.released(["BANKNIFTY"])
    bars = market.made("BANKNIFTY")
    assert [(bar.start_ms, bar.count, bar.is_partial) for bar in bars] == [
        (minute(0), 0, True), (minute(1), 1, False), (minute(3), 0, True),
    ]  # fmt: skip


def test_what_is_watched_again_in_the_same_minute_goes_on_with_its_bar() -> None:
    market = Minutes()
    market.tick_at(10, 100)
    market.demand.released(["NIFTY"])
    market.tick_at(20, 110)
    market.demand.wanted(["NIFTY"])
    market.tick_at(30, 105)
    market.tick_at(70, 105)
    assert market.made() == [
        Bar(minute(0), 100, 105, 100, 105, 2, is_partial=True),
        Bar(minute(1), 105, 105, 105, 105, 1),
    ]


def test_while_a_symbol_is_closed_nothing_is_missed() -> None:
    market = Minutes(closed=True)
    market.tick_at(10, 100)
    market.demand.released(["NIFTY"])
    market.now_ms = minute(600) + 1
    market.demand.wanted(["NIFTY"])
    market.tick_at(601 * 60, 100)
    assert [bar.is_partial for bar in market.made()] == [False, False]


def test_a_source_that_lags_misses_the_beginning_of_what_it_says_first() -> None:
    market = Minutes(trade_on_delayed=True)
    market.now_ms = minute(15) + 20_000
    market.demand.wanted(["BANKNIFTY"])
    for late in (0, 60_000):
        market.now_ms += late
        market.tick(100, "BANKNIFTY", as_of_ms=market.now_ms - 15 * MINUTE_MS)
    assert [(bar.start_ms, bar.is_partial) for bar in market.made("BANKNIFTY")] == [
        (minute(0), True), (minute(1), False),
    ]  # fmt: skip
    market.demand.released(["BANKNIFTY"])
    assert [bar.is_partial for bar in market.made("BANKNIFTY")] == [True, True]


def test_what_is_partial_does_not_depend_on_when_prices_are_counted() -> None:
    for counts_at_once in (True, False):
        market = Minutes()
        market.tick(100, as_of_ms=FIRST_MS)
        if counts_at_once:
            market.bars.fold()
        market.now_ms = minute(4) + 15_000
        market.demand.released(["NIFTY"])
        assert [(bar.start_ms, bar.is_partial) for bar in market.made()] == [
            (minute(0), False),
            (minute(4), True),
        ]


def test_after_a_restart_the_minute_goes_on_and_is_partial() -> None:
    market = Minutes()
    market.tick_at(10, 100)
    market.tick_at(70, 101)
    after = market.restarted(saved_ms=market.now_ms)
    after.start()
    market.board._on_price = after.on_quote
    market.tick_at(100, 103)
    market.tick_at(130, 104)
    assert list(after.minutes("NIFTY").values()) == [
        Bar(minute(0), 100, 100, 100, 100, 1),
        Bar(minute(1), 101, 103, 101, 103, 2, is_partial=True),
        Bar(minute(2), 104, 104, 104, 104, 1),
    ]


def test_only_so_many_symbols_have_bars_and_a_place_that_is_free_goes_to_the_next() -> None:
    market = Minutes(most=2)
    market.demand.wanted(["A", "B", "C"])
    market.demand.released(["B"])
    for symbol in ("NIFTY", "A", "B", "C"):
        market.tick_at(1, 100, symbol)
    assert [len(market.made(symbol)) for symbol in ("NIFTY", "A", "B", "C")] == [1, 1, 0, 0]
    market.demand.released(["NIFTY"])
    for symbol in ("NIFTY", "A", "B", "C"):
        market.tick_at(2, 101, symbol)
    assert [len(market.made(symbol)) for symbol in ("NIFTY", "A", "B", "C")] == [1, 1, 0, 1]


def test_nothing_is_kept_of_a_name_that_never_had_a_price() -> None:
    market = Minutes()
    for number in range(100):
        market.demand.wanted([f"NAME{number}"])
        market.demand.released([f"NAME{number}"])
    assert list(market.bars._series) == ["NIFTY"]


def test_the_next_that_keeps_bars_has_the_fuller_one_of_each_minute() -> None:
    """One came late, or missed some prices: what the other has kept counts where it is more."""
    former, after = Minutes(), Minutes()
    for second in (1, 2, 30, 61):
        former.tick_at(second, 1000 + int(second))
    for second in (30, 61, 62, 125):
        after.tick_at(second, 1000 + int(second))
    kept = former.bars.take_finished()
    kept += [SymbolMinute(each.symbol, each.bar) for each in former.bars.standings()]
    after.bars.merge(kept)
    after.tick_at(126, 1100)
    assert [bar.count for bar in after.made()] == [3, 2, 2]
    [left] = after.bars.take_finished()
    assert left.bar.start_ms == minute(1), "only what the other has not kept is to be kept"
