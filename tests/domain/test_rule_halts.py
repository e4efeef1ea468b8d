"""Halts of rules over other halts, what lifts them, and what is waived then."""

from __future__ import annotations

import pytest

from tests.domain.ruled import (
    ACTIVE,
    HALTED,
    LOSS,
    NEXT_DAY_MS,
    PAUSED,
    STREAK,
    TARGET,
    Ruled,
    lose,
    waived,
)
from tests.domain.samples import DAY, NEXT_DAY
from vyomo_rt.domain.session import SessionStatus

# -- halts over halts --------------------------------------------------------------


def test_a_closing_rule_acts_in_a_paused_session() -> None:
    ruled = Ruled(**LOSS)
    ruled.open()
    ruled.patch(PAUSED)
    assert ruled.tick(90) == ["HALTED DAILY_LOSS", "closed 1 RISK DAILY_LOSS 90"]


@pytest.mark.parametrize(("status", "told"), [(PAUSED, True), (HALTED, False)])
def test_a_losing_streak_halts_from_active_and_paused_only(
    status: SessionStatus, told: bool
) -> None:
    ruled = Ruled(**STREAK)
    lose(ruled)
    trade_id = ruled.open()
    ruled.patch(status)
    assert ruled.close(trade_id, 99)[1:] == (["HALTED LOSING_STREAK"] if told else [])


def test_no_rule_acts_in_a_stopped_session() -> None:
    ruled = Ruled()
    lose(ruled, 60)
    lose(ruled, 60)
    ruled.patch(SessionStatus.STOPPED)
    assert ruled.patch(rules={**LOSS, **STREAK}) == ["STOPPED MANUAL"]


def test_over_a_halt_by_request_a_closing_rule_closes_without_a_change_of_the_session() -> None:
    ruled = Ruled(**LOSS)
    ruled.open()
    ruled.patch(HALTED)
    assert ruled.tick(90) == ["closed 1 RISK DAILY_LOSS 90"]
    assert ruled.status == "HALTED MANUAL"


def test_over_a_losing_streak_a_closing_rule_halts_anew() -> None:
    ruled = Ruled(**LOSS, **STREAK)
    ruled.open()
    lose(ruled)
    lose(ruled)
    assert ruled.tick(92) == ["HALTED DAILY_LOSS", "closed 1 RISK DAILY_LOSS 92"]


def test_while_a_closing_rule_halts_none_trips_again() -> None:
    ruled = Ruled(**LOSS, **TARGET)
    ruled.open("BANKNIFTY")
    ruled.open()
    ruled.tick(90)
    assert ruled.tick(200, "BANKNIFTY") == ["closed 1 RISK DAILY_LOSS 200"]
    assert ruled.status == "HALTED DAILY_LOSS"


def test_a_request_to_halt_over_a_rules_halt_is_a_new_change_and_its_closes_go_on() -> None:
    ruled = Ruled(**LOSS)
    ruled.open("BANKNIFTY")
    ruled.open()
    ruled.tick(90)
    assert ruled.patch(HALTED) == ["HALTED MANUAL"]
    assert ruled.patch(HALTED) == []
    assert ruled.tick(120, "BANKNIFTY") == ["closed 1 RISK DAILY_LOSS 120"]


def test_a_kill_over_a_rules_halt_is_a_new_change_with_its_reason() -> None:
    ruled = Ruled(**LOSS)
    ruled.open("BANKNIFTY")
    ruled.open()
    ruled.tick(90)
    assert ruled.kill() == ["HALTED KILL"]
    assert ruled.tick(120, "BANKNIFTY") == ["closed 1 MANUAL KILL 120"]


# -- the new day -------------------------------------------------------------------


@pytest.mark.parametrize("status", [ACTIVE, PAUSED])
def test_a_new_day_lifts_a_rules_halt_to_the_status_before_it(status: SessionStatus) -> None:
    ruled = Ruled(**LOSS)
    ruled.open()
    ruled.patch(status)
    ruled.tick(90)
    assert ruled.wait_until(NEXT_DAY_MS - 1) == []
    assert ruled.wait_until(NEXT_DAY_MS + 5) == [f"{status} NEW_DAY"]
    assert ruled.status == f"{status} NEW_DAY"
    assert ruled.events[-1].at_ms == NEXT_DAY_MS


def test_a_new_day_acts_before_the_first_price_at_or_after_it() -> None:
    ruled = Ruled(**LOSS)
    ruled.open("BANKNIFTY")
    ruled.open()
    ruled.tick(90)
    ruled.now_ms = NEXT_DAY_MS - 1000
    assert ruled.tick(85, "BANKNIFTY") == [
        "ACTIVE NEW_DAY",
        "HALTED DAILY_LOSS",
        "closed 1 RISK DAILY_LOSS 85",
    ]


def test_a_new_day_leaves_a_halt_by_request() -> None:
    ruled = Ruled(**LOSS)
    ruled.open()
    ruled.tick(90)
    ruled.patch(HALTED)
    assert ruled.wait_until(NEXT_DAY_MS) == []


def test_a_new_day_lifts_halts_over_halts_to_the_status_before_the_first() -> None:
    ruled = Ruled(**LOSS, **STREAK)
    ruled.open()
    lose(ruled)
    lose(ruled)
    ruled.tick(92)
    assert ruled.wait_until(NEXT_DAY_MS) == ["ACTIVE NEW_DAY"]


# -- lifting and waiving -----------------------------------------------------------


def test_a_halt_that_is_lifted_earlier_waives_its_rule_for_the_date() -> None:
    ruled = Ruled(**LOSS)
    ruled.open()
    ruled.tick(90)
    assert ruled.patch(ACTIVE) == ["ACTIVE MANUAL"]
    assert (waived(ruled), ruled.state.session.waived_on) == (["DAILY_LOSS"], DAY)
    ruled.open()
    assert ruled.tick(50) == []
    ruled.now_ms = NEXT_DAY_MS
    assert ruled.tick(50) == ["HALTED DAILY_LOSS", "closed 2 RISK DAILY_LOSS 50"]


def test_a_halt_is_lifted_with_a_new_value_which_acts() -> None:
    ruled = Ruled(**LOSS)
    ruled.open()
    ruled.tick(90)
    assert ruled.patch(ACTIVE, {"max_daily_loss_paise": 150_00}) == ["ACTIVE MANUAL"]
    assert (waived(ruled), ruled.state.session.waived_on) == ([], None)
    ruled.open()
    assert ruled.tick(95) == ["HALTED DAILY_LOSS", "closed 2 RISK DAILY_LOSS 95"]


def test_what_was_waived_today_stays_so_when_another_rule_is_waived() -> None:
    ruled = Ruled(**LOSS, **STREAK)
    lose(ruled)
    lose(ruled)
    ruled.patch(ACTIVE)
    ruled.open()
    ruled.tick(80)
    ruled.patch(ACTIVE)
    assert waived(ruled) == ["LOSING_STREAK", "DAILY_LOSS"]
    ruled.wait_until(NEXT_DAY_MS)
    ruled.open()
    ruled.tick(90)
    ruled.patch(ACTIVE)
    assert waived(ruled) == ["DAILY_LOSS"]
    assert ruled.state.session.waived_on == NEXT_DAY


def test_a_halt_over_a_halt_waives_both_rules() -> None:
    ruled = Ruled(**LOSS, **STREAK)
    ruled.open()
    lose(ruled)
    lose(ruled)
    ruled.tick(92)
    ruled.patch(ACTIVE)
    assert waived(ruled) == ["LOSING_STREAK", "DAILY_LOSS"]
    assert lose(ruled) == ["closed 4 MANUAL 99"]


def test_a_new_value_of_a_waived_rule_acts() -> None:
    ruled = Ruled(**LOSS)
    ruled.open()
    ruled.tick(90)
    ruled.patch(ACTIVE)
    assert ruled.patch(rules={"max_daily_loss_paise": 50_00}) == [
        "ACTIVE MANUAL",
        "HALTED DAILY_LOSS",
    ]


def test_a_lifted_halt_by_request_waives_nothing() -> None:
    ruled = Ruled(**LOSS)
    ruled.patch(HALTED)
    ruled.patch(ACTIVE)
    assert waived(ruled) == []
