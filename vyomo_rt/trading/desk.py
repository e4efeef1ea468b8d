"""Opens and closes trades: by request, and by prices that reach a stop or a target."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from vyomo_rt.clockwork import Guard
from vyomo_rt.domain.demand import Demand
from vyomo_rt.domain.errors import (
    BadRequest,
    Conflict,
    KeyReused,
    NotFound,
    OutcomeUnknown,
    SessionFull,
    Unavailable,
)
from vyomo_rt.domain.event import Event, EventKind, TradeEvent
from vyomo_rt.domain.moment import Clocks, iso, trading_day
from vyomo_rt.domain.order import Operation, Read, SessionOrder, TradeOrder
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import ChangeReason, Session, SessionStatus
from vyomo_rt.domain.state import Figures, SessionState, state_of
from vyomo_rt.domain.trade import (
    AlreadyClosed,
    Exit,
    ExitReason,
    Trade,
    TradeStatus,
    check_levels,
)
from vyomo_rt.trading.ids import Ids
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.ledger import Announce, AnnounceState, Ledger
from vyomo_rt.trading.loading import load_states, read_on
from vyomo_rt.trading.positions import Positions
from vyomo_rt.trading.turns import Turns

log = logging.getLogger(__name__)

_SETTLE_SESSION_S = 0.5
_ROLLED_AT_ONCE = 100
_LOAD_PATIENCE_S, _LOAD_PAUSE_S = 30.0, 1.0
_CLOCK_WAS_AHEAD_MS = 3_600_000
"""A clock that goes back over midnight by less is a correction; by more, it was wrong before."""
_SOON_S, _LATER_S = 1.0, 15.0
_SOON_FOR_S = 60.0
"""How often, and how long after the start, the desk looks for late writes of others."""
_LATE_SESSIONS = 100
"""Ids below the newest one whose sessions another server may still be making."""


class Desk:
    """All sessions in memory, rebuilt from the journal; the only writer of trade events.

    A command may be cancelled at any time: one that waits changes nothing, and a write that is
    under way is settled like one whose answer was lost.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        clocks: Clocks,
        quote: Callable[[str], Quote | None],
        knows: Callable[[str], bool],
        max_open_trades: int,
        demand: Demand,
        reserve: Callable[[str], bool],
        announce: Announce,
        announce_state: AnnounceState,
    ) -> None:
        self._journal = journal
        self._market_now, self._wall_now = clocks
        self._quote = quote
        self._knows = knows
        self._max_open_trades = max_open_trades
        self._reserve = reserve
        self._announce = announce
        self._announce_state = announce_state
        self._ledgers: dict[int, Ledger] = {}
        self._positions = Positions(clocks.market, demand)
        self._trade_ids = Ids(journal, "trades")
        self._creating = Turns()
        self._late_session_ids: set[int] = set()
        self._met_another_writer = asyncio.Event()
        self._day = trading_day(clocks.market())
        self._on_another_day: dict[Ledger, None] = {}
        self._guard = Guard()
        self._background: set[asyncio.Task[None]] = set()

    # -- reading ---------------------------------------------------------------

    def states(self) -> list[SessionState]:
        """All sessions, oldest first."""
        return [self._ledgers[session_id].state for session_id in sorted(self._ledgers)]

    def find_state(self, session_id: int) -> SessionState | None:
        """A session as it is now, or None if there is no such session."""
        ledger = self._ledgers.get(session_id)
        return None if ledger is None else ledger.state

    def state(self, session_id: int) -> SessionState:
        """A session as it is now. Raises NotFound."""
        return self._ledger(session_id).state

    async def trade(self, trade_id: int) -> Trade:
        """A trade as it is now. Raises NotFound or Unavailable."""
        if found := self._positions.find(trade_id):
            return found
        for ledger in self._ledgers.values():
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
        ledger = self._ledger(session_id)
        if ledger.behind:
            async with ledger.turns.turn():
                await ledger.flush()
        return await self._journal.trades(session_id, status, before_id, limit)

    @property
    def open_count(self) -> int:
        """Open trades of all sessions."""
        return len(self._positions)

    @property
    def waiting_exits(self) -> int:
        """Exits that a price has triggered and the journal does not hold yet."""
        return sum(len(ledger.latched) for ledger in self._ledgers.values())

    # -- commands --------------------------------------------------------------

    async def create_session(
        self, operation: Operation, read_order: Read[SessionOrder]
    ) -> tuple[SessionState, bool]:
        """Make a session; the second value says that the operation had made it before."""
        async with self._creating.turn():
            if not operation.is_fresh:
                found = await self._journal.find_session(operation.operation_id)
                if found is not None:
                    session, request_hash = found
                    state = self._adopt(session).state
                    if not operation.matches(request_hash):
                        raise KeyReused(f"session {session.session_id}", session=state)
                    return state, True
            order = read_order()
            session_id = await self._journal.reserve_ids("sessions", 1)
            session = self._newborn(session_id, order)
            await self._insert(session, operation)
            return self._adopt(session).state, False

    async def ensure_session(self, session_id: int, order: SessionOrder) -> None:
        """Make the session of a given id unless it is there: the demo has a fixed one."""
        if session_id not in self._ledgers:
            session = self._newborn(session_id, order)
            operation = Operation.internal()
            await self._journal.create_session(
                session, operation.operation_id, operation.request_hash
            )
            await self._journal.raise_counter("sessions", session_id)
            self._adopt(session)

    def _newborn(self, session_id: int, order: SessionOrder) -> Session:
        return Session(
            session_id=session_id,
            name=order.name or f"Session {session_id}",
            starting_capital_paise=order.starting_capital_paise,
            created_at_ms=self._wall_now(),
            epoch=secrets.token_hex(8),
        )

    async def change_session(
        self, session_id: int, *, status: SessionStatus | None = None, name: str | None = None
    ) -> SessionState:
        """Set a session's status or name; what it has already makes no event.

        Raises Conflict where the status may not change.
        """
        async with self._commanding(session_id) as ledger:
            if status is SessionStatus.STOPPED:
                # A trade that another server opened must not be left behind.
                await ledger.read_on()
            await ledger.prepare()
            before = ledger.state.session.standing
            standing = before if name is None else replace(before, name=name)
            if status not in (None, before.status):
                _check_change(ledger.state, status)
                standing = replace(standing, status=status, status_reason=ChangeReason.MANUAL)
            if standing != before:
                await ledger.record_change(standing, ChangeReason.MANUAL, self._market_now())
            return ledger.state

    async def open_trade(
        self, session_id: int, operation: Operation, read_order: Read[TradeOrder]
    ) -> tuple[Trade, bool]:
        """Open a trade at its entry price or, without one, at the symbol's fresh price.

        The second value says that the operation had made the trade before.
        """
        async with self._commanding(session_id) as ledger:
            if made := await self._made_before(session_id, operation):
                return await self.trade(made.trade.trade_id), True
            await ledger.prepare()
            while not self._trade_ids:
                await self._trade_ids.draw()
                await ledger.prepare()
            # No await from here on to the entry into the books: the price is one of this moment,
            # and every later one counts for the trade.
            trade = self._decide_opening(ledger.state, read_order())
            self._positions.add_opening(ledger)
            await ledger.record_trade(EventKind.OPENED, trade, operation)
            return trade, False

    def _decide_opening(self, state: SessionState, order: TradeOrder) -> Trade:
        session = state.session
        if not self._knows(order.symbol):
            raise BadRequest(f"symbol: the price feed does not know {order.symbol}", "symbol")
        if session.status is not SessionStatus.ACTIVE:
            raise Conflict(
                f"session {session.session_id} is {session.status}: opening needs ACTIVE",
                "sessionId",
            )
        if len(state.open_trades) >= self._max_open_trades:
            raise SessionFull(
                f"session {session.session_id} has {self._max_open_trades} open trades, which is"
                " all that it may have: close one first",
                "sessionId",
            )
        entry_price_e4 = order.entry_price_e4 or self._fresh_price_e4(order.symbol)
        check_levels(order.side, entry_price_e4, order.stop_loss_e4, order.target_e4)
        if (order.stop_loss_e4 or order.target_e4) and not self._reserve(order.symbol):
            # A stop that no price could ever reach would be worse than none.
            raise Conflict(
                f"symbol: no price of {order.symbol} can be held beside those that are in use, so "
                "no stopLoss or target could fire: open without them, or in another symbol",
                "symbol",
            )
        return Trade(
            trade_id=self._trade_ids.take(),
            session_id=session.session_id,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            entry_price_e4=entry_price_e4,
            stop_loss_e4=order.stop_loss_e4,
            target_e4=order.target_e4,
            opened_at_ms=self._market_now(),
        )

    async def close_trade(
        self, trade_id: int, operation: Operation, read_price_e4: Read[int | None]
    ) -> tuple[Trade, bool]:
        """Close a trade at a price or, without one, at the last known price, fresh or not."""
        known = await self.trade(trade_id)
        async with self._commanding(known.session_id) as ledger:
            if made := await self._made_before(known.session_id, operation):
                return await self.trade(made.trade.trade_id), True
            if trade_id not in ledger.state.open_trades and known.exit is None:
                await ledger.read_on()  # another server has opened it
            await ledger.prepare()
            # No await from here on: an exit that is latched comes first, and no price in between.
            price_e4 = read_price_e4()
            trade = ledger.state.open_trades.get(trade_id)
            if trade is None:
                raise AlreadyClosed(await self.trade(trade_id))
            closed = trade.closed(
                Exit(self._closing_price_e4(trade, price_e4), ExitReason.MANUAL, self._market_now())
            )
            await ledger.record_trade(EventKind.CLOSED, closed, operation)
            return closed, False

    # -- time and prices -------------------------------------------------------

    def on_quote(self, quote: Quote) -> None:
        """Latch the exits that an accepted price triggers; a stale price triggers none."""
        self._positions.on_quote(quote)

    async def roll_over(self) -> None:
        """Show the figures of the date in Asia/Kolkata, once that has changed.

        A session that fails to is tried again at the next call.
        """
        day = trading_day(self._market_now())
        if day > self._day:
            log.info("a new trading day began: %s", day)
        elif trading_day(self._market_now() + _CLOCK_WAS_AHEAD_MS) < self._day:
            log.warning("the clock was ahead: today is %s, not %s", day, self._day)
        else:
            day = self._day
        if day != self._day:
            self._day = day
            self._on_another_day = dict.fromkeys(self._ledgers.values())
        for count, ledger in enumerate(list(self._on_another_day), 1):
            with self._guard(f"the new day of session {ledger.session_id}"):
                ledger.begin_day(day)
                del self._on_another_day[ledger]
            if not count % _ROLLED_AT_ONCE:
                await asyncio.sleep(0)

    # -- life ------------------------------------------------------------------

    async def load(self) -> None:
        """Take up all sessions that the journal holds. Raises Unavailable, or NewerData."""
        deadline = asyncio.get_running_loop().time() + _LOAD_PATIENCE_S
        while True:
            try:
                states = await load_states(self._journal, self._day)
                break
            except Unavailable as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                log.warning("the sessions could not be read, and are read again: %s", error)
                await asyncio.sleep(_LOAD_PAUSE_S)
        for state in states:
            self._add(state)
        highest_session_id = max(self._ledgers, default=0)
        await self._journal.raise_counter("sessions", highest_session_id)
        await self._journal.raise_counter("trades", await self._journal.highest_trade_id())
        last = await self._journal.counter("sessions")
        newest = range(max(1, last - _LATE_SESSIONS), last + 1)
        self._late_session_ids = set(newest) - self._ledgers.keys()
        log.info("%d sessions with %d open trades", len(self._ledgers), self.open_count)

    async def watch_for_late_writes(self) -> None:
        """Find what a server that had the database before still writes, until cancelled.

        Its right to write has ended, but a write that was on its way may land at any time
        after: an event under the next number of its session, or a new session.
        """
        began = asyncio.get_running_loop().time()
        while True:
            soon = asyncio.get_running_loop().time() - began < _SOON_FOR_S
            with suppress(TimeoutError):
                async with asyncio.timeout(_SOON_S if soon else _LATER_S):
                    await self._met_another_writer.wait()
            self._met_another_writer.clear()
            with suppress(Unavailable):
                await self.read_late_writes()

    async def read_late_writes(self) -> None:
        """Take over what other servers have written since it was last looked for."""
        for session in await self._journal.sessions_among(sorted(self._late_session_ids)):
            log.warning("session %d was not made by this server", session.session_id)
            self._adopt(session)
            self._late_session_ids.discard(session.session_id)
        heads = {
            session_id: ledger.state.seq
            for session_id, ledger in self._ledgers.items()
            if ledger.state.session.status is not SessionStatus.STOPPED
        }
        async for events in read_on(self._journal, heads):
            for session_id in {event.session_id for event in events}:
                ledger = self._ledgers[session_id]
                async with ledger.turns.turn():
                    if ledger.is_settled:
                        await ledger.read_on()

    async def stop(self) -> None:
        """Let the writes in hand finish."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*(ledger.stop() for ledger in self._ledgers.values()))

    @asynccontextmanager
    async def _commanding(self, session_id: int) -> AsyncIterator[Ledger]:
        """A session's turn; `Ledger.prepare` is left to the command: it comes last."""
        ledger = self._ledger(session_id)
        ledger.require_settled()
        async with ledger.turns.turn():
            ledger.require_settled()
            yield ledger

    async def _made_before(self, session_id: int, operation: Operation) -> TradeEvent | None:
        if operation.is_fresh:
            return None
        event = await self._journal.find_event(session_id, operation.operation_id)
        if event is None:
            return None
        assert isinstance(event, TradeEvent), "only requests about trades carry a key"
        if not operation.matches(event.request_hash):
            trade = await self.trade(event.trade.trade_id)
            raise KeyReused(f"trade {trade.trade_id}", trade=trade)
        return event

    def _closing_price_e4(self, trade: Trade, price_e4: int | None) -> int:
        if price_e4 is not None:
            return price_e4
        quote = self._quote(trade.symbol)
        if quote is None:
            raise Conflict(f"no price of {trade.symbol} is known: give a price", "price")
        return quote.price_e4

    def _fresh_price_e4(self, symbol: str) -> int:
        quote = self._quote(symbol)
        if quote is None or quote.stale:
            last = f" (the last is as of {iso(quote.as_of_ms)})" if quote else ""
            what = "no fresh price" if quote else "no price"
            raise Conflict(f"{what} of {symbol} is known{last}: give entryPrice", "entryPrice")
        return quote.price_e4

    async def _insert(self, session: Session, operation: Operation) -> None:
        operation_id = operation.operation_id

        async def insert() -> None:
            await self._journal.create_session(session, operation_id, operation.request_hash)

        try:
            await insert()
        except (OutcomeUnknown, asyncio.CancelledError):
            task = asyncio.create_task(self._settle_session(session, insert))
            self._background.add(task)
            task.add_done_callback(self._background.discard)
            raise
        except Conflict:
            # The lost insert of an earlier attempt has landed; the next attempt will find it.
            raise Unavailable("an earlier attempt of this request is being settled") from None

    async def _settle_session(
        self, session: Session, insert: Callable[[], Awaitable[None]]
    ) -> None:
        """Follow an insert whose answer was lost until the session is known to be there."""
        while True:
            await asyncio.sleep(_SETTLE_SESSION_S)
            try:
                await insert()
            except Conflict:
                return  # a repetition under the same key made the session anew
            except Unavailable:
                continue
            self._adopt(session)
            return

    def _ledger(self, session_id: int) -> Ledger:
        ledger = self._ledgers.get(session_id)
        if ledger is None:
            raise NotFound(f"session {session_id} not found", "sessionId")
        return ledger

    def _adopt(self, session: Session) -> Ledger:
        """The session's ledger, made if the session is new here."""
        if ledger := self._ledgers.get(session.session_id):
            return ledger
        return self._add(state_of(session, Figures(), self._day))

    def _add(self, state: SessionState) -> Ledger:
        ledger = Ledger(
            state,
            self._journal,
            self._on_event,
            self._announce_state,
            self._met_another_writer.set,
        )
        self._ledgers[ledger.session_id] = ledger
        for trade in state.open_trades.values():
            self._positions.add(trade, ledger)
        return ledger

    def _on_event(self, event: Event, state: SessionState) -> None:
        if isinstance(event, TradeEvent):
            if event.kind is EventKind.OPENED:
                self._positions.add(event.trade, self._ledgers[event.session_id])
            else:
                self._positions.remove(event.trade)
        self._announce(event, state)


def _check_change(state: SessionState, status: SessionStatus | None) -> None:
    session_id = state.session.session_id
    if state.session.status is SessionStatus.STOPPED:
        raise Conflict(f"session {session_id} is STOPPED, which is final", "sessionId")
    if status is SessionStatus.STOPPED and state.open_trades:
        count = len(state.open_trades)
        words = f"session {session_id} has {count} open trades: close them first"
        raise Conflict(words, "status")
