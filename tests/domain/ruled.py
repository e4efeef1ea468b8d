"""A session with rules in the pure domain: prices and requests in, what was decided out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.domain.samples import DAY, SESSION
from tests.kit.surroundings import Around
from vyomo_rt.domain import decisions
from vyomo_rt.domain.decisions import Decided, LastPrice, Moment, blank_event
from vyomo_rt.domain.event import Event, EventKind, OrderEvent, SessionEvent, TradeEvent
from vyomo_rt.domain.halt import SessionChange
from vyomo_rt.domain.moment import trading_day
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.pace import Pace
from vyomo_rt.domain.pending import EntryType, PendingEntry, Validity
from vyomo_rt.domain.rules import ProfitLock, Rules
from vyomo_rt.domain.session import ChangeReason, SessionStatus
from vyomo_rt.domain.state import Figures, state_of
from vyomo_rt.domain.trade import Exit, ExitDetail, ExitReason, Trade

NOON_MS = SESSION.created_at_ms
NEXT_DAY_MS = NOON_MS + 12 * 3_600_000
LOCK = ProfitLock(arm_at_paise=100_00, floor_paise=50_00)

LOSS = {"max_daily_loss_paise": 100_00}
TARGET = {"daily_target_paise": 200_00}
STREAK = {"losing_streak": 2}
ACTIVE, PAUSED, HALTED = SessionStatus.ACTIVE, SessionStatus.PAUSED, SessionStatus.HALTED


class Ruled:
    """Trades are ten at 100, so that a rupee of the price is ten of the result."""

    def __init__(self, **rules: Any) -> None:
        self.now_ms = NOON_MS
        session = replace(SESSION, rules=Rules(**rules))
        self.state = state_of(session, Figures(), DAY)
        self.events: list[Event] = []
        self._pace = Pace()
        self._around = Around(self._fill)

    def open(self, symbol: str = "NIFTY", side: Side = Side.BUY, **terms: Any) -> int:
        """Open a trade; returns its id."""
        trade_id = self.state.figures.opened + 1
        trade = Trade(trade_id, 6, symbol, side, 10, 100_0000, self.now_ms)
        event = blank_event(self.state, EventKind.OPENED, replace(trade, **terms))
        self._take(Decided([event], self.state.after(event), self._pace))
        return trade_id

    def place(self, price: float) -> int:
        """Place a limit order for ten; returns its id."""
        entry = PendingEntry(
            symbol="NIFTY",
            side=Side.BUY,
            quantity=10,
            type=EntryType.LIMIT,
            price_e4=round(price * 10_000),
            validity=Validity.GTC,
            order_id=self.state.seq + 1,
            session_id=6,
            placed_at_ms=self.now_ms,
            changed_at_ms=self.now_ms,
        )
        event = decisions.entry_event(self.state, EventKind.ORDER_PLACED, entry)
        self._take(Decided([event], self.state.after(event), self._pace))
        return entry.order_id

    def tick(self, price: float, symbol: str = "NIFTY", *, stale: bool = False) -> list[str]:
        """What a price decides, a second later."""
        self.now_ms += 1000
        moment = Moment(self.now_ms, symbol, round(price * 10_000), stale)
        told = self._take(decisions.decide(self.state, self._pace, [moment], self._around))
        self._around.prices[symbol] = LastPrice(moment.price_e4, stale)
        return told

    def wait_until(self, at_ms: int) -> list[str]:
        """What a moment of the clock decides."""
        self.now_ms = at_ms
        return self._take(decisions.decide(self.state, self._pace, [Moment(at_ms)], self._around))

    def close(self, trade_id: int, price: float, quantity: int | None = None) -> list[str]:
        """What a close by request, or one of a part, decides."""
        trade = self.state.open_trades[trade_id]
        exit_ = Exit(round(price * 10_000), ExitReason.MANUAL, self.now_ms)
        if quantity is None:
            return self._take(decisions.close(self.state, self._pace, trade, exit_, self._around))
        reduced = trade.reduced_by(quantity, exit_)
        return self._take(decisions.reduce(self.state, self._pace, reduced, self._around))

    def close_all(self) -> list[str]:
        """What a close of everything, without a halt, decides."""
        return self._take(decisions.close_all(self.state, self._pace, self.now_ms, self._around))

    def kill(self) -> list[str]:
        standing = self.state.session.standing
        standing = standing.with_status(SessionStatus.HALTED, ChangeReason.KILL)
        return self._change(replace(standing, closing=ExitDetail.KILL), ChangeReason.KILL)

    def patch(
        self, status: SessionStatus | None = None, rules: Mapping[str, Any] | None = None
    ) -> list[str]:
        """What a request for a status or rules decides."""
        before = self.state.session.standing
        after = before.with_settings({}, rules or {})
        if status is not None and before.is_changed_by(status):
            after = after.set_to(status, before.rules, trading_day(self.now_ms))
        return self._change(after, ChangeReason.MANUAL) if after != before else []

    def _change(self, standing: Any, reason: ChangeReason) -> list[str]:
        change = SessionChange(standing=standing, reason=reason, at_ms=self.now_ms)
        return self._take(decisions.change(self.state, self._pace, change, self._around))

    def _take(self, decided: Decided) -> list[str]:
        self.state, self._pace = decided.state, decided.pace
        self.events += decided.events
        return [told(event) for event in decided.events]

    def _fill(self, entry: PendingEntry, moment: Moment) -> Trade:
        trade_id = self.state.figures.opened + 1
        return Trade(trade_id, 6, entry.symbol, entry.side, 10, moment.price_e4, moment.at_ms)

    @property
    def status(self) -> str:
        """The status and why it is set."""
        session = self.state.session
        return f"{session.status} {session.status_reason}"


def told(event: Event) -> str:
    """What happened, in short."""
    if isinstance(event, SessionEvent):
        return f"{event.standing.status} {event.reason}"
    if isinstance(event, OrderEvent):
        end = event.entry.end
        return f"order {event.entry.order_id} {event.entry.status if end else 'placed'}"
    assert isinstance(event, TradeEvent)
    trade = event.trade
    if trade.exit is None:
        return f"{event.kind} {trade.trade_id}"
    exit_ = trade.exit
    reason = f"{exit_.reason} {exit_.detail}" if exit_.detail else str(exit_.reason)
    stale = " stale" if exit_.stale else ""
    return f"closed {trade.trade_id} {reason} {exit_.price_e4 / 10_000:g}{stale}"


def waived(ruled: Ruled) -> list[str]:
    """The rules that are waived, by their reasons."""
    return [reason.value for reason in ruled.state.session.waived]


def lose(ruled: Ruled, rupees: int = 10) -> list[str]:
    """Open a trade, and close it with a loss."""
    return ruled.close(ruled.open(), 100 - rupees / 10)
