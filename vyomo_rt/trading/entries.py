"""Pending entries by request: placed, changed, cancelled, or filled at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from vyomo_rt.domain.decisions import Moment
from vyomo_rt.domain.errors import BadRequest, Conflict, SessionFull
from vyomo_rt.domain.event import Event, EventKind
from vyomo_rt.domain.guarding import check_step, with_step
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.order import Operation, Read
from vyomo_rt.domain.pending import (
    AlreadyEnded,
    Ending,
    EndReason,
    Entered,
    EntryTerms,
    Fill,
    PendingEntry,
    Validity,
)
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import SessionStatus
from vyomo_rt.domain.state import SessionState
from vyomo_rt.trading.ids import Ids
from vyomo_rt.trading.ledger import Ledger
from vyomo_rt.trading.openings import Openings
from vyomo_rt.trading.records import Records
from vyomo_rt.trading.repeated import Repeated, Turn


class Entries:
    """Decides what is asked of pending entries; each waits in its session for its price."""

    def __init__(
        self,
        records: Records,
        *,
        turn: Turn,
        repeated: Repeated,
        openings: Openings,
        ids: Ids,
        expect: Callable[[str, Ledger], None],
        quote: Callable[[str], Quote | None],
        session_end_ms: Callable[[str, int], int],
        most: int,
        now: MarketClock,
    ) -> None:
        """``most`` is how many a session may have at a time.

        ``expect`` makes every later price of a symbol count for what is about to be written.
        """
        self._records = records
        self._turn = turn
        self._repeated = repeated
        self._openings = openings
        self._ids = ids
        self._expect = expect
        self._quote = quote
        self._session_end_ms = session_end_ms
        self._most = most
        self._now = now

    async def place(
        self, session_id: int, operation: Operation, read_terms: Read[EntryTerms]
    ) -> Entered:
        """Place an order, or fill it at once."""
        async with self._turn(session_id, operation) as turn:
            if isinstance(turn, Event):
                return await self._repeated.entered(turn)
            ledger = turn
            await self._prepare(ledger)
            terms, now_ms = read_terms(), self._now()
            self._check_placing(ledger.state, terms)
            entry = PendingEntry(
                **asdict(terms),
                order_id=self._ids.take(),
                session_id=session_id,
                placed_at_ms=now_ms,
                changed_at_ms=now_ms,
            )
            entry = self._with_step(entry, asdict(terms))
            return await self._write(ledger, entry, operation)

    async def change(
        self, order_id: int, operation: Operation, read_change: Read[Mapping[str, Any]]
    ) -> Entered:
        """Change an order's members, or fill it at once; there is no event if nothing changes."""
        known = await self._records.order(order_id)
        async with self._turn(known.session_id, operation) as turn:
            if isinstance(turn, Event):
                return await self._repeated.entered(turn)
            ledger = turn
            await self._prepare(ledger)
            change = read_change()
            entry = await self._pending(ledger, order_id)
            changed = self._with_step(replace(entry, **change), change)
            if changed == entry:
                return Entered(entry, None)
            changed = replace(changed, changed_at_ms=self._now())
            return await self._write(ledger, changed, operation)

    async def cancel(self, order_id: int, operation: Operation, read: Read[object]) -> Entered:
        """Cancel an order."""
        known = await self._records.order(order_id)
        async with self._turn(known.session_id, operation) as turn:
            if isinstance(turn, Event):
                return await self._repeated.entered(turn)
            ledger = turn
            await ledger.prepare()
            read()
            entry = await self._pending(ledger, order_id)
            ended = entry.ended(Ending(EndReason.CANCELLED, self._now()))
            await ledger.record_entry(EventKind.ORDER_ENDED, ended, operation)
            return Entered(ended, None)

    async def _prepare(self, ledger: Ledger) -> None:
        """Nothing is left to decide or to draw, as long as nothing is awaited after it."""
        await ledger.prepare()
        # What was drawn first may be gone when the second is there: others use it, or drop it.
        while not (self._ids and self._openings.is_ready):
            await self._ids.draw()
            await self._openings.get_ready(1)
            await ledger.prepare()

    async def _pending(self, ledger: Ledger, order_id: int) -> PendingEntry:
        entry = ledger.state.pending.get(order_id)
        if entry is None:
            raise AlreadyEnded(await self._records.order(order_id))
        return entry

    def _check_placing(self, state: SessionState, terms: EntryTerms) -> None:
        session = state.session
        if not self._openings.knows(terms.symbol):
            raise BadRequest(f"symbol: the price feed does not know {terms.symbol}", "symbol")
        if session.status is not SessionStatus.ACTIVE:
            words = f"session {session.session_id} is {session.status}: an order needs ACTIVE"
            raise Conflict(words, "sessionId")
        if len(state.pending) >= self._most:
            raise SessionFull(
                f"session {session.session_id} has {self._most} pending orders, the most that it"
                " may have: cancel one first",
                "sessionId",
            )
        if not self._openings.reserve(terms.symbol):
            raise Conflict(
                f"symbol: all places for prices are in use, so no order in {terms.symbol} could"
                " fill: choose another symbol",
                "symbol",
            )

    async def _write(self, ledger: Ledger, entry: PendingEntry, operation: Operation) -> Entered:
        """Store an order that was placed or changed, or the trade that it is at once."""
        entry = replace(entry, ends_at_ms=self._ends_at_ms(entry))
        self._expect(entry.symbol, ledger)
        quote = self._quote(entry.symbol)
        if quote is None or quote.stale or not entry.fills_at(quote.price_e4):
            await ledger.record_entry(EventKind.ORDER_PLACED, entry, operation)
            return Entered(entry, None)
        try:
            moment = Moment(entry.changed_at_ms, quote.symbol, quote.price_e4)
            trade = self._openings.open_entry(ledger.state, entry, moment)
        except BadRequest as error:
            # It is no fault of the request: at another price it might be accepted.
            raise Conflict(f"it would be filled at once, and then: {error}", error.field) from None
        filled = entry.ended(Fill(trade.trade_id, trade.opened_at_ms))
        await ledger.record_trade(EventKind.OPENED, trade, operation, filled)
        return Entered(filled, trade)

    def _with_step(self, entry: PendingEntry, changes: Mapping[str, Any]) -> PendingEntry:
        """The entry with the step of its trailing stop resolved. Raises BadRequest."""
        if changes.keys() & {"trailing_stop_e4", "trailing_step_e4"}:
            entry = with_step(entry, changes, self._openings.step_of(entry.symbol))
        check_step(entry)
        return entry

    def _ends_at_ms(self, entry: PendingEntry) -> int | None:
        if entry.validity is Validity.GTC:
            return None
        return self._session_end_ms(entry.symbol, entry.changed_at_ms)
