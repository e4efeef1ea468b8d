"""One session's writes, one after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from vyomo_rt.domain import decisions
from vyomo_rt.domain.decisions import Decided, Moment, blank_event, close, decide, entry_event
from vyomo_rt.domain.errors import NumberTaken, OutcomeUnknown, Unavailable, VyomoError
from vyomo_rt.domain.event import Event, EventKind, TradeEvent
from vyomo_rt.domain.halt import SessionChange
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.order import Operation
from vyomo_rt.domain.pace import Pace
from vyomo_rt.domain.pending import PendingEntry
from vyomo_rt.domain.session import ChangeReason
from vyomo_rt.domain.state import Priced, SessionState
from vyomo_rt.domain.trade import Exit, Trade
from vyomo_rt.ending import end
from vyomo_rt.trading.copying import Copying
from vyomo_rt.trading.fills import Fills
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.replica import Replica
from vyomo_rt.trading.turns import Turns
from vyomo_rt.trading.waiting import Waiting
from vyomo_rt.trading.write import Write, signed, signed_all

log = logging.getLogger(__name__)

CHECKPOINT_EVERY = 1000
_MOMENTS_A_WRITE = 100
_COPIES_A_TURN = 20
_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 1.0


class Ledger:
    """Writes a session's events in their order: save, then apply, then announce.

    Every command takes its turn in ``turns``. A write whose answer was lost, or whose command
    was cancelled, keeps its event numbers: it is repeated unchanged until the store confirms
    it, and until then no other write of the session may begin. A price that may decide something
    waits here with its moment, and so do all that come while something is being written: each is
    taken on the session as it was then, in their order and before any later command.
    """

    def __init__(
        self,
        session_id: int,
        replica: Replica,
        journal: Journal,
        *,
        applied: Callable[[Sequence[Event], Ledger], None],
        waits: Callable[[Ledger], None],
        pass_time: Callable[[], None],
        last_prices: Callable[[Ledger], dict[str, Priced]],
        fills: Fills,
        now: MarketClock,
        met_another_writer: Callable[[], None],
    ) -> None:
        self.session_id = session_id
        self.turns = Turns()
        self.pace = Pace()
        self.copying = Copying(journal)
        self.kept_seq: int | None = None
        """The event up to which the store is known to have a checkpoint."""
        self._replica = replica
        self._journal = journal
        self._applied = applied
        self._waits = waits
        self._pass_time = pass_time
        self._fills = fills
        self._now = now
        self._met_another_writer = met_another_writer
        self._moments = Waiting(lambda: last_prices(self))
        self._writing: Write | None = None
        self._unsettled: Write | None = None
        self._checkpoint_due = False
        self.worker: asyncio.Task[None] | None = None

    @property
    def state(self) -> SessionState:
        """The session as it is now."""
        return self._replica.state(self.session_id)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being done with it, and nothing is left to do."""
        at_rest = self.worker is None or self.worker.done()
        return at_rest and not (self.turns.users or self._has_work or self.pace.waiting)

    @property
    def is_settled(self) -> bool:
        """Whether the outcome of every earlier write is known."""
        return self._unsettled is None

    @property
    def is_writing(self) -> bool:
        """Whether the store may have events that are not applied yet."""
        return bool(self._writing or self._unsettled)

    @property
    def is_busy(self) -> bool:
        """Whether prices have to wait for what is being written."""
        # Asked of every session that a price may concern: without `is_writing`, which is a call.
        return bool(self._moments or self._writing or self._unsettled)

    @property
    def waiting(self) -> int:
        """Moments that wait to be decided, and events whose outcome is open."""
        return len(self._moments) + (len(self._unsettled.events) if self._unsettled else 0)

    def take(self, moment: Moment) -> None:
        """A price that may decide something, or the moment for which a move has waited."""
        self._moments.add(moment)
        self.wake()

    async def prepare(self) -> None:
        """Finish what must come before a command. Raises Unavailable if that is impossible.

        If nothing is awaited after it, no price is left to decide when the command is decided.
        """
        self.require_settled()
        await self._declare()
        self._pass_time()  # the timer may be late, and what is due acts before the command
        while self._moments:
            await self._decide()
            self._pass_time()

    @property
    def owes_declaration(self) -> bool:
        """Whether its first event, which tells its rules and charges, is still to be stored."""
        return self.state.seq == 0 and self.state.session.has_terms

    async def declare(self, at_ms: int | None) -> None:
        """Have the event stored that it owes, as of a moment or of now. Raises Unavailable."""
        if self.owes_declaration:
            async with self.turns.turn():
                self.require_settled()
                await self._declare(at_ms)

    async def _declare(self, at_ms: int | None = None) -> None:
        if self.owes_declaration:
            session = self.state.session
            at_ms = self._now() if at_ms is None else at_ms
            change = SessionChange(
                standing=session.standing, reason=ChangeReason.MANUAL, at_ms=at_ms
            )
            by_owner = replace(Operation.internal(), by=session.owner)
            await self.record_change(change, by_owner)

    def require_settled(self, operation: Operation | None = None) -> None:
        """Raise Unavailable while the outcome of an earlier write is open.

        OutcomeUnknown if it is that of this operation, which is asked for again.
        """
        if self._unsettled is not None:
            ids = {event.operation_id for event in self._unsettled.events}
            if operation and operation.operation_id in ids:
                raise OutcomeUnknown(
                    "the store has not yet answered an earlier attempt at this request; try again"
                )
            raise Unavailable(
                "the store has not yet answered an earlier write of this session; try again"
            )

    async def record_trade(
        self,
        kind: EventKind,
        trade: Trade,
        operation: Operation,
        entry: PendingEntry | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Make the session's next event of a trade that was opened, changed or closed in part.

        ``entry`` is the order that an opening fills at once, ``pace`` what a change leaves waiting.
        """
        event = blank_event(self.state, kind, trade, entry)
        await self._command([event], pace or self.pace, operation, kind)

    async def record_entry(
        self, kind: EventKind, entry: PendingEntry, operation: Operation
    ) -> None:
        """Make the session's next event of an order that was placed, changed or ended."""
        await self._command([entry_event(self.state, kind, entry)], self.pace, operation, kind)

    async def record_close(self, trade: Trade, exit_: Exit, operation: Operation) -> None:
        """Make the session's next events of a close by request."""
        decided = close(self.state, self.pace, trade, exit_, self._fills)
        await self._command(decided.events, decided.pace, operation, EventKind.CLOSED)

    async def record_reduction(self, reduced: Trade, operation: Operation) -> None:
        """Make the session's next events of a trade of which a request closed a part."""
        decided = decisions.reduce(self.state, self.pace, reduced, self._fills)
        await self._command(decided.events, decided.pace, operation, EventKind.REDUCED)

    async def record_change(self, change: SessionChange, operation: Operation) -> list[Event]:
        """Make the session's next events: a change of itself, and what follows at once."""
        decided = decisions.change(self.state, self.pace, change, self._fills)
        return await self._record_all(decided, operation)

    async def record_closes(self, at_ms: int, operation: Operation) -> list[Event]:
        """Make the session's next events: the close of each trade whose symbol has a price."""
        decided = decisions.close_all(self.state, self.pace, at_ms, self._fills)
        return await self._record_all(decided, operation)

    async def _record_all(self, decided: Decided, operation: Operation) -> list[Event]:
        """Store what a command decided that takes no key."""
        if not decided.events:
            return []
        term, shape = self._journal.term_of(self.session_id), self._journal.shape
        signed = signed_all(decided.events, operation, term, shape)
        await self._record(Write(signed, decided.pace, moments=0))
        await self._project()
        return signed

    async def _command(
        self, events: list[Event], pace: Pace, operation: Operation, own: EventKind
    ) -> None:
        """Store what a command decided; the first event of a kind is its own."""
        at = next(number for number, event in enumerate(events) if event.kind is own)
        signed = list(map(self._signed, events))
        signed[at] = self._signed(events[at], operation)
        await self._record(Write(signed, pace, moments=0))
        await self._project()

    def _signed(self, event: Event, operation: Operation | None = None) -> Event:
        term = self._journal.term_of(self.session_id)
        return signed(event, operation or Operation.internal(), term, self._journal.shape)

    async def _record(self, write: Write) -> None:
        """Store events, then apply and announce them. Raises Unavailable.

        It may be cancelled at any time; the events are then settled as if the answer was lost.
        """
        self._writing = left = write
        try:
            while True:
                await self._journal.append(left.first)
                if not left.rest:
                    break
                left = self._begun(left)
        except (OutcomeUnknown, asyncio.CancelledError):
            self._unsettled = left
            self.wake()
            raise
        except NumberTaken:
            await self.read_on()
            raise
        except BaseException as error:
            if left is write:
                raise
            self._unsettled = left  # what has begun is finished, and not decided anew
            self.wake()
            raise OutcomeUnknown("a beginning of it is stored, and the rest follows") from error
        else:
            self._finish(left)
        finally:
            self._writing = None

    def _begun(self, write: Write) -> Write:
        """The first part of the events is stored; returns the rest."""
        self._apply(write.first)
        return write.rest_of_it()

    def _finish(self, write: Write) -> None:
        """The events are stored."""
        has_changed = self.pace.waiting != write.pace.waiting
        self.pace = write.pace
        self._moments.remove_first(write.moments)
        if write.events:
            self._apply(write.events)
        if has_changed:
            self._waits(self)

    async def keep(self) -> None:
        """Have a checkpoint as of the newest event. Raises Unavailable."""
        if self.kept_seq != self.state.seq:
            async with self.turns.turn():
                state = self.state
                await self._journal.save_checkpoint(state.session, state.figures)
                self.kept_seq = state.seq

    def wake(self) -> None:
        """Do in the background what a price triggered, or what the store could not take."""
        if self.worker is None or self.worker.done():
            self.worker = asyncio.create_task(self._work_off())

    async def stop(self) -> None:
        """Give work in progress a moment, then leave the rest to the next start."""
        if self.worker is not None and not self.worker.done():
            await asyncio.wait([self.worker], timeout=0.5)
            await end(self.worker)

    def abandon(self) -> None:
        """Leave the rest to the node that has taken the session over."""
        if self.worker is not None:
            self.worker.cancel()

    async def settle(self) -> None:
        """Repeat the write whose answer was lost: it can exist only once. Call this in a turn."""
        while (write := self._unsettled) is not None:
            try:
                await self._journal.append(write.first)
            except NumberTaken:
                # Another event has its number, so this one can never be stored. What a price
                # decided is decided anew: its moment still waits.
                self._unsettled = None
                await self.read_on()
            else:
                self._unsettled = self._begun(write) if write.rest else None
                if not write.rest:
                    self._finish(write)

    async def read_on(self) -> None:
        """Take over events in the journal that are not yet applied: the journal is the truth.

        They are late writes of a former owner of the database. Call this in the session's
        turn, in which no write of its own is on its way.
        """
        while events := await self._journal.events(self.session_id, self.state.seq):
            for event in events:
                if event.term != self._journal.term_of(self.session_id):
                    self._met_another_writer()
                    name = f"event {event.session_id}-{event.seq}"
                    log.warning("%s was not written by this server (term %d)", name, event.term)
            self._apply(events)
        if self.copying.behind:
            self.wake()

    def _apply(self, events: Sequence[Event]) -> None:
        self._replica.apply(events)
        for event in events:
            self.copying.add(event)
            if isinstance(event, TradeEvent) and event.trade.exit is not None:
                self._forget(event.trade.trade_id)
        self._checkpoint_due |= any(event.seq % CHECKPOINT_EVERY == 0 for event in events)
        self._applied(events, self)

    def _forget(self, trade_id: int) -> None:
        """Another server may have closed a trade of which a move waits."""
        if trade_id in self.pace.waiting:
            self.pace = self.pace.without(trade_id)

    async def _project(self) -> None:
        """The event is stored and announced: a failure here is repaired later, not reported."""
        if self.copying.behind > 2:
            self.wake()  # a mass of exits went before: nobody has to wait for their copies
            return
        try:
            await self.copying.flush()
            await self._save_checkpoint()
        except asyncio.CancelledError:
            self.wake()
            raise
        except Unavailable:
            self.turns.give_up()
            self.wake()

    async def _save_checkpoint(self) -> None:
        """If it is time for one. A start takes what is open at a checkpoint from the copies."""
        if self._checkpoint_due and not self.copying.behind:
            await self._journal.save_checkpoint(self.state.session, self.state.figures)
            self._checkpoint_due = False

    async def _decide(self) -> None:
        """Take the moments that wait, and store what they decide; more may come meanwhile."""
        while self._moments:
            if pending := self.state.pending:
                await self._fills.get_ready(len(pending))
            moments = self._moments.first(_MOMENTS_A_WRITE)
            decided = decide(self.state, self.pace, moments, self._fills, self._moments.prices.get)
            # Copies later: what prices decide comes first, and then the commands that wait.
            write = Write([*map(self._signed, decided.events)], decided.pace, len(moments))
            if write.events:
                await self._record(write)
            else:
                self._finish(write)

    @property
    def _has_work(self) -> bool:
        waits = self._unsettled or self._moments or self.owes_declaration
        return bool(waits or self.copying.behind or self._checkpoint_due)

    async def _work_off(self) -> None:
        retry_s = _FIRST_RETRY_S
        while self._has_work:
            try:
                async with self.turns.turn():
                    await self.settle()
                    await self._declare()
                    await self._decide()
                    await self.copying.flush(_COPIES_A_TURN)
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
