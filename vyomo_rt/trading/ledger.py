"""One session's writes, one after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from vyomo_rt.domain.errors import NumberTaken, OutcomeUnknown, Unavailable, VyomoError
from vyomo_rt.domain.event import Event, EventKind, SessionEvent, TradeEvent
from vyomo_rt.domain.order import Operation
from vyomo_rt.domain.pending import PendingEntry
from vyomo_rt.domain.session import ChangeReason, Standing
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import Exit, Trade
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.replica import Replica
from vyomo_rt.trading.turns import Turns
from vyomo_rt.wire.event import event_message

R = TypeVar("R", Trade, PendingEntry)

log = logging.getLogger(__name__)

CHECKPOINT_EVERY = 1000
_COPIES_A_TURN = 20
_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 1.0


class Ledger:
    """Writes a session's events one at a time: save, then apply, then announce.

    Every command takes its turn in ``turns``. A write whose answer was lost, or whose command
    was cancelled, keeps its event number: it is repeated unchanged until the store confirms
    it, and until then no other write of the session may begin. Exits that prices
    have triggered are latched here with their price, reason and time, and come
    before any command.
    """

    def __init__(
        self,
        session_id: int,
        replica: Replica,
        journal: Journal,
        *,
        applied: Callable[[Event, Ledger], None],
        met_another_writer: Callable[[], None],
    ) -> None:
        self.session_id = session_id
        self.turns = Turns()
        self.latched: dict[int, Exit] = {}
        self.kept_seq: int | None = None
        """The event up to which the store is known to have a checkpoint."""
        self.opening: Trade | None = None
        """A trade whose opening is being stored: prices already count for it."""
        self._replica = replica
        self._journal = journal
        self._applied = applied
        self._met_another_writer = met_another_writer
        self._unsettled: Event | None = None
        self._unprojected: dict[int, Event] = {}
        self._checkpoint_due = False
        self._worker: asyncio.Task[None] | None = None

    @property
    def state(self) -> SessionState:
        """The session as it is now."""
        return self._replica.state(self.session_id)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being done with it, and nothing is left to do."""
        at_rest = self._worker is None or self._worker.done()
        return at_rest and not (self.turns.users or self._has_work)

    @property
    def is_settled(self) -> bool:
        """Whether the outcome of every earlier write is known."""
        return self._unsettled is None

    async def prepare(self) -> None:
        """Finish what must come before a command. Raises Unavailable if that is impossible.

        If nothing is awaited after it, no exit is latched when the command is decided.
        """
        self.require_settled()
        await self._close_latched()

    def require_settled(self, operation: Operation | None = None) -> None:
        """Raise Unavailable while the outcome of an earlier write is open.

        OutcomeUnknown if it is that of this operation, which is asked for again.
        """
        if self._unsettled is not None:
            is_its_own = operation and self._unsettled.operation_id == operation.operation_id
            if is_its_own:
                raise OutcomeUnknown(
                    "the store has not yet answered an earlier attempt at this request; try again"
                )
            raise Unavailable(
                "the store has not yet answered an earlier write of this session; try again"
            )

    async def record_trade(self, kind: EventKind, trade: Trade, operation: Operation) -> None:
        """Make the session's next event of a trade that was opened or closed."""
        if kind is EventKind.OPENED:
            self.opening = trade
        await self._record(self._trade_event(kind, trade, operation))
        await self._project()

    def _trade_event(self, kind: EventKind, trade: Trade, operation: Operation) -> TradeEvent:
        return TradeEvent(**self._head(kind, operation), trade=trade)

    async def record_change(
        self, standing: Standing, reason: ChangeReason, at_ms: int, operation: Operation
    ) -> None:
        """Make the session's next event of a change of the session itself."""
        await self._record(
            SessionEvent(
                **self._head(EventKind.SESSION_CHANGED, operation),
                standing=standing,
                reason=reason,
                changed_at_ms=at_ms,
            )
        )
        await self._project()

    def _head(self, kind: EventKind, operation: Operation) -> dict[str, Any]:
        """The members that all events have, of the session's next one."""
        return {
            "session_id": self.session_id,
            "seq": self.state.seq + 1,
            "kind": kind,
            "message": "",
            "operation_id": operation.operation_id,
            "request_hash": operation.request_hash,
            "by": operation.by,
            "term": self._journal.term,
        }

    async def _record(self, event: Event) -> None:
        """Store an event that has no text yet, then apply and announce it. Raises Unavailable.

        It may be cancelled at any time; the event is then settled as if its answer was lost.
        """
        event = replace(event, message=event_message(event))
        try:
            await self._journal.append(event)
        except (OutcomeUnknown, asyncio.CancelledError):
            self._unsettled = event
            self.wake()
            raise
        except NumberTaken:
            self._forget_opening()
            await self.read_on()
            raise
        except BaseException:
            self._forget_opening()
            raise
        self._apply(event)
        self._forget_opening()

    async def flush(self, at_most: int | None = None) -> None:
        """Bring the readable copies up to date, or some of them. Raises Unavailable."""
        for event in list(self._unprojected.values())[:at_most]:
            for record in event.records:
                await self._journal.save_copy(record, event.seq)
            del self._unprojected[event.seq]

    async def keep(self) -> None:
        """Have a checkpoint as of the newest event. Raises Unavailable."""
        if self.kept_seq != self.state.seq:
            async with self.turns.turn():
                state = self.state
                await self._journal.save_checkpoint(state.session, state.figures)
                self.kept_seq = state.seq

    @property
    def behind(self) -> bool:
        """Whether a readable copy is still to be written."""
        return bool(self._unprojected)

    def find_unprojected(self, kind: type[R], id_: int) -> R | None:
        """A record whose newest readable copy is still to be written."""
        for event in reversed(self._unprojected.values()):
            for record in event.records:
                if isinstance(record, kind) and record.record_id == id_:
                    return record
        return None

    def wake(self) -> None:
        """Do in the background what a price triggered, or what the store could not take."""
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work_off())

    async def stop(self) -> None:
        """Give work in progress a moment, then leave the rest to the next start."""
        if self._worker is not None and not self._worker.done():
            await asyncio.wait([self._worker], timeout=0.5)
            self._worker.cancel()
            await asyncio.wait([self._worker])

    async def _settle(self) -> None:
        """Repeat the write whose answer was lost: it can exist only once."""
        if (event := self._unsettled) is None:
            return
        try:
            await self._journal.append(event)
        except NumberTaken:
            # Another event has its number, so this one can never be stored. An exit comes again.
            self._unsettled = None
            self._forget_opening()
            await self.read_on()
        else:
            self._unsettled = None
            self._apply(event)
            self._forget_opening()

    def _forget_opening(self) -> None:
        """The opening is decided; drop an exit that waited for a trade that never came."""
        if self.opening is not None:
            if self.opening.trade_id not in self.state.open_trades:
                self.latched.pop(self.opening.trade_id, None)
            self.opening = None

    async def read_on(self) -> None:
        """Take over events in the journal that are not from here: the journal is the truth.

        They are late writes of a former owner of the database. Call this in the session's
        turn, in which no write of its own is on its way.
        """
        while events := await self._journal.events(self.session_id, self.state.seq):
            self._met_another_writer()
            for event in events:
                name = f"event {event.session_id}-{event.seq}"
                log.warning("%s was not written by this server (term %d)", name, event.term)
                self._apply(event)
                self._forget_opening()
        if self._unprojected:
            self.wake()

    def _apply(self, event: Event) -> None:
        self._replica.apply(event)
        self._applied(event, self)
        if event.records:
            self._unprojected[event.seq] = event
        if isinstance(event, TradeEvent) and event.trade.exit is not None:
            self.latched.pop(event.trade.trade_id, None)
        self._checkpoint_due |= event.seq % CHECKPOINT_EVERY == 0

    async def _project(self) -> None:
        """The event is stored and announced: a failure here is repaired later, not reported."""
        if len(self._unprojected) > 1:
            self.wake()  # a mass of exits went before: nobody has to wait for their copies
            return
        try:
            await self.flush()
            await self._save_checkpoint()
        except asyncio.CancelledError:
            self.wake()
            raise
        except Unavailable:
            self.turns.give_up()
            self.wake()

    async def _save_checkpoint(self) -> None:
        """If it is time for one. A start takes what is open at a checkpoint from the copies."""
        if self._checkpoint_due and not self._unprojected:
            await self._journal.save_checkpoint(self.state.session, self.state.figures)
            self._checkpoint_due = False

    async def _close_latched(self) -> None:
        # Others may be latched while one is written; they too come before a command.
        while self.latched:
            trade_id, exit_ = next(iter(self.latched.items()))
            trade = self.state.open_trades.get(trade_id)
            if trade is None:
                self.latched.pop(trade_id, None)
            else:
                operation = Operation.internal()
                # Copies later: the exits come first, and then the commands that wait for them.
                await self._record(
                    self._trade_event(EventKind.CLOSED, trade.closed(exit_), operation)
                )

    @property
    def _has_work(self) -> bool:
        is_behind = self.behind or self._checkpoint_due
        return self._unsettled is not None or bool(self.latched) or is_behind

    async def _work_off(self) -> None:
        retry_s = _FIRST_RETRY_S
        while self._has_work:
            try:
                async with self.turns.turn():
                    await self._settle()
                    await self._close_latched()
                    await self.flush(_COPIES_A_TURN)
                    await self._save_checkpoint()
            except Exception as error:
                # Even for unexpected errors: this work must be done in the end.
                if retry_s == _FIRST_RETRY_S:
                    known = isinstance(error, VyomoError)
                    what = "waits for the store" if known else "failed and is repeated"
                    log.warning("session %d: a write %s", self.session_id, what, exc_info=not known)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _LAST_RETRY_S)
            else:
                retry_s = _FIRST_RETRY_S
