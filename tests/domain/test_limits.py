"""Buckets: what may be taken from them, when, and what is remembered of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vyomo_rt.domain.errors import RateLimited
from vyomo_rt.domain.limits import Buckets, Pace, Tally


class Time:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_burst_may_be_taken_at_once_and_then_one_at_a_time() -> None:
    pace = Pace(per_s=20, burst=40)
    bucket_s, now_s = 0.0, 123.456
    for _ in range(40):
        assert pace.wait_s(bucket_s, now_s) == 0
        bucket_s = pace.taken(bucket_s, now_s)
    assert pace.wait_s(bucket_s, now_s) == pytest.approx(0.05)
    now_s += 0.05
    assert pace.wait_s(bucket_s, now_s) == 0
    bucket_s = pace.taken(bucket_s, now_s)
    assert pace.wait_s(bucket_s, now_s) == pytest.approx(0.05)
    assert pace.wait_s(bucket_s, now_s + 2) == 0


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 100),
    st.integers(1, 100),
    st.lists(st.floats(0, 0.5), min_size=1, max_size=60),
)
def test_in_no_stretch_of_time_more_is_taken_than_the_pace_allows(
    per_s: int, burst: int, pauses_s: list[float]
) -> None:
    pace = Pace(per_s, burst)
    now_s, bucket_s, taken_s = 50.0, 0.0, []
    for pause_s in pauses_s:
        now_s += pause_s
        if not pace.wait_s(bucket_s, now_s):
            bucket_s = pace.taken(bucket_s, now_s)
            taken_s.append(now_s)
    for first, since_s in enumerate(taken_s):
        for last in range(first, len(taken_s)):
            allowed = burst + (taken_s[last] - since_s) * per_s
            assert last - first + 1 <= allowed + 1e-3


def test_a_refusal_says_when_and_takes_nothing() -> None:
    time = Time()
    buckets = Buckets(Pace(per_s=0.5, burst=2), time, "failed tokens")
    for _ in range(2):
        buckets.take("a")
    for _ in range(10):
        with pytest.raises(RateLimited, match="too many failed tokens") as refused:
            buckets.take("a")
        assert refused.value.retry_after_s == pytest.approx(2)
    buckets.take("b")
    time.now_s += 2
    buckets.take("a")


def test_a_million_addresses_fill_no_memory_and_full_buckets_are_forgotten() -> None:
    time = Time()
    buckets = Buckets(Pace(per_s=0.5, burst=30), time, "failed tokens")
    for number in range(50_000):
        buckets.take(str(number))
    assert len(buckets) <= 10_000
    time.now_s += 2
    for number in range(6_000):
        buckets.take(f"later {number}")
    assert len(buckets) <= 6_001


def test_a_tally_remembers_nothing_of_what_has_ended() -> None:
    tally = Tally(limit=2)
    assert [tally.enter("a") for _ in range(3)] == [True, True, False]
    assert tally.enter("b")
    tally.leave("a")
    assert not tally.enter("a")
    for key in ("a", "a", "a", "b"):
        tally.leave(key)
    assert len(tally) == 0
