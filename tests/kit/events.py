"""Numbered events as the desk makes them."""

from __future__ import annotations

from dataclasses import replace

from vyomo_rt.domain.event import EventKind, SessionEvent, TradeEvent
from vyomo_rt.domain.session import ChangeReason, Standing
from vyomo_rt.domain.trade import Trade
from vyomo_rt.wire.event import event_message


def trade_event(
    trade: Trade, seq: int, *, operation_id: str | None = None, request_hash: str = ""
) -> TradeEvent:
    """The event that opened the trade or, if it is closed, the one that closed it."""
    event = TradeEvent(
        session_id=trade.session_id,
        seq=seq,
        kind=EventKind.OPENED if trade.exit is None else EventKind.CLOSED,
        message="",
        operation_id=operation_id or f"operation {trade.session_id}-{seq}",
        request_hash=request_hash,
        trade=trade,
    )
    return replace(event, message=event_message(event))


def session_event(session_id: int, seq: int, standing: Standing, at_ms: int) -> SessionEvent:
    """The event that gave a session its name and status."""
    event = SessionEvent(
        session_id=session_id,
        seq=seq,
        kind=EventKind.SESSION_CHANGED,
        message="",
        operation_id=f"operation {session_id}-{seq}",
        request_hash="",
        standing=standing,
        reason=ChangeReason.MANUAL,
        changed_at_ms=at_ms,
    )
    return replace(event, message=event_message(event))
