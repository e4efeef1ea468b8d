"""A trade: the order for it, its P&L while it is open, its document."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from vyomo_rt.domain.moment import iso
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.order import AmendOrder, ClosingOrder, TradeOrder
from vyomo_rt.domain.quote import Quote, parse_symbol
from vyomo_rt.domain.trade import (
    ExitDetail,
    ExitReason,
    Trade,
    TradeChangeReason,
    TradeStatus,
)
from vyomo_rt.wire.charges import ChargeItems, charge_items
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data, Message, encode
from vyomo_rt.wire.frame import Frame, make_frame, without_stamp
from vyomo_rt.wire.guards import (
    GuardedBody,
    GuardedChange,
    Tags,
    guard_members,
    optional_e4,
)
from vyomo_rt.wire.numbers import ClosePriceE4, PriceE4, from_e2, from_e4, from_paise
from vyomo_rt.wire.trade_event import TradeTerms, labels, result, terms
from vyomo_rt.wire.values import (
    Count,
    Id,
    Money,
    Percent,
    Price,
    Quantity,
    SpelledSymbol,
    Symbol,
    Timestamp,
)

# What clients send


class NewTrade(GuardedBody):
    """An order; BUY: stopLoss < entryPrice < target, SELL the reverse."""

    symbol: SpelledSymbol
    quantity: Quantity
    side: Side = Side.BUY
    entry_price: PriceE4 | None = None

    def order(self) -> TradeOrder:
        """The order in domain units. Raises BadRequest for what cannot be a symbol or a tag."""
        return TradeOrder(
            symbol=parse_symbol(self.symbol),
            side=self.side,
            quantity=self.quantity,
            entry_price_e4=self.entry_price,
            **self.guarded(),
        )


class TradeAmendment(GuardedChange, kw_only=True):
    """A change of an open trade; what is left out stays, null takes away."""

    def order(self) -> AmendOrder:
        """The change in units of the domain. Raises BadRequest for what cannot be a tag."""
        return AmendOrder(self.changes())


class TradeClosing(Body):
    """A close of all that is open or, with ``quantity``, of a part."""

    quantity: Quantity | None = None
    price: ClosePriceE4 | None = None

    def order(self) -> ClosingOrder:
        return ClosingOrder(quantity=self.quantity, price_e4=self.price)


# What the server sends


class PnlData(Data):
    session_id: Id
    trade_id: Id
    symbol: Symbol
    side: Side
    quantity: Quantity
    current_price: Price
    entry_price: Price
    stop_loss: Price | None
    target: Price | None
    unrealized_pnl: Money
    pnl_percent: Percent
    stale: bool
    timestamp: Timestamp
    risk_amount: Annotated[
        Money | UnsetType,
        Meta(description="What an exit at `stopLoss` would lose, at least 0; absent without one"),
    ] = UNSET


class PnlUpdate(Message, tag="pnl_update"):
    """An open trade at the last price of its symbol."""

    data: PnlData


class TradeDocument(TradeTerms, kw_only=True):
    """The union of a trade's events; members that none of its events had yet are null.

    After a partial close, the members of the exit are those of the newest part.
    """

    stop_loss: Price | None
    target: Price | None
    status: TradeStatus
    timestamp: Timestamp
    exit_price: Price | None
    pnl: Money | None
    pnl_percent: Percent | None
    exit_reason: ExitReason | None
    trailing_stop: Price | None
    trailing_step: Price | None
    trail_from: Price | None
    breakeven_at: Price | None
    exit_detail: ExitDetail | None
    stale: bool | None
    closed_quantity: Quantity | None
    parts: Count | None
    charges: Money | None
    net_pnl: Money | None = field(name="netPnl")
    charge_items: Annotated[
        ChargeItems | None, Meta(description="Of all parts so far; null without charges")
    ]
    opened_quantity: Quantity
    realized_pnl: Money
    reason: Annotated[
        TradeChangeReason | None, Meta(description="Why it was last changed while it was open")
    ]
    tags: Tags | None
    note: str | None
    order_id: Id | None
    opened_at: Timestamp
    closed_at: Timestamp | None


def pnl_update(trade: Trade, quote: Quote) -> Frame:
    """A frame to keep while neither changes; ``with_stamps`` fills its gap with the time."""
    # Member by member, for speed: this is remade whenever a price moves.
    data = PnlData(
        session_id=trade.session_id,
        trade_id=trade.trade_id,
        symbol=trade.symbol,
        side=trade.side,
        quantity=trade.open_quantity,
        current_price=from_e4(quote.price_e4),
        entry_price=from_e4(trade.entry_price_e4),
        stop_loss=optional_e4(trade.stop_loss_e4),
        target=optional_e4(trade.target_e4),
        unrealized_pnl=from_paise(trade.pnl_paise_at(quote.price_e4)),
        pnl_percent=from_e2(trade.pnl_percent_e2_at(quote.price_e4)),
        stale=quote.stale,
        timestamp=iso(0),
        risk_amount=UNSET if (risk := trade.risk_paise) is None else from_paise(risk),
    )
    frame = make_frame("pnl_update", encode(PnlUpdate(data=data)))
    return without_stamp(frame)


def trade_document(trade: Trade) -> TradeDocument:
    is_open = trade.exit is None
    return TradeDocument(
        **terms(trade, trade.open_quantity if is_open else trade.quantity),
        **guard_members(trade),
        **result(trade),
        **labels(trade),
        status=trade.status,
        timestamp=iso(trade.newest_ms),
        opened_quantity=trade.quantity,
        realized_pnl=from_paise(trade.realised_paise),
        charge_items=charge_items(trade.charges),
        reason=trade.change.reason if trade.change else None,
        order_id=trade.order_id,
        opened_at=iso(trade.opened_at_ms),
        closed_at=None if trade.exit is None else iso(trade.exit.at_ms),
    )
