"""A pending entry: the order for it, its two events, its document."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from vyomo_rt.domain.event import OrderEvent
from vyomo_rt.domain.moment import iso
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.pending import (
    Ending,
    EndReason,
    EntryTerms,
    EntryType,
    OrderStatus,
    PendingEntry,
    Validity,
)
from vyomo_rt.domain.quote import parse_symbol
from vyomo_rt.domain.trade import Trade
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data, Message, unless_none
from vyomo_rt.wire.guards import GuardedBody, GuardedChange, Tags, guard_members
from vyomo_rt.wire.numbers import PriceE4, from_e4
from vyomo_rt.wire.query import choice
from vyomo_rt.wire.trade import TradeDocument, trade_document
from vyomo_rt.wire.values import (
    MAX_INT,
    By,
    Id,
    Price,
    Quantity,
    Seq,
    SpelledSymbol,
    Symbol,
    Timestamp,
)

# What clients send


class NewOrder(GuardedBody, kw_only=True):
    """An order to open a trade at a price that is still to come.

    LIMIT: BUY at ``price`` or below, SELL at ``price`` or above; STOP the reverse.
    """

    symbol: SpelledSymbol
    quantity: Quantity
    type: EntryType
    price: PriceE4
    side: Side = Side.BUY
    validity: Validity = Validity.DAY

    def terms(self) -> EntryTerms:
        """The order in domain units. Raises BadRequest for what cannot be a symbol or a tag."""
        return EntryTerms(
            symbol=parse_symbol(self.symbol),
            side=self.side,
            quantity=self.quantity,
            type=self.type,
            price_e4=self.price,
            validity=self.validity,
            **self.guarded(),
        )


class OrderChange(GuardedChange, kw_only=True):
    """A change of a pending entry; null takes a guard, the tags or the note away."""

    quantity: Quantity | None = None
    price: PriceE4 | None = None
    validity: Validity | None = None

    def members(self) -> dict[str, Any]:
        """The members of the entry that change, in domain units. Raises BadRequest."""
        terms = {"quantity": self.quantity, "price_e4": self.price, "validity": self.validity}
        return self.changes() | {name: v for name, v in terms.items() if v is not None}


class OrdersQuery(Body):
    status: Annotated[str, Meta(extra_json_schema={"enum": [*OrderStatus]})] | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    after: (
        Annotated[int, Meta(ge=1, le=MAX_INT, description="``next`` of the previous page")] | None
    ) = None

    @property
    def order_status(self) -> OrderStatus | None:
        """``status``, which may be lower case. Raises BadRequest."""
        return choice("status", self.status, OrderStatus)


# What the server sends


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


class OrderAnswer(Data):
    """An order, and the trade that it opened, if it has."""

    order: OrderDocument
    trade: TradeDocument | UnsetType = UNSET


class OrderPage(Data):
    """Orders, newest first; ``next`` is the next page's ``after``, null on the last page."""

    orders: list[OrderDocument]
    next: Id | None


def order_answer(entry: PendingEntry, trade: Trade | None) -> OrderAnswer:
    return OrderAnswer(order_document(entry), UNSET if trade is None else trade_document(trade))


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
