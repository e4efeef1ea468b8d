"""The schedules of charges, as dated rows that ship with the package."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from importlib import resources

from msgspec import Struct, json

from vyomo_rt.domain.charges import WHOLE_E7, ChargePlan, Charges, Rates
from vyomo_rt.domain.moment import trading_day
from vyomo_rt.domain.money import Side


class Schedule(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from"}):
    """What a plan costs from a date on, until its next row; ``brokerage_most`` in rupees.

    Without ``brokerage_percent`` the brokerage is ``brokerage_most`` for every order.
    """

    plan: ChargePlan
    since: date
    brokerage_most: Decimal
    stt_sell_percent: Decimal
    transaction_percent: Decimal
    stamp_buy_percent: Decimal
    sebi_percent: Decimal
    gst_percent: Decimal
    source: str
    brokerage_percent: Decimal | None = None

    def rates(self) -> Rates:
        """The same in units of the domain."""
        percent = self.brokerage_percent
        return Rates(
            brokerage_e7=None if percent is None else _rate_e7(percent),
            brokerage_most_paise=_whole(self.brokerage_most * 100),
            stt_sell_e7=_rate_e7(self.stt_sell_percent),
            transaction_e7=_rate_e7(self.transaction_percent),
            stamp_buy_e7=_rate_e7(self.stamp_buy_percent),
            sebi_e7=_rate_e7(self.sebi_percent),
            gst_e7=_rate_e7(self.gst_percent),
        )


class Tariff:
    """The rates of each plan on each date. Dates before a plan's first row have those of it."""

    def __init__(self, schedules: Sequence[Schedule]) -> None:
        newest_first = sorted(schedules, key=lambda row: row.since, reverse=True)
        self._rates = {
            plan: [(row.since, row.rates()) for row in newest_first if row.plan is plan]
            for plan in ChargePlan
        }

    def order_charges(
        self, plan: ChargePlan | None, side: Side, quantity: int, price_e4: int, at_ms: int
    ) -> Charges | None:
        """The charges of an order that is filled at a moment; None without a plan.

        The date that counts is that of Asia/Kolkata.
        """
        if plan is None:
            return None
        rows = self._rates[plan]
        day = trading_day(at_ms)
        rates = next((rates for since, rates in rows if since <= day), rows[-1][1])
        return rates.order_charges(side, quantity, price_e4)


# Made here, so that msgspec looks at the types now and never while a test has frozen the time.
_SCHEDULES = json.Decoder(tuple[Schedule, ...])


@cache
def shipped_tariff() -> Tariff:
    """The rates that ship with the package."""
    return Tariff(shipped_schedules())


def shipped_schedules() -> tuple[Schedule, ...]:
    """The rows of the package, with their sources."""
    text = resources.files(__package__).joinpath("charges.json").read_bytes()
    return _SCHEDULES.decode(text)


def _rate_e7(percent: Decimal) -> int:
    return _whole(percent * (WHOLE_E7 // 100))


def _whole(number: Decimal) -> int:
    if number != int(number):
        raise ValueError(f"{number} has too many decimals")
    return int(number)
