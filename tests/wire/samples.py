"""A trade, its session and its prices, and how a client reads what is sent of them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from msgspec import Struct

from tests.kit.events import trade_event
from tests.kit.messages import read_chunks
from vyomo_rt.domain.moment import iso, trading_day
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.state import Figures, state_of
from vyomo_rt.domain.trade import Exit, ExitReason, Trade
from vyomo_rt.wire.encoding import encode
from vyomo_rt.wire.event import numbered_event
from vyomo_rt.wire.frame import Frame

NOW_MS = 1_795_341_600_123
NOW = "2026-11-22T10:00:00.123Z"
TRADE = Trade(2, 6, "BANKNIFTY", Side.BUY, 50, 195_2500, NOW_MS, stop_loss_e4=190_0000)
CLOSED = TRADE.closed(Exit(196_3000, ExitReason.TARGET, NOW_MS + 1000))
QUOTE = Quote("BANKNIFTY", 196_3000, NOW_MS - 1500, "sim", stale=False)
SESSION = Session(
    session_id=6, name="Six", starting_capital_paise=50_000_00, created_at_ms=NOW_MS, epoch="k3vq"
)
TODAY = trading_day(NOW_MS)
FIGURES = Figures(3, 2, 1, 1, 0, 1_245_75, {TODAY: 1_245_75})
STATE = state_of(SESSION, FIGURES, TODAY, [TRADE])


def parsed(frame: Frame) -> dict[str, Any]:
    """The message of a frame, with exact numbers."""
    assert iso(NOW_MS) == NOW
    [block] = read_chunks(frame.sse)
    text = next(line for line in block.decode().split("\n") if line.startswith("data: "))
    message: dict[str, Any] = json.loads(text.removeprefix("data: "), parse_float=Decimal)
    assert frame.ws.endswith(text.removeprefix("data: ").encode())
    return message


def head(frame: Frame) -> list[str]:
    """The lines of the SSE block before its data."""
    [block] = read_chunks(frame.sse)
    return block.decode().split("\ndata: ")[0].split("\n")


def event(trade: Trade, seq: int) -> Frame:
    return numbered_event(trade_event(trade, seq), "k3vq")


def decoded(document: Struct) -> dict[str, Any]:
    """A document as a client reads it, with exact numbers."""
    members: dict[str, Any] = json.loads(encode(document), parse_float=Decimal)
    return members
