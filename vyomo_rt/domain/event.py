"""The numbered events of a session: every decision about it is one of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vyomo_rt.domain.session import ChangeReason, Standing
from vyomo_rt.domain.trade import Trade

SHAPE = 2
"""The newest way to write an event down; each event says its own, and all older ones are read.

1: openings and closings, before events had a term. 2: with the term of their writer, and
changes of the session itself.
"""


class EventKind(StrEnum):
    """The message types of the numbered events, as clients name them."""

    OPENED = "trade_opened"
    CLOSED = "trade_closed"
    SESSION_CHANGED = "session_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Decision number ``seq`` of a session, and the text that clients get.

    ``operation_id`` is the client's ``Idempotency-Key`` or a fresh one; ``request_hash``
    distinguishes a repetition of its request from another request. ``term`` counts the servers
    that have owned the database, up to the one that wrote this (0: before there were terms).
    """

    session_id: int
    seq: int
    kind: EventKind
    message: str
    operation_id: str
    request_hash: str
    term: int = 0
    shape: int = SHAPE

    @property
    def at_ms(self) -> int:
        """The moment that the event is about."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeEvent(Event):
    """A trade was opened or closed; ``trade`` is the whole trade after it."""

    trade: Trade

    @property
    def at_ms(self) -> int:
        return self.trade.exit.at_ms if self.trade.exit else self.trade.opened_at_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEvent(Event):
    """The session itself was changed; ``standing`` is its state after that."""

    standing: Standing
    reason: ChangeReason
    changed_at_ms: int

    @property
    def at_ms(self) -> int:
        return self.changed_at_ms
