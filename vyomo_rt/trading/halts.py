"""The kill switch: halts sessions, and closes everything in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace

from vyomo_rt.domain.errors import Conflict, OutcomeUnknown, VyomoError
from vyomo_rt.domain.event import Event, EventKind, SessionEvent, TradeEvent
from vyomo_rt.domain.grant import Grant
from vyomo_rt.domain.halt import Halted, HaltOrder, SessionChange
from vyomo_rt.domain.moment import MarketClock
from vyomo_rt.domain.order import Operation, Read
from vyomo_rt.domain.session import ChangeReason, SessionStatus
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import ExitDetail, ExitReason
from vyomo_rt.trading.journal import Journal
from vyomo_rt.trading.ledger import Ledger
from vyomo_rt.trading.repeated import Turn
from vyomo_rt.trading.replica import Replica


class Halts:
    """Decides the halt of a session, its ends and its closes in one step, stored in this order.

    What was not stored when the process died follows from the session's state: a halt goes on.
    """

    def __init__(
        self,
        journal: Journal,
        replica: Replica,
        turn: Turn,
        decides: Callable[[int], bool],
        now: MarketClock,
    ) -> None:
        self._journal = journal
        self._replica = replica
        self._decides = decides
        self._turn = turn
        self._now = now

    async def close_all(
        self, session_id: int, operation: Operation, read_order: Read[HaltOrder]
    ) -> Halted:
        """Close all trades of a session and, if the order says so, halt it before."""
        async with self._turn(session_id, operation) as turn:
            if isinstance(turn, Event):
                return await self._done_before(turn)
            await turn.prepare()
            order = read_order()
            if order.halt:
                _require_lasting(turn)
                events = await self._halt(turn, order, operation)
            else:
                events = await turn.record_closes(self._now(), operation)
            return _halted(turn.state, events)

    async def halt(
        self, grant: Grant, operation: Operation, read_order: Read[HaltOrder]
    ) -> list[Halted]:
        """Halt all sessions that a grant reaches, and close all in them if the order says so.

        With several nodes, those about which this one decides.

        Each is halted whatever becomes of the others. Raises OutcomeUnknown if some could not be,
        and Unavailable if this process stood still: others may decide about them by now.
        """
        self._journal.require_right()
        order = read_order()
        reached = [
            state.session.session_id
            for state in self._replica.states()
            if state.session.status is not SessionStatus.STOPPED
            and self._decides(state.session.session_id)
            and grant.reaches(state.session.session_id, state.session.owner)
        ]
        found = await asyncio.gather(
            *(self._halt_one(id_, order, operation) for id_ in reached), return_exceptions=True
        )
        failed: list[str] = []
        halted: list[Halted] = []
        for session_id, each in zip(reached, found, strict=True):
            if isinstance(each, VyomoError):
                failed.append(str(session_id))
            elif isinstance(each, BaseException):
                raise each
            elif each is not None:
                halted.append(each)
        if failed:
            words = f"sessions {', '.join(failed)} may or may not be halted; try again"
            raise OutcomeUnknown(words)
        return halted

    async def _halt_one(
        self, session_id: int, order: HaltOrder, operation: Operation
    ) -> Halted | None:
        """None for a session that was stopped meanwhile."""
        async with self._turn(session_id, operation) as turn:
            if isinstance(turn, Event):
                done = await self._done_before(turn)
            else:
                await turn.prepare()
                if turn.state.session.status is SessionStatus.STOPPED:
                    return None
                events = await self._halt(turn, order, operation)
                done = _halted(turn.state, events)
            return done if order.close_all else Halted(session_id, [], {})

    async def _halt(self, ledger: Ledger, order: HaltOrder, operation: Operation) -> list[Event]:
        """Nothing is awaited before the halt is decided; there is no event if nothing changes."""
        before = ledger.state.session.standing
        reason = ChangeReason.KILL if order.close_all else ChangeReason.MANUAL
        was_killed = before.status_reason is ChangeReason.KILL
        if before.status is SessionStatus.HALTED and (before.status_reason is reason or was_killed):
            return []
        standing = before.with_status(SessionStatus.HALTED, reason)
        if order.close_all:
            standing = replace(standing, closing=ExitDetail.KILL)
        change = SessionChange(
            standing=standing, reason=reason, at_ms=self._now(), detail=order.detail
        )
        return await ledger.record_change(change, operation)

    async def _done_before(self, made: Event) -> Halted:
        """What an earlier attempt has closed, and whoever went on with it, and what is open still.

        The answer to that attempt was lost between two nodes.
        """
        state, events, seq = self._replica.state(made.session_id), [made], made.seq
        kinds = [EventKind.OPENED, EventKind.CLOSED]
        while more := await self._journal.events_of(made.session_id, seq, state.seq, kinds):
            events += more
            seq = more[-1].seq
        parts = [event for event in events if _is_part_of(event, made)]
        opened_since = {
            event.trade.trade_id
            for event in events
            if isinstance(event, TradeEvent) and event.kind is EventKind.OPENED
        }
        return _halted(state, parts, opened_since)


def _is_part_of(event: Event, made: Event) -> bool:
    """Whether a close is part of what a request has begun with an event."""
    exit_ = event.trade.exit if isinstance(event, TradeEvent) else None
    if exit_ is None or exit_.reason is not ExitReason.MANUAL:
        return False
    if isinstance(made, SessionEvent):
        return exit_.detail is ExitDetail.KILL
    return exit_.at_ms == made.at_ms


def _halted(state: SessionState, events: list[Event], opened_since: Collection[int] = ()) -> Halted:
    """What these events closed, and what is open still, without what was opened since."""
    closed = [
        event.trade.trade_id
        for event in events
        if isinstance(event, TradeEvent) and not event.trade.is_open
    ]
    failed = {
        trade_id: Conflict(f"no price of {trade.symbol} is known", "tradeId")
        for trade_id, trade in sorted(state.open_trades.items())
        if trade_id not in opened_since
    }
    return Halted(state.session.session_id, closed, failed)


def _require_lasting(ledger: Ledger) -> None:
    if ledger.state.session.status is SessionStatus.STOPPED:
        words = f"session {ledger.session_id} is STOPPED, which is final"
        raise Conflict(words, "sessionId")
