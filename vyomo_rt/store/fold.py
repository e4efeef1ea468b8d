"""One session folded from its first event on, and what contradicts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from vyomo_rt.domain.event import Event, EventKind, SessionEvent, TradeEvent
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.state import Figures
from vyomo_rt.store import documents
from vyomo_rt.store.documents import Document
from vyomo_rt.wire.event import event_message

UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What a malformed document may raise."""
NOTHING = "(nothing)"

Differ = Callable[[str, str, object, object], None]
"""Called with a difference: which document, which field, what is stored, what is computed."""


class Open(NamedTuple):
    """An open trade: the event that opened it, and its readable copy."""

    event: TradeEvent
    copy: Document | None


class Fold:
    """A session, event by event from the first one on."""

    def __init__(
        self, session: Session, checkpoint: Mapping[str, Any] | None, differ: Differ
    ) -> None:
        self.session = session
        self.events = 0
        self.figures = Figures()
        self.open: dict[int, Open] = {}
        self._checkpoint = checkpoint
        self._differ = differ
        self._last_trade_id = 0
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

    def _as_it_should_be(self, event: Event) -> Event:
        """The event as its content says it should be: its session, its kind, its text."""
        if isinstance(event, TradeEvent):
            trade = replace(event.trade, session_id=self.session.session_id)
            kind = EventKind.OPENED if trade.exit is None else EventKind.CLOSED
            event = replace(event, kind=kind, trade=trade)
        return replace(event, message=event_message(event))

    def take(self, document: Document) -> None:
        """Fold an event that has no readable copy."""
        event = self.read(document)
        if isinstance(event, SessionEvent):
            self.take_change(event)
        elif isinstance(event, TradeEvent) and event.kind is EventKind.OPENED:
            self.take_opening(event, None)
        elif isinstance(event, TradeEvent):
            self.take_closing(event)

    def take_change(self, event: SessionEvent) -> None:
        """Fold a change of the session itself."""
        self.session = self.session.with_standing(event.standing)
        self.figures = replace(self.figures.after_change(), seq=event.seq)
        self._compare_checkpoint()

    def take_opening(self, event: TradeEvent, copy: Document | None) -> None:
        """Fold an opening; its trade is open from here on, and ``copy`` is kept with it."""
        trade_id = event.trade.trade_id
        if trade_id <= self._last_trade_id:
            above = f"above {self._last_trade_id}: each is opened once, in this order"
            self._differ(_name(event), "trade.tradeId", trade_id, above)
        self._last_trade_id = max(self._last_trade_id, trade_id)
        self.open[trade_id] = Open(event, copy)
        self.figures = replace(self.figures.after_opening(), seq=event.seq)
        self._compare_checkpoint()

    def take_closing(self, event: TradeEvent) -> Open | None:
        """Fold a closing; returns the trade it closes, if that was open."""
        opening = self.open.pop(event.trade.trade_id, None)
        if opening is None:
            why = f"trade {event.trade.trade_id} is not open: never opened, or closed before"
            self._differ(_name(event), "kind", event.kind.value, why)
        else:
            stored = documents.from_trade(replace(event.trade, exit=None))
            for field, value, right in unequal(stored, documents.from_trade(opening.event.trade)):
                self._differ(_name(event), f"trade.{field}", value, right)
        self.figures = replace(self.figures.after_closing(event.trade), seq=event.seq)
        self._compare_checkpoint()
        return opening

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


def _numbers(first: int, last: int) -> str:
    return f"number {first} is" if first == last else f"numbers {first} to {last} are"


def _name(event: TradeEvent) -> str:
    return f"event {documents.event_id(event.session_id, event.seq)}"


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
