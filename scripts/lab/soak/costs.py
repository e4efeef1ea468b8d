"""What closings earn and cost, computed anew: charges by the published rates, and reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any, NamedTuple

Items = tuple[int, ...]
"""Brokerage, STT, transaction, stamp, SEBI and GST, in paise."""


class _Rates(NamedTuple):
    """Percents of the turnover; the brokerage is ₹20 an order, or less where that percent is."""

    brokerage: str | None
    stt_sell: str
    transaction: str
    stamp_buy: str


_RATES = {
    "NSE_INTRADAY": _Rates("0.03", "0.025", "0.00307", "0.003"),
    "NSE_FUTURES": _Rates("0.03", "0.05", "0.00183", "0.002"),
    "NSE_OPTIONS": _Rates(None, "0.15", "0.03553", "0.003"),
}
PLANS = (None, *_RATES)
_SEBI, _GST = Fraction("0.0001"), Fraction("18")
_MOST_BROKERAGE = 2000


def order_items(plan: str | None, side: str, quantity: int, price: Fraction) -> Items | None:
    """The charges of an order by its plan; None without one."""
    if plan is None:
        return None
    rates, turnover = _RATES[plan], quantity * price * 100

    def part(percent: str | Fraction) -> int:
        return half_away(turnover * Fraction(percent) / 100)

    most = _MOST_BROKERAGE
    brokerage = most if rates.brokerage is None else min(most, part(rates.brokerage))
    transaction, sebi = part(rates.transaction), part(_SEBI)
    stt = part(rates.stt_sell) if side == "SELL" else 0
    stamp = part(rates.stamp_buy) if side == "BUY" else 0
    gst = half_away((brokerage + transaction + sebi) * _GST / 100)
    return brokerage, stt, transaction, stamp, sebi, gst


def half_away(amount: Fraction) -> int:
    """Rounded to a whole number, halves away from zero."""
    whole = (abs(amount) + Fraction(1, 2)).__floor__()
    return whole if amount >= 0 else -whole


class Closing(NamedTuple):
    """What closed a trade, or a part of it; ``whole`` is the trade's at its last part."""

    at: datetime
    symbol: str
    reason: str
    pnl: int
    charges: int | None
    whole: int | None

    @property
    def day(self) -> date:
        return self.at.date()


@dataclass
class Holding:
    """An open trade: what is left of it, and of the charges of its entry."""

    symbol: str
    side: str
    entry: Fraction
    opened_at: datetime
    opened: int
    left: int
    entry_items: Items | None
    items_left: Items | None
    pnl: int = 0
    charges: int | None = None

    def pnl_at(self, price: Fraction) -> Fraction:
        """What is left of it earns at a price, in paise, not rounded."""
        return (price - self.entry) * self.left * self.sign * 100

    @property
    def sign(self) -> int:
        return 1 if self.side == "BUY" else -1

    def close(
        self, quantity: int, price: Fraction, plan: str | None, at: datetime, reason: str
    ) -> Closing:
        """Close so much of it."""
        pnl = half_away(self.pnl_at(price) * quantity / self.left)
        is_last = quantity == self.left
        self.left -= quantity
        self.pnl += pnl
        other = "SELL" if self.side == "BUY" else "BUY"
        parts = [self._entry_share(quantity, is_last), order_items(plan, other, quantity, price)]
        known = [sum(items) for items in parts if items is not None]
        charges = sum(known) if known else None
        if charges is not None:
            self.charges = (self.charges or 0) + charges
        return Closing(at, self.symbol, reason, pnl, charges, self.pnl if is_last else None)

    def _entry_share(self, quantity: int, is_last: bool) -> Items | None:
        if self.entry_items is None or self.items_left is None:
            return None
        share = self.items_left
        if not is_last:
            part = Fraction(quantity, self.opened)
            share = tuple(half_away(item * part) for item in self.entry_items)
        self.items_left = tuple(a - b for a, b in zip(self.items_left, share, strict=True))
        return share


_KEYS: dict[str, Callable[[Closing], str]] = {
    "day": lambda closing: closing.day.isoformat(),
    "symbol": lambda closing: closing.symbol,
    "reason": lambda closing: closing.reason,
}
REPORTS = tuple(_KEYS)


def report_rows(closings: Sequence[Closing], by: str) -> list[dict[str, Any]]:
    """The rows of a report, as far as they are computed here."""
    groups: dict[str, list[Closing]] = defaultdict(list)
    for closing in closings:
        groups[_KEYS[by](closing)].append(closing)
    return [{"key": key, **_sums(group)} for key, group in sorted(groups.items())]


def _sums(group: Sequence[Closing]) -> dict[str, Any]:
    pnl = sum(closing.pnl for closing in group)
    charges = sum(closing.charges or 0 for closing in group)
    wholes = [closing.whole for closing in group if closing.whole is not None]
    level = peak = drawdown = 0
    for closing in group:
        level += closing.pnl
        peak = max(peak, level)
        drawdown = min(drawdown, level - peak)
    return {
        "trades": len(wholes),
        "wins": sum(whole > 0 for whole in wholes),
        "losses": sum(whole < 0 for whole in wholes),
        "pnl": pnl / 100,
        "charges": charges / 100,
        "netPnl": (pnl - charges) / 100,
        "best": max(wholes) / 100 if wholes else None,
        "worst": min(0, *wholes) / 100 if wholes else None,
        "maxDrawdown": drawdown / 100,
    }
