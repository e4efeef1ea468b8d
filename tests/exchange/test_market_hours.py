"""Which symbols follow the hours of the exchange, and when a session of theirs goes on."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vyomo_rt.domain.market import MarketState
from vyomo_rt.domain.moment import to_ms
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.exchange.instruments import is_open
from vyomo_rt.exchange.market_hours import MarketHours

CALENDAR = Calendar.shipped()
HOURS = MarketHours(CALENDAR)
KOLKATA = timezone(timedelta(hours=5, minutes=30))

named = st.sampled_from(["NIFTY", "RELIANCE", "NIFTY26DEC24000CE", "NIFTY26N1724000CE", "TCS"])
moments = st.datetimes(
    datetime(2026, 7, 1),  # noqa: DTZ001 (the zone is given beside it)
    datetime(2027, 1, 15),  # noqa: DTZ001
    timezones=st.just(KOLKATA),
).map(to_ms)


def ist(text: str) -> int:
    return to_ms(datetime.fromisoformat(f"{text}+05:30"))


@given(named, moments)
def test_a_named_symbol_is_in_session_while_its_segment_is_open(symbol: str, at_ms: int) -> None:
    assert HOURS.in_session(symbol, at_ms, at_ms) == is_open(symbol, at_ms, CALENDAR)


@given(named, moments, st.integers(0, 4 * 86_400_000))
def test_two_moments_are_in_one_session_only_within_a_day(
    symbol: str, first_ms: int, later_ms: int
) -> None:
    last_ms = first_ms + later_ms
    both = all(is_open(symbol, at_ms, CALENDAR) for at_ms in (first_ms, last_ms))
    same = HOURS.in_session(symbol, first_ms, last_ms)
    assert same == (both and later_ms < 8 * 3_600_000)
    assert HOURS.in_session(symbol, last_ms, first_ms) == same


@given(st.sampled_from(["USDINR", "SMALLCAP", "CRUDEOIL26DECFUT"]), moments, moments)
def test_a_symbol_that_is_not_known_is_open_day_and_night(
    symbol: str, first_ms: int, last_ms: int
) -> None:
    assert HOURS.in_session(symbol, first_ms, last_ms)


@given(named, moments)
def test_the_last_close_is_the_end_of_a_session_before(symbol: str, at_ms: int) -> None:
    close_ms = HOURS.last_close_ms(symbol, at_ms)
    assert close_ms <= at_ms
    assert HOURS.in_session(symbol, close_ms - 1, close_ms - 1)
    assert not HOURS.in_session(symbol, close_ms, close_ms)


@pytest.mark.parametrize(
    ("symbol", "at", "close"),
    [
        ("RELIANCE", "2026-11-26 12:00", "2026-11-25 15:15"),
        ("RELIANCE", "2026-11-26 15:15", "2026-11-26 15:15"),
        ("NIFTY26DEC24000CE", "2026-11-25 09:00", "2026-11-23 15:40"),  # a holiday between
        ("NIFTY26N1724000CE", "2026-11-26 12:00", "2026-11-17 15:40"),  # expired
        ("RELIANCE", "2026-11-09 09:00", "2026-11-08 19:00"),
    ],
)
def test_the_last_close_of_each(symbol: str, at: str, close: str) -> None:
    assert HOURS.last_close_ms(symbol, ist(at)) == ist(close)


def test_the_market_stands_for_its_index_segment() -> None:
    assert HOURS.state(ist("2026-11-26 15:20")) is MarketState.AUCTION


def test_where_all_symbols_follow_the_exchange_an_unnamed_one_has_the_hours_of_a_stock() -> None:
    by_day, by_night = 1_795_584_600_000, 1_795_620_600_000  # 2026-11-25 11:00 and 21:00 in India
    calendar = Calendar.shipped()
    for all_symbols, open_by_night in ((False, True), (True, False)):
        hours = MarketHours(calendar, all_symbols=all_symbols)
        assert hours.in_session("UNNAMED", by_day, by_day)
        assert hours.in_session("UNNAMED", by_night, by_night) is open_by_night
        assert not hours.in_session("NIFTY", by_night, by_night)


@pytest.mark.parametrize(
    ("symbol", "at", "end"),
    [
        ("NIFTY", "2026-11-23T10:00", "2026-11-23T15:15"),
        ("NIFTY", "2026-11-23T15:15", "2026-11-25T15:15"),  # a holiday comes between
        ("NIFTY", "2026-11-20T18:00", "2026-11-23T15:15"),
        ("USDINR", "2026-11-20T18:00", "2026-11-21T00:00"),
        ("USDINR", "2026-11-21T00:00", "2026-11-22T00:00"),
    ],
)
def test_a_session_ends_at_the_next_close_and_that_of_day_and_night_at_midnight(
    symbol: str, at: str, end: str
) -> None:
    assert HOURS.session_end_ms(symbol, ist(at)) == ist(end)


@pytest.mark.parametrize(
    ("symbol", "minute", "after", "at"),
    [
        ("NIFTY26DEC24000CE", "15:20", "2026-11-26 15:19", "2026-11-26 15:20"),
        ("NIFTY26DEC24000CE", "15:20", "2026-11-26 15:20", "2026-11-27 15:20"),
        ("NIFTY26DEC24000CE", "15:36", "2026-11-26 09:00", "2026-11-26 15:35"),
        ("NIFTY26DEC24000CE", "15:20", "2026-11-27 16:00", "2026-11-30 15:20"),  # a weekend
        ("NIFTY26DEC24000CE", "15:20", "2026-11-23 16:00", "2026-11-25 15:20"),  # a holiday
        ("RELIANCE", "15:15", "2026-11-26 09:00", "2026-11-26 15:10"),
        ("RELIANCE", "15:15", "2026-07-30 09:00", "2026-07-30 15:15"),  # before the auction
        ("RELIANCE", "20:00", "2026-11-26 16:00", "2026-11-27 15:10"),
        ("NIFTY", "15:15", "2026-02-01 09:00", "2026-02-01 15:15"),  # the budget, on a Sunday
        ("NIFTY", "20:00", "2026-11-07 09:00", "2026-11-08 18:55"),  # Muhurat, on a Sunday
        ("NIFTY", "18:30", "2026-11-07 09:00", "2026-11-08 18:30"),
        ("NIFTY", "15:15", "2027-12-31 16:00", "2028-01-03 15:10"),  # unknown: a weekday
        ("USDINR", "15:15", "2026-11-28 15:15", "2026-11-29 15:15"),  # day and night, a Sunday
        ("USDINR", "23:59", "2026-11-28 15:15", "2026-11-28 23:59"),
        ("USDINR", "00:00", "2026-11-28 15:15", "2026-11-29 00:00"),
    ],
)
def test_trades_are_squared_off_on_trading_days_and_before_the_session_ends(
    symbol: str, minute: str, after: str, at: str
) -> None:
    hour, minutes = map(int, minute.split(":"))
    found = HOURS.square_off_ms(symbol, hour * 60 + minutes, ist(after))
    assert found == ist(at)


@given(st.sampled_from(["NIFTY", "RELIANCE", "USDINR"]), st.integers(0, 1439), moments)
def test_the_next_square_off_is_the_only_one_until_then(
    symbol: str, minute: int, after_ms: int
) -> None:
    at_ms = HOURS.square_off_ms(symbol, minute, after_ms)
    assert at_ms > after_ms
    assert HOURS.square_off_ms(symbol, minute, at_ms - 1) == at_ms
    assert HOURS.square_off_ms(symbol, minute, (after_ms + at_ms) // 2) == at_ms


def test_a_new_day_is_the_next_trading_date() -> None:
    friday, monday = ist("2026-11-27T15:00:00"), ist("2026-11-30T00:00:00")
    assert HOURS.new_day_ms(friday) == monday
    assert HOURS.new_day_ms(monday - 1) == monday
    assert HOURS.new_day_ms(monday) == ist("2026-12-01T00:00:00")
