"""A pending entry: its two events, and its document."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta

from vyomo_rt.domain.event import OrderEvent
from vyomo_rt.domain.moment import iso
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.pending import (
    Ending,
    EndReason,
    EntryType,
    OrderStatus,
    PendingEntry,
    Validity,
)
from vyomo_rt.wire.encoding import Data, Message, unless_none
from vyomo_rt.wire.guards import Tags, guard_members
from vyomo_rt.wire.numbers import from_e4
from vyomo_rt.wire.values import By, Id, Price, Quantity, Seq, Symbol, Timestamp


class OrderTerms(Data, kw_only=True):
    """A pending entry as its newest placing or change left it; null where not set."""

    order_id: Id
    session_id: Id
    symbol: Symbol
    side: Side
    quantity: Quantity
    type: EntryType
    price: Price
    validity: Validity
    stop_loss: Price | None
    target: Price | None
    trailing_stop: Price | None
    trailing_step: Price | None
    trail_from: Price | None
    breakeven_at: Price | None
    tags: Tags | None
    note: str | None
    timestamp: Timestamp


class PlacedData(OrderTerms, kw_only=True):
    by: By = UNSET


class OrderPlaced(Message, tag="order_placed"):
    """A pending entry was placed or changed, and it is stored; this is the entry now."""

    data: PlacedData
    seq: Seq


class OrderEndedData(Data, kw_only=True):
    order_id: Id
    session_id: Id
    symbol: Symbol
    reason: EndReason
    detail: str | None
    timestamp: Timestamp
    by: By = UNSET


class OrderEnded(Message, tag="order_ended"):
    """A pending entry ended without a trade, and this is stored."""

    data: OrderEndedData
    seq: Seq


class OrderDocument(OrderTerms, kw_only=True):
    """The union of an order's events; ``tradeId`` is the trade that it opened."""

    status: OrderStatus
    reason: EndReason | None
    detail: Annotated[str | None, Meta(description="Why it was refused, or who ended it")]
    trade_id: Id | None
    placed_at: Timestamp
    ended_at: Timestamp | None


def order_placed(event: OrderEvent) -> OrderPlaced:
    data = PlacedData(**_terms(event.entry), by=unless_none(event.by))
    return OrderPlaced(data=data, seq=event.seq)


def order_ended(event: OrderEvent) -> OrderEnded:
    entry = event.entry
    assert isinstance(entry.end, Ending)
    data = OrderEndedData(
        order_id=entry.order_id,
        session_id=entry.session_id,
        symbol=entry.symbol,
        reason=entry.end.reason,
        detail=entry.end.detail,
        timestamp=iso(event.at_ms),
        by=unless_none(event.by),
    )
    return OrderEnded(data=data, seq=event.seq)


def order_document(entry: PendingEntry) -> OrderDocument:
    ending = entry.end if isinstance(entry.end, Ending) else None
    ended_at = None if entry.end is None else iso(entry.end.at_ms)
    terms = _terms(entry)
    return OrderDocument(
        **terms | {"timestamp": ended_at or terms["timestamp"]},
        status=entry.status,
        reason=ending.reason if ending else None,
        detail=ending.detail if ending else None,
        trade_id=entry.trade_id,
        placed_at=iso(entry.placed_at_ms),
        ended_at=ended_at,
    )


def _terms(entry: PendingEntry) -> dict[str, Any]:
    return {
        "order_id": entry.order_id,
        "session_id": entry.session_id,
        "symbol": entry.symbol,
        "side": entry.side,
        "quantity": entry.quantity,
        "type": entry.type,
        "price": from_e4(entry.price_e4),
        "validity": entry.validity,
        **guard_members(entry),
        "tags": list(entry.tags) or None,
        "note": entry.note,
        "timestamp": iso(entry.changed_at_ms),
    }
