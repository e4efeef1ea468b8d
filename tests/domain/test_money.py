"""Arithmetic of money against exact fractions."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from vyomo_rt.domain.money import (
    MAX_PRICE_E4,
    MAX_QUANTITY,
    Side,
    divide_half_away,
    pnl_paise,
    pnl_percent_e2,
    win_rate_e2,
)

SIDES = st.sampled_from(Side)
PRICES = st.integers(1, MAX_PRICE_E4)
CLOSE_PRICES = st.integers(0, MAX_PRICE_E4)
QUANTITIES = st.integers(1, MAX_QUANTITY)


def rounded(exact: Fraction) -> int:
    """To the nearest int, halves away from zero."""
    away = (abs(exact) + Fraction(1, 2)).__floor__()
    return away if exact >= 0 else -away


def test_the_originals_worked_example() -> None:
    """Bought 50 at 195.25, now 196.30: 52.5 and 0.54 %."""
    assert pnl_paise(Side.BUY, 50, 195_2500, 196_3000) == 52_50
    assert pnl_percent_e2(Side.BUY, 195_2500, 196_3000) == 54
    assert win_rate_e2(wins=1, closed=1) == 100_00


@given(st.integers(), st.integers(min_value=1))
def test_division_rounds_half_away_from_zero(numerator: int, denominator: int) -> None:
    assert divide_half_away(numerator, denominator) == rounded(Fraction(numerator, denominator))


@given(st.integers(-(10**15), 10**15), st.integers(0, 8))
def test_division_by_powers_of_ten_is_decimal_round_half_up(numerator: int, places: int) -> None:
    expected = Decimal(numerator).scaleb(-places).quantize(Decimal(1), ROUND_HALF_UP)
    assert divide_half_away(numerator, 10**places) == expected


@given(st.integers(-(10**12), 10**12))
def test_an_exact_half_goes_away_from_zero_on_both_sides(whole: int) -> None:
    half = 2 * whole + 1
    assert divide_half_away(half, 2) == (whole + 1 if whole >= 0 else whole)
    assert divide_half_away(-half, 2) == -divide_half_away(half, 2)


@given(SIDES, QUANTITIES, PRICES, CLOSE_PRICES)
def test_pnl_is_the_exact_one_rounded_once(
    side: Side, quantity: int, entry_e4: int, price_e4: int
) -> None:
    sign = 1 if side is Side.BUY else -1
    rupees = (Fraction(price_e4, 10_000) - Fraction(entry_e4, 10_000)) * quantity * sign
    assert pnl_paise(side, quantity, entry_e4, price_e4) == rounded(rupees * 100)


@given(SIDES, PRICES, CLOSE_PRICES)
def test_percent_is_the_exact_one_rounded_once(side: Side, entry_e4: int, price_e4: int) -> None:
    sign = 1 if side is Side.BUY else -1
    percent = Fraction(price_e4 - entry_e4, entry_e4) * sign * 100
    assert pnl_percent_e2(side, entry_e4, price_e4) == rounded(percent * 100)


@given(QUANTITIES, PRICES, CLOSE_PRICES)
def test_what_a_buy_earns_a_sell_loses(quantity: int, entry_e4: int, price_e4: int) -> None:
    buy = pnl_paise(Side.BUY, quantity, entry_e4, price_e4)
    assert pnl_paise(Side.SELL, quantity, entry_e4, price_e4) == -buy
    percent = pnl_percent_e2(Side.BUY, entry_e4, price_e4)
    assert pnl_percent_e2(Side.SELL, entry_e4, price_e4) == -percent


def test_half_a_paisa_is_rounded_away_from_zero() -> None:
    assert pnl_paise(Side.BUY, 1, 100_0000, 100_0050) == 1
    assert pnl_paise(Side.BUY, 1, 100_0000, 100_0049) == 0
    assert pnl_paise(Side.SELL, 1, 100_0000, 100_0050) == -1
    assert pnl_paise(Side.SELL, 1, 100_0000, 100_0049) == 0


@given(
    st.integers(0, 10**6).flatmap(lambda closed: st.tuples(st.integers(0, closed), st.just(closed)))
)
def test_win_rate_is_wins_of_closed_in_percent(counts: tuple[int, int]) -> None:
    wins, closed = counts
    expected = rounded(Fraction(wins * 10_000, closed)) if closed else 0
    assert win_rate_e2(wins, closed) == expected


def test_a_third_is_33_33_percent_and_two_thirds_are_66_67() -> None:
    assert (win_rate_e2(1, 3), win_rate_e2(2, 3), win_rate_e2(0, 0)) == (33_33, 66_67, 0)
