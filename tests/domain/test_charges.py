"""What a trade costs, and how its parts share it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.domain.samples import DAY_MS, NEXT_DAY, ROLL_OVER_MS
from vyomo_rt.domain.charges import ChargePlan, Charges, added
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.state import Figures
from vyomo_rt.domain.trade import Exit, ExitReason, Trade
from vyomo_rt.exchange.charges import shipped_tariff

MANUAL = ExitReason.MANUAL
PLANS = st.none() | st.sampled_from(ChargePlan)


def order(plan: ChargePlan | None, side: Side, quantity: int, price_e4: int) -> Charges | None:
    return shipped_tariff().order_charges(plan, side, quantity, price_e4, ROLL_OVER_MS)


def opened(plan: ChargePlan | None, side: Side, quantity: int, price_e4: int) -> Trade:
    trade = Trade(1, 6, "NIFTY", side, quantity, price_e4, ROLL_OVER_MS - DAY_MS)
    return replace(trade, entry_charges=order(plan, side, quantity, price_e4))


def leaving(
    trade: Trade, plan: ChargePlan | None, quantity: int, price_e4: int, at_ms: int = ROLL_OVER_MS
) -> Exit:
    side = Side.SELL if trade.side is Side.BUY else Side.BUY
    return Exit(price_e4, MANUAL, at_ms, charges=order(plan, side, quantity, price_e4))


def in_parts(
    trade: Trade, parts: list[tuple[ChargePlan | None, int]], last: ChargePlan | None
) -> list[Trade]:
    """The trade after each part and after its close."""
    steps = [trade]
    for plan, quantity in parts:
        before = steps[-1]
        if quantity < before.open_quantity:
            exit_ = leaving(before, plan, quantity, 90_0000)
            steps.append(before.reduced_by(quantity, exit_))
    before = steps[-1]
    steps.append(before.closed(leaving(before, last, before.open_quantity, 110_0000)))
    return steps[1:]


def total(charges: Charges | None) -> int:
    return 0 if charges is None else charges.total_paise


def of_part(trade: Trade) -> Charges | None:
    return trade.newest_part_charges if trade.is_open else trade.last_part_charges


@given(
    st.builds(opened, PLANS, st.sampled_from(Side), st.integers(1, 500), st.integers(1, 10**8)),
    st.lists(st.tuples(PLANS, st.integers(1, 100)), max_size=6),
    PLANS,
)
def test_the_parts_cost_together_what_the_entry_and_all_exits_cost(
    trade: Trade, parts: list[tuple[ChargePlan | None, int]], last: ChargePlan | None
) -> None:
    steps = in_parts(trade, parts, last)
    exits = [step.exit or (step.reduced and step.reduced.last) for step in steps]
    whole = trade.entry_charges
    for exit_ in exits:
        assert exit_
        whole = added(whole, exit_.charges)
    assert steps[-1].charges == whole
    assert sum(total(of_part(step)) for step in steps) == total(whole)
    figures = Figures().after_opening(0)
    for step in steps:
        figures = figures.after_reduction(step) if step.is_open else figures.after_closing(step)
    assert figures.charges_paise == total(whole)
    assert figures.net_paise == steps[-1].realised_paise - total(whole)
    assert sum(figures.charge_days.values()) == total(whole)
    assert (whole is None) == (not figures.charge_days)


def test_a_part_bears_its_exit_and_its_share_of_the_entry_and_the_last_one_the_rest() -> None:
    trade = opened(ChargePlan.NSE_OPTIONS, Side.BUY, 50, 195_2500)
    entry = Charges(20_00, 0, 3_47, 29, 1, 4_23)
    assert (trade.entry_charges, trade.charges) == (entry, None)
    plain = trade.reduced_by(17, leaving(trade, None, 17, 196_3000))
    # 17 of 50: 6.80, 1.1798, 0.0986, 0.0034, 1.4382
    share = Charges(6_80, 0, 1_18, 10, 0, 1_44)
    assert plain.newest_part_charges == plain.charges == share
    again = plain.reduced_by(17, leaving(plain, ChargePlan.NSE_OPTIONS, 17, 196_3000))
    exit_ = Charges(20_00, 5_01, 1_19, 0, 0, 3_81)
    assert again.newest_part_charges == added(share, exit_)
    assert again.charges == added(share, added(share, exit_))
    done = again.closed(leaving(again, None, 16, 196_3000))
    assert done.last_part_charges == Charges(6_40, 0, 1_11, 9, 1, 1_35)
    assert done.charges == added(entry, exit_)


def test_a_short_pays_stt_when_it_is_opened_and_stamp_duty_when_it_is_bought_back() -> None:
    trade = opened(ChargePlan.NSE_FUTURES, Side.SELL, 65, 24000_0000)
    assert trade.entry_charges is not None
    assert (trade.entry_charges.stt, trade.entry_charges.stamp) == (780_00, 0)
    exit_ = leaving(trade, ChargePlan.NSE_FUTURES, 65, 24000_0000).charges
    assert exit_ is not None
    assert (exit_.stt, exit_.stamp) == (0, 31_20)


def test_charges_count_on_the_day_of_their_part_and_leave_gross_figures_alone() -> None:
    plan = ChargePlan.NSE_OPTIONS
    trade = opened(plan, Side.BUY, 50, 195_2500)
    part = trade.reduced_by(25, leaving(trade, plan, 25, 196_3000, ROLL_OVER_MS - 1))
    done = part.closed(leaving(part, plan, 25, 196_3000))
    figures = Figures().after_opening(0).after_reduction(part).after_closing(done)
    assert (figures.wins, figures.losses, figures.realised_paise) == (1, 0, 52_50)
    assert figures.charge_days == {
        NEXT_DAY.replace(day=22): total(part.newest_part_charges),
        NEXT_DAY: total(done.last_part_charges),
    }
    assert figures.net_paise == 52_50 - total(done.charges) < 0, "a gross win is a net loss"
