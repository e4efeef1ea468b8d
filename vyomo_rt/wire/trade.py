"""A trade: the order for it, its two events, its P&L while it is open, its document."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from vyomo_rt.domain.moment import iso
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.order import TradeOrder
from vyomo_rt.domain.quote import Quote, parse_symbol
from vyomo_rt.domain.trade import ExitReason, Trade, TradeStatus
from vyomo_rt.wire.decoding import Body
from vyomo_rt.wire.encoding import Data, Message, encode
from vyomo_rt.wire.frame import Frame, make_frame, without_stamp
from vyomo_rt.wire.numbers import ClosePriceE4, PriceE4, from_e2, from_e4, from_paise
from vyomo_rt.wire.values import (
    Id,
    Money,
    Percent,
    Price,
    Quantity,
    Seq,
    SpelledSymbol,
    Symbol,
    Timestamp,
)

# What clients send


class NewTrade(Body):
    """An order; BUY: stopLoss < entryPrice < target, SELL the reverse."""

    symbol: SpelledSymbol
    quantity: Quantity
    side: Side = Side.BUY
    entry_price: PriceE4 | None = None
    stop_loss: PriceE4 | None = None
    target: PriceE4 | None = None

    def order(self) -> TradeOrder:
        """The order in domain units. Raises BadRequest for what cannot be a symbol."""
        return TradeOrder(
            symbol=parse_symbol(self.symbol),
            side=self.side,
            quantity=self.quantity,
            entry_price_e4=self.entry_price,
            stop_loss_e4=self.stop_loss,
            target_e4=self.target,
        )


class ClosingOrder(Body):
    price: ClosePriceE4 | None = None


# What the server sends


class TradeTerms(Data):
    """What both events of a trade's life begin with."""

    trade_id: Id
    session_id: Id
    symbol: Symbol
    side: Side
    quantity: Quantity
    entry_price: Price


class OpenedData(TradeTerms):
    stop_loss: Price | None
    target: Price | None
    status: Literal["OPEN"]
    timestamp: Timestamp


class TradeOpened(Message, tag="trade_opened"):
    """A trade was opened, and it is stored."""

    data: OpenedData
    seq: Seq


class ClosedData(TradeTerms):
    exit_price: Price
    pnl: Money
    pnl_percent: Percent
    exit_reason: ExitReason
    status: Literal["CLOSED"]
    timestamp: Timestamp


class TradeClosed(Message, tag="trade_closed"):
    """A trade was closed, and it is stored."""

    data: ClosedData
    seq: Seq


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


class PnlUpdate(Message, tag="pnl_update"):
    """An open trade at the last price of its symbol."""

    data: PnlData


class TradeDocument(TradeTerms):
    """The union of a trade's two events; members that only a close has are null before it."""

    stop_loss: Price | None
    target: Price | None
    status: TradeStatus
    timestamp: Timestamp
    exit_price: Price | None
    pnl: Money | None
    pnl_percent: Percent | None
    exit_reason: ExitReason | None
    opened_at: Timestamp
    closed_at: Timestamp | None


def trade_opened(trade: Trade, seq: int) -> TradeOpened:
    data = OpenedData(
        **_terms(trade), **_levels(trade), status="OPEN", timestamp=iso(trade.opened_at_ms)
    )
    return TradeOpened(data=data, seq=seq)


def trade_closed(trade: Trade, seq: int) -> TradeClosed:
    assert trade.exit is not None
    data = ClosedData(
        **_terms(trade), **_result(trade), status="CLOSED", timestamp=iso(trade.exit.at_ms)
    )
    return TradeClosed(data=data, seq=seq)


def pnl_update(trade: Trade, quote: Quote) -> Frame:
    """A frame to keep while neither changes; ``with_stamps`` fills its gap with the time."""
    # Member by member, for speed: this is remade whenever a price moves.
    data = PnlData(
        session_id=trade.session_id,
        trade_id=trade.trade_id,
        symbol=trade.symbol,
        side=trade.side,
        quantity=trade.quantity,
        current_price=from_e4(quote.price_e4),
        entry_price=from_e4(trade.entry_price_e4),
        stop_loss=_optional_e4(trade.stop_loss_e4),
        target=_optional_e4(trade.target_e4),
        unrealized_pnl=from_paise(trade.pnl_paise_at(quote.price_e4)),
        pnl_percent=from_e2(trade.pnl_percent_e2_at(quote.price_e4)),
        stale=quote.stale,
        timestamp=iso(0),
    )
    frame = make_frame("pnl_update", encode(PnlUpdate(data=data)))
    return without_stamp(frame)


def trade_document(trade: Trade) -> TradeDocument:
    opened_at = iso(trade.opened_at_ms)
    closed_at = None if trade.exit is None else iso(trade.exit.at_ms)
    return TradeDocument(
        **_terms(trade),
        **_levels(trade),
        **_result(trade),
        status=trade.status,
        timestamp=closed_at or opened_at,
        opened_at=opened_at,
        closed_at=closed_at,
    )


def _terms(trade: Trade) -> dict[str, Any]:
    """The members that all of them have."""
    return {
        "trade_id": trade.trade_id,
        "session_id": trade.session_id,
        "symbol": trade.symbol,
        "side": trade.side,
        "quantity": trade.quantity,
        "entry_price": from_e4(trade.entry_price_e4),
    }


def _levels(trade: Trade) -> dict[str, Any]:
    """The levels at which it closes by itself."""
    return {
        "stop_loss": _optional_e4(trade.stop_loss_e4),
        "target": _optional_e4(trade.target_e4),
    }


def _result(trade: Trade) -> dict[str, Any]:
    """How it ended; all null while it is open."""
    if trade.exit is None:
        return dict.fromkeys(("exit_price", "pnl", "pnl_percent", "exit_reason"))
    return {
        "exit_price": from_e4(trade.exit.price_e4),
        "pnl": from_paise(trade.realised_paise),
        "pnl_percent": from_e2(trade.pnl_percent_e2_at(trade.exit.price_e4)),
        "exit_reason": trade.exit.reason,
    }


def _optional_e4(price_e4: int | None) -> Decimal | None:
    return None if price_e4 is None else from_e4(price_e4)
