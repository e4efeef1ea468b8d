"""A trading session and the figures that follow from its events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from vyomo_rt.domain.moment import trading_day
from vyomo_rt.domain.money import win_rate_e2
from vyomo_rt.domain.quote import Quote
from vyomo_rt.domain.trade import EventKind, Trade, TradeEvent


class SessionStatus(StrEnum):
    """Opening needs ACTIVE; PAUSED and HALTED stop nothing else; STOPPED is final."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    HALTED = "HALTED"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True)
class Session:
    """What is fixed when a session is made, and its status.

    ``epoch`` is a random name of the session's history: a wiped store cannot be
    mistaken for the old one. ``revision`` counts status changes.
    """

    session_id: int
    name: str
    starting_capital_paise: int
    created_at_ms: int
    epoch: str
    status: SessionStatus = SessionStatus.ACTIVE
    revision: int = 0

    def with_status(self, status: SessionStatus) -> Session:
        return replace(self, status=status, revision=self.revision + 1)


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over a session's trade events up to number ``seq``."""

    seq: int
    today: date
    opened: int = 0
    closed: int = 0
    wins: int = 0
    losses: int = 0
    realised_paise: int = 0
    today_paise: int = 0

    @property
    def win_rate_e2(self) -> int:
        return win_rate_e2(self.wins, self.closed)

    def after_opening(self) -> Figures:
        """The figures one opening later."""
        return replace(self, seq=self.seq + 1, opened=self.opened + 1)

    def after_closing(self, trade: Trade) -> Figures:
        """The figures one closing later; the exit's date in Asia/Kolkata decides its day."""
        assert trade.exit is not None
        exit_day = trading_day(trade.exit.at_ms)
        figures = self.on_day(exit_day)
        pnl = trade.realised_paise
        return replace(
            figures,
            seq=self.seq + 1,
            closed=self.closed + 1,
            wins=self.wins + (pnl > 0),
            losses=self.losses + (pnl < 0),
            realised_paise=self.realised_paise + pnl,
            today_paise=figures.today_paise + (pnl if exit_day == figures.today else 0),
        )

    def on_day(self, day: date) -> Figures:
        """The figures once ``day`` has begun; today never goes back."""
        return self if day <= self.today else replace(self, today=day, today_paise=0)


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session as its events up to ``figures.seq`` make it; open trades by id."""

    session: Session
    figures: Figures
    open_trades: Mapping[int, Trade]

    @property
    def seq(self) -> int:
        """The number of the session's newest trade event."""
        return self.figures.seq

    def unrealized_paise(self, quote: Callable[[str], Quote | None]) -> int:
        """P&L of the open trades that have a price, at that price."""
        quoted = ((trade, quote(trade.symbol)) for trade in self.open_trades.values())
        return sum(trade.pnl_paise_at(at.price_e4) for trade, at in quoted if at is not None)

    def after(self, event: TradeEvent) -> SessionState:
        """The state one event later; the event must be the next one."""
        assert event.seq == self.seq + 1, (event.seq, self.seq)
        trade = event.trade
        open_trades = dict(self.open_trades)
        if event.kind is EventKind.OPENED:
            open_trades[trade.trade_id] = trade
            return replace(self, figures=self.figures.after_opening(), open_trades=open_trades)
        open_trades.pop(trade.trade_id, None)
        return replace(self, figures=self.figures.after_closing(trade), open_trades=open_trades)

    def with_session(self, session: Session) -> SessionState:
        """The state after a change of the session itself, such as its status."""
        return replace(self, session=session)

    def on_day(self, day: date) -> SessionState:
        """The state once ``day`` has begun; the same object if it has long begun."""
        figures = self.figures.on_day(day)
        return self if figures is self.figures else replace(self, figures=figures)
