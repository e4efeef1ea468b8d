"""What events may change of a session, as documents.

What newer shapes have more is left out where it is not set: older documents do not have it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from vyomo_rt.domain.charges import ChargePlan
from vyomo_rt.domain.moment import to_datetime, to_ms
from vyomo_rt.domain.rules import NO_RULES, Lock, ProfitLock, Rules
from vyomo_rt.domain.session import ChangeReason, RuleHalt, SessionStatus, Standing
from vyomo_rt.domain.trade import ExitDetail
from vyomo_rt.store.trade_documents import where_set

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vyomo_rt.store.documents import Document

_RULES = {
    "maxDailyLossPaise": "max_daily_loss_paise",
    "dailyTargetPaise": "daily_target_paise",
    "maxOrderValuePaise": "max_order_value_paise",
    "maxTradesPerDay": "max_trades_per_day",
    "maxOpenTrades": "max_open_trades",
    "losingStreak": "losing_streak",
    "cooldownSeconds": "cooldown_s",
    "squareOffMinute": "square_off_min",
}


def from_standing(standing: Standing) -> Document:
    reason, lock = standing.status_reason, standing.lock
    return {
        "name": standing.name,
        "status": standing.status.value,
        "statusReason": None if reason is None else reason.value,
        **where_set(
            closing=standing.closing and standing.closing.value,
            halt=standing.halt and _from_halt(standing.halt),
        ),
        **from_terms(standing),
        **where_set(
            lock=lock and {"date": lock.day.isoformat(), "floorPaise": lock.floor_paise},
            waived=[each.value for each in standing.waived] or None,
            waivedOn=standing.waived_on and standing.waived_on.isoformat(),
            squareOffSetAt=_moment(standing.square_off_set_ms),
        ),
    }


def to_standing(document: Mapping[str, Any]) -> Standing:
    reason, lock = document["statusReason"], document.get("lock")
    set_at = document.get("squareOffSetAt")
    return Standing(
        name=document["name"],
        status=SessionStatus(document["status"]),
        status_reason=None if reason is None else ChangeReason(reason),
        closing=ExitDetail(document["closing"]) if "closing" in document else None,
        halt=_to_halt(document["halt"]) if "halt" in document else None,
        **to_terms(document),
        lock=lock and Lock(date.fromisoformat(lock["date"]), lock["floorPaise"]),
        waived=tuple(map(ChangeReason, document.get("waived", ()))),
        waived_on=_date(document.get("waivedOn")),
        square_off_set_ms=None if set_at is None else to_ms(set_at),
    )


def from_terms(standing: Standing) -> Document:
    """Its rules and charges, where it has any."""
    plan = standing.charges
    return where_set(
        rules=_from_rules(standing.rules) if standing.rules != NO_RULES else None,
        charges=None if plan is None else plan.value,
    )


def to_terms(document: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a session that `from_terms` wrote."""
    plan = document.get("charges")
    return {
        "rules": _to_rules(document.get("rules", {})),
        "charges": None if plan is None else ChargePlan(plan),
    }


def _from_rules(rules: Rules) -> Document:
    lock = rules.profit_lock
    return where_set(
        **{name: getattr(rules, member) for name, member in _RULES.items()},
        profitLock=lock and {"armAtPaise": lock.arm_at_paise, "floorPaise": lock.floor_paise},
    )


def _to_rules(document: Mapping[str, Any]) -> Rules:
    rules = Rules(**{member: document.get(name) for name, member in _RULES.items()})
    lock = document.get("profitLock")
    if lock is None:
        return rules
    paise = {"arm_at_paise": lock["armAtPaise"], "floor_paise": lock["floorPaise"]}
    return replace(rules, profit_lock=ProfitLock(**paise))


def _moment(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else to_datetime(at_ms)


def _from_halt(halt: RuleHalt) -> Document:
    return {
        "before": halt.before.value,
        "reasons": [each.value for each in halt.reasons],
        "endsAt": to_datetime(halt.ends_at_ms),
    }


def _to_halt(document: Mapping[str, Any]) -> RuleHalt:
    reasons = tuple(map(ChangeReason, document["reasons"]))
    return RuleHalt(SessionStatus(document["before"]), reasons, to_ms(document["endsAt"]))


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
