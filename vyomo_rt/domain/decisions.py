"""What a price or the clock makes of a session: one function, live and wherever it is re-run.

A tick is taken in this order: the moment's turn of the clock; stops and targets of the trades
open before it, by id; the rules on the session's result; the guards of what is still open, by
id; pending entries, by id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import NamedTuple

from vyomo_rt.domain.event import Event, EventKind, TradeEvent
from vyomo_rt.domain.state import SessionState
from vyomo_rt.domain.trade import Exit, ExitReason, Trade
from vyomo_rt.domain.trailing import Band, Move, move_at, quiet_band

SECOND_MS = 1000


class Moment(NamedTuple):
    """A moment of the market and, if it is a tick's, the fresh price of a symbol then."""

    at_ms: int
    symbol: str | None = None
    price_e4: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """Which stops were stored in which market second, and the moves that wait for the next.

    A trade's stop is stored once a market second; of further moves the newest waits.
    """

    stored: Mapping[int, int] = field(default_factory=dict)
    """By trade, the newest market second in which a move of its stop was stored."""
    waiting: Mapping[int, Move] = field(default_factory=dict)

    def newest(self, trade: Trade) -> Trade:
        """A trade with the move that waits: this is what exits go by."""
        move = self.waiting.get(trade.trade_id)
        return trade if move is None else move.of(trade)

    @property
    def due_ms(self) -> int | None:
        """When the first waiting move may be stored; None if none waits."""
        return min(((self.stored[id_] + 1) * SECOND_MS for id_ in self.waiting), default=None)

    def after_change(self, trade_id: int, changed: Collection[str]) -> Pace:
        """The same after a request changed members of a trade: what it set anew, it set last."""
        if "stop_loss_e4" in changed:
            return self.without(trade_id)
        move = self.waiting.get(trade_id)
        if move is None or "breakeven_at_e4" not in changed:
            return self
        return Pace(self.stored, {**self.waiting, trade_id: replace(move, is_even=False)})

    def without(self, trade_id: int) -> Pace:
        """The same without the move of a trade that waits."""
        kept = {id_: move for id_, move in self.waiting.items() if id_ != trade_id}
        return Pace(self.stored, kept)


class Decided(NamedTuple):
    """The events that follow, numbered but for the rest blank; what they make of the session."""

    events: list[Event]
    state: SessionState
    pace: Pace


def decide(state: SessionState, pace: Pace, moments: Iterable[Moment]) -> Decided:
    """What moments, one after the other, make of a session as it is stored."""
    turn = _Turn(state, pace)
    for moment in moments:
        turn.take(moment)
    return turn.decided()


def close(state: SessionState, pace: Pace, trade: Trade, exit_: Exit) -> Decided:
    """The close of an open trade by request; a move that waits is stored before it."""
    turn = _Turn(state, pace)
    turn.close(trade, exit_)
    return turn.decided()


def quiet_bands(state: SessionState, pace: Pace, symbol: str) -> Band | None:
    """The prices of a symbol at which nothing happens; None if none of its trades is open."""
    if symbol not in state.exposures:
        return None
    band = Band()
    for trade in state.open_trades.values():
        if trade.symbol == symbol:
            band = band.narrowed(quiet_band(pace.newest(trade)))
    return band


_trade_id = attrgetter("trade_id")


class _Turn:
    def __init__(self, state: SessionState, pace: Pace) -> None:
        self._events: list[Event] = []
        self._state = state
        self._stored = dict(pace.stored)
        self._waiting = dict(pace.waiting)

    def decided(self) -> Decided:
        return Decided(self._events, self._state, Pace(self._stored, self._waiting))

    def take(self, moment: Moment) -> None:
        self._pass_time(moment.at_ms // SECOND_MS)
        if moment.symbol is None:
            return
        of_symbol = (t for t in self._state.open_trades.values() if t.symbol == moment.symbol)
        trades = sorted(of_symbol, key=_trade_id)
        left = [trade for trade in trades if not self._close_if_due(trade, moment)]
        # Rules on the session's result come here, and may close what is left.
        for trade in left:
            self._move(trade, moment)
        # Pending entries come here.

    def close(self, trade: Trade, exit_: Exit) -> None:
        move = self._waiting.pop(trade.trade_id, None)
        self._stored.pop(trade.trade_id, None)
        if move is not None:
            trade = move.of(trade)
            self._emit(EventKind.CHANGED, trade)
        self._emit(EventKind.CLOSED, trade.closed(exit_))

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
        self._emit(EventKind.CHANGED, move.of(trade))

    def _emit(self, kind: EventKind, trade: Trade) -> None:
        event = blank_event(self._state, kind, trade)
        self._events.append(event)
        self._state = self._state.after(event)


def blank_event(state: SessionState, kind: EventKind, trade: Trade) -> TradeEvent:
    """The session's next event, without the text and what else its writer adds."""
    return TradeEvent(
        session_id=trade.session_id,
        seq=state.seq + 1,
        kind=kind,
        message="",
        operation_id="",
        request_hash="",
        trade=trade,
    )
