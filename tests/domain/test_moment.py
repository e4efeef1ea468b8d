"""Moments as text, and the trading day in Asia/Kolkata."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vyomo_rt.domain.moment import iso, to_datetime, to_ms, trading_day

MOMENTS = st.integers(0, 253_402_300_799_999)  # to the end of the year 9999


def ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text))


@given(MOMENTS)
def test_a_moment_as_text_has_three_millisecond_digits_and_means_the_same(moment_ms: int) -> None:
    text = iso(moment_ms)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    assert datetime.fromisoformat(text) == to_datetime(moment_ms)
    assert ms(text) == moment_ms


@given(MOMENTS, MOMENTS)
def test_texts_sort_like_the_moments(one_ms: int, other_ms: int) -> None:
    assert (iso(one_ms) < iso(other_ms)) == (one_ms < other_ms)


@given(MOMENTS, st.integers(0, 999))
def test_microseconds_are_cut_not_rounded(moment_ms: int, microseconds: int) -> None:
    moment = to_datetime(moment_ms) + timedelta(microseconds=microseconds)
    assert to_ms(moment) == moment_ms


def test_a_moment_is_utc_whatever_zone_it_was_given_in() -> None:
    assert iso(ms("2026-11-23T05:30:00.5+05:30")) == "2026-11-23T00:00:00.500Z"
    assert to_datetime(0).tzinfo is UTC


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-11-22T18:29:59.999+00:00", date(2026, 11, 22)),
        ("2026-11-22T18:30:00.000+00:00", date(2026, 11, 23)),
        ("2026-11-23T00:00:00.000+00:00", date(2026, 11, 23)),
        ("2026-12-31T18:30:00.000+00:00", date(2027, 1, 1)),
        ("2028-02-28T18:30:00.000+00:00", date(2028, 2, 29)),
    ],
)
def test_the_trading_day_begins_at_1830_utc(moment: str, day: date) -> None:
    assert trading_day(ms(moment)) == day


@given(st.integers(0, 253_402_200_000_000))
def test_the_trading_day_is_the_date_five_and_a_half_hours_ahead(moment_ms: int) -> None:
    ahead = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=moment_ms, hours=5.5)
    assert trading_day(moment_ms) == ahead.date()
