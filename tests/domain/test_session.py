"""A session's figures as its events make them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.samples import (
    DAY,
    DAY_MS,
    NEXT_DAY,
    ROLL_OVER_MS,
    SESSION,
    START,
    closed,
    quote,
    trade,
)
from tests.kit.events import session_event, trade_event
from vyomo_rt.domain.moment import trading_day
from vyomo_rt.domain.money import Side, divide_half_away
from vyomo_rt.domain.session import ChangeReason, SessionStatus
from vyomo_rt.domain.state import KEPT_DAYS, Figures, state_of
from vyomo_rt.domain.trade import Exit, ExitReason, Trade


def test_the_originals_worked_example() -> None:
    """Capital 50000 + 1245.75 = 51245.75; trades 2, closed 1, won 1: 100 %."""
    first = Trade(1, 6, "NIFTY", Side.BUY, 75, 22150_5000, opened_at_ms=0)
    won = first.closed(Exit(22167_1100, ExitReason.TARGET, ROLL_OVER_MS - 1))
    second = Trade(2, 6, "BANKNIFTY", Side.BUY, 50, 195_2500, opened_at_ms=0)
    state = START
    for seq, of in enumerate([first, won, second], start=1):
        state = state.after(trade_event(of, seq))
    figures = state.figures
    assert SESSION.starting_capital_paise + figures.realised_paise == 51_245_75
    assert (figures.opened, figures.closed, figures.wins, figures.losses) == (2, 1, 1, 0)
    assert figures.win_rate_e2 == 100_00
    assert state.today_paise == 1_245_75
    assert list(state.open_trades.values()) == [second]
    assert state.unrealised_paise(lambda symbol: quote(symbol, 196_3000)) == 52_50


HALF_DAYS = st.integers(-6, 6).map(lambda n: ROLL_OVER_MS + n * DAY_MS // 2)
MOMENTS = st.builds(lambda at_ms, off: at_ms + off, HALF_DAYS, st.integers(-2, 2))


@given(st.lists(st.tuples(st.integers(-500, 500), MOMENTS)), st.lists(MOMENTS))
def test_figures_are_sums_over_the_closed_trades_however_the_clock_went(
    exits: list[tuple[int, int]], roll_overs: list[int]
) -> None:
    """Also with a clock that goes back, and whatever day is shown."""
    state = START
    for number, (pnl_paise, at_ms) in enumerate(exits):
        state = state.after(trade_event(trade(number), 2 * number + 1))
        if number < len(roll_overs):
            state = state.on_day(trading_day(roll_overs[number]))
        state = state.after(trade_event(closed(pnl_paise, at_ms, number), 2 * number + 2))
    days: dict[date, int] = {}
    for pnl_paise, at_ms in exits:
        days[trading_day(at_ms)] = days.get(trading_day(at_ms), 0) + pnl_paise
    assert replace(state.figures, tallies={}, last_loss_ms=None) == Figures(
        seq=2 * len(exits),
        opened=len(exits),
        closed=len(exits),
        wins=sum(pnl > 0 for pnl, _ in exits),
        losses=sum(pnl < 0 for pnl, _ in exits),
        realised_paise=sum(pnl for pnl, _ in exits),
        days=days,
    )
    for day, paise in days.items():
        assert state.on_day(day).today_paise == paise
    assert state.open_trades == {}
    assert state.exposures == {}


@given(st.lists(st.booleans(), max_size=40), st.data())
def test_the_open_trades_are_those_that_no_event_has_closed(
    steps: list[bool], data: st.DataObject
) -> None:
    state, open_ids, seq = START, set[int](), 0
    for number, opens in enumerate(steps):
        if opens:
            of = trade(number)
            open_ids.add(number)
        elif open_ids:
            trade_id = data.draw(st.sampled_from(sorted(open_ids)))
            of = closed(1, ROLL_OVER_MS, trade_id)
            open_ids.remove(trade_id)
        else:
            continue
        seq += 1
        state = state.after(trade_event(of, seq))
    assert set(state.open_trades) == open_ids
    assert state.seq == seq
    assert state.figures.opened - state.figures.closed == len(open_ids)


def test_an_event_never_changes_the_state_before_it() -> None:
    opened = START.after(trade_event(trade(), 1))
    opened.after(trade_event(closed(1, ROLL_OVER_MS), 2))
    assert START.open_trades == {}
    assert list(opened.open_trades) == [1]


@pytest.mark.parametrize("seq", [0, 2, -1])
def test_an_event_that_is_not_the_next_one_is_not_taken(seq: int) -> None:
    with pytest.raises(AssertionError):
        START.after(trade_event(trade(), seq))


def test_a_trade_that_earns_nothing_is_neither_won_nor_lost() -> None:
    figures = START.figures.after_opening(0).after_closing(closed(0, ROLL_OVER_MS - 1))
    assert (figures.closed, figures.wins, figures.losses, figures.win_rate_e2) == (1, 0, 0, 0)


def test_the_exit_decides_the_day_that_a_trade_counts_for() -> None:
    figures = START.figures.after_closing(closed(700, ROLL_OVER_MS - 1))
    figures = figures.after_closing(closed(-20, ROLL_OVER_MS))
    assert figures.days == {DAY: 700, NEXT_DAY: -20}
    assert figures.realised_paise == 680


def test_a_new_day_begins_with_nothing_earned_and_keeps_the_rest() -> None:
    figures = START.figures.after_closing(closed(700, ROLL_OVER_MS - 1))
    state = state_of(SESSION, figures, DAY)
    assert state.today_paise == 700
    assert state.on_day(NEXT_DAY) == replace(state, today=NEXT_DAY)
    assert state.on_day(NEXT_DAY).today_paise == 0


def test_a_clock_that_was_days_ahead_does_not_hide_the_right_day() -> None:
    figures = START.figures.after_closing(closed(700, ROLL_OVER_MS + 20 * DAY_MS))
    figures = figures.after_closing(closed(5, ROLL_OVER_MS - 1))
    assert state_of(SESSION, figures, DAY).today_paise == 5


def test_only_the_newest_days_are_kept() -> None:
    figures = START.figures
    for number in range(KEPT_DAYS + 3):
        figures = figures.after_closing(closed(number, ROLL_OVER_MS + number * DAY_MS))
    assert sorted(figures.days) == [NEXT_DAY + timedelta(n) for n in range(3, KEPT_DAYS + 3)]


def test_the_day_it_is_already_is_the_same_state() -> None:
    assert START.on_day(DAY) is START
    assert START.on_day(NEXT_DAY).today == NEXT_DAY


def test_unrealised_pnl_sums_only_the_trades_that_have_a_price() -> None:
    state = START
    trades = [trade(1, "A"), trade(2, "A", Side.SELL), trade(3, "B"), trade(4, "C")]
    for seq, of in enumerate(trades, start=1):
        state = state.after(trade_event(of, seq))
    prices = {"A": quote("A", 103_0000), "B": quote("B", 98_5000)}
    assert state.unrealised_paise(prices.get) == 3_00 - 3_00 - 1_50
    assert state.unrealised_paise(lambda _: None) == 0


@given(st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from(Side), st.integers(1, 10**6))))
def test_unrealised_pnl_is_the_exact_sum_rounded_once(
    orders: list[tuple[str, Side, int]],
) -> None:
    state = START
    for number, (symbol, side, entry_e4) in enumerate(orders, start=1):
        of = Trade(number, 6, symbol, side, 7, entry_e4, opened_at_ms=0)
        state = state.after(trade_event(of, number))
    prices = {"A": 12_3456, "B": 77_0001}
    exact_e4 = sum((prices[symbol] - entry_e4) * 7 * side.sign for symbol, side, entry_e4 in orders)
    found = state.unrealised_paise(lambda symbol: quote(symbol, prices[symbol]))
    assert found == divide_half_away(exact_e4, 100)
    assert state == state_of(SESSION, state.figures, DAY, state.open_trades.values())


def test_a_change_of_the_session_is_numbered_and_moves_no_money() -> None:
    standing = replace(
        SESSION.standing, status=SessionStatus.PAUSED, status_reason=ChangeReason.MANUAL
    )
    paused = START.after(session_event(6, 1, standing, ROLL_OVER_MS))
    assert paused.session == replace(
        SESSION, status=SessionStatus.PAUSED, status_reason=ChangeReason.MANUAL
    )
    assert paused.figures == Figures(seq=1)
    assert SESSION.status is SessionStatus.ACTIVE
