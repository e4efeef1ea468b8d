"""What rules, charges and square-off must make of a session's events, computed anew from them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from math import inf
from typing import Any

from lab.soak.costs import Closing, Holding, order_items, report_rows
from lab.soak.violated import Violated

IST = timezone(timedelta(hours=5, minutes=30))
RULE_BEHIND = {
    "DAILY_LOSS": "maxDailyLoss",
    "DAILY_TARGET": "dailyTarget",
    "PROFIT_LOCK": "profitLock",
}
"""The rules that close everything, by the reason of their halts."""
_BY_PRICE = ("SL", "TARGET")
_MOST_LATE = timedelta(seconds=60)
_A_MOMENT = timedelta(seconds=1)
_NEVER = datetime.min.replace(tzinfo=IST)


@dataclass
class _Trip:
    """A rule has halted: the result of its moment, as far as the closes have told it."""

    reason: str
    at: datetime
    level: Fraction
    result: Fraction
    left: set[int]


class Rulebook:
    """A session as its events make it: its rules, what is open, and what closings earned."""

    def __init__(self) -> None:
        self.seq = 0
        self.closings: list[Closing] = []
        self._open: dict[int, Holding] = {}
        self._terms: dict[str, Any] = {"status": "ACTIVE", "rules": {}, "charges": None}
        self._halting: set[str] = set()
        """What has begun to close everything: rules, or KILL."""
        self._trip: _Trip | None = None
        self._square_off_set = _NEVER
        self._opened: Counter[date] = Counter()
        self._earned: Counter[date] = Counter()
        self._paid: Counter[date] = Counter()
        self._streak = 0
        self._streak_day = date.min
        self._last_loss: datetime | None = None

    @property
    def _rules(self) -> dict[str, Any]:
        rules: dict[str, Any] = self._terms["rules"]
        return rules

    def take(self, type_: str, data: dict[str, Any]) -> None:
        """Take the next event. Raises Violated."""
        self.seq += 1
        match type_:
            case "session_changed":
                self._change(data)
            case "trade_opened":
                self._open_trade(data)
            case "trade_reduced":
                self._close(data, data["closedQuantity"])
            case "trade_closed":
                self._close(data, None)

    # -- changes of the session --------------------------------------------------

    def _change(self, data: dict[str, Any]) -> None:
        before, reason, at = self._rules, data["reason"], moment(data["timestamp"])
        if reason in RULE_BEHIND:
            self._begin_trip(data, at)
        elif reason == "LOSING_STREAK":
            most = before.get("losingStreak")
            if most is None or self._streak_on(at.date()) < most:
                raise Violated(f"a rule halts only where it is reached: {data}")
        self._terms = data
        if data["status"] != "HALTED":
            self._halting.clear()
        elif reason == "KILL" or reason in RULE_BEHIND:
            self._halting = {reason}
        if data["rules"].get("squareOff") != before.get("squareOff"):
            self._square_off_set = at
        self._judge_trip()

    def _begin_trip(self, data: dict[str, Any], at: datetime) -> None:
        reason = data["reason"]
        is_waived = data["waivedOn"] == at.date().isoformat() and reason in data["waived"]
        if RULE_BEHIND[reason] not in self._rules or is_waived:
            raise Violated(f"only a rule that is in force halts: {data}")
        value = (
            data["lock"]["floor"] if reason == "PROFIT_LOCK" else self._rules[RULE_BEHIND[reason]]
        )
        level = -paise(value) if reason == "DAILY_LOSS" else paise(value)
        self._trip = _Trip(reason, at, level, Fraction(self._ruled(at.date())), set(self._open))

    def _judge_trip(self) -> None:
        """Once the closes have told the result at which a rule has halted, judge it."""
        trip = self._trip
        if trip is None or trip.left:
            return
        self._trip = None
        beyond = trip.result - trip.level
        if (beyond < 0) if trip.reason == "DAILY_TARGET" else (beyond > 0):
            raise Violated(
                f"a rule halts only where it is reached: {trip.reason} at a result of "
                f"{float(trip.result)} instead of {float(trip.level)} paise, by event {self.seq}"
            )

    # -- trades ------------------------------------------------------------------

    def _open_trade(self, data: dict[str, Any]) -> None:
        at, price = moment(data["timestamp"]), exact(data["entryPrice"])
        self._require_rules(data, at, data["quantity"] * price)
        items = order_items(self._terms["charges"], data["side"], data["quantity"], price)
        quantity = data["quantity"]
        self._open[data["tradeId"]] = Holding(
            data["symbol"], data["side"], price, at, quantity, quantity, items, items
        )
        self._opened[at.date()] += 1

    def _require_rules(self, data: dict[str, Any], at: datetime, value: Fraction) -> None:
        rules, until = self._rules, self._cooldown_until
        broken = {
            "maxOrderValue": value > rules.get("maxOrderValue", inf),
            "maxOpenTrades": len(self._open) >= rules.get("maxOpenTrades", inf),
            "maxTradesPerDay": self._opened[at.date()] >= rules.get("maxTradesPerDay", inf),
            "cooldownSeconds": until is not None and at < until,
            "squareOff": self._is_squared_off(at),
        }
        if names := [name for name, is_broken in broken.items() if is_broken]:
            raise Violated(f"an opening obeys every rule: {names} forbid {data}")

    def _close(self, data: dict[str, Any], quantity: int | None) -> None:
        trade_id, at = data["tradeId"], moment(data["timestamp"])
        holding, price, is_last = self._open[trade_id], exact(data["exitPrice"]), quantity is None
        if is_last:
            self._require_reason(data, holding, at)
            self._tell_trip(trade_id, data, holding.pnl_at(price))
        closing = holding.close(
            quantity or holding.left, price, self._terms["charges"], at, data["exitReason"]
        )
        self.closings.append(closing)
        pnl, charges = closing.pnl, closing.charges
        self._earned[at.date()] += pnl
        if charges is not None:
            self._paid[at.date()] += charges
        if is_last:
            pnl, charges = holding.pnl, holding.charges
            del self._open[trade_id]
            self._count(holding.pnl, at)
        self._require_costs(data, pnl, charges)
        self._judge_trip()

    def _require_reason(self, data: dict[str, Any], holding: Holding, at: datetime) -> None:
        reason, detail = data["exitReason"], data.get("exitDetail")
        is_due = self._square_off_after(holding.opened_at) <= at
        if reason == "SQUARE_OFF" and not is_due:
            raise Violated(f"SQUARE_OFF closes only what was opened before its moment: {data}")
        if reason in _BY_PRICE and is_due:
            raise Violated(f"a square-off comes before the prices of its moment: {data}")
        if self._halting and reason in (*_BY_PRICE, "SQUARE_OFF"):
            raise Violated(f"what a halt closes says so: {sorted(self._halting)}, {data}")
        by_rule = self._halting - {"KILL"}
        if reason == "RISK" and detail not in (by_rule or RULE_BEHIND):
            raise Violated(f"what a rule closes has its name: {sorted(self._halting)}, {data}")
        if reason == "RISK" and not by_rule and RULE_BEHIND[str(detail)] not in self._rules:
            raise Violated(f"only a rule that is in force closes: {data}")

    def _tell_trip(self, trade_id: int, data: dict[str, Any], earned: Fraction) -> None:
        """One that closes later or otherwise does not tell the result at which a rule tripped."""
        trip = self._trip
        if trip is None:
            return
        if data["exitReason"] != "RISK" or moment(data["timestamp"]) != trip.at:
            self._trip = None
            return
        trip.result += earned
        trip.left.discard(trade_id)

    def _require_costs(self, data: dict[str, Any], pnl: int, charges: int | None) -> None:
        wanted: dict[str, Any] = {"pnl": pnl / 100}
        if charges is not None:
            wanted |= {"charges": charges / 100, "netPnl": (pnl - charges) / 100}
        found = {name: data[name] for name in ("pnl", "charges", "netPnl") if name in data}
        if found != wanted:
            raise Violated(f"charges are those of the rates: {found} should be {wanted}: {data}")

    def _count(self, pnl: int, at: datetime) -> None:
        if self._streak_day != at.date():
            self._streak_day, self._streak = at.date(), 0
        if pnl:
            self._streak = self._streak + 1 if pnl < 0 else 0
        if pnl < 0:
            self._last_loss = at

    # -- what follows from them --------------------------------------------------

    def _streak_on(self, day: date) -> int:
        return self._streak if self._streak_day == day else 0

    def _ruled(self, day: date) -> int:
        """What rules count as realised on a date, in paise."""
        charges = 0 if self._terms["charges"] is None else self._paid[day]
        return self._earned[day] - charges

    @property
    def _cooldown_until(self) -> datetime | None:
        pause_s = self._rules.get("cooldownSeconds")
        if pause_s is None or self._last_loss is None:
            return None
        return self._last_loss + timedelta(seconds=pause_s)

    def _square_off_after(self, at: datetime) -> datetime:
        """The first square-off after a moment, and after the rule was set."""
        time = self._rules.get("squareOff")
        if time is None:
            return datetime.max.replace(tzinfo=IST)
        hour, minute = map(int, time.split(":"))
        since = max(at, self._square_off_set)
        due = since.replace(hour=hour, minute=minute, second=0, microsecond=0)
        return due if due > since else due + timedelta(days=1)

    def _is_squared_off(self, at: datetime) -> bool:
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        return self._square_off_after(midnight - timedelta(milliseconds=1)) <= at

    # -- what is told of them ----------------------------------------------------

    def check_document(self, session: dict[str, Any]) -> None:
        """Check the document of a session whose newest event was taken last. Raises Violated."""
        at = moment(session["timestamp"])
        late = [
            trade_id
            for trade_id, holding in self._open.items()
            if self._square_off_after(holding.opened_at) < at - _MOST_LATE
        ]
        if late:
            raise Violated(f"SQUARE_OFF closes all that was opened before its moment: not {late}")
        wanted = self._net_figures(at.date())
        found = {name: session[name] for name in _NET_FIGURES if name in session}
        if found != wanted:
            raise Violated(f"net figures are those of the events: {found} should be {wanted}")
        self._check_today(session, at)

    def _net_figures(self, day: date) -> dict[str, float]:
        if self._terms["charges"] is None and not self._paid:
            return {}
        charges = self._paid.total()
        net_today = self._earned[day] - self._paid[day]
        amounts = (charges, self._earned.total() - charges, net_today)
        return {name: amount / 100 for name, amount in zip(_NET_FIGURES, amounts, strict=True)}

    def _check_today(self, session: dict[str, Any], at: datetime) -> None:
        found, until, left = dict(session["today"]), self._cooldown_until, None
        if (most := self._rules.get("maxDailyLoss")) is not None:
            unrealised = paise(session["unrealizedPnL"])
            left = float((paise(most) + self._ruled(at.date()) + unrealised) / 100)
        wanted: dict[str, Any] = {
            "trades": self._opened[at.date()],
            "losingStreak": self._streak_on(at.date()),
            "lossLeft": left,
        }
        told = found.pop("cooldownUntil")
        if found != wanted:
            raise Violated(f"today is that of the events: {found} should be {wanted}")
        if until is not None and abs(until - at) < _A_MOMENT:
            return  # it may be over or not
        if (None if told is None else moment(told)) != (until if until and until > at else None):
            raise Violated(f"today is that of the events: cooldownUntil {told} should be {until}")

    def check_report(self, by: str, report: dict[str, Any]) -> None:
        """Check a report that was made of the events taken so far. Raises Violated."""
        wanted = report_rows(self.closings, by)
        names = wanted[0] if wanted else {}
        found = [{name: row[name] for name in names} for row in report["rows"]]
        if found != wanted:
            raise Violated(f"a report is the sum of its closings: {by}: {found}, not {wanted}")


_NET_FIGURES = ("totalCharges", "netTotalPnL", "netTodayPnL")


def moment(text: str) -> datetime:
    """A moment as it is written in India."""
    return datetime.fromisoformat(text).astimezone(IST)


def exact(number: float) -> Fraction:
    """The number that was written."""
    return Fraction(str(number))


def paise(rupees: float) -> Fraction:
    """An amount in paise."""
    return exact(rupees) * 100
