"""What a price or the clock makes of a session: one function, live and wherever it is re-run.

A tick is taken in this order: the moment's turn of the clock; stops and targets of the trades
open before it, by id; the rules on the session's result; the guards of what is still open, by
id; pending entries, by id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from vyomo_rt.domain.charges import Charge
from vyomo_rt.domain.errors import Unavailable, VyomoError
from vyomo_rt.domain.event import Event, EventKind, OrderEvent, SessionEvent, TradeEvent
from vyomo_rt.domain.halt import SessionChange
from vyomo_rt.domain.moment import SECOND_MS, trading_day
from vyomo_rt.domain.pace import Pace
from vyomo_rt.domain.pending import Ending, EndReason, Fill, PendingEntry
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.ruling import CLOSING, armed, tripped
from vyomo_rt.domain.session import ChangeReason, SessionStatus
from vyomo_rt.domain.square_off import SquareOffMs, due_ms
from vyomo_rt.domain.state import LastPrices, Priced, SessionState
from vyomo_rt.domain.trade import Exit, ExitDetail, ExitReason, Trade
from vyomo_rt.domain.trailing import Move, move_at


class Moment(NamedTuple):
    """A moment of the market and, if it is a tick's, the fresh price of a symbol then.

    ``last`` are the prices known before it: of the clock's moments, those at which a square-off
    closes.
    """

    at_ms: int
    symbol: str | None = None
    price_e4: int = 0
    is_stale: bool = False
    """Then it decides nothing but the closes that a halt began."""
    last: Mapping[str, Quote] = MappingProxyType({})


class LastPrice(NamedTuple):
    """The last known price of a symbol, as of some moment."""

    price_e4: int
    stale: bool


NewDayMs = Callable[[int], int]
"""When the next trading date after a moment begins."""


class Surroundings(Protocol):
    """What decisions need to know that no event of the session tells."""

    charge: Charge
    square_off_ms: SquareOffMs
    last_price: LastPrices
    new_day_ms: NewDayMs

    def open_entry(self, state: SessionState, entry: PendingEntry, moment: Moment) -> Trade:
        """The trade that an entry becomes. Raises VyomoError if a rule forbids it."""


class Decided(NamedTuple):
    """The events that follow, numbered but for the rest blank; what they make of the session."""

    events: list[Event]
    state: SessionState
    pace: Pace


def decide(
    state: SessionState,
    pace: Pace,
    moments: Iterable[Moment],
    around: Surroundings,
    last: LastPrices | None = None,
) -> Decided:
    """What moments, one after the other, make of a session as it is stored.

    ``last`` are the prices known before the first of them; if left out, the newest.
    """
    turn = _Turn(state, pace, around, last)
    for moment in moments:
        turn.take(moment)
    return turn.decided()


def close(
    state: SessionState,
    pace: Pace,
    trade: Trade,
    exit_: Exit,
    around: Surroundings,
) -> Decided:
    """The close of an open trade by request, and what the rules make of it.

    A move that waits is stored before it.
    """
    turn = _Turn(state, pace, around)
    turn.close(trade, exit_)
    turn.ask_rules(exit_.at_ms)
    return turn.decided()


def reduce(state: SessionState, pace: Pace, reduced: Trade, around: Surroundings) -> Decided:
    """A trade of which a request closed a part, and what the rules make of it."""
    turn = _Turn(state, pace, around)
    assert reduced.reduced is not None
    turn.reduce(reduced)
    turn.ask_rules(reduced.reduced.last.at_ms)
    return turn.decided()


def change(
    state: SessionState,
    pace: Pace,
    changed: SessionChange,
    around: Surroundings,
) -> Decided:
    """A change of the session itself, and what follows at once.

    Outside ACTIVE its pending entries end. While a halt closes everything, so does each trade
    whose symbol has a price. Rules are asked if they have changed, or if something was closed.
    """
    turn = _Turn(state, pace, around)
    turn.change(changed)
    turn.end_entries(changed.at_ms)
    closing = changed.standing.closing
    has_closed = closing is not None and turn.close_all(changed.at_ms, closing)
    if has_closed or changed.standing.rules != state.session.rules:
        turn.ask_rules(changed.at_ms)
    return turn.decided()


def close_all(state: SessionState, pace: Pace, at_ms: int, around: Surroundings) -> Decided:
    """The close by request of all trades whose symbol has a price, and what rules make of it."""
    turn = _Turn(state, pace, around)
    if turn.close_all(at_ms, None):
        turn.ask_rules(at_ms)
    return turn.decided()


_record_id = attrgetter("record_id")


class _Turn:
    def __init__(
        self,
        state: SessionState,
        pace: Pace,
        around: Surroundings,
        last: LastPrices | None = None,
    ) -> None:
        self._events: list[Event] = []
        self._state = state
        self._around = around
        self._last = last or around.last_price
        self._seen: dict[str, LastPrice] = {}
        """The prices of the moments so far."""
        self._stored = dict(pace.stored)
        self._waiting = dict(pace.waiting)

    def decided(self) -> Decided:
        return Decided(self._events, self._state, Pace(self._stored, self._waiting))

    def take(self, moment: Moment) -> None:
        self._pass_time(moment.at_ms // SECOND_MS)
        self.end_entries(moment.at_ms)
        if moment.last:
            self._square_off(moment)
        self._begin_day(moment.at_ms)
        if moment.symbol is None:
            return
        self._seen[moment.symbol] = LastPrice(moment.price_e4, moment.is_stale)
        if self._state.session.closing is not None:
            self._close_at_last(moment, self._state.session.closing)
        if moment.is_stale:
            return
        of_symbol = (t for t in self._state.open_trades.values() if t.symbol == moment.symbol)
        trades = sorted(of_symbol, key=_record_id)
        left = [trade for trade in trades if not self._close_if_due(trade, moment)]
        self.ask_rules(moment.at_ms)
        for trade in left:
            if trade.trade_id in self._state.open_trades:
                self._move(trade, moment)
        self._fill_entries(moment)

    def change(self, changed: SessionChange) -> None:
        self._emit(
            SessionEvent(
                **head_of(self._state, EventKind.SESSION_CHANGED),
                standing=changed.standing.settled_at(self._state.session, changed.at_ms),
                reason=changed.reason,
                changed_at_ms=changed.at_ms,
                detail=changed.detail,
            )
        )

    def end_entries(self, at_ms: int) -> None:
        """End pending entries, by id: all outside ACTIVE, otherwise those whose session ended."""
        session = self._state.session
        for entry in sorted(self._state.pending.values(), key=_record_id):
            if session.status is not SessionStatus.ACTIVE:
                words = f"session {session.session_id} is {session.status}"
                self._end(entry, Ending(EndReason.CANCELLED, at_ms, words))
            elif entry.ends_at_ms is not None and entry.ends_at_ms <= at_ms:
                self._end(entry, Ending(EndReason.EXPIRED, entry.ends_at_ms))

    def ask_rules(self, at_ms: int) -> None:
        """Ask the rules about the session's result of the date, once: the first that trips acts."""
        session = self._state.session
        if not session.rules.judge_results or session.status is SessionStatus.STOPPED:
            return
        day = trading_day(at_ms)
        result_e4 = self._state.result_e4(day, self._price)
        lock = armed(session, result_e4, day)
        if lock is not None:
            standing = replace(session.standing, lock=lock)
            self.change(
                SessionChange(standing=standing, reason=ChangeReason.LOCK_ARMED, at_ms=at_ms)
            )
        reason = tripped(self._state.session, result_e4, day, self._state.figures.tally(day))
        if reason is not None:
            self._trip(reason, at_ms)

    def _trip(self, reason: ChangeReason, at_ms: int) -> None:
        """A rule halts the session; over a halt by request it only closes everything."""
        session, detail = self._state.session, CLOSING.get(reason)
        if session.status is not SessionStatus.HALTED or session.halt is not None:
            standing = session.standing.halted_by(reason, detail, self._around.new_day_ms(at_ms))
            self.change(SessionChange(standing=standing, reason=reason, at_ms=at_ms))
            self.end_entries(at_ms)
        if detail is not None:
            self.close_all(at_ms, detail)

    def _begin_day(self, at_ms: int) -> None:
        """A trading date that has begun lifts what a rule has halted."""
        halt = self._state.session.halt
        if halt is not None and halt.ends_at_ms <= at_ms:
            reason = ChangeReason.NEW_DAY
            standing = self._state.session.standing.with_status(halt.before, reason)
            self.change(SessionChange(standing=standing, reason=reason, at_ms=halt.ends_at_ms))

    def _price(self, symbol: str) -> Priced | None:
        return self._seen.get(symbol) or self._last(symbol)

    def close_all(self, at_ms: int, detail: ExitDetail | None) -> bool:
        """Close every trade whose symbol has a price, by id; returns whether there was one."""
        has_closed = False
        for trade in sorted(self._state.open_trades.values(), key=_record_id):
            last = self._price(trade.symbol)
            if last is not None:
                exit_ = closing_exit(last.price_e4, at_ms, detail, is_stale=last.stale)
                self.close(trade, exit_)
                has_closed = True
        return has_closed

    def _square_off(self, moment: Moment) -> None:
        """Close what was due, by id; what a halt closes anyway waits for a price as its own."""
        session = self._state.session
        if session.rules.square_off_min is None or session.closing is not None:
            return
        for trade in sorted(self._state.open_trades.values(), key=_record_id):
            last = moment.last.get(trade.symbol)
            if last is None:
                continue
            due = due_ms(session, trade.symbol, trade.opened_at_ms, self._around.square_off_ms)
            if due is not None and due <= moment.at_ms:
                reason = ExitReason.SQUARE_OFF
                self.close(trade, Exit(last.price_e4, reason, moment.at_ms, stale=last.stale))

    def _close_at_last(self, moment: Moment, detail: ExitDetail) -> None:
        """A halt closes everything, and this is the first price of what it could not close."""
        of_symbol = (t for t in self._state.open_trades.values() if t.symbol == moment.symbol)
        exit_ = closing_exit(moment.price_e4, moment.at_ms, detail, is_stale=moment.is_stale)
        for trade in sorted(of_symbol, key=_record_id):
            self.close(trade, exit_)

    def _fill_entries(self, moment: Moment) -> None:
        """Fill what waited for this price, by id, each asked after the one before."""
        for entry in sorted(self._state.pending.values(), key=_record_id):
            if entry.symbol != moment.symbol or not entry.fills_at(moment.price_e4):
                continue
            try:
                trade = self._around.open_entry(self._state, entry, moment)
            except Unavailable:
                raise
            except VyomoError as error:
                self._end(entry, Ending(EndReason.REFUSED, moment.at_ms, str(error)))
            else:
                filled = entry.ended(Fill(trade.trade_id, moment.at_ms))
                self._emit(blank_event(self._state, EventKind.OPENED, trade, filled))

    def _end(self, entry: PendingEntry, ending: Ending) -> None:
        self._emit(entry_event(self._state, EventKind.ORDER_ENDED, entry.ended(ending)))

    def close(self, trade: Trade, exit_: Exit) -> None:
        move = self._waiting.pop(trade.trade_id, None)
        self._stored.pop(trade.trade_id, None)
        if move is not None:
            trade = move.of(trade)
            self._emit_trade(EventKind.CHANGED, trade)
        plan = self._state.session.charges
        exit_ = trade.charged(exit_, trade.open_quantity, plan, self._around.charge)
        self._emit_trade(EventKind.CLOSED, trade.closed(exit_))

    def reduce(self, reduced: Trade) -> None:
        self._emit_trade(EventKind.REDUCED, reduced)

    def _pass_time(self, second: int) -> None:
        """Store the moves that waited for this second, by trade."""
        for trade_id in sorted(self._waiting):
            if self._stored[trade_id] < second:
                move = self._waiting.pop(trade_id)
                self._store_move(self._state.open_trades[trade_id], move, second)

    def _close_if_due(self, trade: Trade, moment: Moment) -> bool:
        move = self._waiting.get(trade.trade_id)
        newest = trade if move is None else move.of(trade)
        reason = newest.exit_due(moment.price_e4)
        if reason is None:
            return False
        detail = newest.stop_moved_by if reason is ExitReason.SL else None
        self.close(trade, Exit(moment.price_e4, reason, moment.at_ms, detail=detail))
        return True

    def _move(self, trade: Trade, moment: Moment) -> None:
        trade_id, earlier = trade.trade_id, self._waiting.get(trade.trade_id)
        newest = trade if earlier is None else earlier.of(trade)
        move = move_at(newest, moment.price_e4, moment.at_ms)
        if move is None:
            return
        second = moment.at_ms // SECOND_MS
        if second > self._stored.get(trade_id, -1):
            self._store_move(trade, move, second)
        else:
            self._waiting[trade_id] = move.after(earlier)

    def _store_move(self, trade: Trade, move: Move, second: int) -> None:
        self._stored[trade.trade_id] = second
        self._emit_trade(EventKind.CHANGED, move.of(trade))

    def _emit_trade(self, kind: EventKind, trade: Trade) -> None:
        self._emit(blank_event(self._state, kind, trade))

    def _emit(self, event: Event) -> None:
        self._events.append(event)
        self._state = self._state.after(event)


def closing_exit(price_e4: int, at_ms: int, detail: ExitDetail | None, *, is_stale: bool) -> Exit:
    """The exit at the last known price of a trade that is closed whatever its price."""
    is_by_rule = detail not in (None, ExitDetail.KILL)
    reason = ExitReason.RISK if is_by_rule else ExitReason.MANUAL
    return Exit(price_e4, reason, at_ms, detail=detail, stale=is_stale)


def blank_event(
    state: SessionState, kind: EventKind, trade: Trade, entry: PendingEntry | None = None
) -> TradeEvent:
    """The session's next event, without the text and what else its writer adds."""
    return TradeEvent(**head_of(state, kind), trade=trade, entry=entry)


def entry_event(state: SessionState, kind: EventKind, entry: PendingEntry) -> OrderEvent:
    """The session's next event, of an order that was placed, changed or ended."""
    return OrderEvent(**head_of(state, kind), entry=entry)


def head_of(state: SessionState, kind: EventKind) -> dict[str, Any]:
    """The members that all events have, of the session's next one."""
    return {
        "session_id": state.session.session_id,
        "seq": state.seq + 1,
        "kind": kind,
        "message": "",
        "operation_id": "",
        "request_hash": "",
    }
