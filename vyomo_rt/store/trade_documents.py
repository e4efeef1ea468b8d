"""Trades and pending entries as documents: within their events, and as readable copies.

What a trade may have but need not is left out where it is not set: documents of older shapes
do not have it either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vyomo_rt.domain.charges import Charges
from vyomo_rt.domain.event import Record
from vyomo_rt.domain.guards import Guards
from vyomo_rt.domain.moment import to_datetime, to_ms
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.pending import Ending, EndReason, EntryType, Fill, PendingEntry, Validity
from vyomo_rt.domain.trade import (
    Exit,
    ExitDetail,
    ExitReason,
    Reduced,
    Trade,
    TradeChange,
    TradeChangeReason,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vyomo_rt.store.documents import Document


def where_set(**members: Any) -> Document:
    """The members that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def from_record(record: Record) -> Document:
    return from_trade(record) if isinstance(record, Trade) else from_entry(record)


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
    document |= where_set(
        **_from_moving_guards(trade),
        stopMovedBy=trade.stop_moved_by and trade.stop_moved_by.value,
        tags=list(trade.tags) or None,
        note=trade.note,
        orderId=trade.order_id,
        entryCharges=_from_charges(trade.entry_charges),
    )
    if trade.change is not None:
        reason, at = trade.change.reason.value, to_datetime(trade.change.at_ms)
        document["change"] = {"reason": reason, "at": at}
    if trade.reduced is not None:
        document["reduced"] = _from_reduced(trade.reduced)
    if trade.exit is not None:
        document |= _from_exit(trade.exit) | {"pnlPaise": trade.realised_paise}
    return document


def _from_moving_guards(guards: Guards) -> Document:
    """All guards but stop and target, which every document has."""
    return {
        "trailingStopE4": guards.trailing_stop_e4,
        "trailingStepE4": guards.trailing_step_e4,
        "trailFromE4": guards.trail_from_e4,
        "breakevenAtE4": guards.breakeven_at_e4,
    }


def _to_guards(document: Mapping[str, Any]) -> dict[str, int | None]:
    return {
        "stop_loss_e4": document["stopLossE4"],
        "target_e4": document["targetE4"],
        "trailing_stop_e4": document.get("trailingStopE4"),
        "trailing_step_e4": document.get("trailingStepE4"),
        "trail_from_e4": document.get("trailFromE4"),
        "breakeven_at_e4": document.get("breakevenAtE4"),
    }


def _from_exit(exit_: Exit) -> Document:
    return {
        "exitPriceE4": exit_.price_e4,
        "exitReason": exit_.reason.value,
        "closedAt": to_datetime(exit_.at_ms),
        **where_set(
            exitDetail=exit_.detail and exit_.detail.value,
            stale=exit_.stale or None,
            exitCharges=_from_charges(exit_.charges),
        ),
    }


def _to_exit(document: Mapping[str, Any]) -> Exit:
    detail = document.get("exitDetail")
    return Exit(
        price_e4=document["exitPriceE4"],
        reason=ExitReason(document["exitReason"]),
        at_ms=to_ms(document["closedAt"]),
        detail=detail and ExitDetail(detail),
        stale=document.get("stale", False),
        charges=_to_charges(document.get("exitCharges")),
    )


def _from_reduced(reduced: Reduced) -> Document:
    return {
        "parts": reduced.parts,
        "quantity": reduced.quantity,
        "realisedPaise": reduced.realised_paise,
        "last": _from_exit(reduced.last) | {"quantity": reduced.last_quantity},
        **where_set(
            charges=_from_charges(reduced.charges),
            entryShare=_from_charges(reduced.entry_share),
        ),
    }


def _to_reduced(document: Mapping[str, Any]) -> Reduced:
    return Reduced(
        parts=document["parts"],
        quantity=document["quantity"],
        realised_paise=document["realisedPaise"],
        last=_to_exit(document["last"]),
        last_quantity=document["last"]["quantity"],
        charges=_to_charges(document.get("charges")),
        entry_share=_to_charges(document.get("entryShare")),
    )


def _from_charges(charges: Charges | None) -> Document | None:
    """In paise, by item."""
    return None if charges is None else charges._asdict()


def _to_charges(document: Mapping[str, Any] | None) -> Charges | None:
    return None if document is None else Charges(**document)


def to_trade(document: Mapping[str, Any]) -> Trade:
    change, moved_by = document.get("change"), document.get("stopMovedBy")
    return Trade(
        trade_id=document["tradeId"],
        session_id=document["sessionId"],
        symbol=document["symbol"],
        side=Side(document["side"]),
        quantity=document["quantity"],
        entry_price_e4=document["entryPriceE4"],
        **_to_guards(document),
        opened_at_ms=to_ms(document["openedAt"]),
        exit=_to_exit(document) if "closedAt" in document else None,
        reduced=_to_reduced(document["reduced"]) if "reduced" in document else None,
        change=change and TradeChange(TradeChangeReason(change["reason"]), to_ms(change["at"])),
        stop_moved_by=moved_by and ExitDetail(moved_by),
        tags=tuple(document.get("tags", ())),
        note=document.get("note"),
        order_id=document.get("orderId"),
        entry_charges=_to_charges(document.get("entryCharges")),
    )


def from_entry(entry: PendingEntry) -> Document:
    document: Document = {
        "orderId": entry.order_id,
        "sessionId": entry.session_id,
        "symbol": entry.symbol,
        "side": entry.side.value,
        "status": entry.status.value,
        "quantity": entry.quantity,
        "type": entry.type.value,
        "priceE4": entry.price_e4,
        "validity": entry.validity.value,
        "stopLossE4": entry.stop_loss_e4,
        "targetE4": entry.target_e4,
        "placedAt": to_datetime(entry.placed_at_ms),
        "changedAt": to_datetime(entry.changed_at_ms),
    }
    document |= where_set(
        **_from_moving_guards(entry),
        tags=list(entry.tags) or None,
        note=entry.note,
        tradeId=entry.trade_id,
        endsAt=None if entry.ends_at_ms is None else to_datetime(entry.ends_at_ms),
    )
    if entry.end is not None:
        document["endedAt"] = to_datetime(entry.end.at_ms)
    if isinstance(entry.end, Ending):
        document |= where_set(detail=entry.end.detail)
    return document


def to_entry(document: Mapping[str, Any]) -> PendingEntry:
    end: Ending | Fill | None = None
    if "tradeId" in document:
        end = Fill(document["tradeId"], to_ms(document["endedAt"]))
    elif "endedAt" in document:
        reason = EndReason(document["status"])
        end = Ending(reason, to_ms(document["endedAt"]), document.get("detail"))
    return PendingEntry(
        order_id=document["orderId"],
        session_id=document["sessionId"],
        symbol=document["symbol"],
        side=Side(document["side"]),
        quantity=document["quantity"],
        type=EntryType(document["type"]),
        price_e4=document["priceE4"],
        validity=Validity(document["validity"]),
        **_to_guards(document),
        placed_at_ms=to_ms(document["placedAt"]),
        changed_at_ms=to_ms(document["changedAt"]),
        ends_at_ms=to_ms(document["endsAt"]) if "endsAt" in document else None,
        tags=tuple(document.get("tags", ())),
        note=document.get("note"),
        end=end,
    )
