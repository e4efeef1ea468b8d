"""One session folded from its first event on, and what contradicts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, NamedTuple

from vyomo_rt.domain.event import Event, EventKind, OrderEvent, Record, SessionEvent, TradeEvent
from vyomo_rt.domain.guards import Guards
from vyomo_rt.domain.pending import Ending, Fill, PendingEntry
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.state import Figures
from vyomo_rt.domain.trade import ExitReason, Trade, TradeChangeReason
from vyomo_rt.domain.trailing import is_own_move
from vyomo_rt.store import documents
from vyomo_rt.store.documents import COPIES, MEMBERS, Document
from vyomo_rt.store.trade_documents import from_record
from vyomo_rt.wire.event import event_message

UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What a malformed document may raise."""
NOTHING = "(nothing)"

Differ = Callable[[str, str, object, object], None]
"""Called with a difference: which document, which field, what is stored, what is computed."""


Key = tuple[type[Record], int]
"""A trade or a pending entry: its kind and its id."""


def key_of(record: Record) -> Key:
    return type(record), record.record_id


class Open(NamedTuple):
    """An open trade or a pending entry as event ``seq`` left it, and its readable copy."""

    record: Record
    seq: int
    copy: Document | None


class Fold:
    """A session, event by event from the first one on."""

    def __init__(
        self, session: Session, checkpoint: Mapping[str, Any] | None, differ: Differ
    ) -> None:
        self.session = session
        self.events = 0
        self.figures = Figures()
        self.open: dict[Key, Open] = {}
        self._checkpoint = checkpoint
        self._differ = differ
        self._last_id: dict[type[Record], int] = {}
        self._compare_checkpoint()

    @property
    def checkpoint_seq(self) -> int:
        """A start does not look at events up to this number again."""
        seq = self._checkpoint.get("atSeq") if self._checkpoint else 0
        return seq if isinstance(seq, int) else 0

    def read(self, document: Document) -> Event | None:
        """The event, if it can be read; reports whatever contradicts itself in it."""
        name = f"event {document['_id']}"
        self.events += 1
        expected = self.figures.seq + 1
        seq = document["seq"]
        if seq > expected:
            self._differ(name, "seq", seq, f"{expected}: {_numbers(expected, seq - 1)} missing")
        elif seq < expected:
            self._differ(name, "seq", seq, f"{expected}: an event with this number exists")
        try:
            event = self._as_it_should_be(documents.to_event(document))
            computed = documents.from_event(event)
        except UNREADABLE as error:
            self._differ(name, "document", unreadable(error), "an event")
            self.figures = replace(self.figures, seq=seq)
            self._compare_checkpoint()
            return None
        for field, value, right in unequal(document, computed):
            self._differ(name, field, value, right)
        return event

    @property
    def open_trades(self) -> int:
        """How many trades are open."""
        return sum(kind is Trade for kind, _ in self.open)

    def _as_it_should_be(self, event: Event) -> Event:
        """The event as its content says it should be: its session, its kind, its text."""
        session_id = self.session.session_id
        if isinstance(event, TradeEvent):
            trade = replace(event.trade, session_id=session_id)
            event = replace(event, kind=_kind_of(event.kind, trade), trade=trade)
        if isinstance(event, OrderEvent):
            # A fill stands in the event of the trade.
            end = event.entry.end if isinstance(event.entry.end, Ending) else None
            kind = EventKind.ORDER_PLACED if end is None else EventKind.ORDER_ENDED
            entry = replace(event.entry, session_id=session_id, end=end)
            event = replace(event, kind=kind, entry=entry)
        if isinstance(event, SessionEvent):
            standing = event.standing.settled_at(self.session, event.changed_at_ms)
            event = replace(event, standing=standing)
        return replace(event, message=event_message(event))

    def take(self, event: Event, copies: Mapping[Key, Document | None]) -> list[Open]:
        """Fold an event; returns what it ended. ``copies`` are those of what it begins."""
        if isinstance(event, SessionEvent):
            self.session = self.session.with_standing(event.standing)
        if isinstance(event, TradeEvent) and event.is_opening:
            self._check_fill(event)
        ended: list[Open] = []
        for record in event.records:
            key = key_of(record)
            self._check_record(event, record)
            begins = self.begins(event, record)
            before = self.open.pop(key, None)
            if before is None and not begins:
                continue
            now = Open(record, event.seq, before.copy if before else copies.get(key))
            if _is_over(record):
                ended.append(now)
            else:
                self.open[key] = now
        self.figures = replace(self.figures.after(event), seq=event.seq)
        self._compare_checkpoint()
        return ended

    def begins(self, event: Event, record: Record) -> bool:
        """Whether a trade or a pending entry begins with an event."""
        if isinstance(record, Trade):
            return event.kind is EventKind.OPENED
        placed = event.kind in (EventKind.OPENED, EventKind.ORDER_PLACED)
        return placed and key_of(record) not in self.open

    def _check_record(self, event: Event, record: Record) -> None:
        before = self.open.get(key_of(record))
        name = _name_of(event)
        kind, id_ = key_of(record)
        what, _ = COPIES[kind]
        member = MEMBERS[kind]
        if self.begins(event, record):
            last = self._last_id.get(kind, 0)
            if id_ <= last:
                above = f"above {last}: each is opened once, in this order"
                self._differ(name, f"{member}.{COPIES[kind][1]}", id_, above)
            self._last_id[kind] = max(last, id_)
        elif before is None:
            why = f"{what[:-1]} {id_} is not open: never opened, or closed before"
            self._differ(name, "kind", event.kind.value, why)
        else:
            self._check_step(name, before.record, record)
            right = from_record(_expected(before.record, record))
            for field, value, computed in unequal(from_record(record), right):
                self._differ(name, f"{member}.{field}", value, computed)

    def _check_fill(self, event: TradeEvent) -> None:
        """Report an opening that does not follow from the order that it names."""
        trade, entry = event.trade, event.entry
        name = _name_of(event)
        if entry is None:
            if trade.order_id is not None:
                self._differ(name, "order", NOTHING, f"order {trade.order_id}, which it fills")
            return
        if not entry.fills_at(trade.entry_price_e4):
            bound = "at most" if entry.fills_at(0) else "at least"
            words = f"{bound} {entry.price_e4}: it fills a {entry.type} to {entry.side}"
            self._differ(name, "trade.entryPriceE4", trade.entry_price_e4, words)
        asked = replace(
            trade,
            order_id=entry.order_id,
            **{key: getattr(entry, key) for key in ("symbol", "side", "quantity", "tags", "note")},
        )
        for field, value, right in unequal(from_record(trade), from_record(asked)):
            self._differ(name, f"trade.{field}", value, right)
        filled = entry.ended(Fill(trade.trade_id, trade.opened_at_ms))
        for field, value, right in unequal(from_record(entry), from_record(filled)):
            self._differ(name, f"order.{field}", value, right)

    def _check_step(self, name: str, before: Record, after: Record) -> None:
        """Report a move or an exit that the guards before it cannot explain."""
        if not (isinstance(before, Trade) and isinstance(after, Trade)):
            return
        if after.exit is not None:
            due = before.exit_due(after.exit.price_e4)
            if after.exit.reason in (ExitReason.SL, ExitReason.TARGET) and after.exit.reason != due:
                words = due or "that the trade stays open at this price"
                self._differ(name, "trade.exitReason", after.exit.reason.value, words)
        elif (
            after.change != before.change
            and after.change is not None
            and after.change.reason is not TradeChangeReason.MANUAL
            and not is_own_move(before, after)
        ):
            why = "no move that a price makes of the guards before it"
            self._differ(name, "trade.stopLossE4", after.stop_loss_e4, why)

    def end(self) -> None:
        """After the last event: no checkpoint may be ahead of it."""
        if self.checkpoint_seq > self.figures.seq:
            self._differ(
                self._name, "checkpoint.atSeq", self.checkpoint_seq, f"at most {self.figures.seq}"
            )

    def _compare_checkpoint(self) -> None:
        if self._checkpoint is None or self.figures.seq != self.checkpoint_seq:
            return
        for field, value, right in unequal(self._checkpoint, self._computed_checkpoint()):
            self._differ(self._name, f"checkpoint.{field}", value, right)

    def _computed_checkpoint(self) -> Document:
        assert self._checkpoint is not None
        computed = documents.from_checkpoint(self.session.standing, self.figures)
        days: dict[str, int] = computed.pop("days")
        if "tallies" not in self._checkpoint:  # of an earlier version
            computed.pop("lastLossAt", None)
            del computed["tallies"]
        stored = self._checkpoint.get("days")
        if stored is None:  # of version 0.1
            del computed["session"]
            today = self._checkpoint.get("today", NOTHING)
            return computed | {"today": today, "todayPaise": days.get(str(today), 0)}
        # One that began with a single day of version 0.1 knows fewer.
        known = stored if isinstance(stored, Mapping) else {}
        return computed | {"days": {day: days.get(day, 0) for day in known}}

    @property
    def _name(self) -> str:
        return f"session {self.session.session_id}"


def _name_of(event: Event) -> str:
    return f"event {documents.event_id(event.session_id, event.seq)}"


def _numbers(first: int, last: int) -> str:
    return f"number {first} is" if first == last else f"numbers {first} to {last} are"


def _kind_of(kind: EventKind, trade: Trade) -> EventKind:
    """The kind of a trade's event, as far as the trade after it shows."""
    if trade.exit is not None:
        return EventKind.CLOSED
    shows_it = {EventKind.REDUCED: trade.reduced, EventKind.CHANGED: trade.change}
    return kind if shows_it.get(kind) is not None else EventKind.OPENED


def _is_over(record: Record) -> bool:
    return (record.exit if isinstance(record, Trade) else record.end) is not None


def _expected(before: Record, after: Record) -> Record:
    """What follows from a record and the kind of step that it took."""
    if isinstance(before, Trade) and isinstance(after, Trade):
        if after.exit is not None:
            return replace(before, exit=after.exit)
        if after.reduced is not None and after.reduced != before.reduced:
            return before.reduced_by(after.reduced.last_quantity, after.reduced.last)
        return replace(before, **_taken(after, "change", "stop_moved_by"))
    assert isinstance(before, PendingEntry)
    assert isinstance(after, PendingEntry)
    before = replace(before, end=after.end)
    if isinstance(after.end, Ending):
        return before
    if after.end is not None and after.changed_at_ms != after.end.at_ms:
        return before  # otherwise a change made it fill, and is no event of its own
    terms = ("quantity", "price_e4", "validity", "changed_at_ms", "ends_at_ms")
    return replace(before, **_taken(after, *terms))


def _taken(record: Record, *names: str) -> dict[str, Any]:
    """What a change may set: the guards, what a person attached, and these."""
    guards = (field.name for field in fields(Guards))
    return {name: getattr(record, name) for name in (*guards, "tags", "note", *names)}


def unequal(
    stored: Mapping[str, Any], computed: Mapping[str, Any], prefix: str = ""
) -> list[tuple[str, object, object]]:
    """The dotted fields that differ: name, stored and computed value."""
    found: list[tuple[str, object, object]] = []
    for field in [*computed, *(field for field in stored if field not in computed)]:
        value, right = stored.get(field, NOTHING), computed.get(field, NOTHING)
        if isinstance(value, Mapping) and isinstance(right, Mapping):
            found += unequal(value, right, f"{prefix}{field}.")
        elif value != right or not isinstance(value, type(right)):
            found.append((prefix + field, value, right))
    return found


def unreadable(error: Exception) -> str:
    return f"what cannot be read ({type(error).__name__}: {error})"
