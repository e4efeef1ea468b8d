"""What trading costs: the charges of an order, item by item, each rounded to the paisa."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from operator import add, sub
from typing import NamedTuple

from vyomo_rt.domain.money import E4_PER_PAISA, Side, divide_half_away

WHOLE_E7 = 10**7
"""A rate is an int of 0.00001 %: the exchange's have five decimals of a percent."""


class ChargePlan(StrEnum):
    """By which schedule a session is charged."""

    NSE_INTRADAY = "NSE_INTRADAY"
    NSE_OPTIONS = "NSE_OPTIONS"
    NSE_FUTURES = "NSE_FUTURES"


class Charges(NamedTuple):
    """The charges of an order, of a part of a trade or of a whole one, in paise."""

    brokerage: int = 0
    stt: int = 0
    transaction: int = 0
    stamp: int = 0
    sebi: int = 0
    gst: int = 0

    @property
    def total_paise(self) -> int:
        return sum(self)

    def minus(self, other: Charges | None) -> Charges:
        """What is left of these without the others."""
        return self if other is None else Charges._make(map(sub, self, other))

    def share(self, quantity: int, whole: int) -> Charges:
        """What falls to a part of the quantity, each item rounded by itself."""
        return Charges(*(divide_half_away(item * quantity, whole) for item in self))


def added(one: Charges | None, other: Charges | None) -> Charges | None:
    """Both together; None is a time without charges."""
    if one is None or other is None:
        return other if one is None else one
    return Charges._make(map(add, one, other))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What an order costs: parts of its turnover, in ``WHOLE_E7``, and the brokerage.

    The brokerage is ``brokerage_most_paise`` an order, or less where ``brokerage_e7`` of the
    turnover is less. STT is of what is sold, stamp duty of what is bought; ``gst_e7`` is of the
    rounded brokerage, transaction charge and SEBI fee.
    """

    brokerage_e7: int | None
    brokerage_most_paise: int
    stt_sell_e7: int
    transaction_e7: int
    stamp_buy_e7: int
    sebi_e7: int
    gst_e7: int

    def order_charges(self, side: Side, quantity: int, price_e4: int) -> Charges:
        """The charges of an order that buys or sells at a price."""
        turnover_e4 = price_e4 * quantity

        def of_turnover(rate_e7: int) -> int:
            return divide_half_away(turnover_e4 * rate_e7, E4_PER_PAISA * WHOLE_E7)

        brokerage = self.brokerage_most_paise
        if self.brokerage_e7 is not None:
            brokerage = min(brokerage, of_turnover(self.brokerage_e7))
        transaction, sebi = of_turnover(self.transaction_e7), of_turnover(self.sebi_e7)
        return Charges(
            brokerage=brokerage,
            stt=of_turnover(self.stt_sell_e7) if side is Side.SELL else 0,
            transaction=transaction,
            stamp=of_turnover(self.stamp_buy_e7) if side is Side.BUY else 0,
            sebi=sebi,
            gst=divide_half_away((brokerage + transaction + sebi) * self.gst_e7, WHOLE_E7),
        )


Charge = Callable[[ChargePlan | None, Side, int, int, int], Charges | None]
"""The charges of an order: plan, side, quantity, price (₹0.0001), moment. Without a plan, None."""
