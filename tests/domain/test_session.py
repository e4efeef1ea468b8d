"""A session's figures as its events make them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vyomo_rt.domain.moment import trading_day
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import Figures, Session, SessionState, SessionStatus
from vyomo_rt.domain.trade import EventKind, Exit, ExitReason, Trade, TradeEvent

DAY_MS = 86_400_000
ROLL_OVER_MS = 1_795_372_200_000  # 2026-11-22T18:30:00Z
DAY = date(2026, 11, 22)
NEXT_DAY = date(2026, 11, 23)
SESSION = Session(6, "Six", 50_000_00, ROLL_OVER_MS - DAY_MS // 2, "epoch")
START = SessionState(SESSION, Figures(seq=0, today=DAY), {})


def trade(trade_id: int = 1, symbol: str = "NIFTY", side: Side = Side.BUY) -> Trade:
    return Trade(trade_id, 6, symbol, side, 1, 100_0000, None, None, opened_at_ms=0)


def closed(pnl_paise: int, at_ms: int, trade_id: int = 1) -> Trade:
    return trade(trade_id).closed(Exit(100_0000 + pnl_paise * 100, ExitReason.MANUAL, at_ms))


def event(seq: int, kind: EventKind, of: Trade) -> TradeEvent:
    return TradeEvent(6, seq, kind, "", of, f"operation {seq}", "")


def quote(symbol: str, price_e4: int) -> Quote:
    return Quote(symbol, price_e4, 0, "test", stale=False)


def test_the_originals_worked_example() -> None:
    """Capital 50000 + 1245.75 = 51245.75; trades 2, closed 1, won 1: 100 %."""
    first = Trade(1, 6, "NIFTY", Side.BUY, 75, 22150_5000, None, None, opened_at_ms=0)
    won = first.closed(Exit(22167_1100, ExitReason.TARGET, ROLL_OVER_MS - 1))
    second = Trade(2, 6, "BANKNIFTY", Side.BUY, 50, 195_2500, None, None, opened_at_ms=0)
    state = START
    for seq, (kind, of) in enumerate(
        [(EventKind.OPENED, first), (EventKind.CLOSED, won), (EventKind.OPENED, second)], start=1
    ):
        state = state.after(event(seq, kind, of))
    figures = state.figures
    assert SESSION.starting_capital_paise + figures.realised_paise == 51_245_75
    assert (figures.opened, figures.closed, figures.wins, figures.losses) == (2, 1, 1, 0)
    assert figures.win_rate_e2 == 100_00
    assert figures.today_paise == 1_245_75
    assert list(state.open_trades.values()) == [second]
    assert state.unrealized_paise(lambda symbol: quote(symbol, 196_3000)) == 52_50


HALF_DAYS = st.integers(-6, 6).map(lambda n: ROLL_OVER_MS + n * DAY_MS // 2)
MOMENTS = st.builds(lambda at_ms, off: at_ms + off, HALF_DAYS, st.integers(-2, 2))


@given(st.lists(st.tuples(st.integers(-500, 500), MOMENTS)), st.lists(MOMENTS))
def test_figures_are_sums_over_the_closed_trades_however_the_clock_went(
    exits: list[tuple[int, int]], roll_overs: list[int]
) -> None:
    """Also with a clock that goes back: today is the latest day seen."""
    state = START
    for number, (pnl_paise, at_ms) in enumerate(exits):
        state = state.after(event(2 * number + 1, EventKind.OPENED, trade(number)))
        if number < len(roll_overs):
            state = state.on_day(trading_day(roll_overs[number]))
        state = state.after(
            event(2 * number + 2, EventKind.CLOSED, closed(pnl_paise, at_ms, number))
        )
    seen = [trading_day(at_ms) for at_ms in roll_overs[: len(exits)]]
    today = max([DAY, *seen, *(trading_day(at_ms) for _, at_ms in exits)])
    assert state.figures == Figures(
        seq=2 * len(exits),
        today=today,
        opened=len(exits),
        closed=len(exits),
        wins=sum(pnl > 0 for pnl, _ in exits),
        losses=sum(pnl < 0 for pnl, _ in exits),
        realised_paise=sum(pnl for pnl, _ in exits),
        today_paise=sum(pnl for pnl, at_ms in exits if trading_day(at_ms) == today),
    )
    assert state.open_trades == {}


@given(st.lists(st.booleans(), max_size=40), st.data())
def test_the_open_trades_are_those_that_no_event_has_closed(
    steps: list[bool], data: st.DataObject
) -> None:
    state, open_ids, seq = START, set[int](), 0
    for number, opens in enumerate(steps):
        if opens:
            of, kind = trade(number), EventKind.OPENED
            open_ids.add(number)
        elif open_ids:
            trade_id = data.draw(st.sampled_from(sorted(open_ids)))
            of, kind = closed(1, ROLL_OVER_MS, trade_id), EventKind.CLOSED
            open_ids.remove(trade_id)
        else:
            continue
        seq += 1
        state = state.after(event(seq, kind, of))
    assert set(state.open_trades) == open_ids
    assert state.seq == seq
    assert state.figures.opened - state.figures.closed == len(open_ids)


def test_an_event_never_changes_the_state_before_it() -> None:
    opened = START.after(event(1, EventKind.OPENED, trade()))
    opened.after(event(2, EventKind.CLOSED, closed(1, ROLL_OVER_MS)))
    assert START.open_trades == {}
    assert list(opened.open_trades) == [1]


@pytest.mark.parametrize("seq", [0, 2, -1])
def test_an_event_that_is_not_the_next_one_is_not_taken(seq: int) -> None:
    with pytest.raises(AssertionError):
        START.after(event(seq, EventKind.OPENED, trade()))


def test_a_trade_that_earns_nothing_is_neither_won_nor_lost() -> None:
    figures = START.figures.after_opening().after_closing(closed(0, ROLL_OVER_MS - 1))
    assert (figures.closed, figures.wins, figures.losses, figures.win_rate_e2) == (1, 0, 0, 0)


def test_the_exit_decides_the_day_that_a_trade_counts_for() -> None:
    before = START.figures.after_closing(closed(700, ROLL_OVER_MS - 1))
    assert (before.today, before.today_paise) == (DAY, 700)
    after = before.after_closing(closed(-20, ROLL_OVER_MS))
    assert (after.today, after.today_paise, after.realised_paise) == (NEXT_DAY, -20, 680)


def test_a_new_day_begins_with_nothing_earned_and_keeps_the_rest() -> None:
    figures = START.figures.after_closing(closed(700, ROLL_OVER_MS - 1))
    assert figures.on_day(NEXT_DAY) == replace(figures, today=NEXT_DAY, today_paise=0)


def test_today_never_goes_back() -> None:
    figures = START.figures.on_day(NEXT_DAY).after_closing(closed(700, ROLL_OVER_MS))
    assert figures.on_day(DAY) is figures
    late = figures.after_closing(closed(5, ROLL_OVER_MS - 1))
    assert (late.today, late.today_paise, late.realised_paise) == (NEXT_DAY, 700, 705)


def test_a_day_that_has_begun_is_the_same_state() -> None:
    assert START.on_day(DAY) is START
    assert START.on_day(DAY - timedelta(days=1)) is START
    assert START.on_day(NEXT_DAY).figures.today == NEXT_DAY


def test_unrealised_pnl_sums_only_the_trades_that_have_a_price() -> None:
    state = START
    trades = [trade(1, "A"), trade(2, "A", Side.SELL), trade(3, "B"), trade(4, "C")]
    for seq, of in enumerate(trades, start=1):
        state = state.after(event(seq, EventKind.OPENED, of))
    prices = {"A": quote("A", 103_0000), "B": quote("B", 98_5000)}
    assert state.unrealized_paise(prices.get) == 3_00 - 3_00 - 1_50
    assert state.unrealized_paise(lambda _: None) == 0


def test_a_change_of_status_counts_revisions_and_leaves_the_figures() -> None:
    paused = START.with_session(SESSION.with_status(SessionStatus.PAUSED))
    assert (paused.session.status, paused.session.revision) == (SessionStatus.PAUSED, 1)
    assert paused.figures is START.figures
    assert SESSION.status is SessionStatus.ACTIVE
