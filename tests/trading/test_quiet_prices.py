"""A price that decides nothing looks at no trade, however many are open."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

from tests.domain.samples import DAY, SESSION
from tests.trading.bench import BEGIN_MS, Bench
from vyomo_rt.domain.guarding import opening_guards
from vyomo_rt.domain.guards import Guards
from vyomo_rt.domain.money import Side
from vyomo_rt.domain.state import Figures, state_of
from vyomo_rt.domain.trade import Trade

TRAILING = opening_guards(
    Guards(trailing_stop_e4=5_0000, breakeven_at_e4=110_0000), Side.BUY, 100_0000, lambda: 500
)


def fill(bench: Bench, sessions: int, trades: int) -> None:
    """Take up sessions with so many guarded trades each."""
    for session_id in range(1, sessions + 1):
        opened = [
            Trade(
                session_id * 10_000 + n,
                session_id,
                "NIFTY",
                Side.BUY,
                1,
                100_0000,
                BEGIN_MS,
                **TRAILING,
            )
            for n in range(trades)
        ]
        session = replace(SESSION, session_id=session_id)
        bench.desk.sessions.take_up(state_of(session, Figures(), DAY, opened))


def median_us(bench: Bench) -> float:
    took = []
    for number in range(500):
        began = time.thread_time()
        bench.tick(100_0000 - number % 5)
        took.append((time.thread_time() - began) * 1e6)
    assert not bench.desk.waiting
    return statistics.median(took)


async def test_a_price_that_triggers_nothing_costs_less_than_200_us_with_1000_open_trades(
    bench: Bench,
) -> None:
    fill(bench, sessions=10, trades=100)
    assert bench.replica.open_count == 1000
    assert median_us(bench) < 200
