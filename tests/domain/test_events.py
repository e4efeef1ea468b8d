"""What each of the seven kinds of events makes of a session."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.domain.samples import DAY_MS, NEXT_DAY, ROLL_OVER_MS, START, closed, trade
from tests.kit.events import entry_event, pending_entry, trade_event
from vyomo_rt.domain.event import EventKind
from vyomo_rt.domain.money import Side, pnl_paise
from vyomo_rt.domain.pending import Ending, EndReason, Fill
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import Exit, ExitReason, Trade, TradeChange, TradeChangeReason


def folded(*steps: Trade) -> SessionState:
    state = START
    for seq, step in enumerate(steps, 1):
        state = state.after(trade_event(step, seq))
    return state


def reduced(of: Trade, quantity: int, price_e4: int, at_ms: int = 0) -> Trade:
    return of.reduced_by(quantity, Exit(price_e4, ExitReason.MANUAL, at_ms))


def test_money_counts_on_each_parts_date_and_the_whole_trade_at_its_last_part() -> None:
    opened = replace(trade(), quantity=3)
    part = reduced(opened, 1, 101_0000, ROLL_OVER_MS - 1)
    state = folded(opened, part)
    assert (state.figures.realised_paise, state.today_paise) == (1_00, 1_00)
    assert (state.figures.closed, state.figures.wins, state.figures.losses) == (0, 0, 0)
    assert state.exposures["NIFTY"].quantity == 2
    last = part.closed(Exit(99_0000, ExitReason.SL, ROLL_OVER_MS))
    state = folded(opened, part, last)
    assert state.figures.realised_paise == last.realised_paise == 1_00 - 2_00
    assert (state.today_paise, state.on_day(NEXT_DAY).today_paise) == (1_00, -2_00)
    assert (state.figures.closed, state.figures.wins, state.figures.losses) == (1, 0, 1)
    assert not state.open_trades
    assert not state.exposures


@given(
    st.sampled_from(Side),
    st.integers(1, 10**9),
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 10**9)), min_size=1, max_size=6),
)
def test_the_pnl_of_a_trade_is_the_sum_of_its_rounded_parts(
    side: Side, entry_e4: int, parts: list[tuple[int, int]]
) -> None:
    opened = Trade(1, 6, "NIFTY", side, sum(q for q, _ in parts), entry_e4, opened_at_ms=0)
    *first, (last_quantity, last_e4) = parts
    steps = [opened]
    for quantity, price_e4 in first:
        steps.append(reduced(steps[-1], quantity, price_e4))
    assert steps[-1].open_quantity == last_quantity
    steps.append(steps[-1].closed(Exit(last_e4, ExitReason.MANUAL, 0)))
    wanted = sum(pnl_paise(side, quantity, entry_e4, at_e4) for quantity, at_e4 in parts)
    state = folded(*steps)
    assert state.figures.realised_paise == steps[-1].realised_paise == wanted
    assert sum(state.figures.days.values()) == wanted
    assert (steps[-1].parts, steps[-1].quantity) == (len(parts), opened.quantity)
    assert state.figures.closed == 1


def test_a_change_moves_no_money_and_leaves_the_trade_in_its_place() -> None:
    first, second = trade(1), trade(2)
    moved = replace(first, stop_loss_e4=99_0000, change=TradeChange(TradeChangeReason.MANUAL, 1))
    state = START
    for seq, step in enumerate([first, second, moved], 1):
        state = state.after(trade_event(step, seq))
    assert list(state.open_trades.values()) == [moved, second]
    assert (state.seq, state.figures.opened, state.figures.realised_paise) == (3, 2, 0)


def test_a_pending_entry_waits_until_it_ends_or_fills() -> None:
    first, second = pending_entry(1), pending_entry(2)
    changed = replace(first, price_e4=98_0000, changed_at_ms=5)
    state = START.after(entry_event(first, 1)).after(entry_event(second, 2))
    state = state.after(entry_event(changed, 3))
    assert list(state.pending.values()) == [changed, second]
    ended = second.ended(Ending(EndReason.CANCELLED, 7))
    assert list(state.after(entry_event(ended, 4)).pending.values()) == [changed]
    filled = replace(trade(9), order_id=1)
    event = replace(trade_event(filled, 4), entry=changed.ended(Fill(9, 0)))
    state = state.after(event)
    assert list(state.pending.values()) == [second]
    assert list(state.open_trades.values()) == [filled]


def test_an_event_that_fills_an_order_leaves_two_records_the_trade_last() -> None:
    filled, entry = replace(trade(9), order_id=1), pending_entry(1).ended(Fill(9, 0))
    event = replace(trade_event(filled, 1), entry=entry)
    assert event.records == (entry, filled)
    assert trade_event(closed(0, DAY_MS), 2).kind is EventKind.CLOSED
