"""Rules that act on the result of a day, in the pure domain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.domain.ruled import LOCK, LOSS, NEXT_DAY_MS, STREAK, TARGET, Ruled, lose
from tests.domain.samples import DAY, NEXT_DAY
from vyomo_rt.domain.charges import ChargePlan
from vyomo_rt.domain.event import SessionEvent
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.rules import Lock, ProfitLock
from vyomo_rt.domain.ruling import quiet_results
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.state import Figures


def last_change(ruled: Ruled) -> SessionEvent:
    """The newest event of the session itself."""
    return [event for event in ruled.events if isinstance(event, SessionEvent)][-1]


# -- the result of a day -----------------------------------------------------------


def test_the_result_is_what_was_realised_today_and_what_is_open() -> None:
    ruled = Ruled(**LOSS)
    lose(ruled, 60)
    ruled.open()
    assert ruled.tick(96.1) == []
    assert ruled.tick(96) == ["HALTED DAILY_LOSS", "closed 2 RISK DAILY_LOSS 96"]


def test_the_result_is_not_rounded() -> None:
    ruled = Ruled(max_daily_loss_paise=1)
    ruled.open(quantity=1)
    assert ruled.tick(99.9901) == [], "this would round to 0.01"
    assert ruled.tick(99.99) == ["HALTED DAILY_LOSS", "closed 1 RISK DAILY_LOSS 99.99"]


def test_trades_without_a_price_do_not_count_and_stale_ones_do_at_their_last() -> None:
    ruled = Ruled(**LOSS)
    ruled.open("BANKNIFTY")
    ruled.open("FINNIFTY")
    ruled.open()
    ruled.tick(94, "BANKNIFTY")
    assert ruled.tick(93, "BANKNIFTY", stale=True) == []
    assert ruled.tick(97.1) == []
    assert ruled.tick(97) == [
        "HALTED DAILY_LOSS",
        "closed 1 RISK DAILY_LOSS 93 stale",
        "closed 3 RISK DAILY_LOSS 97",
    ]


def test_only_a_fresh_price_starts_the_check() -> None:
    ruled = Ruled(**LOSS)
    ruled.open()
    assert ruled.tick(80, stale=True) == []
    assert ruled.tick(80) == ["HALTED DAILY_LOSS", "closed 1 RISK DAILY_LOSS 80"]


def test_the_loss_of_another_date_does_not_count_today() -> None:
    ruled = Ruled(**LOSS)
    lose(ruled, 90)
    ruled.now_ms = NEXT_DAY_MS
    ruled.open()
    assert ruled.tick(91) == []
    assert ruled.tick(90) == ["HALTED DAILY_LOSS", "closed 2 RISK DAILY_LOSS 90"]


def test_with_charges_what_was_realised_is_net_and_what_is_open_gross() -> None:
    ruled = Ruled(**LOSS)
    figures = Figures(days={DAY: -50_00}, charge_days={DAY: 10_00})
    ruled.state = replace(ruled.state, figures=figures)
    ruled.open()
    charged = replace(ruled.state.session, charges=ChargePlan.NSE_OPTIONS)
    ruled.state = replace(ruled.state, session=charged)
    assert ruled.tick(96.1) == []
    assert ruled.tick(96)[0] == "HALTED DAILY_LOSS"


# -- closing rules -----------------------------------------------------------------


def test_a_trip_is_the_change_then_the_ends_of_orders_then_the_closes_each_by_id() -> None:
    ruled = Ruled(**LOSS)
    ruled.open("BANKNIFTY", side=Side.SELL)
    ruled.open()
    ruled.open()
    first, second = ruled.place(50), ruled.place(40)
    ruled.tick(101, "BANKNIFTY")
    assert ruled.tick(95.5) == [
        "HALTED DAILY_LOSS",
        f"order {first} CANCELLED",
        f"order {second} CANCELLED",
        "closed 1 RISK DAILY_LOSS 101",
        "closed 2 RISK DAILY_LOSS 95.5",
        "closed 3 RISK DAILY_LOSS 95.5",
    ]
    assert {event.at_ms for event in ruled.events[-6:]} == {ruled.now_ms}


def test_a_daily_target_that_is_reached_halts_and_closes_everything() -> None:
    ruled = Ruled(**TARGET)
    ruled.open()
    assert ruled.tick(119.99) == []
    assert ruled.tick(120) == ["HALTED DAILY_TARGET", "closed 1 RISK DAILY_TARGET 120"]


def test_a_profit_lock_that_was_armed_today_halts_at_its_floor() -> None:
    ruled = Ruled(profit_lock=LOCK)
    ruled.open()
    assert ruled.tick(105) == [], "it is not armed"
    assert ruled.tick(110) == ["ACTIVE LOCK_ARMED"]
    event = last_change(ruled)
    assert event.standing.lock == Lock(DAY, 50_00)
    assert event.standing.status_reason is None
    assert ruled.tick(105.1) == []
    assert ruled.tick(105) == ["HALTED PROFIT_LOCK", "closed 1 RISK PROFIT_LOCK 105"]


def test_a_lock_of_an_earlier_date_counts_for_nothing() -> None:
    ruled = Ruled(profit_lock=LOCK)
    ruled.open()
    ruled.tick(110)
    ruled.now_ms = NEXT_DAY_MS
    assert ruled.tick(105) == []
    assert ruled.tick(110) == ["ACTIVE LOCK_ARMED"]
    assert last_change(ruled).standing.lock == Lock(NEXT_DAY, 50_00)


def test_of_two_rules_at_once_only_the_first_acts() -> None:
    ruled = Ruled(**LOSS, **STREAK)
    lose(ruled)
    ruled.open(stop_loss_e4=95_0000)
    assert ruled.tick(90) == ["closed 2 SL 90", "HALTED DAILY_LOSS"]


def test_the_lock_is_armed_before_any_rule_trips() -> None:
    ruled = Ruled(**TARGET, profit_lock=LOCK)
    ruled.open()
    assert ruled.tick(130) == [
        "ACTIVE LOCK_ARMED",
        "HALTED DAILY_TARGET",
        "closed 1 RISK DAILY_TARGET 130",
    ]


def test_rules_come_after_stops_and_targets_and_before_moves_and_fills() -> None:
    ruled = Ruled(**LOSS)
    ruled.open(stop_loss_e4=95_0000)
    ruled.open(stop_loss_e4=50_0000, breakeven_at_e4=85_0000)
    order_id = ruled.place(90)
    assert ruled.tick(94) == [
        "closed 1 SL 94",
        "HALTED DAILY_LOSS",
        f"order {order_id} CANCELLED",
        "closed 2 RISK DAILY_LOSS 94",
    ]


def test_a_trade_without_a_price_waits_for_the_first_one_stale_or_not() -> None:
    ruled = Ruled(**LOSS)
    ruled.open("BANKNIFTY")
    ruled.open()
    assert ruled.tick(90) == ["HALTED DAILY_LOSS", "closed 2 RISK DAILY_LOSS 90"]
    assert ruled.tick(120, "BANKNIFTY", stale=True) == ["closed 1 RISK DAILY_LOSS 120 stale"]


# -- losing streaks ----------------------------------------------------------------


def test_losses_in_a_row_halt_and_close_nothing() -> None:
    ruled = Ruled(**STREAK)
    ruled.open()
    lose(ruled)
    assert lose(ruled) == ["closed 3 MANUAL 99", "HALTED LOSING_STREAK"]
    assert list(ruled.state.open_trades) == [1]
    assert ruled.status == "HALTED LOSING_STREAK"


def test_a_win_begins_a_streak_anew_and_zero_neither_counts_nor_resets() -> None:
    ruled = Ruled(**STREAK)
    lose(ruled)
    lose(ruled, -10)
    lose(ruled)
    assert lose(ruled, 0) == ["closed 4 MANUAL 100"]
    assert lose(ruled)[1:] == ["HALTED LOSING_STREAK"]


def test_a_streak_counts_whole_trades() -> None:
    ruled = Ruled(**STREAK)
    lose(ruled)
    trade_id = ruled.open()
    assert ruled.close(trade_id, 99, quantity=5) == ["trade_reduced 2"]
    assert ruled.close(trade_id, 102) == ["closed 2 MANUAL 102"], "it has won as a whole"


def test_a_streak_is_of_one_date() -> None:
    ruled = Ruled(**STREAK)
    lose(ruled)
    ruled.now_ms = NEXT_DAY_MS
    assert lose(ruled) == ["closed 2 MANUAL 99"]
    assert lose(ruled)[1:] == ["HALTED LOSING_STREAK"]


# -- when rules are asked ----------------------------------------------------------


def test_rules_are_asked_after_a_close_by_request() -> None:
    ruled = Ruled(**LOSS)
    ruled.open()
    ruled.tick(98)
    assert lose(ruled, 80) == [
        "closed 2 MANUAL 92",
        "HALTED DAILY_LOSS",
        "closed 1 RISK DAILY_LOSS 98",
    ]


def test_rules_are_asked_after_a_reduction() -> None:
    ruled = Ruled(**LOSS)
    ruled.tick(100)
    assert ruled.close(ruled.open(), 80, quantity=5) == [
        "trade_reduced 1",
        "HALTED DAILY_LOSS",
        "closed 1 RISK DAILY_LOSS 100",
    ]


def test_rules_are_asked_after_a_change_of_rules() -> None:
    ruled = Ruled()
    ruled.open()
    ruled.tick(95)
    assert ruled.patch(rules={"max_daily_loss_paise": 60_00}) == ["ACTIVE MANUAL"]
    assert ruled.patch(rules={"max_daily_loss_paise": 50_00}) == [
        "ACTIVE MANUAL",
        "HALTED DAILY_LOSS",
        "closed 1 RISK DAILY_LOSS 95",
    ]


def test_rules_are_asked_after_a_close_of_everything() -> None:
    ruled = Ruled(**STREAK)
    ruled.open()
    ruled.open()
    ruled.tick(99)
    assert ruled.close_all() == ["closed 1 MANUAL 99", "closed 2 MANUAL 99", "HALTED LOSING_STREAK"]


def test_a_close_of_everything_that_finds_nothing_to_close_starts_no_check() -> None:
    ruled = Ruled(**LOSS)
    ruled.tick(80)
    ruled.close(ruled.open(), 80)
    ruled.patch(status=SessionStatus.HALTED)
    ruled.patch(status=SessionStatus.ACTIVE)
    assert ruled.close_all() == []
    assert ruled.tick(80) == ["HALTED DAILY_LOSS"]


def test_an_opening_starts_no_check() -> None:
    ruled = Ruled(**LOSS)
    ruled.tick(80)
    ruled.open()
    assert ruled.status == "ACTIVE None"
    assert ruled.tick(80)[0] == "HALTED DAILY_LOSS"


def test_a_new_profit_lock_disarms_the_days() -> None:
    ruled = Ruled(profit_lock=LOCK)
    ruled.open()
    ruled.tick(110)
    other = ProfitLock(arm_at_paise=300_00, floor_paise=200_00)
    assert ruled.patch(rules={"profit_lock": other}) == ["ACTIVE MANUAL"]
    assert ruled.state.session.lock is None
    assert ruled.tick(101) == []
    assert ruled.tick(130) == ["ACTIVE LOCK_ARMED"]


# -- asked only where they may act -------------------------------------------------

rules = st.fixed_dictionaries(
    {
        "max_daily_loss_paise": st.none() | st.integers(1, 200_00),
        "daily_target_paise": st.none() | st.integers(1, 200_00),
        "profit_lock": st.none() | st.just(LOCK),
        "losing_streak": st.none() | st.integers(1, 2),
    }
)


@given(rules, st.lists(st.tuples(st.integers(80, 120), st.booleans()), max_size=12))
def test_a_price_with_a_quiet_result_decides_nothing(
    given_rules: dict[str, Any], steps: list[tuple[int, bool]]
) -> None:
    ruled = Ruled(**given_rules)
    ruled.open(quantity=1000)
    for price, closes in steps:
        if closes and ruled.status == "ACTIVE None":
            ruled.close(ruled.open(), price)
        session, figures = ruled.state.session, ruled.state.figures
        quiet = quiet_results(session, DAY, figures.tally(DAY))
        held = ruled.state.exposures.get("NIFTY")
        result_e4 = figures.days.get(DAY, 0) * 100
        result_e4 += held.pnl_e4_at(price * 10_000) if held else 0
        told = ruled.tick(price)
        if quiet.low < result_e4 < quiet.high and session.closing is None:
            assert told == []
