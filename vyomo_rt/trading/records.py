"""Sessions and trades as they are now, from memory and the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from itertools import islice

from vyomo_rt.domain.errors import NotFound
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.pending import OrderStatus, PendingEntry
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import Trade, TradeStatus
from vyomo_rt.domain.trade_filter import TradeFilter
from vyomo_rt.trading.copying import R
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.ledgers import Ledgers
from vyomo_rt.trading.replica import Replica
from vyomo_rt.trading.sessions import Sessions

_TRADES_A_PAGE = 150
"""Of a long list: read within a few milliseconds."""


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

    async def session(self, session_id: int, since: int = 0) -> SessionState:
        """A session as it is now. Raises NotFound, or Unavailable if it rests.

        Somebody has seen its event ``since``, maybe on another node.
        """
        if (fetching := self._sessions.fetch(session_id, since)) is not None:
            await fetching
        return await self._sessions.state(session_id)

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
            await self._sessions.freshen(found.session_id)
        if known := self._known_trade(trade_id):
            return known
        stored = await self._journal.trade(trade_id)
        if stored is None and await self._sessions.looked_further("trades", trade_id):
            stored = self._known_trade(trade_id)
        if stored is None:
            raise NotFound.trade(trade_id)
        return stored

    async def session_of_trade(
        self, trade_id: int, is_in_reach: Callable[[int], Awaitable[bool]]
    ) -> int:
        """The session of a trade, if that is in reach. Raises NotFound or Unavailable.

        A trade that memory knows to be out of reach is looked up all the same, so that the
        answer takes as long as for one that does not exist.
        """
        known = self._known_trade(trade_id)
        if known is not None and await is_in_reach(known.session_id):
            return known.session_id
        session_id = await self._journal.session_of_trade(trade_id)
        if session_id is None and await self._sessions.looked_further("trades", trade_id):
            known = self._known_trade(trade_id)
            session_id = None if known is None else known.session_id
        # Asked for a session that there is not, too.
        if not await is_in_reach(session_id or 0) or session_id is None:
            raise NotFound.trade(trade_id)
        return session_id

    async def order(self, order_id: int) -> PendingEntry:
        """An order as it is now. Raises NotFound or Unavailable."""
        if found := self._replica.find_pending(order_id):
            await self._sessions.freshen(found.session_id)
        if known := self._known_order(order_id):
            return known
        stored = await self._stored_order(order_id)
        if stored is None:
            raise NotFound.order(order_id)
        return stored

    async def _stored_order(self, order_id: int) -> PendingEntry | None:
        stored = await self._journal.order(order_id)
        if stored is None and await self._sessions.looked_further("orders", order_id):
            return self._known_order(order_id)
        return stored

    async def session_of_order(
        self, order_id: int, is_in_reach: Callable[[int], Awaitable[bool]]
    ) -> int:
        """As `session_of_trade`, of an order."""
        known = self._known_order(order_id)
        if known is not None and await is_in_reach(known.session_id):
            return known.session_id
        entry = await self._stored_order(order_id)
        if not await is_in_reach(entry.session_id if entry else 0) or entry is None:
            raise NotFound.order(order_id)
        return entry.session_id

    async def orders(
        self, session_id: int, status: OrderStatus | None, before_id: int | None, limit: int
    ) -> Sequence[PendingEntry]:
        """A session's orders, newest first, ids below ``before_id``.

        Raises NotFound or Unavailable.
        """
        state = await self._flushed(session_id)
        if status is OrderStatus.PENDING:
            pending = sorted(state.pending.items(), reverse=True)
            below = (entry for id_, entry in pending if before_id is None or id_ < before_id)
            return list(islice(below, limit))
        stored = await self._journal.orders(session_id, status, before_id, limit)
        found = {entry.order_id: entry for entry in stored}
        for entry in self._sessions.uncopied.of_session(PendingEntry, session_id):
            found.pop(entry.order_id, None)
            is_below = before_id is None or entry.order_id < before_id
            if is_below and status in (None, entry.status):
                found[entry.order_id] = entry
        return [found[order_id] for order_id in sorted(found, reverse=True)][:limit]

    async def _flushed(self, session_id: int) -> SessionState:
        """A session, once its readable copies are up to date, if this server writes them."""
        state = await self.session(session_id)
        ledger = self._sessions.find_ledger(session_id)
        if ledger is not None and ledger.copying.behind:
            async with ledger.turns.turn():
                await ledger.copying.flush()
            return ledger.state
        return state

    def _known_trade(self, trade_id: int) -> Trade | None:
        """A trade that need not be looked up in the store."""
        return self._replica.find_open(trade_id) or self._uncopied(Trade, trade_id)

    def _known_order(self, order_id: int) -> PendingEntry | None:
        return self._replica.find_pending(order_id) or self._uncopied(PendingEntry, order_id)

    def _uncopied(self, kind: type[R], id_: int) -> R | None:
        """A record whose newest readable copy may still be to be written, here or elsewhere."""
        found = self._ledgers.find_uncopied(kind, id_)
        return found or self._sessions.uncopied.find(kind, id_)

    async def trades(
        self, session_id: int, wanted: TradeFilter, before_id: int | None, limit: int
    ) -> Sequence[Trade]:
        """A session's trades of a kind, newest first, ids below ``before_id``.

        Raises NotFound or Unavailable.
        """
        state = await self._flushed(session_id)
        found: dict[int, Trade] = {}
        if wanted.has_days or wanted.status is TradeStatus.OPEN:
            found = {
                trade_id: trade
                for trade_id, trade in state.open_trades.items()
                if (before_id is None or trade_id < before_id) and wanted.accepts(trade)
            }
        if wanted.status is not TradeStatus.OPEN:
            # One that is closed meanwhile is in both, and shown as closed.
            stored = await self._journal.trades(session_id, wanted, before_id, limit)
            found |= {trade.trade_id: trade for trade in stored}
            for trade in self._sessions.uncopied.of_session(Trade, session_id):
                found.pop(trade.trade_id, None)
                if (before_id is None or trade.trade_id < before_id) and wanted.accepts(trade):
                    found[trade.trade_id] = trade
        return [found[trade_id] for trade_id in sorted(found, reverse=True)][:limit]

    async def trades_in_pages(
        self, session_id: int, wanted: TradeFilter
    ) -> AsyncGenerator[Sequence[Trade], None]:
        """All trades of a kind, newest first; a page is read while the one before it is used.

        Raises NotFound or Unavailable.
        """
        before_id: int | None = None
        reading = asyncio.create_task(self.trades(session_id, wanted, None, _TRADES_A_PAGE))
        try:
            while page := await reading:
                before_id = page[-1].trade_id
                reading = asyncio.create_task(
                    self.trades(session_id, wanted, before_id, _TRADES_A_PAGE)
                )
                yield page
        finally:
            reading.cancel()
