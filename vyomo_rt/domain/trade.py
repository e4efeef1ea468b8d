"""A trade: its terms, its exit rules, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from vyomo_rt.domain.errors import BadRequest, Conflict
from vyomo_rt.domain.money import Side, pnl_paise, pnl_percent_e2


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


@dataclass(frozen=True, slots=True)
class Exit:
    """A decided close: the price it fills at, why, and when it was triggered."""

    price_e4: int
    reason: ExitReason
    at_ms: int


@dataclass(frozen=True, slots=True)
class Trade:
    """A position from its opening on; ``exit`` is None while it is open."""

    trade_id: int
    session_id: int
    symbol: str
    side: Side
    quantity: int
    entry_price_e4: int
    stop_loss_e4: int | None
    target_e4: int | None
    opened_at_ms: int
    exit: Exit | None = None

    @property
    def status(self) -> TradeStatus:
        return TradeStatus.OPEN if self.exit is None else TradeStatus.CLOSED

    @property
    def realised_paise(self) -> int:
        """What the closed trade earned; 0 while it is open."""
        return 0 if self.exit is None else self.pnl_paise_at(self.exit.price_e4)

    def pnl_paise_at(self, price_e4: int) -> int:
        return pnl_paise(self.side, self.quantity, self.entry_price_e4, price_e4)

    def pnl_percent_e2_at(self, price_e4: int) -> int:
        return pnl_percent_e2(self.side, self.entry_price_e4, price_e4)

    def closed(self, exit_: Exit) -> Trade:
        """The same trade after its exit."""
        return replace(self, exit=exit_)

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
