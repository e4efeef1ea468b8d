"""Numbered events as the desk makes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vyomo_rt.domain.event import EventKind, OrderEvent, SessionEvent, TradeEvent
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.pending import EntryType, PendingEntry, Validity
from vyomo_rt.domain.session import ChangeReason, Standing
from vyomo_rt.domain.trade import Trade
from vyomo_rt.wire.event import event_message


def trade_event(
    trade: Trade, seq: int, *, operation_id: str | None = None, request_hash: str = ""
) -> TradeEvent:
    """The newest event of a trade, by what the trade shows."""
    event = TradeEvent(
        session_id=trade.session_id,
        seq=seq,
        kind=_kind_of(trade),
        message="",
        operation_id=operation_id or f"operation {trade.session_id}-{seq}",
        request_hash=request_hash,
        trade=trade,
    )
    return replace(event, message=event_message(event))


def _kind_of(trade: Trade) -> EventKind:
    if trade.exit is not None:
        return EventKind.CLOSED
    if trade.change is not None:
        return EventKind.CHANGED
    return EventKind.OPENED if trade.reduced is None else EventKind.REDUCED


def pending_entry(order_id: int, session_id: int = 6, **members: Any) -> PendingEntry:
    """An order to buy one NIFTY at 99."""
    given = {"placed_at_ms": 1, "changed_at_ms": 1, "price_e4": 99_0000} | members
    return PendingEntry(
        order_id=order_id,
        session_id=session_id,
        symbol="NIFTY",
        side=Side.BUY,
        quantity=1,
        type=EntryType.LIMIT,
        validity=Validity.DAY,
        **given,
    )


def entry_event(entry: PendingEntry, seq: int) -> OrderEvent:
    """The event that placed or changed an order or, if it has ended, the one that ended it."""
    event = OrderEvent(
        session_id=entry.session_id,
        seq=seq,
        kind=EventKind.ORDER_PLACED if entry.end is None else EventKind.ORDER_ENDED,
        message="",
        operation_id=f"operation {entry.session_id}-{seq}",
        request_hash="",
        entry=entry,
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
