"""One session in memory: its state, and the single line in which its writes stand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import date
from uuid import uuid4

from vyomo_rt.domain.errors import NumberTaken, OutcomeUnknown, Unavailable, VyomoError
from vyomo_rt.domain.session import Session, SessionState
from vyomo_rt.domain.trade import EventKind, Exit, Trade, TradeEvent
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.turns import Turns
from vyomo_rt.wire.messages import trade_event_message

log = logging.getLogger(__name__)

CHECKPOINT_EVERY = 1000
_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 1.0

Announce = Callable[[TradeEvent, SessionState], None]
AnnounceState = Callable[[SessionState], None]


class Ledger:
    """Writes a session's events one at a time: save, then apply, then announce.

    Every command takes its turn in ``turns``. A write whose answer was lost keeps its
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
        self.turns = Turns()
        self.latched: dict[int, Exit] = {}
        self.opening: Trade | None = None
        """A trade that is being stored: prices count for it from its opening on."""
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
        if kind is EventKind.OPENED:
            self.opening = trade
        try:
            await self._write(lambda: self._journal.append(event), lambda: self._apply(event))
        except NumberTaken:
            await self._read_on()
            raise
        finally:
            if self._unsettled is None:
                self._forget_opening()
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

    @property
    def behind(self) -> bool:
        """Whether a readable copy is still to be written."""
        return bool(self._unprojected)

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
            try:
                await write()
            except NumberTaken:
                # Another event has its number, so this one can never be. An exit comes again.
                self._unsettled = None
                self._forget_opening()
                await self._read_on()
                return
            self._unsettled = None
            apply()
            self._forget_opening()

    def _forget_opening(self) -> None:
        """The opening is decided; an exit that waited for a trade that never came goes too."""
        if self.opening is not None:
            if self.opening.trade_id not in self.state.open_trades:
                self.latched.pop(self.opening.trade_id, None)
            self.opening = None

    async def _read_on(self) -> None:
        """Take over events that are in the journal but not from here: the journal is the truth.

        Such a one is a write of a server that was killed, landing late.
        """
        session_id = self.state.session.session_id
        for event in await self._journal.events(session_id, self.state.seq):
            log.warning(
                "session %d: event %d was not written by this server", session_id, event.seq
            )
            self._apply(event)

    def _apply(self, event: TradeEvent) -> None:
        self.state = self.state.after(event)
        self._unprojected[event.seq] = event
        if event.kind is EventKind.CLOSED:
            self.latched.pop(event.trade.trade_id, None)
        try:
            self._announce(event, self.state)
        except Exception:
            # It is stored, so it has happened, whatever became of telling it.
            log.exception("event %d-%d could not be told", event.session_id, event.seq)

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
            self.turns.give_up()
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
                async with self.turns.turn():
                    await self._settle()
                    await self._close_latched()
                    await self.flush()
            except Exception as error:
                # Also what nobody expected: this work must be done in the end.
                if retry_s == _FIRST_RETRY_S:
                    known = isinstance(error, VyomoError)
                    session_id = self.state.session.session_id
                    what = "waits for the store" if known else "failed and is repeated"
                    log.warning("session %d: a write %s", session_id, what, exc_info=not known)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _LAST_RETRY_S)
            else:
                retry_s = _FIRST_RETRY_S
