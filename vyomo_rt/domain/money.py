"""Arithmetic of money on ints: exact inside, rounded once at the end."""

from __future__ import annotations

from enum import StrEnum

E4_PER_PAISA = 100
"""A price is an int of ₹0.0001 (currency futures tick at ₹0.0025)."""

MAX_PRICE_E4 = 10**7 * 10_000
MAX_QUANTITY = 10**7
MAX_CAPITAL_PAISE = 10**11 * 100


class Side(StrEnum):
    """Which way a trade earns: BUY with rising prices, SELL with falling ones."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1


def divide_half_away(numerator: int, denominator: int) -> int:
    """Divide and round to the nearest int, halves away from zero.

    ``denominator`` must be positive.
    """
    quotient = (2 * abs(numerator) + denominator) // (2 * denominator)
    return quotient if numerator >= 0 else -quotient


def pnl_paise(side: Side, quantity: int, entry_price_e4: int, price_e4: int) -> int:
    """P&L of a position at a price: (price - entry) x quantity x sign, gross of charges."""
    return divide_half_away((price_e4 - entry_price_e4) * quantity * side.sign, E4_PER_PAISA)


def pnl_percent_e2(side: Side, entry_price_e4: int, price_e4: int) -> int:
    """P&L in hundredths of a percent of the entry value.

    Quantity stands on both sides of the division and falls out. The unrounded
    P&L is divided, so the result is rounded once.
    """
    return divide_half_away((price_e4 - entry_price_e4) * side.sign * 10_000, entry_price_e4)


def win_rate_e2(wins: int, closed: int) -> int:
    """Winning trades in hundredths of a percent of the closed ones; 0 if none closed."""
    return divide_half_away(wins * 10_000, closed) if closed else 0
