"""Whatever happens to store and server: the log says what the ticks make of it.

Random ticks, moves, commands and crashes against a real store. After each crash the session goes
on from its newest stored event.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.trading.bench import new_bench
from tests.trading.history import check

ticks = st.tuples(st.just("tick"), st.integers(90, 115), st.integers(0, 900))
others = st.one_of(
    st.tuples(st.just("open"), st.integers(2, 8), st.integers(0, 9)),
    st.tuples(st.just("close"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("reduce"), st.integers(0, 9), st.integers(1, 4)),
    st.tuples(st.just("stop"), st.integers(0, 9), st.integers(1, 9)),
    st.tuples(st.just("lose"), st.booleans(), st.just(0)),
    st.tuples(st.just("crash"), st.just(0), st.just(0)),
    st.tuples(
        st.just("clock"), st.integers(0, 1500) | st.sampled_from([60_000, 3_700_000]), st.just(0)
    ),
    st.tuples(st.just("rule"), st.integers(0, 3), st.integers(0, 12)),
    st.tuples(st.just("status"), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("charge"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("square_off"), st.integers(0, 1), st.booleans()),
)
SQUARED_OFF = [
    *(("tick", 101, 0), ("charge", 2, 0), ("square_off", 1, True), ("open", 3, 0)),
    *(("reduce", 0, 4), ("tick", 102, 500), ("tick", 99, 60_000), ("open", 3, 0)),
]
"""At the price before the last tick, and nothing opens after it."""
WITHOUT_A_PRICE = [("open", 2, 0), ("square_off", 1, True), ("clock", 60_000, 0), ("tick", 90, 0)]
"""Its first price is below every stop, and closes as what has waited for it."""
AFTER_A_DOWNTIME = [
    *(("square_off", 1, True), ("tick", 102, 500), ("lose", False, 0), ("clock", 60_000, 0)),
    *(("crash", 0, 0), ("tick", 98, 10)),
]
HALTED = [
    *(("rule", 2, 4), ("rule", 0, 6), ("tick", 104, 10), ("tick", 95, 10), ("status", 0, 0)),
    *(("open", 8, 0), ("crash", 0, 0), ("tick", 94, 10), ("rule", 3, 1), ("clock", 3_700_000, 0)),
]
"""By the lock and, once that is lifted, by the loss; a new day ends it."""
histories = st.lists(ticks | ticks | others, min_size=5, max_size=30)


@settings(max_examples=12, deadline=None)
@given(histories)
@example(SQUARED_OFF)
@example(WITHOUT_A_PRICE)
@example(AFTER_A_DOWNTIME)
@example(HALTED)
async def test_the_log_says_what_a_re_run_over_the_ticks_since_the_newest_stored_event_says(
    embedded_uri: str, steps: list[tuple[str, int, int]]
) -> None:
    async with new_bench(embedded_uri) as bench:
        await check(bench, steps)


@pytest.mark.slow(34)
@pytest.mark.timeout(900)
@settings(max_examples=400, deadline=None)
@given(histories)
async def test_many_more_logs_say_what_a_re_run_says(
    embedded_uri: str, steps: list[tuple[str, int, int]]
) -> None:
    async with new_bench(embedded_uri) as bench:
        await check(bench, steps)
