"""What the rules of a session make of its result, and which openings they refuse."""

from __future__ import annotations

from datetime import date, timedelta
from math import inf
from typing import Any, NamedTuple

from vyomo_rt.domain.errors import Conflict
from vyomo_rt.domain.moment import day_start_ms, iso, trading_day
from vyomo_rt.domain.money import E4_PER_PAISA
from vyomo_rt.domain.rules import Lock
from vyomo_rt.domain.session import RULE_BEHIND, ChangeReason, SessionStatus, Standing
from vyomo_rt.domain.state import SessionState, Tally
from vyomo_rt.domain.trade import ExitDetail
from vyomo_rt.domain.trailing import Band

CLOSING = {
    ChangeReason.DAILY_LOSS: ExitDetail.DAILY_LOSS,
    ChangeReason.DAILY_TARGET: ExitDetail.DAILY_TARGET,
    ChangeReason.PROFIT_LOCK: ExitDetail.PROFIT_LOCK,
}
"""The rules that close everything, in their order, and what the closes say of them."""

_DAY = timedelta(days=1)
_OPEN = (SessionStatus.ACTIVE, SessionStatus.PAUSED)


class Levels(NamedTuple):
    """Results of a date, in ₹0.0001, at or beyond which a rule acts; infinite for none."""

    loss_e4: float = -inf
    target_e4: float = inf
    floor_e4: float = -inf
    arm_e4: float = inf


def levels(standing: Standing, day: date) -> Levels:
    """Where the closing rules act on a date; while one of them halts, no further one does."""
    found: dict[str, float] = {}
    lock = _in_force(standing, ChangeReason.PROFIT_LOCK, day)
    is_armed = standing.lock is not None and standing.lock.day == day
    if lock is not None and not is_armed:
        found["arm_e4"] = lock.arm_at_paise * E4_PER_PAISA
    if standing.halt is not None and standing.halt.reasons[-1] in CLOSING:
        return Levels(**found)
    if lock is not None and is_armed:
        found["floor_e4"] = lock.floor_paise * E4_PER_PAISA
    loss_paise = _in_force(standing, ChangeReason.DAILY_LOSS, day)
    if loss_paise is not None:
        found["loss_e4"] = -loss_paise * E4_PER_PAISA
    target_paise = _in_force(standing, ChangeReason.DAILY_TARGET, day)
    if target_paise is not None:
        found["target_e4"] = target_paise * E4_PER_PAISA
    return Levels(**found)


def armed(standing: Standing, result_e4: int, day: date) -> Lock | None:
    """The profit lock that a result arms, if it arms one."""
    lock = standing.rules.profit_lock
    if lock is None or result_e4 < levels(standing, day).arm_e4:
        return None
    return Lock(day, lock.floor_paise)


def tripped(standing: Standing, result_e4: int, day: date, tally: Tally) -> ChangeReason | None:
    """The first rule that trips on a result, and on what was counted on its date."""
    at = levels(standing, day)
    if result_e4 <= at.loss_e4:
        return ChangeReason.DAILY_LOSS
    if result_e4 >= at.target_e4:
        return ChangeReason.DAILY_TARGET
    if result_e4 <= at.floor_e4:
        return ChangeReason.PROFIT_LOCK
    return ChangeReason.LOSING_STREAK if _is_streak(standing, day, tally) else None


def quiet_results(standing: Standing, day: date, tally: Tally) -> Band:
    """The results of a date, in ₹0.0001, strictly between which the rules do nothing."""
    if _is_streak(standing, day, tally):
        return Band(0, 0)
    at = levels(standing, day)
    return Band(max(at.loss_e4, at.floor_e4), min(at.target_e4, at.arm_e4))


def _in_force(standing: Standing, reason: ChangeReason, day: date) -> Any:
    """The value of the rule that halts for a reason; None if it is not set, or waived."""
    if standing.waived_on == day and reason in standing.waived:
        return None
    return getattr(standing.rules, RULE_BEHIND[reason])


def _is_streak(standing: Standing, day: date, tally: Tally) -> bool:
    most = _in_force(standing, ChangeReason.LOSING_STREAK, day)
    return most is not None and standing.status in _OPEN and tally.losing_streak >= most


def check_opening(state: SessionState, quantity: int, price_e4: int, at_ms: int) -> None:
    """Raise Conflict, naming the rule and until when, if a rule forbids an opening."""
    session, rules = state.session, state.session.rules
    most_paise = rules.max_order_value_paise
    if most_paise is not None and quantity * price_e4 > most_paise * E4_PER_PAISA:
        raise Conflict(
            f"maxOrderValue: {quantity} × {price_e4 / 10_000:.10g} is more than the ₹"
            f"{most_paise / 100:.15g} that a trade of session {session.session_id} may cost, as"
            " long as this rule is set",
            "quantity",
        )
    if rules.max_open_trades is not None and len(state.open_trades) >= rules.max_open_trades:
        raise Conflict(
            f"maxOpenTrades: session {session.session_id} may have {rules.max_open_trades} open"
            " trades: no opening until one of them is closed",
            "sessionId",
        )
    day = trading_day(at_ms)
    opened, most = state.figures.tally(day).opened, rules.max_trades_per_day
    if most is not None and opened >= most:
        words = f"session {session.session_id} may open {most} trades a day: none until"
        raise Conflict(f"maxTradesPerDay: {words} {iso(day_start_ms(day + _DAY))}", "sessionId")
    until_ms = cooldown_until_ms(state)
    if until_ms is not None and at_ms < until_ms:
        words = f"session {session.session_id} has lost: no opening until {iso(until_ms)}"
        raise Conflict(f"cooldownSeconds: {words}", "sessionId")


def cooldown_until_ms(state: SessionState) -> int | None:
    """When the pause after the last losing trade is over; None without a loss or the rule."""
    last_loss_ms, pause_s = state.figures.last_loss_ms, state.session.rules.cooldown_s
    return None if last_loss_ms is None or pause_s is None else last_loss_ms + pause_s * 1000
