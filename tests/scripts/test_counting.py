"""Lost, doubled and disordered events are told apart, and percentiles are those of the samples."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from lab.crowd.counting import Delays, SeqCheck

FIRST = 5


@given(st.lists(st.integers(FIRST, FIRST + 12)), st.integers(0, 3))
def test_each_event_is_lost_doubled_out_of_order_or_well(seen: list[int], more: int) -> None:
    """Whatever came: compared with counting it the slow way."""
    newest = max(seen, default=FIRST - 1) + more
    check = SeqCheck(FIRST - 1)
    for seq in seen:
        check.see(seq)

    firsts = [seq for at, seq in enumerate(seen) if seq not in seen[:at]]
    late = [seq for at, seq in enumerate(firsts) if seq < max(firsts[:at], default=0)]
    assert check.lost(newest) == len(set(range(FIRST, newest + 1)) - set(seen))
    assert check.doubled == len(seen) - len(firsts)
    assert check.disordered == len(late)


@given(st.lists(st.integers(-20, 50_000), min_size=1), st.sampled_from([1, 50, 99, 100]))
def test_a_percentile_is_the_smallest_sample_that_so_many_do_not_exceed(
    tenths: list[int], percent: int
) -> None:
    delays, others = Delays(), Delays()
    for number, value in enumerate(tenths):
        (delays if number % 2 else others).add(value / 10)
    delays.merge(others)
    rank = max(1, math.ceil(len(tenths) * percent / 100))
    assert delays.percentile_ms(percent) == sorted(tenths)[rank - 1] / 10
    assert delays.samples == len(tenths)


def test_without_samples_there_is_no_percentile() -> None:
    assert Delays().percentile_ms(99) is None
