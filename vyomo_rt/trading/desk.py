"""Opens and closes trades: on request, and when a price reaches a stop or a target."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from vyomo_rt.domain.decisions import NewDayMs
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.errors import Conflict, NotFound
from vyomo_rt.domain.event import Event, EventKind, Record
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.guarding import amended
from vyomo_rt.domain.halt import Halted, HaltOrder, SessionChange
from vyomo_rt.domain.moment import Clocks, trading_day
from vyomo_rt.domain.order import (
    AmendOrder,
    ChangeOrder,
    ClosingOrder,
    Operation,
    Read,
    SessionOrder,
    TradeOrder,
)
from vyomo_rt.domain.pending import Entered, EntryTerms, PendingEntry
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import ChangeReason, SessionStatus
from vyomo_rt.domain.square_off import SquareOffMs
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import AlreadyClosed, Exit, ExitReason, Trade
from vyomo_rt.exchange.charges import shipped_tariff
from vyomo_rt.trading.births import Births
from vyomo_rt.trading.entries import Entries
from vyomo_rt.trading.halts import Halts
from vyomo_rt.trading.holdings import Holdings
from vyomo_rt.trading.ids import Ids
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.late_writes import LateWrites
from vyomo_rt.trading.ledger import Ledger
from vyomo_rt.trading.ledgers import Ledgers
from vyomo_rt.trading.loading import load_states, patiently
from vyomo_rt.trading.openings import Openings
from vyomo_rt.trading.owners import Owners
from vyomo_rt.trading.positions import Positions
from vyomo_rt.trading.records import Records
from vyomo_rt.trading.repeated import Repeated
from vyomo_rt.trading.replica import Replica
from vyomo_rt.trading.reports import Reports
from vyomo_rt.trading.sessions import Sessions
from vyomo_rt.trading.writer import Writer

log = logging.getLogger(__name__)

_LIFTS = (SessionStatus.ACTIVE, SessionStatus.PAUSED)


class Desk(Writer):
    """Decides from its own replica of all sessions; the only writer of their events."""

    def __init__(
        self,
        journal: Journal,
        replica: Replica,
        *,
        clocks: Clocks,
        quote: Callable[[str], Quote | None],
        knows: Callable[[str], bool],
        max_open_trades: int,
        demand: Demand,
        reserve: Callable[[str], bool],
        tick_e4: Callable[[str], int | None],
        session_end_ms: Callable[[str, int], int],
        square_off_ms: SquareOffMs,
        new_day_ms: NewDayMs,
        is_watched: Callable[[int], bool],
    ) -> None:
        self._journal = journal
        self._replica = replica
        self._now = clocks.market
        self._quote = quote
        self._trade_ids, self._order_ids = Ids(journal, "trades"), Ids(journal, "orders")
        self._openings = Openings(
            self._trade_ids,
            quote=quote,
            knows=knows,
            reserve=reserve,
            tick_e4=tick_e4,
            charge=shipped_tariff().order_charges,
            square_off_ms=square_off_ms,
            new_day_ms=new_day_ms,
            most=max_open_trades,
            now=clocks.market,
        )
        self._positions = Positions(clocks.market, quote, square_off_ms)
        holdings = Holdings(demand)
        replica.followers.append(holdings)
        self.ledgers = Ledgers(journal, replica, self._positions, self._openings, clocks.market)
        self.owners = Owners(journal)
        self.sessions = Sessions(journal, replica, self.ledgers, self.owners, is_watched)
        self.sessions.joins.append(holdings.add)
        self._births = Births(journal, self.sessions, clocks)
        self.records = Records(journal, replica, self.ledgers, self.sessions)
        self.reports = Reports(journal, self.sessions)
        self._repeated = Repeated(journal, self.records, self.sessions)
        self._entries = Entries(
            self.records,
            turn=self._turn,
            repeated=self._repeated,
            openings=self._openings,
            ids=self._order_ids,
            expect=self._positions.expect,
            quote=quote,
            session_end_ms=session_end_ms,
            most=max_open_trades,
            now=clocks.market,
        )
        self._halts = Halts(journal, replica, self._turn, self.sessions.decides, clocks.market)
        self.late_writes = LateWrites(journal, replica, self.ledgers, self.sessions)

    @property
    def waiting(self) -> int:
        """Prices that may decide something and what they decided, not yet in the journal."""
        return sum(ledger.waiting for ledger in self.ledgers)

    # -- commands --------------------------------------------------------------

    async def create_session(
        self,
        operation: Operation,
        read_order: Read[SessionOrder],
        session_id: int | None = None,
    ) -> tuple[SessionState, bool]:
        return await self._births.create(operation, read_order, session_id)

    async def ensure_session(self, session_id: int, order: SessionOrder) -> None:
        """Make a session with a given id unless it exists: the demo's id is fixed."""
        try:
            await self.sessions.ledger(session_id)
        except NotFound:
            await self._births.ensure(session_id, order)

    async def change_session(
        self, session_id: int, operation: Operation, read_order: Read[ChangeOrder]
    ) -> SessionState:
        async with self._turn(session_id, operation) as turn:
            if isinstance(turn, Event):
                return await self.records.session(session_id)
            ledger = turn
            await ledger.prepare()
            order = read_order()
            if order.status is SessionStatus.STOPPED:
                # A trade that another server opened must not be left behind.
                await ledger.read_on()
                await ledger.prepare()
            before = ledger.state.session.standing
            now_ms = self._now()
            standing = before.with_settings(order.changes, order.rules)
            if order.status is not None and before.is_changed_by(order.status):
                _check_change(ledger.state, order.status)
                standing = standing.set_to(order.status, before.rules, trading_day(now_ms))
            if standing != before:
                change = SessionChange(standing=standing, reason=ChangeReason.MANUAL, at_ms=now_ms)
                await ledger.record_change(change, operation)
            return ledger.state

    async def open_trade(
        self, session_id: int, operation: Operation, read_order: Read[TradeOrder]
    ) -> tuple[Trade, bool]:
        async with self._turn(session_id, operation) as turn:
            if isinstance(turn, Event):
                return await self._repeated.trade(turn), True
            ledger = turn
            await ledger.prepare()
            while not self._trade_ids:
                await self._trade_ids.draw()
                await ledger.prepare()
            # No await from here to the entry in the positions: the price is the current one, and
            # every later price counts for the trade.
            trade = self._openings.decide(ledger.state, read_order())
            self._positions.expect(trade.symbol, ledger)
            await ledger.record_trade(EventKind.OPENED, trade, operation)
            return trade, False

    async def amend_trade(
        self, trade_id: int, operation: Operation, read_order: Read[AmendOrder]
    ) -> Trade:
        known = await self.records.trade(trade_id)
        async with self._turn(known.session_id, operation) as turn:
            if isinstance(turn, Event):
                return await self._repeated.trade(turn)
            ledger = turn
            await self._prepare(ledger, known)
            # No await from here on: no price comes in between.
            changes = read_order().changes
            trade = await self._open(ledger, trade_id)
            quote = self._quote(trade.symbol)
            after = amended(
                trade,
                changes,
                newest=ledger.pace.newest(trade),
                price_e4=None if quote is None or quote.stale else quote.price_e4,
                tick_e4=self._openings.step_of(trade.symbol),
                is_halted=ledger.state.session.status is SessionStatus.HALTED,
                at_ms=self._now(),
            )
            if after is not trade:
                pace = ledger.pace.after_change(trade_id, changes)
                await ledger.record_trade(EventKind.CHANGED, after, operation, pace=pace)
            return after

    async def _prepare(self, ledger: Ledger, known: Trade) -> None:
        if known.trade_id not in ledger.state.open_trades and known.exit is None:
            await ledger.read_on()  # another server has opened it
        await ledger.prepare()

    async def _open(self, ledger: Ledger, trade_id: int) -> Trade:
        """A trade that is open. Raises AlreadyClosed; it awaits nothing else."""
        trade = ledger.state.open_trades.get(trade_id)
        if trade is None:
            raise AlreadyClosed(await self.records.trade(trade_id))
        return trade

    async def close_trade(
        self, trade_id: int, operation: Operation, read_order: Read[ClosingOrder]
    ) -> tuple[Trade, bool]:
        known = await self.records.trade(trade_id)
        async with self._turn(known.session_id, operation) as turn:
            if isinstance(turn, Event):
                return await self._repeated.trade(turn), True
            ledger = turn
            await self._prepare(ledger, known)
            # No await from here on: no price comes in between.
            order = read_order()
            trade = await self._open(ledger, trade_id)
            exit_ = self._manual_exit(trade, order.price_e4)
            if order.quantity is None or order.quantity == trade.open_quantity:
                await ledger.record_close(trade, exit_, operation)
                return await self.records.trade(trade_id), False
            if order.quantity > trade.open_quantity:
                raise Conflict(
                    f"quantity: only {trade.open_quantity} of trade {trade_id} are open", "quantity"
                )
            plan = ledger.state.session.charges
            exit_ = trade.charged(exit_, order.quantity, plan, self._openings.charge)
            reduced = trade.reduced_by(order.quantity, exit_)
            await ledger.record_reduction(reduced, operation)
            return reduced, False

    # -- pending entries -------------------------------------------------------

    async def place_order(
        self, session_id: int, operation: Operation, read_terms: Read[EntryTerms]
    ) -> Entered:
        return await self._entries.place(session_id, operation, read_terms)

    async def change_order(
        self, order_id: int, operation: Operation, read_change: Read[Mapping[str, Any]]
    ) -> Entered:
        return await self._entries.change(order_id, operation, read_change)

    async def cancel_order(
        self, order_id: int, operation: Operation, read: Read[object]
    ) -> Entered:
        return await self._entries.cancel(order_id, operation, read)

    # -- the kill switch -------------------------------------------------------

    async def close_all(
        self, session_id: int, operation: Operation, read_order: Read[HaltOrder]
    ) -> Halted:
        return await self._halts.close_all(session_id, operation, read_order)

    async def halt(
        self, grant: Grant, operation: Operation, read_order: Read[HaltOrder]
    ) -> list[Halted]:
        return await self._halts.halt(grant, operation, read_order)

    # -- time and prices -------------------------------------------------------

    def on_moment(self, at_ms: int) -> None:
        """Let the moment of an accepted price, before it counts, end what ends by then."""
        self._positions.pass_time(at_ms)

    def on_quote(self, quote: Quote) -> None:
        """Let an accepted price decide what it may; a stale price decides nothing."""
        self._positions.on_quote(quote)

    def pass_time(self) -> None:
        """Store what waited for the moment to which the market has come."""
        self._positions.pass_time(self._now())

    @property
    def due_ms(self) -> float:
        """The next moment for which something waits; infinite if nothing does."""
        return self._positions.due_ms

    @property
    def undecided(self) -> Collection[Ledger]:
        """Where something was taken that may not be decided yet; the same object for ever."""
        return self._positions.undecided

    async def rest(self) -> None:
        """Wait until everything that was taken is decided and stored."""
        while self._positions.undecided:
            if (worker := self._positions.undecided.pop().worker) is not None:
                await asyncio.wait([worker])

    def resume(self) -> None:
        """Go on with what was under way when the last process ended: before any price comes."""
        self._positions.resume()

    def catch_up(self, prices: Iterable[tuple[int, Quote]], decided: Mapping[Ledger, int]) -> None:
        """Let prices of late act in sessions that were decided about elsewhere, up to a moment."""
        self._positions.catch_up(prices, decided)

    # -- life ------------------------------------------------------------------

    async def load(self) -> None:
        """Load all sessions except those that rest. Raises Unavailable or NewerData."""
        states = await patiently(lambda: load_states(self._journal, self._replica.today))
        for state in states:
            self.sessions.take_up(state)
        await patiently(self._count_all)
        replica = self._replica
        log.info("%d sessions with %d open trades", len(replica), replica.open_count)

    async def _count_all(self) -> None:
        kinds = {"trades": Trade, "orders": PendingEntry}
        counts = (self._count(counter, kind) for counter, kind in kinds.items())
        await asyncio.gather(self._count_sessions(), *counts)
        await self.late_writes.expect_sessions(self.sessions.highest_id)

    async def _count_sessions(self) -> None:
        await self._journal.raise_counter("sessions", self.sessions.highest_id)
        self.sessions.highest_id = await self._journal.counter("sessions")

    async def _count(self, counter: str, kind: type[Record]) -> None:
        await self._journal.raise_counter(counter, await self._journal.highest_id(kind))

    def drop_ids(self) -> None:
        """Use no id that was drawn before: another node may have used higher ones since."""
        self._trade_ids.drop()
        self._order_ids.drop()

    async def stop(self) -> None:
        """Let writes in progress finish."""
        self._births.stop()
        await self.ledgers.stop()

    @asynccontextmanager
    async def _commanding(self, session_id: int, operation: Operation) -> AsyncIterator[Ledger]:
        """A session's turn. The command calls `Ledger.prepare` itself, right before it decides."""
        ledger = await self.sessions.ledger(session_id)
        ledger.require_settled(operation)
        async with ledger.turns.turn():
            self.sessions.require_own(session_id)
            # Also where nothing is to be written: another node may have changed it since.
            self._journal.require_right()
            ledger.require_settled(operation)
            yield ledger

    @asynccontextmanager
    async def _turn(self, session_id: int, operation: Operation) -> AsyncIterator[Ledger | Event]:
        """A session's turn; if the operation comes again, what it has made instead."""
        if made := await self._repeated.made_elsewhere(session_id, operation):
            yield made
            return
        async with self._commanding(session_id, operation) as ledger:
            yield await self._repeated.made(ledger, operation) or ledger

    def _manual_exit(self, trade: Trade, price_e4: int | None) -> Exit:
        if price_e4 is not None:
            return Exit(price_e4, ExitReason.MANUAL, self._now())
        quote = self._quote(trade.symbol)
        if quote is None:
            raise Conflict(f"no price of {trade.symbol} is known: give a price", "price")
        return Exit(quote.price_e4, ExitReason.MANUAL, self._now(), stale=quote.stale)


def _check_change(state: SessionState, status: SessionStatus | None) -> None:
    session_id = state.session.session_id
    if state.session.status is SessionStatus.STOPPED:
        raise Conflict(f"session {session_id} is STOPPED, which is final", "sessionId")
    if state.session.closing is not None and state.open_trades and status in _LIFTS:
        raise Conflict(
            f"session {session_id} is being closed: {len(state.open_trades)} trades still wait for"
            " a price; close them with one first",
            "status",
        )
    if status is SessionStatus.STOPPED and state.open_trades:
        count = len(state.open_trades)
        words = f"session {session_id} has {count} open trades: close them first"
        raise Conflict(words, "status")
