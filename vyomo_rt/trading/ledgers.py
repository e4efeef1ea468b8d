"""The ledgers of all sessions that this process writes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from vyomo_rt.domain.errors import NotFound
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.state import SessionState
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.ledger import Ledger
from vyomo_rt.trading.positions import Positions
from vyomo_rt.trading.replica import Replica


class Ledgers:
    """One for each session of the replica."""

    def __init__(self, journal: Journal, replica: Replica, positions: Positions) -> None:
        self.met_another_writer = asyncio.Event()
        self._journal = journal
        self._replica = replica
        self._positions = positions
        self._ledgers: dict[int, Ledger] = {}

    def __iter__(self) -> Iterator[Ledger]:
        return iter(self._ledgers.values())

    def get(self, session_id: int) -> Ledger:
        """A session's ledger. Raises NotFound."""
        ledger = self._ledgers.get(session_id)
        if ledger is None:
            raise NotFound(f"session {session_id} not found", "sessionId")
        return ledger

    def adopt(self, session: Session) -> SessionState:
        """Begin with a session, unless it is known; returns it as it is now."""
        session_id = session.session_id
        if session_id not in self._replica:
            self.add(self._replica.bear(session))
        return self._replica.state(session_id)

    def add(self, state: SessionState) -> None:
        """Write a session that the replica has taken up."""
        session_id = state.session.session_id
        ledger = self._ledgers[session_id] = Ledger(
            session_id,
            self._replica,
            self._journal,
            applied=self._positions.follow,
            met_another_writer=self.met_another_writer.set,
        )
        for trade in state.open_trades.values():
            self._positions.add(trade, ledger)

    async def stop(self) -> None:
        """Let the writes in hand finish."""
        await asyncio.gather(*(ledger.stop() for ledger in self))
