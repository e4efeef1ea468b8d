"""The four events of a trade's life: opened, changed, closed in part, closed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, field

from vyomo_rt.domain.event import TradeEvent
from vyomo_rt.domain.moment import iso
from vyomo_rt.domain.money import Side, pnl_paise
from vyomo_rt.domain.trade import (
    Exit,
    ExitDetail,
    ExitReason,
    Reduced,
    Trade,
    TradeChangeReason,
)
from vyomo_rt.wire.charges import cost
from vyomo_rt.wire.encoding import Data, Message, unless_none
from vyomo_rt.wire.guards import Tags, guard_members
from vyomo_rt.wire.numbers import from_e2, from_e4, from_paise
from vyomo_rt.wire.values import (
    By,
    Count,
    Id,
    Money,
    Percent,
    Price,
    Quantity,
    Seq,
    Symbol,
    Timestamp,
)


class TradeTerms(Data, kw_only=True):
    """What all events of a trade's life have."""

    trade_id: Id
    session_id: Id
    symbol: Symbol
    side: Side
    quantity: Quantity
    entry_price: Price


class OpenedData(TradeTerms, kw_only=True):
    stop_loss: Price | None
    target: Price | None
    status: Literal["OPEN"]
    timestamp: Timestamp
    trailing_stop: Price | UnsetType = UNSET
    trailing_step: Price | UnsetType = UNSET
    trail_from: Price | UnsetType = UNSET
    breakeven_at: Price | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    note: str | UnsetType = UNSET
    order_id: Annotated[Id | UnsetType, Meta(description="The pending entry that it filled")] = (
        UNSET
    )
    by: By = UNSET


class TradeOpened(Message, tag="trade_opened"):
    """A trade was opened, and it is stored."""

    data: OpenedData
    seq: Seq


class ClosedData(TradeTerms, kw_only=True):
    exit_price: Price
    pnl: Money
    pnl_percent: Percent
    exit_reason: ExitReason
    status: Literal["CLOSED"]
    timestamp: Timestamp
    exit_detail: ExitDetail | UnsetType = UNSET
    stale: Annotated[
        Literal[True] | UnsetType, Meta(description="Closed at a price that was not fresh")
    ] = UNSET
    closed_quantity: Annotated[
        Quantity | UnsetType, Meta(description="The last part, after partial closes")
    ] = UNSET
    parts: Annotated[
        Count | UnsetType, Meta(description="How many closings there were, if several")
    ] = UNSET
    charges: Annotated[Money | UnsetType, Meta(description="Of the whole trade")] = UNSET
    net_pnl: Annotated[Money | UnsetType, Meta(description="`pnl` less `charges`")] = field(
        default=UNSET, name="netPnl"
    )
    by: By = UNSET


class TradeClosed(Message, tag="trade_closed"):
    """A trade was closed, and it is stored; `quantity` is what was opened, `pnl` of all parts."""

    data: ClosedData
    seq: Seq


class ReducedData(TradeTerms, kw_only=True):
    closed_quantity: Quantity
    exit_price: Price
    pnl: Money
    pnl_percent: Percent
    exit_reason: ExitReason
    realized_pnl: Annotated[Money, Meta(description="Of this trade so far")]
    status: Literal["OPEN"]
    timestamp: Timestamp
    stale: Literal[True] | UnsetType = UNSET
    charges: Annotated[
        Money | UnsetType, Meta(description="Of the part: its exit's, and its share of the entry's")
    ] = UNSET
    net_pnl: Annotated[Money | UnsetType, Meta(description="`pnl` less `charges`")] = field(
        default=UNSET, name="netPnl"
    )
    by: By = UNSET


class TradeReduced(Message, tag="trade_reduced"):
    """A part of a trade was closed; `quantity` is what is left, `pnl` that of the part."""

    data: ReducedData
    seq: Seq


class ChangedData(TradeTerms, kw_only=True):
    stop_loss: Price | None
    target: Price | None
    trailing_stop: Price | None
    trailing_step: Price | None
    trail_from: Price | None
    breakeven_at: Price | None
    tags: Tags | None
    note: str | None
    reason: TradeChangeReason
    status: Literal["OPEN"]
    timestamp: Timestamp
    by: By = UNSET


class TradeChanged(Message, tag="trade_changed"):
    """An open trade was changed, by request or because its stop moved; this is the trade now."""

    data: ChangedData
    seq: Seq


def trade_opened(event: TradeEvent) -> TradeOpened:
    trade = event.trade
    optional = guard_members(trade) | labels(trade) | {"order_id": trade.order_id}
    data = OpenedData(
        **terms(trade, trade.quantity),
        stop_loss=optional.pop("stop_loss"),
        target=optional.pop("target"),
        **_where_set(optional),
        status="OPEN",
        timestamp=iso(event.at_ms),
        by=unless_none(event.by),
    )
    return TradeOpened(data=data, seq=event.seq)


def trade_closed(event: TradeEvent) -> TradeClosed:
    trade = event.trade
    assert trade.exit is not None
    data = ClosedData(
        **terms(trade, trade.quantity),
        **_where_set(result(trade)),
        status="CLOSED",
        timestamp=iso(event.at_ms),
        by=unless_none(event.by),
    )
    return TradeClosed(data=data, seq=event.seq)


def trade_reduced(event: TradeEvent) -> TradeReduced:
    trade = event.trade
    assert trade.reduced is not None
    part = _part(trade, trade.reduced)
    del part["exit_detail"]
    data = ReducedData(
        **terms(trade, trade.open_quantity),
        **_where_set(part),
        realized_pnl=from_paise(trade.realised_paise),
        status="OPEN",
        timestamp=iso(event.at_ms),
        by=unless_none(event.by),
    )
    return TradeReduced(data=data, seq=event.seq)


def trade_changed(event: TradeEvent) -> TradeChanged:
    trade = event.trade
    assert trade.change is not None
    data = ChangedData(
        **terms(trade, trade.open_quantity),
        **guard_members(trade),
        **labels(trade),
        reason=trade.change.reason,
        status="OPEN",
        timestamp=iso(event.at_ms),
        by=unless_none(event.by),
    )
    return TradeChanged(data=data, seq=event.seq)


def _where_set(members: dict[str, Any]) -> dict[str, Any]:
    """What is not set is left out."""
    return {name: unless_none(value) for name, value in members.items()}


def terms(trade: Trade, quantity: int) -> dict[str, Any]:
    """The members that all of them have."""
    return {
        "trade_id": trade.trade_id,
        "session_id": trade.session_id,
        "symbol": trade.symbol,
        "side": trade.side,
        "quantity": quantity,
        "entry_price": from_e4(trade.entry_price_e4),
    }


def labels(trade: Trade) -> dict[str, Any]:
    """What a person attached to it."""
    return {"tags": list(trade.tags) or None, "note": trade.note}


def result(trade: Trade) -> dict[str, Any]:
    """How it ended or, while it is open, its newest part; all null if nothing was closed."""
    if trade.exit is not None:
        was_reduced = trade.reduced is not None
        return _exit(trade.exit) | {
            "pnl": from_paise(trade.realised_paise),
            "pnl_percent": from_e2(trade.realised_percent_e2),
            **cost(trade.charges, trade.realised_paise),
            "closed_quantity": trade.open_quantity if was_reduced else None,
            "parts": trade.parts if was_reduced else None,
        }
    if trade.reduced is not None:
        return _part(trade, trade.reduced) | {"parts": None}
    return dict.fromkeys(_RESULT)


def _part(trade: Trade, reduced: Reduced) -> dict[str, Any]:
    """The newest part that was closed of an open trade."""
    price_e4, quantity = reduced.last.price_e4, reduced.last_quantity
    pnl = pnl_paise(trade.side, quantity, trade.entry_price_e4, price_e4)
    return _exit(reduced.last) | {
        "pnl": from_paise(pnl),
        "pnl_percent": from_e2(trade.pnl_percent_e2_at(price_e4)),
        **cost(trade.newest_part_charges, pnl),
        "closed_quantity": quantity,
    }


def _exit(exit_: Exit) -> dict[str, Any]:
    return {
        "exit_price": from_e4(exit_.price_e4),
        "exit_reason": exit_.reason,
        "exit_detail": exit_.detail,
        "stale": exit_.stale or None,
    }


_RESULT = (
    "exit_price",
    "exit_reason",
    "exit_detail",
    "stale",
    "pnl",
    "pnl_percent",
    "closed_quantity",
    "parts",
    "charges",
    "net_pnl",
)
