"""Domain records as documents, readable for a person who opens the database.

Money is an int of paise, a price an int of ₹0.0001 (``*E4``), as in the domain;
moments are BSON dates, which keep milliseconds.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from vyomo_rt.domain.errors import NewerData
from vyomo_rt.domain.event import (
    SHAPE,
    Event,
    EventKind,
    OrderEvent,
    Record,
    SessionEvent,
    TradeEvent,
)
from vyomo_rt.domain.moment import to_datetime, to_ms
from vyomo_rt.domain.pending import PendingEntry
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import ChangeReason, Session, SessionStatus, Standing
from vyomo_rt.domain.state import Figures, Tally
from vyomo_rt.domain.trade import Trade
from vyomo_rt.store.session_documents import (
    from_standing,
    from_terms,
    to_standing,
    to_terms,
)
from vyomo_rt.store.trade_documents import (
    from_record,
    to_entry,
    to_trade,
    where_set,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Document = dict[str, Any]


def event_id(session_id: int, seq: int) -> str:
    """The ``_id`` of an event: its place in its session's history, taken only once."""
    return f"{session_id}-{seq}"


def from_event(event: Event) -> Document:
    document: Document = {
        "_id": event_id(event.session_id, event.seq),
        "sessionId": event.session_id,
        "seq": event.seq,
        "kind": event.kind.value,
        "opId": event.operation_id,
        "requestHash": event.request_hash,
        "message": event.message,
    }
    if event.shape > 1:
        document |= {"shape": event.shape, "term": event.term}
    document |= where_set(by=event.by)
    if isinstance(event, SessionEvent):
        return document | {"session": _from_change(event)}
    return document | {MEMBERS[type(record)]: from_record(record) for record in event.records}


def to_event(document: Mapping[str, Any]) -> Event:
    """Raises NewerData for an event of a later version of this program."""
    shape = document.get("shape", 1)
    if shape > SHAPE:
        raise NewerData(
            f"event {document['_id']} was written by a newer vyomo-rt (shape {shape}, and this "
            f"one reads up to {SHAPE}): update this server"
        )
    head = {
        "session_id": document["sessionId"],
        "seq": document["seq"],
        "kind": EventKind(document["kind"]),
        "message": document["message"],
        "operation_id": document["opId"],
        "request_hash": document["requestHash"],
        "term": document.get("term", 0),
        "shape": shape,
        "by": document.get("by"),
    }
    entry = to_entry(document["order"]) if "order" in document else None
    if head["kind"] is EventKind.SESSION_CHANGED:
        change = document["session"]
        return SessionEvent(
            **head,
            standing=to_standing(change),
            reason=ChangeReason(change["reason"]),
            changed_at_ms=to_ms(change["changedAt"]),
            detail=change.get("detail"),
        )
    if head["kind"] in (EventKind.ORDER_PLACED, EventKind.ORDER_ENDED):
        return OrderEvent(**head, entry=to_entry(document["order"]))
    return TradeEvent(**head, trade=to_trade(document["trade"]), entry=entry)


def _from_change(event: SessionEvent) -> Document:
    return from_standing(event.standing) | {
        "reason": event.reason.value,
        "changedAt": to_datetime(event.changed_at_ms),
        **where_set(detail=event.detail),
    }


COPIES: dict[type[Record], tuple[str, str]] = {
    Trade: ("trades", "tradeId"),
    PendingEntry: ("orders", "orderId"),
}
"""Where the readable copies of a record are, and which member is its id."""

MEMBERS: dict[type[Record], str] = {PendingEntry: "order", Trade: "trade"}
"""Where the document of an event has its records."""


def copies_of(event: Mapping[str, Any]) -> list[tuple[str, Document]]:
    """The readable copies that follow from an event's document, each with its collection."""
    found: list[tuple[str, Document]] = []
    for kind, member in MEMBERS.items():
        if member in event:
            collection, key = COPIES[kind]
            record = event[member]
            found.append((collection, {"_id": record[key], "seq": event["seq"], **record}))
    return found


def from_copy(record: Record, seq: int) -> Document:
    """The readable copy of a trade or a pending entry as of event ``seq``."""
    document = from_record(record)
    _, key = COPIES[type(record)]
    return {"_id": document[key], "seq": seq, **document}


def from_session(session: Session, operation_id: str, request_hash: str) -> Document:
    """A session as it was made; all later changes are in its events."""
    document: Document = {
        "_id": session.session_id,
        "name": session.name,
        "startingCapitalPaise": session.starting_capital_paise,
        "createdAt": to_datetime(session.created_at_ms),
        "epoch": session.epoch,
        "opId": operation_id,
        "requestHash": request_hash,
    }
    return document | from_terms(session) | where_set(owner=session.owner)


def to_session(document: Mapping[str, Any]) -> Session:
    """A session as it was before its first event.

    Before status changes were events, the status was kept here; it is then the session's
    status up to the first such event.
    """
    return Session(
        session_id=document["_id"],
        name=document["name"],
        starting_capital_paise=document["startingCapitalPaise"],
        created_at_ms=to_ms(document["createdAt"]),
        epoch=document["epoch"],
        status=SessionStatus(document.get("status", SessionStatus.ACTIVE)),
        owner=document.get("owner"),
        **to_terms(document),
    )


def from_checkpoint(standing: Standing, figures: Figures) -> Document:
    """A session's standing and figures as of event ``figures.seq``."""
    return {
        "atSeq": figures.seq,
        "opened": figures.opened,
        "closed": figures.closed,
        "wins": figures.wins,
        "losses": figures.losses,
        "realisedPaise": figures.realised_paise,
        "days": {day.isoformat(): paise for day, paise in figures.days.items()},
        "session": from_standing(standing),
        "tallies": {day.isoformat(): tally._asdict() for day, tally in figures.tallies.items()},
        **where_set(lastLossAt=figures.last_loss_ms and to_datetime(figures.last_loss_ms)),
        **_from_charged(figures),
    }


def _from_charged(figures: Figures) -> Document:
    """What charges add to the figures; nothing in a session that never had any."""
    if not figures.charge_days:
        return {}
    days = {day.isoformat(): paise for day, paise in figures.charge_days.items()}
    return {"chargesPaise": figures.charges_paise, "chargeDays": days}


def to_checkpoint(document: Mapping[str, Any]) -> tuple[Standing | None, Figures]:
    """The standing is None in a checkpoint of version 0.1, which kept it in the session itself."""
    days = document.get("days")
    if days is None:  # of version 0.1, which knew a single day
        days = {document["today"]: document["todayPaise"]}
    figures = Figures(
        seq=document["atSeq"],
        opened=document["opened"],
        closed=document["closed"],
        wins=document["wins"],
        losses=document["losses"],
        realised_paise=document["realisedPaise"],
        days=_to_days(days),
        charges_paise=document.get("chargesPaise", 0),
        charge_days=_to_days(document.get("chargeDays", {})),
        tallies={
            date.fromisoformat(day): Tally(**tally)
            for day, tally in document.get("tallies", {}).items()
        },
        last_loss_ms=to_ms(document["lastLossAt"]) if "lastLossAt" in document else None,
    )
    standing = document.get("session")
    return None if standing is None else to_standing(standing), figures


def _to_days(days: Mapping[str, int]) -> dict[date, int]:
    return {date.fromisoformat(day): paise for day, paise in days.items()}


def from_quote(quote: Quote) -> Document:
    return {
        "symbol": quote.symbol,
        "priceE4": quote.price_e4,
        "asOf": to_datetime(quote.as_of_ms),
        "source": quote.source,
    }


def to_stale_quote(document: Mapping[str, Any]) -> Quote:
    """A price from the store; it is stale, whatever it was when it was saved."""
    return Quote(
        symbol=document["symbol"],
        price_e4=document["priceE4"],
        as_of_ms=to_ms(document["asOf"]),
        source=document["source"],
        stale=True,
    )
