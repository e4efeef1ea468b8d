"""The simulated price path: one truth for each seed, symbol and moment."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vyomo_rt.market.feeds.sim.path import MINUTE_WEIGHTS, STEP_MS, PricePath, bridge, shock

MIDNIGHT_MS = 1_769_970_600_000  # 2026-02-02 00:00 in Asia/Kolkata
DAY_MS = 86_400_000

moments_ms = st.integers(MIDNIGHT_MS - 3 * DAY_MS, MIDNIGHT_MS + 3 * DAY_MS)


def nifty(seed: str = "1", symbol: str = "NIFTY") -> PricePath:
    return PricePath(seed, symbol, 240_000_000, 100, 13)


def log_moves(prices: list[int]) -> list[float]:
    return [math.log(after / before) for before, after in pairwise(prices)]


def root_mean_square(values: list[float]) -> float:
    return math.sqrt(sum(value * value for value in values) / len(values))


@settings(max_examples=25, deadline=None)
@given(st.lists(moments_ms, min_size=1, max_size=8))
def test_a_price_does_not_depend_on_what_was_asked_before(asked_ms: list[int]) -> None:
    path = nifty()
    assert [path.price_e4(ms) for ms in asked_ms] == [nifty().price_e4(ms) for ms in asked_ms]


def test_processes_with_different_hash_seeds_agree() -> None:
    program = (
        "from vyomo_rt.market.feeds.sim.path import PricePath\n"
        "path = PricePath('1', 'NIFTY', 240_000_000, 100, 13)\n"
        f"print([path.price_e4({MIDNIGHT_MS} + i * 7_654_321) for i in range(30)])"
    )
    answers = [
        json.loads(
            subprocess.check_output(
                [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": hash_seed}
            )
        )
        for hash_seed in ("1", "2")
    ]
    path = nifty()
    here = [path.price_e4(MIDNIGHT_MS + i * 7_654_321) for i in range(30)]
    assert answers == [here, here]


def test_the_path_is_the_one_that_earlier_versions_drew() -> None:
    path = nifty()
    asked_ms = (MIDNIGHT_MS, MIDNIGHT_MS + 36_000_000, MIDNIGHT_MS + 400 * DAY_MS + 12_345_678)
    assert [path.price_e4(ms) for ms in asked_ms] == [240_861_800, 239_486_700, 239_870_100]


def test_seeds_and_symbols_have_paths_of_their_own() -> None:
    paths = [nifty(), nifty(seed="2"), nifty(symbol="SENSEX")]
    assert len({path.price_e4(MIDNIGHT_MS) for path in paths}) == 3


def test_a_price_holds_for_a_quarter_second() -> None:
    path = nifty()
    start_ms = MIDNIGHT_MS + 36_000_000
    prices = [path.price_e4(start_ms + ms) for ms in range(0, 60_000, 50)]
    for first in range(0, len(prices), 5):
        assert len(set(prices[first : first + 5])) == 1
    assert len(set(prices)) > 100


@pytest.mark.parametrize("step_ms", [60_000, DAY_MS], ids=["minutes", "midnights"])
def test_the_step_over_a_seam_is_of_the_size_of_an_ordinary_step(step_ms: int) -> None:
    path = nifty()
    over_seam, ordinary = [], []
    for seam_ms in range(MIDNIGHT_MS, MIDNIGHT_MS + 100 * step_ms, step_ms):
        around = [path.price_e4(seam_ms + n * STEP_MS) for n in range(-8, 8)]
        moves = log_moves(around)
        over_seam.append(moves.pop(7))
        ordinary += moves
    assert root_mean_square(over_seam) == pytest.approx(root_mean_square(ordinary), rel=0.35)


@pytest.mark.parametrize("volatility_percent", [13, 25])
def test_the_daily_realised_volatility_is_the_one_asked_for(volatility_percent: int) -> None:
    path = PricePath("1", "NIFTY", 240_000_000, 100, volatility_percent)
    quarter_hour_ms = 900_000
    prices = [
        path.price_e4(ms) for ms in range(MIDNIGHT_MS, MIDNIGHT_MS + 40 * DAY_MS, quarter_hour_ms)
    ]
    moves = log_moves(prices)
    daily = root_mean_square(moves) * math.sqrt(DAY_MS / quarter_hour_ms)
    assert daily == pytest.approx(volatility_percent / 100 / math.sqrt(252), rel=0.15)


def test_years_later_the_price_is_still_near_its_base() -> None:
    path = nifty()
    prices = [path.price_e4(MIDNIGHT_MS + n * 97 * DAY_MS) for n in range(100)]
    assert 0.95 * 240_000_000 < min(prices) < max(prices) < 1.05 * 240_000_000


def test_a_day_moves_as_much_from_end_to_end_as_within() -> None:
    path = nifty()
    prices = [path.price_e4(MIDNIGHT_MS + day * DAY_MS) for day in range(200)]
    moves = log_moves(prices)
    assert root_mean_square(moves) == pytest.approx(0.13 / math.sqrt(252), rel=0.15)


@settings(max_examples=50, deadline=None)
@given(
    tick_e4=st.sampled_from([25, 100, 500, 1000, 50_000]),
    base_price_e4=st.integers(1, 10**9),
    volatility_percent=st.integers(0, 300),
    moment_ms=moments_ms,
)
def test_prices_are_positive_multiples_of_the_tick(
    tick_e4: int, base_price_e4: int, volatility_percent: int, moment_ms: int
) -> None:
    path = PricePath("1", "X", base_price_e4, tick_e4, volatility_percent)
    price_e4 = path.price_e4(moment_ms)
    assert price_e4 > 0
    assert price_e4 % tick_e4 == 0


def test_market_hours_hold_most_of_the_variance_and_the_opening_moves_most() -> None:
    variances = [weight * weight for weight in MINUTE_WEIGHTS]
    assert sum(variances) == pytest.approx(1)
    opening, closing = 9 * 60 + 15, 15 * 60 + 30
    assert 0.6 < sum(variances[opening:closing]) < 0.7
    assert max(variances) == variances[opening]
    assert variances[closing - 1] > variances[12 * 60] > variances[closing] > 0


@settings(deadline=None)
@given(
    seed=st.integers(),
    start=st.floats(-1, 1),
    end=st.floats(-1, 1),
    weights=st.lists(st.floats(0.1, 2), min_size=1, max_size=50),
)
def test_a_bridge_leads_from_its_start_to_its_end(
    seed: int, start: float, end: float, weights: list[float]
) -> None:
    levels = bridge(Random(seed), start, end, 0.01, weights)
    assert len(levels) == len(weights) + 1
    assert levels[0] == start
    assert levels[-1] == pytest.approx(end, abs=1e-9)


def test_shocks_have_variance_one_and_heavy_tails() -> None:
    rng = Random(1)
    shocks = [shock(rng) for _ in range(100_000)]
    assert root_mean_square(shocks) == pytest.approx(1, rel=0.05)
    # Beyond four deviations: 0.5 % of them, where a normal variable has 0.006 %.
    assert 300 < sum(abs(value) > 4 for value in shocks) < 700
