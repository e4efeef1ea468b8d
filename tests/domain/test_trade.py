"""When a price closes a trade, and which stops and targets a trade may have."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vyomo_rt.domain.errors import BadRequest
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.trade import Exit, ExitReason, Trade, TradeStatus, check_levels

LEVELS = st.none() | st.integers(1, 10**9)
PRICES = st.integers(1, 10**9)
SL, TARGET = ExitReason.SL, ExitReason.TARGET


def trade(
    side: Side = Side.BUY,
    entry_e4: int = 100_0000,
    stop_e4: int | None = None,
    target_e4: int | None = None,
) -> Trade:
    return Trade(1, 6, "NIFTY", side, 50, entry_e4, 0, stop_loss_e4=stop_e4, target_e4=target_e4)


@pytest.mark.parametrize(
    ("price_e4", "reason"),
    [
        (1, SL),
        (95_0000, SL),
        (95_0001, None),
        (109_9999, None),
        (110_0000, TARGET),
        (10**9, TARGET),
    ],
)
def test_a_buy_leaves_at_or_below_its_stop_and_at_or_above_its_target(
    price_e4: int, reason: ExitReason | None
) -> None:
    assert trade(stop_e4=95_0000, target_e4=110_0000).exit_due(price_e4) is reason


@pytest.mark.parametrize(
    ("price_e4", "reason"),
    [
        (1, TARGET),
        (90_0000, TARGET),
        (90_0001, None),
        (104_9999, None),
        (105_0000, SL),
        (10**9, SL),
    ],
)
def test_a_sell_leaves_at_or_above_its_stop_and_at_or_below_its_target(
    price_e4: int, reason: ExitReason | None
) -> None:
    mirrored = trade(Side.SELL, stop_e4=105_0000, target_e4=90_0000)
    assert mirrored.exit_due(price_e4) is reason


@given(PRICES, LEVELS, LEVELS, PRICES)
def test_a_sell_is_the_mirror_image_of_a_buy(
    entry_e4: int, stop_e4: int | None, target_e4: int | None, price_e4: int
) -> None:
    axis = 2 * 10**9

    def mirror(level_e4: int | None) -> int | None:
        return None if level_e4 is None else axis - level_e4

    buy = trade(Side.BUY, entry_e4, stop_e4, target_e4)
    sell = trade(Side.SELL, axis - entry_e4, mirror(stop_e4), mirror(target_e4))
    assert sell.exit_due(axis - price_e4) is buy.exit_due(price_e4)
    assert sell.pnl_paise_at(axis - price_e4) == buy.pnl_paise_at(price_e4)


@given(PRICES, PRICES)
def test_without_stop_and_target_no_price_closes_a_trade(entry_e4: int, price_e4: int) -> None:
    assert all(trade(side, entry_e4).exit_due(price_e4) is None for side in Side)


@given(st.sampled_from(Side), PRICES, LEVELS, LEVELS)
def test_levels_are_accepted_when_the_entry_price_triggers_neither(
    side: Side, entry_e4: int, stop_e4: int | None, target_e4: int | None
) -> None:
    sign = side.sign
    stop_right = stop_e4 is None or stop_e4 * sign < entry_e4 * sign
    target_right = target_e4 is None or target_e4 * sign > entry_e4 * sign
    if stop_right and target_right:
        check_levels(side, entry_e4, stop_e4, target_e4)
        assert trade(side, entry_e4, stop_e4, target_e4).exit_due(entry_e4) is None
    else:
        with pytest.raises(BadRequest) as refused:
            check_levels(side, entry_e4, stop_e4, target_e4)
        named = str(refused.value).split()[0]
        assert named in {"stopLoss": not stop_right, "target": not target_right}
        assert {"stopLoss": not stop_right, "target": not target_right}[named]


@given(PRICES, LEVELS, LEVELS, PRICES)
def test_an_exit_that_is_due_is_a_loss_at_the_stop_and_a_win_at_the_target(
    entry_e4: int, stop_e4: int | None, target_e4: int | None, price_e4: int
) -> None:
    for side in Side:
        try:
            check_levels(side, entry_e4, stop_e4, target_e4)
        except BadRequest:
            continue
        reason = trade(side, entry_e4, stop_e4, target_e4).exit_due(price_e4)
        assume(reason is not None)
        moved = (price_e4 - entry_e4) * side.sign
        assert moved < 0 if reason is SL else moved > 0


def test_closing_leaves_the_open_trade_as_it_was() -> None:
    opened = trade()
    closed = opened.closed(Exit(101_0000, ExitReason.MANUAL, 5))
    assert (opened.status, opened.realised_paise) == (TradeStatus.OPEN, 0)
    assert (closed.status, closed.realised_paise) == (TradeStatus.CLOSED, 50_00)
