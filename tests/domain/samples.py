"""A session around midnight in Asia/Kolkata, and trades of it."""

from __future__ import annotations

from datetime import date

from vyomo_rt.domain.money import Side
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.state import Figures, state_of
from vyomo_rt.domain.trade import Exit, ExitReason, Trade

DAY_MS = 86_400_000
ROLL_OVER_MS = 1_795_372_200_000  # 2026-11-22T18:30:00Z
DAY = date(2026, 11, 22)
NEXT_DAY = date(2026, 11, 23)
SESSION = Session(
    session_id=6,
    name="Six",
    starting_capital_paise=50_000_00,
    created_at_ms=ROLL_OVER_MS - DAY_MS // 2,
    epoch="epoch",
)
START = state_of(SESSION, Figures(), DAY)


def trade(trade_id: int = 1, symbol: str = "NIFTY", side: Side = Side.BUY) -> Trade:
    return Trade(trade_id, 6, symbol, side, 1, 100_0000, opened_at_ms=0)


def closed(pnl_paise: int, at_ms: int, trade_id: int = 1) -> Trade:
    return trade(trade_id).closed(Exit(100_0000 + pnl_paise * 100, ExitReason.MANUAL, at_ms))


def quote(symbol: str, price_e4: int) -> Quote:
    return Quote(symbol, price_e4, 0, "test", stale=False)
