"""Opens and closes trades: by request, and by prices that reach a stop or a target."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from vyomo_rt.clockwork import Guard
from vyomo_rt.domain.errors import (
    BadRequest,
    Conflict,
    KeyReused,
    NotFound,
    OutcomeUnknown,
    SessionFull,
    Unavailable,
)
from vyomo_rt.domain.moment import Clock, trading_day
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import Figures, Session, SessionState, SessionStatus
from vyomo_rt.domain.trade import (
    AlreadyClosed,
    EventKind,
    Exit,
    ExitReason,
    Trade,
    TradeEvent,
    TradeStatus,
    check_levels,
)
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.ledger import Announce, AnnounceState, Ledger
from vyomo_rt.trading.rebuilding import rebuild
from vyomo_rt.trading.turns import Turns
from vyomo_rt.wire.rest import NewSession, NewTrade

log = logging.getLogger(__name__)

_SETTLE_SESSION_S = 0.5
_TELL_EVERY_S = 2.0
_ROLLED_AT_ONCE = 100
_MANY_EVENTS = 100
"""Read at a start, so many are worth a checkpoint: they take longer to read than it to write."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A request that makes or closes something.

    ``key`` is the client's ``Idempotency-Key``; ``request_hash`` tells a
    repetition of the request from another request under the same key.
    """

    key: str | None
    request_hash: str

    @property
    def operation_id(self) -> str:
        return self.key if self.key is not None else str(uuid4())


class Desk:
    """All sessions in memory, rebuilt from the journal; the only writer of trade events."""

    def __init__(
        self,
        journal: Journal,
        *,
        now: Clock,
        quote: Callable[[str], Quote | None],
        knows: Callable[[str], bool],
        max_open_trades: int,
        announce: Announce,
        announce_state: AnnounceState,
    ) -> None:
        self._journal = journal
        self._now = now
        self._quote = quote
        self._knows = knows
        self._max_open_trades = max_open_trades
        self._announce = announce
        self._announce_state = announce_state
        self._ledgers: dict[int, Ledger] = {}
        self._open_by_symbol: dict[str, dict[int, Trade]] = {}
        self._open_by_id: dict[int, Trade] = {}
        self._creating = Turns()
        self._opening: set[Ledger] = set()
        self._day = trading_day(now())
        self._on_yesterday: dict[Ledger, None] = {}
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
        if found := self._open_by_id.get(trade_id):
            return found
        for ledger in self._ledgers.values():
            if waiting := ledger.find_unprojected(trade_id):
                return waiting
        stored = await self._journal.trade(trade_id)
        if stored is None:
            raise NotFound(f"trade {trade_id} not found")
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
        return len(self._open_by_id)

    @property
    def waiting_exits(self) -> int:
        """Exits that a price has triggered and the journal does not hold yet."""
        return sum(len(ledger.latched) for ledger in self._ledgers.values())

    # -- commands --------------------------------------------------------------

    async def create_session(
        self, operation: Operation, read_order: Callable[[], NewSession]
    ) -> tuple[SessionState, bool]:
        """Make a session; the second value says that the operation had made it before.

        As in the other commands, ``read_order`` is called only for a new
        operation: a repeated key is answered before anything else is checked.
        """
        async with self._creating.turn():
            if operation.key is not None:
                found = await self._journal.find_session(operation.key)
                if found is not None:
                    session, request_hash = found
                    _require_same(operation, request_hash)
                    return self._adopt(session).state, True
            order = read_order()
            session_id = await self._journal.next_id("sessions")
            session = Session(
                session_id=session_id,
                name=order.name or f"Session {session_id}",
                starting_capital_paise=order.starting_capital,
                created_at_ms=self._now(),
                epoch=secrets.token_hex(8),
            )
            await self._insert(session, operation)
            return self._adopt(session).state, False

    async def ensure_session(self, session_id: int, name: str, capital_paise: int) -> None:
        """Make the session of a given id unless it is there: the demo has a fixed one."""
        if session_id not in self._ledgers:
            session = Session(session_id, name, capital_paise, self._now(), secrets.token_hex(8))
            await self._journal.create_session(session, str(uuid4()), "")
            await self._journal.raise_counter("sessions", session_id)
            self._adopt(session)

    async def change_status(self, session_id: int, status: SessionStatus) -> SessionState:
        """Set a session's status. Raises Conflict where it may not change."""
        async with self._commanding(session_id) as ledger:
            session = ledger.state.session
            if status is session.status:
                return ledger.state
            if session.status is SessionStatus.STOPPED:
                raise Conflict(f"session {session_id} is STOPPED, which is final")
            if status is SessionStatus.STOPPED and ledger.state.open_trades:
                count = len(ledger.state.open_trades)
                raise Conflict(f"session {session_id} has {count} open trades: close them first")
            await ledger.change(session.with_status(status))
            return ledger.state

    async def open_trade(
        self, session_id: int, operation: Operation, read_order: Callable[[], NewTrade]
    ) -> tuple[Trade, bool]:
        """Open a trade at its entry price or, without one, at the symbol's fresh price.

        The second value says that the operation had made the trade before.
        """
        async with self._commanding(session_id) as ledger:
            if made := await self._made_before(session_id, operation):
                return await self.trade(made.trade.trade_id), True
            order = read_order()
            if not self._knows(order.symbol):
                raise BadRequest(f"symbol: the price feed does not know {order.symbol}")
            if ledger.state.session.status is not SessionStatus.ACTIVE:
                status = ledger.state.session.status
                raise Conflict(f"session {session_id} is {status}: opening needs ACTIVE")
            if len(ledger.state.open_trades) >= self._max_open_trades:
                raise SessionFull(
                    f"session {session_id} has {self._max_open_trades} open trades, which is all"
                    " that it may have: close one first"
                )
            entry_price_e4 = order.entry_price or self._fresh_price_e4(order.symbol)
            check_levels(order.side, entry_price_e4, order.stop_loss, order.target)
            trade = Trade(
                trade_id=await self._journal.next_id("trades"),
                session_id=session_id,
                symbol=order.symbol,
                side=order.side,
                quantity=order.quantity,
                entry_price_e4=entry_price_e4,
                stop_loss_e4=order.stop_loss,
                target_e4=order.target,
                opened_at_ms=self._now(),
            )
            self._opening.add(ledger)
            await ledger.record(
                EventKind.OPENED, trade, operation.operation_id, operation.request_hash
            )
            return trade, False

    async def close_trade(
        self, trade_id: int, operation: Operation, read_price_e4: Callable[[], int | None]
    ) -> tuple[Trade, bool]:
        """Close a trade at a price or, without one, at the last known price, fresh or not."""
        known = await self.trade(trade_id)
        async with self._commanding(known.session_id) as ledger:
            if made := await self._made_before(known.session_id, operation):
                return await self.trade(made.trade.trade_id), True
            await ledger.prepare()  # an exit may have become due during the look-up
            price_e4 = read_price_e4()
            trade = ledger.state.open_trades.get(trade_id)
            if trade is None:
                raise AlreadyClosed(await self.trade(trade_id))
            if price_e4 is None:
                quote = self._quote(trade.symbol)
                if quote is None:
                    raise Conflict(f"no price of {trade.symbol} is known: give a price")
                price_e4 = quote.price_e4
            closed = trade.closed(Exit(price_e4, ExitReason.MANUAL, self._now()))
            await ledger.record(
                EventKind.CLOSED, closed, operation.operation_id, operation.request_hash
            )
            return closed, False

    # -- time and prices -------------------------------------------------------

    def on_quote(self, quote: Quote) -> None:
        """Latch the exits that an accepted price triggers; a stale price triggers none."""
        if quote.stale:
            return
        for trade in self._open_by_symbol.get(quote.symbol, {}).values():
            self._latch_if_due(self._ledgers[trade.session_id], trade, quote.price_e4)
        for ledger in list(self._opening):
            if ledger.opening is None:
                self._opening.discard(ledger)
            elif ledger.opening.symbol == quote.symbol:
                self._latch_if_due(ledger, ledger.opening, quote.price_e4)

    async def roll_over(self) -> None:
        """Begin a new day's figures once the date in Asia/Kolkata has changed.

        A session that fails to is tried again at the next call.
        """
        day = trading_day(self._now())
        if day > self._day:
            self._day = day
            self._on_yesterday = dict.fromkeys(self._ledgers.values())
            log.info("a new trading day began: %s", day)
        for count, ledger in enumerate(list(self._on_yesterday), 1):
            with self._guard(f"the new day of session {ledger.state.session.session_id}"):
                ledger.begin_day(day)
                del self._on_yesterday[ledger]
            if not count % _ROLLED_AT_ONCE:
                await asyncio.sleep(0)

    # -- life ------------------------------------------------------------------

    async def load(self) -> None:
        """Rebuild every session from its newest checkpoint and the events after it."""
        sessions = await self._journal.load_sessions()
        told_at = time.monotonic()
        for session, checkpoint in sessions:
            if time.monotonic() - told_at > _TELL_EVERY_S:
                told_at = time.monotonic()
                log.info("%d of %d sessions are read", len(self._ledgers), len(sessions))
            state = await rebuild(self._journal, session, checkpoint)
            if state.seq - (checkpoint.seq if checkpoint else 0) >= _MANY_EVENTS:
                # Or every start would read them again, of each session there ever was.
                await self._journal.save_checkpoint(session.session_id, state.figures)
            self._add(state.on_day(self._day))
            for trade in state.open_trades.values():
                self._index(trade)
        highest = max((session.session_id for session, _ in sessions), default=0)
        await self._journal.raise_counter("sessions", highest)
        await self._journal.raise_counter("trades", await self._journal.highest_trade_id())
        log.info("%d sessions with %d open trades", len(sessions), len(self._open_by_id))

    async def stop(self) -> None:
        """Let the writes in hand finish."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*(ledger.stop() for ledger in self._ledgers.values()))

    @asynccontextmanager
    async def _commanding(self, session_id: int) -> AsyncIterator[Ledger]:
        """A session's turn: exits that are due come before any command."""
        ledger = self._ledger(session_id)
        ledger.require_settled()
        async with ledger.turns.turn():
            await ledger.prepare()
            yield ledger

    async def _made_before(self, session_id: int, operation: Operation) -> TradeEvent | None:
        if operation.key is None:
            return None
        event = await self._journal.find_event(session_id, operation.key)
        if event is not None:
            _require_same(operation, event.request_hash)
        return event

    def _latch_if_due(self, ledger: Ledger, trade: Trade, price_e4: int) -> None:
        reason = trade.exit_due(price_e4)
        if reason is not None and trade.trade_id not in ledger.latched:
            ledger.latched[trade.trade_id] = Exit(price_e4, reason, self._now())
            ledger.wake()

    def _fresh_price_e4(self, symbol: str) -> int:
        quote = self._quote(symbol)
        if quote is None or quote.stale:
            what = "no price" if quote is None else "no fresh price"
            raise Conflict(f"{what} of {symbol} is known: give entryPrice")
        return quote.price_e4

    async def _insert(self, session: Session, operation: Operation) -> None:
        operation_id = operation.operation_id

        async def insert() -> None:
            await self._journal.create_session(session, operation_id, operation.request_hash)

        try:
            await insert()
        except OutcomeUnknown:
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
            raise NotFound(f"session {session_id} not found")
        return ledger

    def _adopt(self, session: Session) -> Ledger:
        """The session's ledger, made if the session is new here."""
        if ledger := self._ledgers.get(session.session_id):
            return ledger
        return self._add(SessionState(session, Figures(seq=0, today=self._day), {}))

    def _add(self, state: SessionState) -> Ledger:
        ledger = Ledger(state, self._journal, self._on_event, self._announce_state)
        self._ledgers[state.session.session_id] = ledger
        return ledger

    def _on_event(self, event: TradeEvent, state: SessionState) -> None:
        trade = event.trade
        if event.kind is EventKind.OPENED:
            self._index(trade)
        else:
            self._open_by_id.pop(trade.trade_id, None)
            self._open_by_symbol[trade.symbol].pop(trade.trade_id, None)
        self._announce(event, state)

    def _index(self, trade: Trade) -> None:
        self._open_by_id[trade.trade_id] = trade
        self._open_by_symbol.setdefault(trade.symbol, {})[trade.trade_id] = trade


def _require_same(operation: Operation, request_hash: str) -> None:
    if operation.request_hash != request_hash:
        raise KeyReused("this Idempotency-Key was used for another request: use a new one")
