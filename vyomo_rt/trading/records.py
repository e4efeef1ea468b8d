"""Sessions and trades as they are now, from memory and the store."""

from __future__ import annotations

from collections.abc import Sequence

from vyomo_rt.domain.errors import NotFound
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import Trade, TradeStatus
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.ledgers import Ledgers
from vyomo_rt.trading.replica import Replica
from vyomo_rt.trading.sessions import Sessions


class Records:
    """Reads sessions and trades.

    Memory knows the sessions in use, the journal the rest: resting sessions, copies of trades.
    """

    def __init__(
        self, journal: Journal, replica: Replica, ledgers: Ledgers, sessions: Sessions
    ) -> None:
        self._journal = journal
        self._replica = replica
        self._ledgers = ledgers
        self._sessions = sessions

    async def session(self, session_id: int) -> SessionState:
        """A session as it is now. Raises NotFound, or Unavailable if it rests."""
        return (await self._sessions.ledger(session_id)).state

    async def sessions(
        self, after_id: int, status: SessionStatus | None, limit: int, grant: Grant
    ) -> Sequence[SessionState]:
        """The first sessions above an id in a grant's reach, by id.

        Raises Unavailable if some rest.
        """
        return await self._sessions.listed(after_id, status, limit, grant)

    async def trade(self, trade_id: int) -> Trade:
        """A trade as it is now. Raises NotFound or Unavailable."""
        if found := self._replica.find_open(trade_id):
            return found
        if waiting := self._ledgers.find_unprojected(trade_id):
            return waiting
        stored = await self._journal.trade(trade_id)
        if stored is None:
            raise NotFound.trade(trade_id)
        return stored

    async def trades(
        self, session_id: int, status: TradeStatus | None, before_id: int | None, limit: int
    ) -> Sequence[Trade]:
        """A session's trades, newest first. Raises NotFound or Unavailable."""
        ledger = await self._sessions.ledger(session_id)
        if ledger.behind:
            async with ledger.turns.turn():
                await ledger.flush()
        return await self._journal.trades(session_id, status, before_id, limit)
