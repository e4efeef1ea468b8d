"""One session in memory: its state, and the single line in which its writes stand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import date
from uuid import uuid4

from vyomo_rt.domain.errors import OutcomeUnknown, Unavailable, VyomoError
from vyomo_rt.domain.session import Session, SessionState
from vyomo_rt.domain.trade import EventKind, Exit, Trade, TradeEvent
from vyomo_rt.trading.journal import Journal
from vyomo_rt.wire.messages import trade_event_message

log = logging.getLogger(__name__)

CHECKPOINT_EVERY = 1000
_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 1.0

Announce = Callable[[TradeEvent, SessionState], None]
AnnounceState = Callable[[SessionState], None]


class Ledger:
    """Writes a session's events one at a time: save, then apply, then announce.

    Hold ``lock`` around every command. A write whose answer was lost keeps its
    event number: it is repeated as it was until the store says that it is there,
    and until then no other write of the session may begin. Exits that prices
    have triggered are latched here with their price, reason and time, and come
    before any command.
    """

    def __init__(
        self,
        state: SessionState,
        journal: Journal,
        announce: Announce,
        announce_state: AnnounceState,
    ) -> None:
        self.state = state
        self.lock = asyncio.Lock()
        self.latched: dict[int, Exit] = {}
        self._journal = journal
        self._announce = announce
        self._announce_state = announce_state
        self._unsettled: tuple[Callable[[], Awaitable[None]], Callable[[], None]] | None = None
        self._unprojected: dict[int, TradeEvent] = {}
        self._worker: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """What comes before a command: finish what is due. Raises Unavailable if it can't."""
        self.require_settled()
        await self._close_latched()

    def require_settled(self) -> None:
        """Raise Unavailable while the outcome of an earlier write is open."""
        if self._unsettled is not None:
            raise Unavailable(
                "the store has not yet answered an earlier write of this session; try again"
            )

    async def record(
        self, kind: EventKind, trade: Trade, operation_id: str, request_hash: str
    ) -> None:
        """Make the session's next event of a trade that was opened or closed."""
        seq = self.state.seq + 1
        event = TradeEvent(
            session_id=trade.session_id,
            seq=seq,
            kind=kind,
            message=trade_event_message(kind, trade, seq),
            trade=trade,
            operation_id=operation_id,
            request_hash=request_hash,
        )
        await self._write(lambda: self._journal.append(event), lambda: self._apply(event))
        await self._project()

    async def change(self, session: Session) -> None:
        """Save a new status of the session and tell everybody."""
        await self._write(
            lambda: self._journal.save_status(session), lambda: self._apply_session(session)
        )

    def begin_day(self, day: date) -> None:
        """Roll the day's figures over and tell everybody."""
        state = self.state.on_day(day)
        if state is not self.state:
            self.state = state
            self._announce_state(state)

    async def flush(self) -> None:
        """Bring the readable copies up to date. Raises Unavailable if that fails."""
        for event in list(self._unprojected.values()):
            await self._journal.save_trade(event.trade, event.seq)
            del self._unprojected[event.seq]

    def find_unprojected(self, trade_id: int) -> Trade | None:
        """A trade whose newest readable copy is still to be written."""
        events = reversed(self._unprojected.values())
        return next((event.trade for event in events if event.trade.trade_id == trade_id), None)

    def wake(self) -> None:
        """Work off, in the background, what a price or a store that was away left to do."""
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work_off())

    async def stop(self) -> None:
        """Give the work in hand a moment, then leave the rest to the next start."""
        if self._worker is not None and not self._worker.done():
            await asyncio.wait([self._worker], timeout=0.5)
            self._worker.cancel()
            await asyncio.wait([self._worker])

    async def _write(self, write: Callable[[], Awaitable[None]], apply: Callable[[], None]) -> None:
        try:
            await write()
        except OutcomeUnknown:
            self._unsettled = (write, apply)
            self.wake()
            raise
        apply()

    async def _settle(self) -> None:
        """Repeat the write whose answer was lost: it can exist only once."""
        if self._unsettled is not None:
            write, apply = self._unsettled
            await write()
            self._unsettled = None
            apply()

    def _apply(self, event: TradeEvent) -> None:
        self.state = self.state.after(event)
        self._unprojected[event.seq] = event
        if event.kind is EventKind.CLOSED:
            self.latched.pop(event.trade.trade_id, None)
        self._announce(event, self.state)

    def _apply_session(self, session: Session) -> None:
        self.state = self.state.with_session(session)
        self._announce_state(self.state)

    async def _project(self) -> None:
        """The event is stored and told: a failure here is mended later, not reported."""
        try:
            await self.flush()
            if self.state.seq % CHECKPOINT_EVERY == 0:
                await self._journal.save_checkpoint(
                    self.state.session.session_id, self.state.figures
                )
        except Unavailable:
            self.wake()

    async def _close_latched(self) -> None:
        for trade_id, exit_ in list(self.latched.items()):
            trade = self.state.open_trades.get(trade_id)
            if trade is None:
                self.latched.pop(trade_id, None)
            else:
                await self.record(EventKind.CLOSED, trade.closed(exit_), str(uuid4()), "")

    async def _work_off(self) -> None:
        retry_s = _FIRST_RETRY_S
        while self._unsettled is not None or self.latched or self._unprojected:
            try:
                async with self.lock:
                    await self._settle()
                    await self._close_latched()
                    await self.flush()
            except VyomoError as error:
                if retry_s == _FIRST_RETRY_S:
                    session_id = self.state.session.session_id
                    log.warning("session %d: a write waits for the store: %s", session_id, error)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _LAST_RETRY_S)
            else:
                retry_s = _FIRST_RETRY_S
