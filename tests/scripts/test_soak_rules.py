"""Whether the soak would find rules, charges and reports that are not what the events make."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lab.soak.costs import Holding, order_items
from lab.soak.rulebook import Rulebook, exact, moment
from lab.soak.truth import SessionTruth
from lab.soak.violated import Violated

Told = tuple[str, dict[str, Any]]


def at(time: str) -> str:
    """A moment of one day in India, as events write it."""
    return f"2026-11-23T{time}+05:30"


def changed(
    time: str = "09:00:00",
    *,
    status: str = "ACTIVE",
    reason: str = "MANUAL",
    charges: str | None = None,
    waived: tuple[str, ...] = (),
    floor: float | None = None,
    **rules: Any,
) -> Told:
    lock = None if floor is None else {"date": "2026-11-23", "floor": floor}
    waived_on = "2026-11-23" if waived else None
    data = {"status": status, "reason": reason, "rules": rules, "charges": charges, "lock": lock}
    return "session_changed", data | {
        "waived": list(waived), "waivedOn": waived_on, "timestamp": at(time)
    }  # fmt: skip


def opened(time: str, trade_id: int = 1, *, quantity: int = 50, price: float = 195.25) -> Told:
    return "trade_opened", {
        "tradeId": trade_id, "symbol": "BANKNIFTY", "side": "BUY", "quantity": quantity,
        "entryPrice": price, "timestamp": at(time),
    }  # fmt: skip


def closed(
    time: str, pnl: float, trade_id: int = 1, *, price: float, reason: str = "MANUAL", **more: Any
) -> Told:
    data = {"tradeId": trade_id, "exitPrice": price, "pnl": pnl, "exitReason": reason}
    return "trade_closed", data | {"timestamp": at(time)} | more


def reduced(time: str, pnl: float, *, price: float, quantity: int, **more: Any) -> Told:
    _, data = closed(time, pnl, price=price, **more)
    return "trade_reduced", data | {"closedQuantity": quantity}


def book_of(*told: Told) -> Rulebook:
    book = Rulebook()
    for type_, data in told:
        book.take(type_, data)
    return book


OPTIONS = changed(charges="NSE_OPTIONS")
LOSS = changed("10:00:01", status="HALTED", reason="DAILY_LOSS", maxDailyLoss=50)
TARGET = changed("10:00:01", status="HALTED", reason="DAILY_TARGET", dailyTarget=50)
BY_LOSS: dict[str, Any] = {"reason": "RISK", "exitDetail": "DAILY_LOSS"}
A_DAY = (
    changed(charges="NSE_OPTIONS", maxDailyLoss=100, cooldownSeconds=60),
    opened("10:00:00"),
    closed("10:01:00", 52.5, price=196.3, charges=70.45, netPnl=-17.95),
    opened("10:02:00", 2, quantity=10, price=100),
    closed("10:03:00", -1, 2, price=99.9, charges=49.56, netPnl=-50.56),
)
SESSION: dict[str, Any] = {
    "timestamp": at("10:03:30"),
    "unrealizedPnL": 0,
    "totalCharges": 120.01,
    "netTotalPnL": -68.51,
    "netTodayPnL": -68.51,
    "today": {
        "trades": 2, "losingStreak": 1, "cooldownUntil": at("10:04:00"), "lossLeft": 31.49,
    },
}  # fmt: skip


def test_the_worked_example_costs_what_is_published() -> None:
    price, exit_price = exact(195.25), exact(196.3)
    entry = order_items("NSE_OPTIONS", "BUY", 50, price)
    assert entry == (2000, 0, 347, 29, 1, 423)
    assert order_items("NSE_OPTIONS", "SELL", 50, exit_price) == (2000, 1472, 349, 0, 1, 423)
    holding = Holding("A", "BUY", price, moment(at("10:00:00")), 50, 50, entry, entry)
    first = holding.close(20, exit_price, None, moment(at("10:01:00")), "MANUAL")
    rest = holding.close(30, exit_price, "NSE_OPTIONS", moment(at("10:02:00")), "MANUAL")
    assert (first.pnl, first.charges, first.whole) == (2100, 800 + 139 + 12 + 0 + 169, None)
    assert (rest.pnl, rest.whole, holding.charges) == (
        3150,
        5250,
        2800 + 2000 + 883 + 209 + 1 + 398,
    )


def test_a_day_that_keeps_all_rules_violates_nothing() -> None:
    book = book_of(*A_DAY)
    book.check_document(SESSION)
    figures = {"trades": 2, "wins": 1, "losses": 1, "pnl": 51.5, "charges": 120.01,
               "netPnl": -68.51, "best": 52.5, "worst": -1.0, "maxDrawdown": -1.0}  # fmt: skip
    for by, key in (("day", "2026-11-23"), ("symbol", "BANKNIFTY"), ("reason", "MANUAL")):
        book.check_report(by, {"rows": [{"key": key, "winRate": 50} | figures]})
    with pytest.raises(Violated, match="sum of its closings: day"):
        book.check_report("day", {"rows": [{"key": "2026-11-23"} | figures | {"charges": 120.02}]})


@pytest.mark.parametrize(
    ("wrong", "invariant"),
    [
        ({"netTotalPnL": -68.5}, "net figures are those of the events"),
        ({"today": SESSION["today"] | {"trades": 3}}, "today is that of the events"),
        ({"today": SESSION["today"] | {"lossLeft": 50}}, "today is that of the events"),
        ({"today": SESSION["today"] | {"cooldownUntil": None}}, "cooldownUntil None should be"),
    ],
)
def test_figures_that_differ_from_the_events_are_named(
    wrong: dict[str, Any], invariant: str
) -> None:
    with pytest.raises(Violated, match=invariant):
        book_of(*A_DAY).check_document(SESSION | wrong)


@pytest.mark.parametrize(
    "told",
    [
        (changed(maxDailyLoss=50), opened("10:00:00"),
         LOSS, closed("10:00:01", -50, price=194.25, **BY_LOSS)),
        (changed(dailyTarget=50), opened("10:00:00"), TARGET,
         closed("10:00:01", 50, price=196.25, reason="RISK", exitDetail="DAILY_TARGET")),
        (changed(profitLock={"armAt": 9, "floor": 2}),
         changed(status="HALTED", reason="PROFIT_LOCK", floor=2,
                 profitLock={"armAt": 9, "floor": 2})),
        (changed(maxDailyLoss=50, squareOff="15:15"), opened("10:00:00"),
         closed("15:15:00.005", 50, price=196.25, reason="SQUARE_OFF")),
        (changed(squareOff="15:15"), opened("15:14:59"), changed("15:15:00"),
         opened("15:15:01", 2)),
        (changed("15:20:00", squareOff="15:15"), opened("15:21:00")),
        # a crash cut the trip off, and the first price after it is another one
        (changed(maxDailyLoss=50), opened("10:00:00"),
         LOSS, closed("10:00:09", 50, price=196.25, **BY_LOSS)),
        (changed(maxDailyLoss=50), opened("10:00:00"),
         changed("10:00:00.5", status="HALTED", maxDailyLoss=50),
         closed("10:00:01", -50, price=194.25, **BY_LOSS)),
    ],
)  # fmt: skip
def test_what_rules_and_square_off_do_is_right(told: tuple[Told, ...]) -> None:
    book_of(*told)


@pytest.mark.parametrize(
    ("told", "invariant"),
    [
        ((OPTIONS, opened("10:00:00"),
          closed("10:01:00", 52.5, price=196.3, charges=70.46, netPnl=-17.96)),
         "charges are those of the rates"),
        ((OPTIONS, opened("10:00:00"), closed("10:01:00", 52.5, price=196.3)),
         "charges are those of the rates"),
        ((opened("10:00:00"), reduced("10:01:00", 21, price=196.3, quantity=20, charges=1,
                                      netPnl=20)), "charges are those of the rates"),
        ((changed(maxOrderValue=9762.49), opened("10:00:00")), r"\['maxOrderValue'\] forbid"),
        ((changed(maxOpenTrades=1), opened("10:00:00"), opened("10:00:00", 2)),
         r"\['maxOpenTrades'\] forbid"),
        ((changed(maxTradesPerDay=1), opened("10:00:00"), closed("10:01:00", 0, price=195.25),
          opened("10:02:00", 2)), r"\['maxTradesPerDay'\] forbid"),
        ((changed(cooldownSeconds=60), opened("10:00:00"), closed("10:01:00", -5, price=195.15),
          opened("10:01:59.999", 2)), r"\['cooldownSeconds'\] forbid"),
        ((changed(squareOff="15:15"), opened("15:15:00")), r"\['squareOff'\] forbid"),
        ((changed(maxDailyLoss=50), opened("10:00:00"), LOSS,
          closed("10:00:01", -49.5, price=194.26, **BY_LOSS)), "only where it is reached"),
        ((changed(dailyTarget=50), TARGET), "only where it is reached"),
        ((changed(losingStreak=1),
          changed(status="HALTED", reason="LOSING_STREAK", losingStreak=1)),
         "only where it is reached"),
        ((LOSS,), "only a rule that is in force halts"),
        ((changed(maxDailyLoss=50, waived=("DAILY_LOSS",)),
          changed(status="HALTED", reason="DAILY_LOSS", maxDailyLoss=50,
                  waived=("DAILY_LOSS",))), "only a rule that is in force halts"),
        ((opened("10:00:00"), closed("10:00:01", -50, price=194.25, **BY_LOSS)),
         "only a rule that is in force closes"),
        ((changed(maxDailyLoss=50), opened("10:00:00"), LOSS,
          closed("10:00:01", -50, price=194.25, reason="RISK", exitDetail="DAILY_TARGET")),
         "what a rule closes has its name"),
        ((changed(maxDailyLoss=50), opened("10:00:00"), LOSS,
          closed("10:00:01", -50, price=194.25, reason="SL")), "what a halt closes says so"),
        ((changed(squareOff="15:15"), opened("10:00:00"),
          closed("15:14:59", 0, price=195.25, reason="SQUARE_OFF")),
         "closes only what was opened before"),
        ((changed(squareOff="15:15"), opened("10:00:00"),
          closed("15:15:00", 0, price=195.25, reason="SL")), "comes before the prices"),
    ],
)  # fmt: skip
def test_what_rules_and_square_off_may_not_do_is_named(
    told: tuple[Told, ...], invariant: str
) -> None:
    with pytest.raises(Violated, match=invariant):
        book_of(*told)


def test_what_is_open_a_minute_after_a_square_off_is_named() -> None:
    truth = SessionTruth(6)
    told = (changed(squareOff="15:15"), opened("15:00:00"))
    texts = [
        msgspec.json.encode({"type": type_, "data": data, "seq": seq})
        for seq, (type_, data) in enumerate(told, 1)
    ]
    truth.take(texts, 0)
    today = {"trades": 1, "losingStreak": 0, "cooldownUntil": None, "lossLeft": None}
    session = {"seq": 2, "timestamp": at("15:16:00"), "today": today}
    truth.check_rules(session)
    with pytest.raises(Violated, match="closes all that was opened before its moment"):
        truth.check_rules(session | {"timestamp": at("15:16:01")})
