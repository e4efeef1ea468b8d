"""Operations that come again: what each has made, by its key in the log."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from vyomo_rt.domain.errors import KeyReused
from vyomo_rt.domain.event import Event, TradeEvent
from vyomo_rt.domain.order import Operation
from vyomo_rt.domain.pending import Entered, PendingEntry
from vyomo_rt.domain.trade import Trade
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.ledger import Ledger
from vyomo_rt.trading.records import Records
from vyomo_rt.trading.sessions import Sessions

Turn = Callable[[int, Operation], AbstractAsyncContextManager[Ledger | Event]]
"""A session's turn; if the operation comes again, what it has made instead."""


class Repeated:
    """Finds what an operation has made, and shows it as it is now."""

    def __init__(self, journal: Journal, records: Records, sessions: Sessions) -> None:
        self._journal = journal
        self._records = records
        self._sessions = sessions

    async def made(self, ledger: Ledger, operation: Operation) -> Event | None:
        """What an operation has made in a session, whose turn this is.

        Raises KeyReused if it was another request's.
        """
        made = await self._find(ledger.session_id, operation)
        if made is not None and made.seq > ledger.state.seq:
            await ledger.read_on()  # a former owner has stored it late
        return made

    async def _find(self, session_id: int, operation: Operation) -> Event | None:
        if operation.is_fresh:
            return None
        event = await self._journal.find_event(session_id, operation.operation_id)
        if event is None or operation.matches(event.request_hash):
            return event
        record = event.records[0]
        if isinstance(record, PendingEntry):
            entry = await self._records.order(record.order_id)
            raise KeyReused(f"order {entry.order_id}", entry=entry)
        trade = await self._records.trade(record.trade_id)
        raise KeyReused(f"trade {trade.trade_id}", trade=trade)

    async def made_elsewhere(self, session_id: int, operation: Operation) -> Event | None:
        """The same, if another node decides about the session: it may be gone."""
        if self._sessions.decides(session_id):
            return None
        made = await self._find(session_id, operation)
        if made is not None:
            # News of it may be lost as well as the answer.
            await self._records.session(session_id, made.seq)
        return made

    async def trade(self, made: Event) -> Trade:
        """The trade that an operation has made, closed or reduced."""
        assert isinstance(made, TradeEvent), "the path is part of what the key is for"
        return await self._records.trade(made.trade.trade_id)

    async def entered(self, made: Event) -> Entered:
        """The order that an operation has placed, and the trade that it became."""
        [order_id] = [each.order_id for each in made.records if isinstance(each, PendingEntry)]
        entry = await self._records.order(order_id)
        trade = None if entry.trade_id is None else await self._records.trade(entry.trade_id)
        return Entered(entry, trade, repeated=True)
