"""The numbered events of a session: every decision about it is one of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vyomo_rt.domain.pending import PendingEntry
from vyomo_rt.domain.session import ChangeReason, Standing
from vyomo_rt.domain.trade import Trade

SHAPE = 3
"""The newest way to write an event down; each event says its own, and all older ones are read.

1: openings and closings, before events had a term. 2: with the term of their writer, and
changes of the session itself. 3: seven kinds, and who asked.
"""


class EventKind(StrEnum):
    """The message types of the numbered events, as clients name them."""

    OPENED = "trade_opened"
    CLOSED = "trade_closed"
    REDUCED = "trade_reduced"
    CHANGED = "trade_changed"
    ORDER_PLACED = "order_placed"
    ORDER_ENDED = "order_ended"
    SESSION_CHANGED = "session_changed"


Record = Trade | PendingEntry
"""What an event may leave behind: one document of it is kept readable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Decision number ``seq`` of a session, and the text that clients get.

    ``operation_id`` is the client's ``Idempotency-Key`` or a fresh one; ``request_hash``
    distinguishes a repetition of its request from another request. ``term`` counts the servers
    that have owned the database, up to the one that wrote this (0: before there were terms).
    ``by`` is the subject that asked for it; None without access control, and for what the
    server decided by itself.
    """

    session_id: int
    seq: int
    kind: EventKind
    message: str
    operation_id: str
    request_hash: str
    term: int = 0
    shape: int = SHAPE
    by: str | None = None

    @property
    def at_ms(self) -> int:
        """The moment that the event is about."""
        raise NotImplementedError

    @property
    def records(self) -> tuple[Record, ...]:
        """The trades and pending entries that it changed, as they are after it."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeEvent(Event):
    """A trade was opened, changed, closed in part or closed; ``trade`` is the whole trade after it.

    ``entry`` is the pending entry that an opening filled.
    """

    trade: Trade
    entry: PendingEntry | None = None

    @property
    def is_opening(self) -> bool:
        return self.kind is EventKind.OPENED

    @property
    def at_ms(self) -> int:
        trade = self.trade
        if self.kind is EventKind.CLOSED and trade.exit:
            return trade.exit.at_ms
        if self.kind is EventKind.REDUCED and trade.reduced:
            return trade.reduced.last.at_ms
        if self.kind is EventKind.CHANGED and trade.change:
            return trade.change.at_ms
        return trade.opened_at_ms

    @property
    def records(self) -> tuple[Record, ...]:
        return (self.trade,) if self.entry is None else (self.entry, self.trade)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent(Event):
    """A pending entry was placed, changed or ended; ``entry`` is what it is after that."""

    entry: PendingEntry

    @property
    def at_ms(self) -> int:
        return self.entry.end.at_ms if self.entry.end else self.entry.changed_at_ms

    @property
    def records(self) -> tuple[Record, ...]:
        return (self.entry,)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEvent(Event):
    """The session itself was changed; ``standing`` is its state after that.

    ``detail`` are the words of the person or the rule behind it.
    """

    standing: Standing
    reason: ChangeReason
    changed_at_ms: int
    detail: str | None = None

    @property
    def at_ms(self) -> int:
        return self.changed_at_ms
