"""A session's state as a pure fold of its events: figures, open trades, exposure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import NamedTuple

from vyomo_rt.domain.event import Event, EventKind, SessionEvent, TradeEvent
from vyomo_rt.domain.moment import trading_day
from vyomo_rt.domain.money import E4_PER_PAISA, divide_half_away, win_rate_e2
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.trade import Trade

KEPT_DAYS = 10
"""Dates whose realised P&L is kept, so that a clock that was days off finds the right one."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over a session's events up to number ``seq``.

    ``days`` has the realised P&L of the newest dates (Asia/Kolkata) on which a trade was closed.
    """

    seq: int = 0
    opened: int = 0
    closed: int = 0
    wins: int = 0
    losses: int = 0
    realised_paise: int = 0
    days: Mapping[date, int] = field(default_factory=dict)

    @property
    def win_rate_e2(self) -> int:
        return win_rate_e2(self.wins, self.closed)

    def after_opening(self) -> Figures:
        """The figures one opening later."""
        return replace(self, seq=self.seq + 1, opened=self.opened + 1)

    def after_closing(self, trade: Trade) -> Figures:
        """The figures one closing later; the exit's date in Asia/Kolkata decides its day."""
        assert trade.exit is not None
        pnl = trade.realised_paise
        return replace(
            self,
            seq=self.seq + 1,
            closed=self.closed + 1,
            wins=self.wins + (pnl > 0),
            losses=self.losses + (pnl < 0),
            realised_paise=self.realised_paise + pnl,
            days=_with_day(self.days, trading_day(trade.exit.at_ms), pnl),
        )

    def after_change(self) -> Figures:
        """The figures one event later that moved no money."""
        return replace(self, seq=self.seq + 1)


def _with_day(days: Mapping[date, int], day: date, pnl_paise: int) -> dict[date, int]:
    more = {**days, day: days.get(day, 0) + pnl_paise}
    if len(more) > KEPT_DAYS:
        del more[min(more)]
    return more


class Exposure(NamedTuple):
    """All open trades in one symbol as one position: SELL counts as negative."""

    quantity: int = 0
    cost_e4: int = 0
    trades: int = 0

    def with_trade(self, trade: Trade, count: int = 1) -> Exposure:
        """The exposure with one more trade, or without it if ``count`` is -1."""
        quantity = count * trade.side.sign * trade.quantity
        return Exposure(
            self.quantity + quantity,
            self.cost_e4 + quantity * trade.entry_price_e4,
            self.trades + count,
        )

    def pnl_e4_at(self, price_e4: int) -> int:
        """What its trades have earned at a price, in ₹0.0001."""
        return price_e4 * self.quantity - self.cost_e4


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session as its events up to ``figures.seq`` make it, on the date ``today``.

    Make it with `state_of`, and continue with `after`: ``exposures`` follows from the open trades.
    """

    session: Session
    figures: Figures
    today: date
    open_trades: Mapping[int, Trade]
    exposures: Mapping[str, Exposure]

    @property
    def seq(self) -> int:
        """The number of the session's newest event."""
        return self.figures.seq

    @property
    def today_paise(self) -> int:
        """P&L realised by trades whose exit falls on today."""
        return self.figures.days.get(self.today, 0)

    def unrealised_paise(self, quote: Callable[[str], Quote | None]) -> int:
        """P&L of the open trades that have a price, at that price: the exact sum, rounded once."""
        quoted = ((exposure, quote(symbol)) for symbol, exposure in self.exposures.items())
        pnl_e4 = sum(one.pnl_e4_at(at.price_e4) for one, at in quoted if at is not None)
        return divide_half_away(pnl_e4, E4_PER_PAISA)

    def after(self, event: Event) -> SessionState:
        """The state one event later; the event must be the next one."""
        assert event.seq == self.seq + 1, (event.seq, self.seq)
        if isinstance(event, SessionEvent):
            session = self.session.with_standing(event.standing)
            return replace(self, session=session, figures=self.figures.after_change())
        assert isinstance(event, TradeEvent)
        trade = event.trade
        if event.kind is EventKind.OPENED:
            return self._with_trades(self.figures.after_opening(), opened=trade)
        return self._with_trades(self.figures.after_closing(trade), ended_id=trade.trade_id)

    def _with_trades(
        self, figures: Figures, *, opened: Trade | None = None, ended_id: int | None = None
    ) -> SessionState:
        open_trades, exposures = dict(self.open_trades), dict(self.exposures)
        # A copy that is newer than the checkpoint may be of a trade that this event opens.
        ended = open_trades.pop(opened.trade_id if opened else ended_id or 0, None)
        if ended is not None:
            exposure = exposures[ended.symbol].with_trade(ended, -1)
            if exposure.trades:
                exposures[ended.symbol] = exposure
            else:
                del exposures[ended.symbol]
        if opened is not None:
            open_trades[opened.trade_id] = opened
            before = exposures.get(opened.symbol, Exposure())
            exposures[opened.symbol] = before.with_trade(opened)
        return replace(self, figures=figures, open_trades=open_trades, exposures=exposures)

    def on_day(self, day: date) -> SessionState:
        """The state on another date; the same object if that is its date."""
        return self if day == self.today else replace(self, today=day)


def state_of(
    session: Session, figures: Figures, today: date, open_trades: Iterable[Trade] = ()
) -> SessionState:
    """A session's state from its figures and its open trades."""
    exposures: dict[str, Exposure] = {}
    trades: dict[int, Trade] = {}
    for trade in open_trades:
        trades[trade.trade_id] = trade
        before = exposures.get(trade.symbol, Exposure())
        exposures[trade.symbol] = before.with_trade(trade)
    return SessionState(session, figures, today, trades, exposures)
