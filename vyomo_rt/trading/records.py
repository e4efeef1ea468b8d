"""Trades as they are now, out of memory and the store."""

from __future__ import annotations

from collections.abc import Sequence

from vyomo_rt.domain.errors import NotFound
from vyomo_rt.domain.trade import Trade, TradeStatus
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.ledgers import Ledgers
from vyomo_rt.trading.replica import Replica


class Records:
    """Reads trades: memory knows the open ones, the journal's readable copies the others."""

    def __init__(self, journal: Journal, replica: Replica, ledgers: Ledgers) -> None:
        self._journal = journal
        self._replica = replica
        self._ledgers = ledgers

    async def trade(self, trade_id: int) -> Trade:
        """A trade as it is now. Raises NotFound or Unavailable."""
        if found := self._replica.find_open(trade_id):
            return found
        for ledger in self._ledgers:
            if waiting := ledger.find_unprojected(trade_id):
                return waiting
        stored = await self._journal.trade(trade_id)
        if stored is None:
            raise NotFound(f"trade {trade_id} not found", "tradeId")
        return stored

    async def trades(
        self, session_id: int, status: TradeStatus | None, before_id: int | None, limit: int
    ) -> Sequence[Trade]:
        """A session's trades, newest first. Raises NotFound or Unavailable."""
        ledger = self._ledgers.get(session_id)
        if ledger.behind:
            async with ledger.turns.turn():
                await ledger.flush()
        return await self._journal.trades(session_id, status, before_id, limit)
