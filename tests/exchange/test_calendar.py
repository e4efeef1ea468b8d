"""The calendar: what NSE prescribes, dated, and what it tells of days that nobody knows yet."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vyomo_rt.domain.market import MarketState, Segment
from vyomo_rt.domain.moment import IST_AHEAD_MS, day_start_ms, iso_ist, to_ms, trading_day
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.exchange.calendar_file import shipped_rows

CALENDAR = Calendar.shipped()
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS

moments = st.integers(
    to_ms(datetime(2025, 12, 1, tzinfo=UTC)), to_ms(datetime(2027, 2, 1, tzinfo=UTC))
)
segments = st.sampled_from(Segment)


def ist(text: str) -> int:
    """``2026-08-03 15:15`` in Asia/Kolkata, with seconds or without."""
    return to_ms(datetime.fromisoformat(f"{text}+00:00")) - IST_AHEAD_MS


@pytest.mark.parametrize(
    ("moment", "states"),
    [  # of EQ_FNO, EQ, FNO, INDEX
        ("2026-07-31 08:59:59", "CLOSED CLOSED CLOSED CLOSED"),
        ("2026-07-31 09:00", "PREOPEN PREOPEN PREOPEN PREOPEN"),
        ("2026-07-31 09:15", "OPEN OPEN OPEN OPEN"),
        ("2026-07-31 15:29:59.999", "OPEN OPEN OPEN OPEN"),
        ("2026-07-31 15:30", "CLOSED CLOSED CLOSED CLOSED"),
        ("2026-08-03 15:14:59", "OPEN OPEN OPEN OPEN"),
        ("2026-08-03 15:15", "AUCTION OPEN OPEN AUCTION"),
        ("2026-08-03 15:30", "AUCTION CLOSED OPEN AUCTION"),
        ("2026-08-03 15:35", "CLOSED CLOSED OPEN CLOSED"),
        ("2026-08-03 15:40", "CLOSED CLOSED CLOSED CLOSED"),
        ("2026-02-01 10:00", "OPEN OPEN OPEN OPEN"),  # a Sunday: the budget
        ("2026-02-01 15:30", "CLOSED CLOSED CLOSED CLOSED"),
        ("2026-11-08 10:00", "CLOSED CLOSED CLOSED CLOSED"),  # a Sunday: Muhurat, one hour
        ("2026-11-08 17:50", "PREOPEN PREOPEN PREOPEN PREOPEN"),
        ("2026-11-08 18:30", "OPEN OPEN OPEN OPEN"),
        ("2026-11-08 19:00", "CLOSED CLOSED CLOSED CLOSED"),
        ("2026-11-24 11:00", "CLOSED CLOSED CLOSED CLOSED"),  # a Tuesday, but a holiday
        ("2026-11-28 11:00", "CLOSED CLOSED CLOSED CLOSED"),  # a Saturday
        ("2026-11-26 00:00", "CLOSED CLOSED CLOSED CLOSED"),
        ("2027-01-26 15:20", "AUCTION OPEN OPEN AUCTION"),  # not known: a weekday like any other
    ],
)
def test_the_state_of_each_segment_follows_the_hours_in_force(moment: str, states: str) -> None:
    told = [CALENDAR.state(segment, ist(moment)) for segment in Segment]
    assert " ".join(told) == states


def test_the_sixteen_holidays_of_2026_are_weekdays_and_closed() -> None:
    holidays = [row.date for row in CALENDAR.holidays]
    assert len(holidays) == 16
    assert all(day.weekday() < 5 and not CALENDAR.sessions(day) for day in holidays)
    in_2026 = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
    trading = [day for day in in_2026 if CALENDAR.is_trading_day(day)]
    weekdays = [day for day in in_2026 if day.weekday() < 5]
    assert len(trading) == len(weekdays) - 16 + 2
    assert {day for day in trading if day.weekday() >= 5} == {date(2026, 2, 1), date(2026, 11, 8)}


def test_every_fact_names_its_source() -> None:
    rows = shipped_rows()
    for table in (rows.holidays, rows.special, rows.sessions):
        assert all(getattr(row, "source", "") for row in table)


def test_sessions_are_those_of_a_date_in_its_own_zone() -> None:
    sessions = {each.segment: each for each in CALENDAR.sessions(date(2026, 8, 3))}
    assert iso_ist(sessions[Segment.EQ_FNO].open_ms) == "2026-08-03T09:15:00+05:30"
    assert iso_ist(sessions[Segment.EQ_FNO].close_ms) == "2026-08-03T15:15:00+05:30"
    assert iso_ist(sessions[Segment.FNO].close_ms) == "2026-08-03T15:40:00+05:30"


def test_a_date_begins_at_midnight_in_kolkata() -> None:
    midnight_ms = ist("2026-11-27 00:00")
    assert iso_ist(midnight_ms) == "2026-11-27T00:00:00+05:30"
    assert day_start_ms(date(2026, 11, 27)) == midnight_ms
    # A second before it is another date, whose next opening is the same one.
    assert trading_day(midnight_ms - 1000) == date(2026, 11, 26)
    opening = ist("2026-11-27 09:15")
    for moment_ms in (midnight_ms - 1000, midnight_ms, opening):
        assert CALENDAR.next_open_ms(Segment.EQ, moment_ms) == opening
    assert CALENDAR.next_open_ms(Segment.EQ, opening + 1) == ist("2026-11-30 09:15")


@pytest.mark.parametrize(
    ("day", "after"),
    [
        ("2026-01-30", "2026-02-01"),  # the Sunday of the budget comes before Monday
        ("2026-02-01", "2026-02-02"),
        ("2026-04-02", "2026-04-06"),  # Good Friday
        ("2026-11-06", "2026-11-08"),
        ("2026-11-09", "2026-11-11"),
        ("2026-12-31", "2027-01-01"),  # not known
    ],
)
def test_the_trading_day_after_a_date_skips_what_is_closed(day: str, after: str) -> None:
    assert CALENDAR.trading_day_after(date.fromisoformat(day)) == date.fromisoformat(after)


@pytest.mark.parametrize(
    ("day", "known", "words"),
    [
        ("2026-12-01", True, None),
        ("2026-12-02", True, "the calendar ends on 2026-12-31"),
        ("2026-12-31", True, "the calendar ends on 2026-12-31"),
        ("2027-01-01", False, "the calendar does not know 2027"),
        ("2025-12-31", False, "the calendar does not know 2025"),
    ],
)
def test_the_end_of_the_data_is_told_thirty_days_before(
    day: str, known: bool, words: str | None
) -> None:
    at = date.fromisoformat(day)
    assert CALENDAR.knows(at) is known
    warning = CALENDAR.warning(at)
    assert warning is None if words is None else warning is not None and warning.startswith(words)


@given(moments, segments)
def test_a_moment_is_open_exactly_between_an_opening_and_the_close_after_it(
    moment_ms: int, segment: Segment
) -> None:
    opens_ms = CALENDAR.next_open_ms(segment, moment_ms)
    closes_ms = CALENDAR.next_close_ms(segment, moment_ms)
    is_open = CALENDAR.state(segment, moment_ms) is MarketState.OPEN
    assert is_open == (moment_ms < closes_ms <= opens_ms or opens_ms == moment_ms)
    assert CALENDAR.state(segment, opens_ms) is MarketState.OPEN
    assert CALENDAR.state(segment, closes_ms - 1) is MarketState.OPEN
    assert CALENDAR.state(segment, closes_ms) is not MarketState.OPEN


@given(moments)
def test_sessions_lie_within_their_date_and_their_parts_in_order(moment_ms: int) -> None:
    day = trading_day(moment_ms)
    start_ms = day_start_ms(day)
    assert start_ms <= moment_ms < start_ms + DAY_MS
    for session in CALENDAR.sessions(day):
        times = session[1:]
        assert list(times) == sorted(times)
        assert start_ms <= times[0] <= times[-1] < start_ms + DAY_MS
        assert CALENDAR.session(session.segment, day) == session


@given(moments)
def test_between_two_trading_days_nothing_trades(moment_ms: int) -> None:
    day = trading_day(moment_ms)
    after = CALENDAR.trading_day_after(day)
    between = [day + timedelta(days=n) for n in range(1, (after - day).days)]
    assert CALENDAR.is_trading_day(after)
    assert not any(CALENDAR.sessions(each) for each in between)
