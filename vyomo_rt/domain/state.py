"""A session's state as a pure fold of its events: figures, open trades, exposure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, NamedTuple, Protocol, TypeVar

from vyomo_rt.domain.charges import Charges
from vyomo_rt.domain.event import Event, EventKind, OrderEvent, Record, SessionEvent, TradeEvent
from vyomo_rt.domain.moment import trading_day
from vyomo_rt.domain.money import E4_PER_PAISA, divide_half_away, pnl_paise, win_rate_e2
from vyomo_rt.domain.pending import PendingEntry
from vyomo_rt.domain.session import Session
from vyomo_rt.domain.trade import Trade


class Priced(Protocol):
    """The last known price of a symbol."""

    @property
    def price_e4(self) -> int: ...
    @property
    def stale(self) -> bool: ...


LastPrices = Callable[[str], Priced | None]

KEPT_DAYS = 10
"""Dates whose realised P&L is kept, so that a clock that was days off finds the right one."""


class Tally(NamedTuple):
    """What was counted on one date: trades opened, and how many closed in a row with a loss."""

    opened: int = 0
    losing_streak: int = 0

    def after_result(self, pnl_paise: int) -> Tally:
        """The tally after a whole trade; one that earned nothing changes nothing."""
        if not pnl_paise:
            return self
        return self._replace(losing_streak=self.losing_streak + 1 if pnl_paise < 0 else 0)


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over a session's events up to number ``seq``.

    ``days`` has the realised P&L of the newest dates (Asia/Kolkata) on which a trade, or a part
    of one, was closed, ``charge_days`` what these cost. P&L is gross of charges. Wins and losses
    count whole trades, as do the tallies, which are of the newest dates, too. ``last_loss_ms`` is
    the exit of the last losing trade.
    """

    seq: int = 0
    opened: int = 0
    closed: int = 0
    wins: int = 0
    losses: int = 0
    realised_paise: int = 0
    days: Mapping[date, int] = field(default_factory=dict)
    charges_paise: int = 0
    charge_days: Mapping[date, int] = field(default_factory=dict)
    tallies: Mapping[date, Tally] = field(default_factory=dict)
    last_loss_ms: int | None = None

    def tally(self, day: date) -> Tally:
        """What was counted on a date."""
        return self.tallies.get(day, _NO_TALLY)

    @property
    def net_paise(self) -> int:
        """What has been realised, less charges."""
        return self.realised_paise - self.charges_paise

    @property
    def win_rate_e2(self) -> int:
        return win_rate_e2(self.wins, self.closed)

    def after(self, event: Event) -> Figures:
        """The figures after a session's next event."""
        if isinstance(event, TradeEvent):
            if event.kind is EventKind.OPENED:
                return self.after_opening(event.trade.opened_at_ms)
            if event.kind is EventKind.REDUCED:
                return self.after_reduction(event.trade)
            if event.kind is EventKind.CLOSED:
                return self.after_closing(event.trade)
        return replace(self, seq=self.seq + 1)

    def after_opening(self, at_ms: int) -> Figures:
        """The figures one opening later."""
        day = trading_day(at_ms)
        tally = self.tally(day)
        return replace(
            self,
            seq=self.seq + 1,
            opened=self.opened + 1,
            tallies=_newest(self.tallies, day, tally._replace(opened=tally.opened + 1)),
        )

    def after_reduction(self, trade: Trade) -> Figures:
        """The figures after a part of a trade was closed; its date in Asia/Kolkata counts."""
        part = trade.reduced
        assert part is not None
        pnl = pnl_paise(trade.side, part.last_quantity, trade.entry_price_e4, part.last.price_e4)
        return replace(
            self,
            seq=self.seq + 1,
            **self._with_money(pnl, trade.newest_part_charges, part.last.at_ms),
        )

    def after_closing(self, trade: Trade) -> Figures:
        """The figures one closing later; the exit's date in Asia/Kolkata decides its day."""
        assert trade.exit is not None
        pnl, day = trade.realised_paise, trading_day(trade.exit.at_ms)
        return replace(
            self,
            tallies=_newest(self.tallies, day, self.tally(day).after_result(pnl)),
            last_loss_ms=trade.exit.at_ms if pnl < 0 else self.last_loss_ms,
            seq=self.seq + 1,
            closed=self.closed + 1,
            wins=self.wins + (pnl > 0),
            losses=self.losses + (pnl < 0),
            **self._with_money(trade.last_part_paise, trade.last_part_charges, trade.exit.at_ms),
        )

    def _with_money(self, pnl_paise: int, charges: Charges | None, at_ms: int) -> dict[str, Any]:
        day = trading_day(at_ms)
        changed: dict[str, Any] = {
            "realised_paise": self.realised_paise + pnl_paise,
            "days": _newest(self.days, day, self.days.get(day, 0) + pnl_paise),
        }
        if charges is not None:
            changed["charges_paise"] = self.charges_paise + charges.total_paise
            before = self.charge_days.get(day, 0)
            changed["charge_days"] = _newest(self.charge_days, day, before + charges.total_paise)
        return changed


_NO_TALLY = Tally()
T = TypeVar("T")


def _newest(days: Mapping[date, T], day: date, value: T) -> dict[date, T]:
    """The values of the newest dates, with one of them anew."""
    more = {**days, day: value}
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
        quantity = count * trade.side.sign * trade.open_quantity
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
    pending: Mapping[int, PendingEntry] = field(default_factory=dict)
    """The pending entries that wait, by id."""

    @property
    def seq(self) -> int:
        """The number of the session's newest event."""
        return self.figures.seq

    @property
    def today_paise(self) -> int:
        """P&L realised by trades whose exit falls on today."""
        return self.figures.days.get(self.today, 0)

    @property
    def net_today_paise(self) -> int:
        """The same less the charges of these exits."""
        return self.today_paise - self.figures.charge_days.get(self.today, 0)

    def unrealised_paise(self, quote: LastPrices) -> int:
        """P&L of the open trades that have a price, at that price: the exact sum, rounded once."""
        return divide_half_away(self._unrealised_e4(quote), E4_PER_PAISA)

    def ruled_paise(self, day: date) -> int:
        """What rules count as realised on a date: net, if the session has charges."""
        charged = self.session.charges is not None
        return self.figures.days.get(day, 0) - charged * self.figures.charge_days.get(day, 0)

    def result_e4(self, day: date, quote: LastPrices) -> int:
        """What rules call the P&L of a date, in ₹0.0001: what was realised then, and what is open.

        It is not rounded.
        """
        return self.ruled_paise(day) * E4_PER_PAISA + self._unrealised_e4(quote)

    def _unrealised_e4(self, quote: LastPrices) -> int:
        quoted = ((exposure, quote(symbol)) for symbol, exposure in self.exposures.items())
        return sum(one.pnl_e4_at(at.price_e4) for one, at in quoted if at is not None)

    def after(self, event: Event) -> SessionState:
        """The state one event later; the event must be the next one."""
        assert event.seq == self.seq + 1, (event.seq, self.seq)
        state = replace(self, figures=self.figures.after(event))
        if isinstance(event, SessionEvent):
            return replace(state, session=self.session.with_standing(event.standing))
        if isinstance(event, OrderEvent):
            return state.with_entry(event.entry)
        assert isinstance(event, TradeEvent)
        if event.entry is not None:
            state = state.with_entry(event.entry)
        return state.with_trade(event.trade)

    def with_trade(self, trade: Trade) -> SessionState:
        """The same with a trade as it is now."""
        open_trades, exposures = dict(self.open_trades), dict(self.exposures)
        # A copy that is newer than the checkpoint may be of a trade that this event opens.
        before = open_trades.get(trade.trade_id)
        exposure = exposures.get(trade.symbol, Exposure())
        if before is not None:
            exposure = exposure.with_trade(before, -1)
        if trade.exit is None:
            open_trades[trade.trade_id] = trade
            exposure = exposure.with_trade(trade)
        else:
            open_trades.pop(trade.trade_id, None)
        if exposure.trades:
            exposures[trade.symbol] = exposure
        else:
            exposures.pop(trade.symbol, None)
        return replace(self, open_trades=open_trades, exposures=exposures)

    def with_entry(self, entry: PendingEntry) -> SessionState:
        """The same with a pending entry as it is now."""
        pending = {**self.pending, entry.order_id: entry}
        if entry.end is not None:
            del pending[entry.order_id]
        return replace(self, pending=pending)

    def on_day(self, day: date) -> SessionState:
        """The state on another date; the same object if that is its date."""
        return self if day == self.today else replace(self, today=day)


def state_of(
    session: Session,
    figures: Figures,
    today: date,
    records: Iterable[Record] = (),
) -> SessionState:
    """A session's state from its figures, its open trades and its pending entries."""
    exposures: dict[str, Exposure] = {}
    trades: dict[int, Trade] = {}
    pending: dict[int, PendingEntry] = {}
    for record in records:
        if isinstance(record, PendingEntry):
            pending[record.order_id] = record
        else:
            trades[record.trade_id] = record
            before = exposures.get(record.symbol, Exposure())
            exposures[record.symbol] = before.with_trade(record)
    return SessionState(session, figures, today, trades, exposures, pending)
