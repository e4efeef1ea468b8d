"""Domain records as documents, readable for whoever opens the database by hand.

Money is an int of paise, a price an int of ₹0.0001 (``*E4``), as in the domain;
moments are BSON dates, which keep milliseconds.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from vyomo_rt.domain.moment import to_datetime, to_ms
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import Figures, Session, SessionStatus
from vyomo_rt.domain.trade import EventKind, Exit, ExitReason, Trade, TradeEvent

if TYPE_CHECKING:
    from collections.abc import Mapping

Document = dict[str, Any]


def event_id(session_id: int, seq: int) -> str:
    """The ``_id`` of an event: its place in its session's history, taken only once."""
    return f"{session_id}-{seq}"


def from_event(event: TradeEvent) -> Document:
    return {
        "_id": event_id(event.session_id, event.seq),
        "sessionId": event.session_id,
        "seq": event.seq,
        "kind": event.kind.value,
        "opId": event.operation_id,
        "requestHash": event.request_hash,
        "message": event.message,
        "trade": from_trade(event.trade),
    }


def to_event(document: Mapping[str, Any]) -> TradeEvent:
    return TradeEvent(
        session_id=document["sessionId"],
        seq=document["seq"],
        kind=EventKind(document["kind"]),
        message=document["message"],
        trade=to_trade(document["trade"]),
        operation_id=document["opId"],
        request_hash=document["requestHash"],
    )


def from_trade(trade: Trade) -> Document:
    document: Document = {
        "tradeId": trade.trade_id,
        "sessionId": trade.session_id,
        "symbol": trade.symbol,
        "side": trade.side.value,
        "status": trade.status.value,
        "quantity": trade.quantity,
        "entryPriceE4": trade.entry_price_e4,
        "stopLossE4": trade.stop_loss_e4,
        "targetE4": trade.target_e4,
        "openedAt": to_datetime(trade.opened_at_ms),
    }
    if trade.exit is not None:
        document |= {
            "exitPriceE4": trade.exit.price_e4,
            "exitReason": trade.exit.reason.value,
            "closedAt": to_datetime(trade.exit.at_ms),
            "pnlPaise": trade.realised_paise,
        }
    return document


def to_trade(document: Mapping[str, Any]) -> Trade:
    exit_ = None
    if "closedAt" in document:
        exit_ = Exit(
            price_e4=document["exitPriceE4"],
            reason=ExitReason(document["exitReason"]),
            at_ms=to_ms(document["closedAt"]),
        )
    return Trade(
        trade_id=document["tradeId"],
        session_id=document["sessionId"],
        symbol=document["symbol"],
        side=Side(document["side"]),
        quantity=document["quantity"],
        entry_price_e4=document["entryPriceE4"],
        stop_loss_e4=document["stopLossE4"],
        target_e4=document["targetE4"],
        opened_at_ms=to_ms(document["openedAt"]),
        exit=exit_,
    )


def from_copy(trade: Trade, seq: int) -> Document:
    """The readable copy of a trade as of event ``seq``."""
    return {"_id": trade.trade_id, "seq": seq, **from_trade(trade)}


def from_session(session: Session, operation_id: str, request_hash: str) -> Document:
    return {
        "_id": session.session_id,
        "name": session.name,
        "startingCapitalPaise": session.starting_capital_paise,
        "createdAt": to_datetime(session.created_at_ms),
        "epoch": session.epoch,
        "status": session.status.value,
        "revision": session.revision,
        "opId": operation_id,
        "requestHash": request_hash,
    }


def to_session(document: Mapping[str, Any]) -> Session:
    return Session(
        session_id=document["_id"],
        name=document["name"],
        starting_capital_paise=document["startingCapitalPaise"],
        created_at_ms=to_ms(document["createdAt"]),
        epoch=document["epoch"],
        status=SessionStatus(document["status"]),
        revision=document["revision"],
    )


def from_figures(figures: Figures) -> Document:
    return {
        "atSeq": figures.seq,
        "today": figures.today.isoformat(),
        "opened": figures.opened,
        "closed": figures.closed,
        "wins": figures.wins,
        "losses": figures.losses,
        "realisedPaise": figures.realised_paise,
        "todayPaise": figures.today_paise,
    }


def to_figures(document: Mapping[str, Any]) -> Figures:
    return Figures(
        seq=document["atSeq"],
        today=date.fromisoformat(document["today"]),
        opened=document["opened"],
        closed=document["closed"],
        wins=document["wins"],
        losses=document["losses"],
        realised_paise=document["realisedPaise"],
        today_paise=document["todayPaise"],
    )


def from_quote(quote: Quote) -> Document:
    return {
        "symbol": quote.symbol,
        "priceE4": quote.price_e4,
        "asOf": to_datetime(quote.as_of_ms),
        "source": quote.source,
    }


def to_stale_quote(document: Mapping[str, Any]) -> Quote:
    """A price out of the store; it is old, whatever it was when it was saved."""
    return Quote(
        symbol=document["symbol"],
        price_e4=document["priceE4"],
        as_of_ms=to_ms(document["asOf"]),
        source=document["source"],
        stale=True,
    )
