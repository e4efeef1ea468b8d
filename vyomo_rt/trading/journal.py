"""What the desk needs of a store; ``vyomo_rt.store`` has the implementation.

Every method raises Unavailable when the store is away and nothing was written, and while this
server may no longer own it. A write whose answer was lost raises OutcomeUnknown;
calling it again with the same arguments is safe, and once it returns the write has happened
exactly once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Protocol

from vyomo_rt.domain.event import Event, EventKind, Record
from vyomo_rt.domain.pending import OrderStatus, PendingEntry
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.state import Figures
from vyomo_rt.domain.trade import Trade
from vyomo_rt.domain.trade_filter import TradeFilter


class Journal(Protocol):
    """Sessions, their numbered events, and readable copies of trades and pending entries."""

    @property
    def shape(self) -> int:
        """In which way events are to be written: the newest one that all nodes can read."""

    def term_of(self, session_id: int) -> int:
        """How many servers have owned a session, up to this one.

        Raises Moved if another one owns it now.
        """

    def require_right(self) -> None:
        """Raise Unavailable if others may have taken over what this process owns."""

    async def load_sessions(self) -> Sequence[tuple[Session, Figures | None]]:
        """All sessions by id, as of their newest checkpoint, if there is one.

        Sessions that are STOPPED there are left out.
        """

    async def sessions_among(
        self, session_ids: Sequence[int]
    ) -> Sequence[tuple[Session, Figures | None]]:
        """Those of these sessions that exist, stopped or not, as of their checkpoints."""

    async def sessions_owned_by(self, owner: str) -> Sequence[int]:
        """The sessions that a subject has made, in no order."""

    async def create_session(self, session: Session, operation_id: str, request_hash: str) -> None:
        """Insert a session; raises Conflict if its id or operation is taken by another."""

    async def find_session(self, operation_id: str) -> tuple[Session, str] | None:
        """The session made by an operation, and the hash of the request that made it."""

    async def save_checkpoint(self, session: Session, figures: Figures) -> None:
        """Keep both, so that a start need not read the events up to ``figures.seq``."""

    async def append(self, events: Sequence[Event]) -> None:
        """Insert events of a session under their numbers, in order.

        Raises NumberTaken if another event has one of their numbers; those before it are then
        stored. Of a write that was cut off, too, a beginning is stored.
        """

    async def events(self, session_id: int, after: int, upto: int | None = None) -> Sequence[Event]:
        """At most 500 events with ``after < seq`` (``<= upto``), in order of their numbers."""

    async def events_of(
        self, session_id: int, after: int, upto: int, kinds: Collection[EventKind]
    ) -> Sequence[Event]:
        """The events of some kinds with ``after < seq <= upto``, at most 500 numbers, in order."""

    async def events_among(self, places: Sequence[tuple[int, int]]) -> Sequence[Event]:
        """The events that exist at these places (session and number), in no order."""

    async def find_event(self, session_id: int, operation_id: str) -> Event | None:
        """The event that an operation made in a session."""

    async def save_copy(self, record: Record, seq: int) -> None:
        """Write a record's readable copy as of event ``seq``; an older one never overwrites."""

    async def trade(self, trade_id: int) -> Trade | None:
        """The readable copy of a trade."""

    async def session_of_trade(self, trade_id: int) -> int | None:
        """The session of a trade that has a readable copy, at the same cost if there is none."""

    async def trades(
        self, session_id: int, wanted: TradeFilter, before_id: int | None, limit: int
    ) -> Sequence[Trade]:
        """The readable copies of a session's trades, newest first, ids below ``before_id``.

        If the day matters, only of closed trades.
        """

    def open_trades(self) -> AsyncIterator[Trade]:
        """All readable copies with status OPEN, of all sessions."""

    async def order(self, order_id: int) -> PendingEntry | None:
        """The readable copy of a pending entry."""

    async def orders(
        self, session_id: int, status: OrderStatus | None, before_id: int | None, limit: int
    ) -> Sequence[PendingEntry]:
        """The readable copies of a session's orders, newest first, ids below ``before_id``."""

    def pending_entries(self) -> AsyncIterator[PendingEntry]:
        """All readable copies with status PENDING, of all sessions."""

    async def reserve_ids(self, counter: str, count: int) -> int:
        """The first of ``count`` numbers of a counter, never given twice.

        The counters are ``"sessions"``, ``"trades"`` and ``"orders"``.
        """

    async def counter(self, counter: str) -> int:
        """The last number of a counter that was given out."""

    async def raise_counter(self, counter: str, at_least: int) -> None:
        """Make sure that the next number given is above ``at_least``."""

    async def highest_id(self, kind: type[Record]) -> int:
        """The highest id among the readable copies of a kind; 0 if there is none."""

    async def projected_seqs(self, kind: type[Record], ids: Sequence[int]) -> Mapping[int, int]:
        """For each of these ids with a readable copy, the number of the event the copy reflects."""
