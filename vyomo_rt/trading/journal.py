"""What the desk needs of a store; ``vyomo_rt.store`` has the implementation.

Every method raises Unavailable when the store is away and nothing was written.
A write whose answer was lost raises OutcomeUnknown; calling it again with the
same arguments is safe, and once it returns the write has happened exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from vyomo_rt.domain.session import Figures, Session
from vyomo_rt.domain.trade import Trade, TradeEvent, TradeStatus


class Journal(Protocol):
    """Sessions, their numbered trade events, and readable copies of the trades."""

    async def load_sessions(self) -> Sequence[tuple[Session, Figures | None]]:
        """All sessions by id, each with its newest checkpoint."""

    async def create_session(self, session: Session, operation_id: str, request_hash: str) -> None:
        """Insert a session; raises Conflict if its id or operation is taken by another."""

    async def find_session(self, operation_id: str) -> tuple[Session, str] | None:
        """The session made by an operation, and the hash of the request that made it."""

    async def save_status(self, session: Session) -> None:
        """Write the status and ``revision`` of a session over the revision before it."""

    async def save_checkpoint(self, session_id: int, figures: Figures) -> None:
        """Keep figures so that a start need not read the events before ``figures.seq``."""

    async def append(self, event: TradeEvent) -> None:
        """Insert an event under its number; raises NumberTaken if another one is there."""

    async def events(
        self, session_id: int, after: int, upto: int | None = None
    ) -> Sequence[TradeEvent]:
        """At most 500 events with ``after < seq`` (``<= upto``), in order of their numbers."""

    async def find_event(self, session_id: int, operation_id: str) -> TradeEvent | None:
        """The event that an operation made in a session."""

    async def save_trade(self, trade: Trade, seq: int) -> None:
        """Write the readable copy of a trade as of event ``seq``; an older one never overwrites."""

    async def trade(self, trade_id: int) -> Trade | None:
        """The readable copy of a trade."""

    async def trades(
        self, session_id: int, status: TradeStatus | None, before_id: int | None, limit: int
    ) -> Sequence[Trade]:
        """The readable copies of a session's trades, newest first, ids below ``before_id``."""

    async def open_trades(self, session_id: int) -> Sequence[Trade]:
        """All readable copies with status OPEN."""

    async def next_id(self, counter: str) -> int:
        """The next number of a counter (``"sessions"`` or ``"trades"``), never given twice."""

    async def raise_counter(self, counter: str, at_least: int) -> None:
        """Make sure that the next number given is above ``at_least``."""

    async def highest_trade_id(self) -> int:
        """The highest trade id among the readable copies; 0 if there is none."""

    async def projected_seqs(self, trade_ids: Sequence[int]) -> Mapping[int, int]:
        """For each of the trades that has a readable copy: the event number it is as of."""
