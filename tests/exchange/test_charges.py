"""What an order costs by the schedules that ship with the package."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vyomo_rt.domain.charges import ChargePlan, Charges
from vyomo_rt.domain.moment import day_start_ms
from vyomo_rt.domain.money import MAX_PRICE_E4, MAX_QUANTITY, Side
from vyomo_rt.exchange.charges import Tariff, shipped_schedules, shipped_tariff

BUY, SELL = Side.BUY, Side.SELL
INTRADAY, OPTIONS, FUTURES = ChargePlan
DAY_MS = day_start_ms(date(2026, 11, 26))
PAISA = Decimal("0.01")


def charges(plan: ChargePlan, side: Side, quantity: int, price_e4: int) -> Charges:
    found = shipped_tariff().order_charges(plan, side, quantity, price_e4, DAY_MS)
    assert found is not None
    return found


def test_a_round_trip_of_an_option_costs_what_was_worked_out_by_hand() -> None:
    entry = charges(OPTIONS, BUY, 50, 195_2500)
    exit_ = charges(OPTIONS, SELL, 50, 196_3000)
    assert entry == Charges(brokerage=20_00, stt=0, transaction=3_47, stamp=29, sebi=1, gst=4_23)
    assert exit_ == Charges(20_00, stt=14_72, transaction=3_49, stamp=0, sebi=1, gst=4_23)
    assert (entry.total_paise, exit_.total_paise) == (28_00, 42_45)


@pytest.mark.parametrize(
    ("plan", "side", "quantity", "price_e4", "expected"),
    [
        # 1000 × 100 = 1,00,000: 0.03 % is 30, more than the 20 that an order costs at most.
        (INTRADAY, SELL, 1000, 100_0000, Charges(20_00, 25_00, 3_07, 0, 10, 4_17)),
        (INTRADAY, BUY, 1000, 100_0000, Charges(20_00, 0, 3_07, 3_00, 10, 4_17)),
        # 10,000: 0.03 % is 3.
        (INTRADAY, BUY, 100, 100_0000, Charges(3_00, 0, 31, 30, 1, 60)),
        (FUTURES, SELL, 65, 24000_0000, Charges(20_00, 780_00, 28_55, 0, 1_56, 9_02)),
        (FUTURES, BUY, 65, 24000_0000, Charges(20_00, 0, 28_55, 31_20, 1_56, 9_02)),
        # An option costs the whole brokerage, even one that expires worthless.
        (OPTIONS, SELL, 65, 0, Charges(20_00, 0, 0, 0, 0, 3_60)),
    ],
)
def test_each_item_has_its_rate_its_side_and_its_rounding(
    plan: ChargePlan, side: Side, quantity: int, price_e4: int, expected: Charges
) -> None:
    assert charges(plan, side, quantity, price_e4) == expected


RATES = {
    INTRADAY: ("0.03", "0.025", "0.00307", "0.003"),
    OPTIONS: (None, "0.15", "0.03553", "0.003"),
    FUTURES: ("0.03", "0.05", "0.00183", "0.002"),
}


def rounded(amount: Decimal) -> int:
    return int(amount.quantize(PAISA, ROUND_HALF_UP) * 100)


@given(
    st.sampled_from(ChargePlan),
    st.sampled_from(Side),
    st.integers(1, MAX_QUANTITY),
    st.integers(0, MAX_PRICE_E4),
)
def test_charges_are_those_of_a_calculation_with_decimals(
    plan: ChargePlan, side: Side, quantity: int, price_e4: int
) -> None:
    turnover = Decimal(price_e4) / 10_000 * quantity
    brokerage, stt, transaction, stamp = RATES[plan]
    fee = min(20_00, rounded(turnover * Decimal(brokerage) / 100)) if brokerage else 20_00
    exchange = rounded(turnover * Decimal(transaction or 0) / 100)
    sebi = rounded(turnover * 10 / 10_000_000)
    assert charges(plan, side, quantity, price_e4) == Charges(
        brokerage=fee,
        stt=rounded(turnover * Decimal(stt or 0) / 100) if side is SELL else 0,
        transaction=exchange,
        stamp=rounded(turnover * Decimal(stamp or 0) / 100) if side is BUY else 0,
        sebi=sebi,
        gst=rounded(Decimal(fee + exchange + sebi) / 100 * 18 / 100),
    )


def test_an_order_costs_what_the_schedule_of_its_date_in_kolkata_says() -> None:
    rows = shipped_schedules()
    [options] = [row for row in rows if row.plan is OPTIONS]
    dearer = msgspec.structs.replace(
        options, since=date(2027, 4, 1), stt_sell_percent=Decimal("0.2")
    )
    tariff = Tariff([dearer, *rows])

    def stt(at_ms: int) -> int:
        found = tariff.order_charges(OPTIONS, SELL, 100, 100_0000, at_ms)
        assert found is not None
        return found.stt

    begin_ms = day_start_ms(date(2027, 4, 1))
    assert (stt(begin_ms - 1), stt(begin_ms)) == (15_00, 20_00)
    assert stt(day_start_ms(date(2020, 1, 1))) == 15_00, "before all rows, the first counts"


def test_every_plan_has_a_schedule_and_every_schedule_its_sources() -> None:
    rows = shipped_schedules()
    assert {row.plan for row in rows} == set(ChargePlan)
    assert all(len(row.source) > 40 for row in rows)


def test_a_rate_with_more_decimals_than_can_be_counted_is_refused() -> None:
    row = msgspec.structs.replace(shipped_schedules()[0], sebi_percent=Decimal("0.0000015"))
    with pytest.raises(ValueError, match="too many decimals"):
        Tariff([row])
