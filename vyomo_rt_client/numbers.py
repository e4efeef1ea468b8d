"""JSON with exact numbers: money is Decimal, and no number is ever a float."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

EXACT = frozenset({
    "price", "entryPrice", "exitPrice", "currentPrice", "stopLoss", "target", "trailingStop",
    "trailingStep", "trailFrom", "breakevenAt", "riskAmount", "pnl", "pnlPercent", "realizedPnL",
    "unrealizedPnL", "totalPnL", "todayPnL", "currentCapital", "startingCapital", "winRate",
    "tick", "previousClose", "charges", "netPnl", "brokerage", "stt", "transaction", "stamp",
    "sebi", "gst", "maxDailyLoss", "dailyTarget", "maxOrderValue", "armAt", "floor",
    "lossLeft",
    "profitFactor", "averageWin", "averageLoss", "best", "worst", "maxDrawdown",
    "open", "high", "low", "close",
    "totalCharges", "netTotalPnL", "netTodayPnL",
})  # fmt: skip
"""Members that are Decimal even if the server writes a whole number, as in ``"price":100``."""


def decode(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError."""
    return json.loads(text, parse_float=Decimal, object_hook=_exact)


def _exact(members: dict[str, Any]) -> dict[str, Any]:
    for name in EXACT.intersection(members):
        if type(members[name]) is int:
            members[name] = Decimal(members[name])
    return members


def encode(value: object, name: str = "the body") -> str:
    """The JSON text of a value, Decimals digit by digit; `name` is what errors call it.

    Raises TypeError for a float, which is hardly ever the intended number, and for what JSON cannot
    hold; ValueError for a Decimal that is not a number.
    """
    if value is None or isinstance(value, str | int):
        return json.dumps(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{name}: {value} is not a number")
        return format(value, "f")
    if isinstance(value, Mapping):
        members = (f"{json.dumps(key)}:{encode(item, key)}" for key, item in value.items())
        return f"{{{','.join(members)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(encode(item, name) for item in value)}]"
    if isinstance(value, float):
        raise TypeError(f'{name}: write Decimal("{value}"), because a float is not exact')
    raise TypeError(f"{name}: {type(value).__name__} has no JSON")
