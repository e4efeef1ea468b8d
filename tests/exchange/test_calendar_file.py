"""An operator's calendar: what it changes, and what is said of one that is wrong."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from vyomo_rt.domain.market import Segment
from vyomo_rt.exchange.calendar import Calendar
from vyomo_rt.exchange.calendar_file import CalendarError, read_rows

HOLIDAY = {"date": "2027-01-26", "name": "Republic Day"}
HOURS = {"from": "2027-02-01", "segment": "EQ", "open": "09:00", "close": "17:00"}


def calendar(**tables: Any) -> Calendar:
    return Calendar.shipped(json.dumps({"years": [2027], "holidays": [HOLIDAY]} | tables).encode())


def test_a_file_adds_its_years_and_keeps_the_others() -> None:
    made = calendar()
    assert made.knows(date(2027, 6, 1))
    assert made.knows(date(2026, 6, 1))
    assert not made.is_trading_day(date(2027, 1, 26))
    assert not made.is_trading_day(date(2026, 1, 26))
    assert made.is_trading_day(date(2026, 2, 1))
    assert made.warning(date(2026, 12, 20)) is None
    assert (made.warning(date(2027, 12, 20)) or "").startswith("the calendar ends on 2027-12-31")


def test_of_its_own_years_a_file_alone_counts() -> None:
    made = calendar(years=[2026], holidays=[HOLIDAY | {"date": "2026-07-01"}])
    assert made.is_trading_day(date(2026, 1, 26))
    assert not made.is_trading_day(date(2026, 7, 1))
    assert not made.is_trading_day(date(2026, 2, 1))


def test_a_file_may_change_the_hours_of_a_segment_from_a_date_on() -> None:
    made = calendar(sessions=[HOURS])
    before, after = (made.session(Segment.EQ, date(2027, *day)) for day in ((1, 29), (2, 1)))
    assert before is not None
    assert after is not None
    assert (after.close_ms - after.open_ms) // 3_600_000 == 8
    assert (before.close_ms - before.open_ms) // 60_000 == 375
    assert made.session(Segment.FNO, date(2027, 2, 1)) == calendar().session(
        Segment.FNO, date(2027, 2, 1)
    )


def test_a_holiday_may_be_one_of_single_segments() -> None:
    made = calendar(holidays=[HOLIDAY | {"segments": ["FNO"]}])
    day = date(2027, 1, 26)
    assert [each.segment for each in made.sessions(day)] == ["EQ_FNO", "EQ", "INDEX"]


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (
            {"holidays": [HOLIDAY, HOLIDAY | {"date": "2027-13-01"}]},
            "holidays, row 2, date: expected a date, such as 2027-01-26, got '2027-13-01'",
        ),
        ({"holidays": [{"name": "Holi"}]}, "holidays, row 1, date: is missing: write a date"),
        (
            {"holidays": [HOLIDAY | {"nme": "x"}]},
            "holidays, row 1, nme: unknown; did you mean name?",
        ),
        (
            {"holidays": [HOLIDAY | {"date": "2028-01-26"}]},
            "holidays, row 1, date: 2028-01-26 is in none of the years of this file: add 2028",
        ),
        (
            {"holidays": [HOLIDAY, HOLIDAY]},
            "holidays, row 2, date: a row before has 2027-01-26, too: keep one",
        ),
        (
            {"holidays": [HOLIDAY | {"segments": ["CM"]}]},
            "holidays, row 1, segments, row 1: expected a list of EQ_FNO, EQ, FNO, INDEX, got 'CM'",
        ),
        ({"holidays": ["2027-01-26"]}, "holidays, row 1: expected an object with the fields"),
        ({"holiday": []}, "holiday: unknown; did you mean holidays?"),
        ({"years": []}, "years: names none"),
        ({"years": "2027"}, "years: expected years, such as [2027], got '2027'"),
        (
            {"special": [HOLIDAY | {"open": "18:00"}]},
            "special, row 1, close: is missing: give open and close, or neither",
        ),
        (
            {"special": [HOLIDAY | {"open": "6 pm", "close": "19:00"}]},
            "special, row 1, open: expected a time in Asia/Kolkata, such as 09:15, got '6 pm'",
        ),
        (
            {"sessions": [HOURS | {"close": "08:00"}]},
            "sessions, row 1, close: 08:00 is not after open (09:00): write a later time",
        ),
        (
            {"sessions": [HOURS, HOURS]},
            "sessions, row 2, from: a row before has this date and segment: keep one",
        ),
        (
            {"sessions": [HOURS | {"segment": "CASH"}]},
            "sessions, row 1, segment: expected one of EQ_FNO, EQ, FNO, INDEX, got 'CASH'",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_told_by_row_and_field(
    tables: dict[str, Any], words: str
) -> None:
    with pytest.raises(CalendarError) as wrong:
        calendar(**tables)
    assert str(wrong.value).startswith(words)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[]", b"null", b'"2027"'])
def test_a_file_that_is_no_calendar_is_refused(text: bytes) -> None:
    with pytest.raises(CalendarError):
        read_rows(text)
