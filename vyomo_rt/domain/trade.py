"""A trade: its terms, its exit rules, and how it ended."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from enum import StrEnum

from vyomo_rt.domain.charges import Charge, ChargePlan, Charges, added
from vyomo_rt.domain.errors import BadRequest, Conflict
from vyomo_rt.domain.guards import Guards
from vyomo_rt.domain.money import (
    E4_PER_PAISA,
    Side,
    divide_half_away,
    pnl_paise,
    pnl_percent_e2,
)


class TradeStatus(StrEnum):
    OPEN = "OPEN"
    CLOSED = "CLOSED"


class ExitReason(StrEnum):
    """Why a trade was closed."""

    SL = "SL"
    TARGET = "TARGET"
    MANUAL = "MANUAL"
    SQUARE_OFF = "SQUARE_OFF"
    RISK = "RISK"


class ExitDetail(StrEnum):
    """What is behind an exit: what last moved the stop that was hit, or what closed everything."""

    TRAILING = "TRAILING"
    BREAKEVEN = "BREAKEVEN"
    DAILY_LOSS = "DAILY_LOSS"
    DAILY_TARGET = "DAILY_TARGET"
    PROFIT_LOCK = "PROFIT_LOCK"
    KILL = "KILL"


class TradeChangeReason(StrEnum):
    """Why an open trade was changed: by request, or because its stop followed the price."""

    MANUAL = "MANUAL"
    TRAILING = "TRAILING"
    BREAKEVEN = "BREAKEVEN"


@dataclass(frozen=True, slots=True)
class Exit:
    """A decided close of a trade or of a part: the price it fills at, why, and when it was due.

    ``stale`` says that the price was not fresh. ``charges`` are those of this order alone; None
    if the session had no charges then.
    """

    price_e4: int
    reason: ExitReason
    at_ms: int
    _: KW_ONLY
    detail: ExitDetail | None = None
    stale: bool = False
    charges: Charges | None = None


@dataclass(frozen=True, slots=True)
class TradeChange:
    """The newest change of an open trade."""

    reason: TradeChangeReason
    at_ms: int


@dataclass(frozen=True, slots=True)
class Reduced:
    """What was closed of a trade that stayed open.

    ``realised_paise`` is the sum of the parts, each rounded by itself; ``last`` is the newest
    part's exit, and ``last_quantity`` its quantity. ``charges`` are those of the parts, and
    ``entry_share`` what of these are shares of the entry's.
    """

    parts: int
    quantity: int
    realised_paise: int
    last: Exit
    last_quantity: int
    charges: Charges | None = None
    entry_share: Charges | None = None


@dataclass(frozen=True, slots=True)
class Trade(Guards):
    """A position from its opening on; ``exit`` is None while it is open.

    ``quantity`` is what was opened. ``stop_moved_by`` is what last moved the stop, unless a
    request set it since. ``order_id`` is the pending entry that opened it. ``entry_charges`` are
    those of the order that opened it, fixed then; None if the session had no charges.
    """

    trade_id: int
    session_id: int
    symbol: str
    side: Side
    quantity: int
    entry_price_e4: int
    opened_at_ms: int
    exit: Exit | None = None
    _: KW_ONLY
    reduced: Reduced | None = None
    change: TradeChange | None = None
    stop_moved_by: ExitDetail | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
    order_id: int | None = None
    entry_charges: Charges | None = None

    @property
    def record_id(self) -> int:
        return self.trade_id

    @property
    def status(self) -> TradeStatus:
        return TradeStatus.OPEN if self.exit is None else TradeStatus.CLOSED

    @property
    def is_open(self) -> bool:
        return self.exit is None

    @property
    def open_quantity(self) -> int:
        """What earlier parts left: what is open or, of a closed trade, what the close closed."""
        return self.quantity if self.reduced is None else self.quantity - self.reduced.quantity

    @property
    def parts(self) -> int:
        """How many closings there were."""
        return (self.reduced.parts if self.reduced else 0) + (self.exit is not None)

    @property
    def last_part_paise(self) -> int:
        """What the close earned, without the parts before it; 0 while the trade is open."""
        return 0 if self.exit is None else self.pnl_paise_at(self.exit.price_e4)

    @property
    def realised_paise(self) -> int:
        """What the trade has earned so far: the sum of its parts, each rounded by itself."""
        return (self.reduced.realised_paise if self.reduced else 0) + self.last_part_paise

    @property
    def last_part_charges(self) -> Charges | None:
        """What the close cost, with what earlier parts left of the entry's; None while open."""
        if self.exit is None:
            return None
        entry = self.entry_charges
        if entry is not None and self.reduced is not None:
            entry = entry.minus(self.reduced.entry_share)
        return added(entry, self.exit.charges)

    @property
    def newest_part_charges(self) -> Charges | None:
        """What the newest reduction cost; None if there was none."""
        part = self.reduced
        return None if part is None else added(self._share(part.last_quantity), part.last.charges)

    @property
    def charges(self) -> Charges | None:
        """What its parts have cost so far; None if nothing was closed, or without charges."""
        return added(self.reduced.charges if self.reduced else None, self.last_part_charges)

    @property
    def realised_percent_e2(self) -> int:
        """What it has earned, in hundredths of a percent of what was opened."""
        if self.exit is not None and self.reduced is None:
            return self.pnl_percent_e2_at(self.exit.price_e4)
        value_e4 = self.entry_price_e4 * self.quantity
        return divide_half_away(self.realised_paise * E4_PER_PAISA * 10_000, value_e4)

    @property
    def newest_ms(self) -> int:
        """The moment of the newest that happened to it."""
        if self.exit is not None:
            return self.exit.at_ms
        changed_ms = self.change.at_ms if self.change else 0
        reduced_ms = self.reduced.last.at_ms if self.reduced else 0
        return max(self.opened_at_ms, changed_ms, reduced_ms)

    def pnl_paise_at(self, price_e4: int) -> int:
        """What is open has earned at a price."""
        return pnl_paise(self.side, self.open_quantity, self.entry_price_e4, price_e4)

    def pnl_percent_e2_at(self, price_e4: int) -> int:
        return pnl_percent_e2(self.side, self.entry_price_e4, price_e4)

    @property
    def risk_paise(self) -> int | None:
        """What a close at the stop would lose; None without a stop, 0 at one that only gains."""
        if self.stop_loss_e4 is None:
            return None
        return max(0, -self.pnl_paise_at(self.stop_loss_e4))

    def charged(self, exit_: Exit, quantity: int, plan: ChargePlan | None, charge: Charge) -> Exit:
        """An exit of a part of it, with what that order costs."""
        charges = charge(plan, self.side.opposite, quantity, exit_.price_e4, exit_.at_ms)
        return exit_ if charges is None else replace(exit_, charges=charges)

    def closed(self, exit_: Exit) -> Trade:
        """The same trade after its exit."""
        return replace(self, exit=exit_)

    def reduced_by(self, quantity: int, exit_: Exit) -> Trade:
        """The same trade after a part of what is open was closed."""
        before = self.reduced
        pnl = pnl_paise(self.side, quantity, self.entry_price_e4, exit_.price_e4)
        share = self._share(quantity)
        return replace(
            self,
            reduced=Reduced(
                parts=1 + (before.parts if before else 0),
                quantity=quantity + (before.quantity if before else 0),
                realised_paise=pnl + (before.realised_paise if before else 0),
                last=exit_,
                last_quantity=quantity,
                charges=added(before.charges if before else None, added(share, exit_.charges)),
                entry_share=added(before.entry_share if before else None, share),
            ),
        )

    def _share(self, quantity: int) -> Charges | None:
        """What a part that is not the last bears of the entry's charges."""
        entry = self.entry_charges
        return None if entry is None else entry.share(quantity, self.quantity)

    def exit_due(self, price_e4: int) -> ExitReason | None:
        """Which exit rule a price triggers, if any.

        BUY leaves at or below its stop and at or above its target; SELL mirrored.
        """
        sign = self.side.sign
        if self.stop_loss_e4 is not None and (price_e4 - self.stop_loss_e4) * sign <= 0:
            return ExitReason.SL
        if self.target_e4 is not None and (price_e4 - self.target_e4) * sign >= 0:
            return ExitReason.TARGET
        return None


class AlreadyClosed(Conflict):
    """The trade was closed before."""

    def __init__(self, trade: Trade) -> None:
        super().__init__(f"trade {trade.trade_id} is already closed", "tradeId")
        self.trade = trade


def check_levels(
    side: Side, entry_price_e4: int, stop_loss_e4: int | None, target_e4: int | None
) -> None:
    """BUY: stopLoss < entryPrice < target; SELL mirrored. Raises BadRequest otherwise."""
    below, above = (stop_loss_e4, target_e4) if side is Side.BUY else (target_e4, stop_loss_e4)
    low, high = ("stopLoss", "target") if side is Side.BUY else ("target", "stopLoss")
    if below is not None and below >= entry_price_e4:
        raise BadRequest(f"{low} must be below entryPrice for a {side} trade", low)
    if above is not None and above <= entry_price_e4:
        raise BadRequest(f"{high} must be above entryPrice for a {side} trade", high)
